package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gate421/verify"
)

// TestStaleRangesAreSaidOnce has a list that cannot be refreshed and then can: both are said once, and each attempt is
// in the log.
func TestStaleRangesAreSaidOnce(t *testing.T) {
	t.Parallel()
	s := startGateway(t, "sites: [{hosts: [shop.test], origin: $echo, http2_crawl: observe}]\n")
	onRanges, failed := s.gateway.onRanges(), errors.New("status 503")
	for _, e := range []verify.RangesEvent{{Err: failed}, {Err: failed, Stale: true}, {Err: failed, Stale: true},
		{Fetched: time.Now(), Ignored: 2}} {
		e.URL = verify.CommonCrawlersURL
		onRanges(e)
	}
	s.Log.Wait(map[string]string{"event": "ranges", "stale": "true", "error": "status_503",
		"url": verify.CommonCrawlersURL})
	s.Log.Wait(map[string]string{"event": "ranges", "stale": "true"})
	s.Log.Wait(map[string]string{"event": "ranges", "ignored": "2"})
	for text, times := range map[string]int{
		"the published list common-crawlers has not been refreshed for three days: status 503\nhint: ": 1,
		"the published list common-crawlers is refreshed again\n":                                      1,
		"common-crawlers": 3,
	} {
		if got := strings.Count(s.Stderr.String(), text); got != times {
			t.Errorf("stderr says %q %d times, want %d:\n%s", text, got, times, s.Stderr)
		}
	}
}
