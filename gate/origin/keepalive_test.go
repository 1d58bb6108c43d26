package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What a connection is good for after a time, by what its server has said.
func TestIdleConnectionsAndWhatTheyAreGoodFor(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		keptFor, idle   time.Duration
		any, once, open bool
	}{
		{0, 499 * ms, true, true, true},
		{0, 500 * ms, true, false, true},
		{0, idleAtMost - ms, true, false, true},
		{0, idleAtMost + 1100*ms, false, false, false},
		{5000 * ms, 2499 * ms, true, true, true},
		{5000 * ms, 2500 * ms, true, false, true},
		{5000 * ms, 3999 * ms, true, false, true},
		{5000 * ms, 4000 * ms, false, false, false},
		{1000 * ms, 499 * ms, true, true, true},
		{1000 * ms, 500 * ms, false, false, false},
		{180_000 * ms, 89_000 * ms, true, true, true},
	} {
		for _, once := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var p pool
				defer p.close()
				origin := &tape{}
				k := newConn(origin, "", time.Minute)
				k.keptFor = c.keptFor
				p.put(k)
				time.Sleep(c.idle)
				synctest.Wait()
				want := c.any && !once || c.once && once
				if got := p.take("", once); (got != nil) != want || origin.closed.Load() == c.open {
					t.Errorf("kept for %v, idle for %v, once %v: taken %v, closed %v",
						c.keptFor, c.idle, once, got != nil, origin.closed.Load())
				}
				k.Raw.Close()
			})
		}
	}
}

// What cannot be repeated goes on no connection that its server may be about to close; what can be, goes there and
// is repeated.
func TestWhatCannotBeRepeatedGoesOnAFreshConnection(t *testing.T) {
	for _, hint := range []string{"", "Keep-Alive: timeout=1\r\n"} {
		for _, c := range []struct {
			method, body string
			fresh        bool
		}{
			{"POST", "", true}, {"POST", "body", true}, {"PATCH", "", true}, {"PUT", "body", true},
			{"DELETE", "body", true}, {"MKCOL", "", true},
			{"GET", "", false}, {"HEAD", "", false}, {"PUT", "", false}, {"DELETE", "", false}, {"OPTIONS", "", false},
		} {
			var connections, lost atomic.Int32
			o, d := straight(t, "http://"+listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				connections.Add(1)
				for first := true; ; first = false {
					request, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					if !first { // as a server that closes at this very moment
						lost.Add(1)
						return
					}
					io.Copy(io.Discard, request.Body)
					io.WriteString(c, "HTTP/1.1 200 OK\r\n"+hint+"Content-Length: 0\r\n\r\n")
				}
			}))
			for range 2 {
				w := httptest.NewRecorder()
				r := httptest.NewRequestWithContext(t.Context(), c.method, "/", strings.NewReader(c.body))
				if _, status, _, err := o.Serve(w, r); err != nil || status != 200 {
					t.Errorf("%s %q: %d %v", c.method, c.body, status, err)
				}
				d.idle.mu.Lock()
				d.idle.newest.answered = d.idle.newest.answered.Add(-aMoment)
				d.idle.mu.Unlock()
			}
			wanted := int32(1)
			if c.fresh || hint != "" {
				wanted = 0
			}
			if connections.Load() != 2 || lost.Load() != wanted {
				t.Errorf("%s %q %q: %d connections, %d lost requests",
					c.method, c.body, hint, connections.Load(), lost.Load())
			}
		}
	}
}

// However many hosts visitors ask for, what is remembered of them is what is idle.
func TestHostsAreForgotten(t *testing.T) {
	var p pool
	defer p.close()
	for i := range 200_000 {
		host := fmt.Sprintf("host%d.example", i)
		c := newConn(&tape{}, host, time.Minute)
		p.put(c)
		if i%2 == 0 && p.take(host, false) != c {
			t.Fatal("another one")
		}
	}
	if conns, hosts, _ := p.census(); conns != idleConns || hosts != idleConns {
		t.Errorf("%d idle of %d hosts", conns, hosts)
	}
}
