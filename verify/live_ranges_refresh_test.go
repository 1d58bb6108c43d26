package verify

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestListsOfEveryClass fetches all that Google publishes: the special-case list opens the lane of crawlers, those of
// user-triggered fetchers do not, for anyone can have them fetch.
func TestListsOfEveryClass(t *testing.T) {
	bodies := map[string]string{
		CommonCrawlersURL: listOf(later, 400),
		"https://developers.google.com/static/crawling/ipranges/special-crawlers.json":               `{"prefixes": [{"ipv4Prefix": "192.0.2.0/24"}]}`,
		"https://developers.google.com/static/crawling/ipranges/user-triggered-fetchers.json":        `{"prefixes": [{"ipv4Prefix": "198.51.100.0/26"}]}`,
		"https://developers.google.com/static/crawling/ipranges/user-triggered-fetchers-google.json": `{"prefixes": [{"ipv4Prefix": "198.51.100.64/26"}]}`,
		"https://developers.google.com/static/crawling/ipranges/user-triggered-agents.json":          `{"prefixes": [{"ipv4Prefix": "198.51.100.128/26"}]}`,
	}
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{answer: func(r *http.Request) (int, map[string]string, string) {
			body, ok := bodies[r.URL.String()]
			if !ok {
				return 404, nil, ""
			}
			return 200, nil, body
		}}
		l := &LiveRanges{Dir: t.TempDir(), Transport: p}
		if got := follow(t, l)(); len(got) != 5 || len(p.requests(nil)) != 5 {
			t.Errorf("got %d events, requests %q; want 5 of each", len(got), p.requests(nil))
		}
		for addr, want := range map[string]string{
			"10.0.7.1": ClassCommon, "192.0.2.1": ClassSpecialCase, "198.51.100.1": ClassUserTriggered,
			"198.51.100.65": ClassUserTriggered, "198.51.100.129": ClassUserTriggered, "8.8.8.8": "",
		} {
			for _, class := range []string{ClassCommon, ClassSpecialCase, ClassUserTriggered} {
				if _, ok := l.Class(class).Find(netip.MustParseAddr(addr)); ok != (class == want) {
					t.Errorf("%s: got it among the ranges of %s: %v, want %v", addr, class, ok, class == want)
				}
			}
			if _, ok := l.Ranges().Find(netip.MustParseAddr(addr)); ok != (want == ClassCommon || want == ClassSpecialCase) {
				t.Errorf("%s: got it in Ranges: %v, want only crawlers' there", addr, ok)
			}
		}
		lists := l.Lists()
		if len(lists) != 5 || lists[0].URL != CommonCrawlersURL || lists[0].Prefixes != 400 || lists[4].Prefixes != 1 ||
			lists[4].Stale {
			t.Errorf("got the lists %+v, want 5, the first of 400 prefixes and the last of 1", lists)
		}
	})
}

// TestOneFetchAnHour restarts a program over and over, with a server that answers and with one that does not, and with
// clocks that were wrong when the copy was written.
func TestOneFetchAnHour(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 503} {
		synctest.Test(t, func(t *testing.T) {
			p := &publisher{
				answer: func(*http.Request) (int, map[string]string, string) { return status, nil, listOf(later, 400) },
			}
			dir := t.TempDir()
			began := time.Now()
			for time.Since(began) < 10*time.Hour {
				restart(t, &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: p}, 12*time.Minute)
			}
			if n := len(p.requests(nil)); status == 200 && n != 1 || status == 503 && (n < 8 || n > 11) {
				t.Errorf("status %d: got %d requests in ten hours, want 1 after success and one an hour else", status, n)
			}
		})
	}
	for name, kept := range map[string]string{
		"tried in the future":             `"tried": "2050-01-01T00:00:00Z"`,
		"tried and fetched in the future": `"tried": "2050-01-01T00:00:00Z", "fetched": "2050-01-01T00:00:00Z"`,
		"tried just now":                  `"tried": "2000-01-01T00:00:00Z", "fetched": "1970-01-01T00:00:00Z"`,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &publisher{answer: func(*http.Request) (int, map[string]string, string) { return 200, nil, listOf(later, 400) }}
			dir := t.TempDir()
			text := fmt.Sprintf(`{"url": %q, %s, "list": %s}`, CommonCrawlersURL, kept, listOf(later, 300))
			if err := os.WriteFile(filepath.Join(dir, "ranges-common-crawlers.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			follow(t, &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: p})
			time.Sleep(time.Hour - time.Second)
			if n := len(p.requests(nil)); n != 0 {
				t.Errorf("%s: got %d requests within the hour, want none", name, n)
			}
			time.Sleep(2 * time.Second)
			if n := len(p.requests(nil)); n != 1 {
				t.Errorf("%s: got %d requests after an hour, want 1", name, n)
			}
		})
	}
}

