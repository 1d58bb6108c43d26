package front

import (
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// There is a notice when a limit begins to be enforced, one a minute while that goes on, and one when it has ended,
// however often it is enforced.
func TestLimitNotices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []LimitNotice
		n := &notices{onLimit: func(one LimitNotice) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, one)
		}}
		start := time.Now()
		client, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		add := func(times int, of netip.Prefix) {
			for range times {
				n.add(limitedAddress, of)
			}
		}
		add(1, client)
		synctest.Wait()
		add(500, client)
		add(500, other)
		time.Sleep(noticeTime + time.Second)
		add(7, other)
		time.Sleep(2 * noticeTime) // one tells of the seven, the next one of the end
		if mu.Lock(); !reflect.DeepEqual(told, []LimitNotice{
			{Limit: "address", Client: client, Times: 1, Since: start, Began: true},
			{Limit: "address", Client: client, Times: 1000, Since: start},
			{Limit: "address", Client: other, Times: 7, Since: start},
			{Limit: "address", Client: other, Since: start, Ended: true},
		}) {
			t.Errorf("told %+v", told)
		}
		told = nil
		mu.Unlock()
		again := time.Now()
		add(1, client)
		synctest.Wait()
		add(2, client)
		n.add(limitedConnections, netip.Prefix{})
		synctest.Wait()
		n.end()
		add(1, client)
		if want := []LimitNotice{
			{Limit: "address", Client: client, Times: 1, Since: again, Began: true},
			{Limit: "connections", Times: 1, Since: again, Began: true},
			{Limit: "connections", Since: again, Ended: true},
			{Limit: "address", Client: client, Times: 2, Since: again, Ended: true},
		}; !reflect.DeepEqual(told, want) {
			t.Errorf("at the end told %+v\nwant %+v", told, want)
		}
	})
}
