package admin

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"gate421/gate/audit"
)

// What the log may not say of a visitor is not on the page either, nor kept in memory; crawlers, and who claims to be
// one, are shown whole. What was remembered before the log's owner decided so is hidden, too.
func TestPageKeepsTheLogsPrivacy(t *testing.T) {
	var private atomic.Pointer[audit.Privacy]
	private.Store(&audit.Privacy{})
	a := New(Config{Privacy: func() audit.Privacy { return *private.Load() }})
	visit := func(path, ip, claim string) {
		r := &audit.Record{
			Path:     path,
			ClientIP: netip.MustParseAddr(ip),
			Claim:    claim,
			Method:   "GET",
			Proto:    "HTTP/2.0",
			Action:   "serve",
			Reason:   "no_claim",
			Status:   200,
		}
		if claim != "" {
			r.Verdict, r.Reason = "impostor", "impostor"
		}
		a.OnRecord(r)
	}
	visit("/before?secret=one", "198.51.100.77", "")
	if page := body(t, get(t, a, "/")); !strings.Contains(page, "/before?secret=one") ||
		!strings.Contains(page, "198.51.100.77") {
		t.Error("a log that keeps everything hides something")
	}
	private.Store(&audit.Privacy{Truncate: true, NoQuery: true})
	visit("/after?secret=two", "203.0.113.88", "")
	visit("/six?secret=three", "2001:db8:1:2::99", "")
	visit("/crawl?page=4", "192.0.2.99", "googlebot")
	for _, path := range []string{"/", "/?refresh=5"} {
		page := body(t, get(t, a, path))
		for _, hidden := range []string{"secret", "198.51.100.77", "203.0.113.88", "2001:db8:1:2::99"} {
			if strings.Contains(page, hidden) {
				t.Errorf("%s shows %q", path, hidden)
			}
		}
		for _, shown := range []string{"/before", "/after", "/six", "198.51.100.0", "203.0.113.0", "2001:db8:1::", "/crawl?page=4", "192.0.2.99"} {
			if !strings.Contains(page, shown) {
				t.Errorf("%s does not show %q", path, shown)
			}
		}
	}
	for _, m := range a.others.list() {
		if strings.Contains(m.text[textPath], "two") || m.client == netip.MustParseAddr("203.0.113.88") {
			t.Errorf("in memory is %v", m)
		}
	}
}