// TestStaleLists has lists that nobody can refresh: that is told once after three days, also over restarts, and when it
// is over.
func TestStaleLists(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{0, 5 * time.Hour} { // between restarts; 0: none
		synctest.Test(t, func(t *testing.T) {
			status := 503
			p := &publisher{
				answer: func(*http.Request) (int, map[string]string, string) { return status, nil, listOf(later, 400) },
			}
			dir, began := t.TempDir(), time.Now()
			var events func() []RangesEvent
			l := &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: p}
			if step == 0 {
				events = follow(t, l)
				for _, e := range events() {
					if e.Stale {
						t.Errorf("at once: got %+v, want it not stale", e)
					}
				}
				time.Sleep(72*time.Hour - time.Second)
				if got := events(); slices.ContainsFunc(got, func(e RangesEvent) bool { return e.Stale }) || l.Lists()[0].Stale {
					t.Errorf("before three days are over: got %+v, want it not stale", got)
				}
				time.Sleep(time.Second)
			} else {
				for time.Since(began) < 70*time.Hour {
					for _, e := range restart(t, &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: p}, step) {
						if e.Stale {
							t.Errorf("got it stale after %v, want 72 hours", time.Since(began))
						}
					}
				}
				events = follow(t, l)
				time.Sleep(5 * time.Hour)
			}
			got := events()
			at := slices.IndexFunc(got, func(e RangesEvent) bool { return e.Stale })
			if at < 0 || got[at].Err == nil || !strings.Contains(got[at].Err.Error(), "status 503") || !l.Lists()[0].Stale {
				t.Fatalf("after three days: got %+v, want it stale because of status 503", got)
			}
			p.requests(func() { status = 200 })
			time.Sleep(27 * time.Hour)
			if got := events(); len(got) == 0 || got[len(got)-1].Stale || got[len(got)-1].Err != nil || l.Lists()[0].Stale {
				t.Errorf("after the list was fetched: got %+v, want it not stale", got)
			}
		})
	}
}

// restart runs l for a while and returns its events.
func restart(t *testing.T, l *LiveRanges, d time.Duration) (all []RangesEvent) {
	t.Helper()
	l.OnRanges = func(e RangesEvent) { all = append(all, e) }
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := l.Run(ctx); err != nil {
		t.Error(err)
	}
	return all
}

// TestServersSetTheNextRequest follows what servers say of their lists: how long they are good, when to come again,
// which version of the format they are, and when they were made.
func TestServersSetTheNextRequest(t *testing.T) {
	const hour = time.Hour
	type header = map[string]string
	for name, test := range map[string]struct {
		status      int
		header      header
		least, most time.Duration
		says        string
	}{
		"nothing":                      {200, nil, 22 * time.Hour, 24 * time.Hour, ""},
		"good for five minutes":        {200, header{"Cache-Control": "public, max-age=300"}, 22 * hour, 24 * hour, ""},
		"good for 30 hours":            {200, header{"Cache-Control": `private, MAX-AGE="108000"`}, 30 * hour, 30 * hour, ""},
		"good for 30 hours, 10 ago":    {200, header{"Cache-Control": "max-age=108000", "Age": "36000"}, 22 * hour, 24 * hour, ""},
		"good for a year":              {200, header{"Cache-Control": "max-age=31536000"}, 48 * hour, 48 * hour, ""},
		"nonsense":                     {200, header{"Cache-Control": "max-age=-1, max-age", "Age": "x"}, 22 * hour, 24 * hour, ""},
		"come again in five hours":     {503, header{"Retry-After": "18000"}, 5 * hour, 5 * hour, "status 503"},
		"come again at four":           {429, header{"Retry-After": "Sat, 01 Jan 2000 04:00:00 GMT"}, 4 * hour, 4 * hour, "status 429"},
		"come again in a minute":       {503, header{"Retry-After": "60"}, hour, 65 * time.Minute, "status 503"},
		"come again next year":         {503, header{"Retry-After": "31536000"}, 48 * hour, 48 * hour, "status 503"},
		"the format's own type":        {200, header{"Content-Type": `application/jafar+json; version="1.7"`}, 22 * hour, 24 * hour, ""},
		"its type without a version":   {200, header{"Content-Type": "application/jafar+json"}, 22 * hour, 24 * hour, ""},
		"another version":              {200, header{"Content-Type": "Application/JAFAR+json;version=2.0"}, hour, 65 * time.Minute, `version "2.0"`},
		"another version of JSON":      {200, header{"Content-Type": "application/json; version=2.0"}, 22 * hour, 24 * hour, ""},
		"a type that nobody can parse": {200, header{"Content-Type": ";;"}, 22 * hour, 24 * hour, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &publisher{answer: func(*http.Request) (int, map[string]string, string) {
				return test.status, test.header, listOf(later, 400)
			}}
			got := follow(t, &LiveRanges{URLs: RangeURLs(ClassCommon), Transport: p})()
			if len(got) != 1 || got[0].Next < test.least || got[0].Next > test.most ||
				(got[0].Err != nil) != (test.says != "") ||
				got[0].Err != nil && !strings.Contains(got[0].Err.Error(), test.says) {
				t.Errorf("%s: got %+v, want the next request in %v to %v and an error that says %q",
					name, got, test.least, test.most, test.says)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		const made = "Thu, 01 May 2031 00:00:00 GMT"
		var asked []string
		p := &publisher{answer: func(r *http.Request) (int, map[string]string, string) {
			if asked = append(asked, r.Header.Get("If-Modified-Since")); asked[len(asked)-1] == made {
				return 304, nil, ""
			}
			return 200, header{"Last-Modified": made}, listOf(later, 400)
		}}
		dir := t.TempDir()
		restart(t, &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: p}, 25*time.Hour)
		events := restart(t, &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: p}, 48*time.Hour)
		if !slices.Equal(asked[:3], []string{"", made, made}) || events[len(events)-1].Err != nil {
			t.Errorf("got If-Modified-Since %q and %+v, want %q from the second request on", asked, events, made)
		}
	})
}
