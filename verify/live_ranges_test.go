package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// publisher is the web as LiveRanges sees it.
type publisher struct {
	mu     sync.Mutex
	answer func(r *http.Request) (status int, header map[string]string, body string) // under mu
	asked  []string                                                                  // "URL If-None-Match"
}

// requests returns the requests so far, after change, if it is not nil, has changed what answer depends on.
func (p *publisher) requests(change func()) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if change != nil {
		change()
	}
	return slices.Clone(p.asked)
}

func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, strings.TrimSpace(r.URL.String()+" "+r.Header.Get("If-None-Match")))
	status, header, body := p.answer(r)
	if status == 0 {
		return nil, errors.New("no route to host")
	}
	response := &http.Response{
		StatusCode: status,
		Header:     http.Header{},
		Body:       io.NopCloser(strings.NewReader(body)),
		Request:    r,
	}
	for name, value := range header {
		response.Header.Set(name, value)
	}
	return response, nil
}

// listOf makes a list of n IPv4 prefixes.
func listOf(created string, n int) string {
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf(`{"ipv4Prefix": "10.%d.%d.0/24"}`, i/256, i%256))
	}
	return `{"creationTime": "` + created + `T00:00:00.000000", "prefixes": [` + strings.Join(entries, ",") + `]}`
}

// follow runs l in a bubble and returns its events so far whenever it is called.
func follow(t *testing.T, l *LiveRanges) (events func() []RangesEvent) {
	t.Helper()
	var mu sync.Mutex
	var told []RangesEvent
	l.OnRanges = func(e RangesEvent) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func() []RangesEvent {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		now := told
		told = nil
		return now
	}
}

// later is a day that the list which is built in was made before.
const later = "2031-05-01"

func TestLiveRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		body, tag := listOf(later, 400), `"one"`
		p.answer = func(r *http.Request) (int, map[string]string, string) {
			if r.Header.Get("If-None-Match") == tag {
				return http.StatusNotModified, nil, ""
			}
			return http.StatusOK, map[string]string{"ETag": tag}, body
		}
		dir := t.TempDir()
		l := &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: p}
		if l.Ranges().Len() < 100 || !l.Fetched().IsZero() {
			t.Errorf("before the first fetch: got %d ranges, fetched %v; want those built in, never fetched",
				l.Ranges().Len(), l.Fetched())
		}
		events := follow(t, l)
		if got := events(); len(got) != 1 || !got[0].Changed || got[0].Err != nil || got[0].Prefixes != 400 ||
			got[0].URL != CommonCrawlersURL ||
			got[0].Created.Format(time.DateOnly) != later || got[0].Fetched.IsZero() || got[0].Next < 22*time.Hour ||
			got[0].Next > 24*time.Hour {
			t.Fatalf("got the events %+v, want a new list of 400 and the next request in a day", got)
		}
		if _, ok := l.Ranges().Find(netip.MustParseAddr("10.0.7.1")); !ok || l.Ranges().Len() != 400 {
			t.Errorf("got %d ranges in use, want 400", l.Ranges().Len())
		}
		first := l.Fetched()
		time.Sleep(24 * time.Hour)
		if got := events(); len(got) != 1 || got[0].Changed || got[0].Err != nil {
			t.Fatalf("got the events %+v, want one without a change", got)
		}
		if want := CommonCrawlersURL + ` "one"`; p.requests(nil)[1] != want {
			t.Errorf("asked %q, want %s", p.requests(nil), want)
		}
		if !l.Fetched().After(first) {
			t.Errorf("after 304: confirmed %v, want now", l.Fetched())
		}
		p.requests(func() { body, tag = listOf(later, 350), `"two"` })
		time.Sleep(24 * time.Hour)
		if got := events(); len(got) != 1 || !got[0].Changed || l.Ranges().Len() != 350 {
			t.Fatalf("got the events %+v, want a new list of 350", got)
		}
		// Another program that starts with the copy on disk asks nobody before its day is over.
		q := &publisher{
			answer: func(*http.Request) (int, map[string]string, string) { return http.StatusNotModified, nil, "" },
		}
		again := &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: q}
		followed := follow(t, again)
		if got := followed(); len(got) != 1 || !got[0].Changed || got[0].Prefixes != 350 || len(q.requests(nil)) != 0 ||
			again.Ranges().Len() != 350 {
			t.Errorf("from disk: got the events %+v, requests %q; want a list of 350 and no request", got, q.requests(nil))
		}
		if !again.Fetched().Equal(l.Fetched()) {
			t.Errorf("from disk: fetched %v, want %v", again.Fetched(), l.Fetched())
		}
		time.Sleep(24 * time.Hour)
		if want := CommonCrawlersURL + ` "two"`; !slices.Equal(q.requests(nil), []string{want}) {
			t.Errorf("asked %q, want %s", q.requests(nil), want)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 || entries[0].Name() != "ranges-common-crawlers.json" {
			t.Fatalf("on disk: got %v, %v; want one copy", entries, err)
		}
		if info, err := entries[0].Info(); err != nil || info.Mode() != 0o644 {
			t.Errorf("got the mode %v, %v; want -rw-r--r--", info.Mode(), err)
		}
	})
}

// TestLiveRangesReject: whatever comes, the list in use stays in use, and the next request is an hour later, then two …
func TestLiveRangesReject(t *testing.T) {
	t.Parallel()
	type answer struct {
		status int
		header map[string]string
		body   string
	}
	to := func(url string) answer { return answer{302, map[string]string{"Location": url}, ""} }
	good := answer{200, nil, listOf(later, 400)}
	cases := map[string]struct {
		answer answer
		says   string
	}{
		"no connection":         {answer{}, "no route"},
		"not found":             {answer{404, nil, listOf(later, 400)}, "status 404"},
		"server error":          {answer{503, nil, ""}, "status 503"},
		"not modified, unasked": {answer{304, nil, ""}, "status 304"},
		"nothing":               {answer{200, nil, ""}, "unexpected end"},
		"a login page":          {answer{200, nil, "<html>"}, "invalid character"},
		"half a list":           {answer{200, nil, good.body[:2000]}, "unexpected end"},
		"no entries":            {answer{200, nil, listOf(later, 0)}, "less than half"},
		"shrunken":              {answer{200, nil, listOf(later, 158)}, "less than half"},
		"everyone's addresses": {
			answer{200, nil, `{"creationTime": "2031-05-01T00:00:00", "prefixes": [{"ipv4Prefix": "0.0.0.0/0"}]}`},
			`"0.0.0.0/0"`,
		},
		"endless": {
			answer{200, nil, good.body + strings.Repeat(" ", maxListSize)},
			"more than 1048576 bytes",
		},
		"redirect to plain http":    {to("http://developers.google.com/list"), "not https"},
		"redirect to another host":  {to("https://evil.example/list"), "another host"},
		"redirect to this machine":  {to("https://127.0.0.1/list"), "another host"},
		"redirect to a lookalike":   {to("https://developers.google.com.evil.example/list"), "another host"},
		"redirect to another port":  {to("https://www.google.com:8443/list"), "another host"},
		"redirects without an end":  {to(CommonCrawlersURL), "more than 5 redirects"},
		"redirect to a file":        {to("file:///etc/passwd"), "not https"},
		"redirect to a parent name": {to("https://notgoogle.com/list"), "another host"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				now := c.answer
				p := &publisher{
					answer: func(*http.Request) (int, map[string]string, string) { return now.status, now.header, now.body },
				}
				dir := t.TempDir()
				l := &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: dir, Transport: p}
				before := l.Ranges()
				events := follow(t, l)
				got := events()
				if len(got) != 1 || got[0].Changed || got[0].Err == nil || !strings.Contains(got[0].Err.Error(), c.says) ||
					got[0].Prefixes != before.Len() {
					t.Fatalf("events %+v, want an error that says %q", got, c.says)
				}
				if l.Ranges() != before || !l.Fetched().IsZero() {
					t.Error("got other ranges, want the list in use kept")
				}
				if kept, err := os.ReadFile(filepath.Join(dir, "ranges-common-crawlers.json")); err != nil ||
					!bytes.Contains(kept, []byte(`"tried":"2000-01-01T00:00:00Z"`)) || bytes.Contains(kept, []byte("list\"")) {
					t.Errorf("on disk: got %s, %v; want the time of the request and no list", kept, err)
				}
				for _, longest := range []time.Duration{1, 2, 4, 8, 16, 24, 24} {
					if longest *= time.Hour; got[0].Next < longest || got[0].Next > longest*13/12 {
						t.Errorf("asks again after %v, want about %v", got[0].Next, longest)
					}
					time.Sleep(got[0].Next)
					got = events()
					got = got[len(got)-1:] // before it there may be one that says that the list has become stale
				}
				p.requests(func() { now = good })
				time.Sleep(26 * time.Hour)
				if got := events(); len(got) != 1 || !got[0].Changed || got[0].Err != nil || got[0].Next < 22*time.Hour ||
					l.Ranges().Len() != 400 {
					t.Errorf("after a good response: got %+v, want a changed list", got)
				}
			})
		})
	}
}

func TestLiveRangesRedirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{}
		p.answer = func(r *http.Request) (int, map[string]string, string) {
			switch r.URL.String() {
			case CommonCrawlersURL:
				return 301, map[string]string{"Location": "/moved.json"}, ""
			case "https://developers.google.com/moved.json":
				return 307, map[string]string{"Location": "https://www.google.com/moved.json"}, ""
			}
			return 200, nil, listOf(later, 400)
		}
		l := &LiveRanges{URLs: RangeURLs(ClassCommon), Transport: p}
		if got := follow(t, l)(); len(got) != 1 || !got[0].Changed || got[0].Err != nil || l.Ranges().Len() != 400 {
			t.Errorf("got the events %+v, want a new list of 400", got)
		}
	})
}

func TestLiveRangesSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const other = "https://lists.example/special-crawlers.json"
		p := &publisher{}
		p.answer = func(r *http.Request) (int, map[string]string, string) {
			if r.URL.String() == other {
				return 200, nil, `{"creationTime": "2025-02-03T00:00:00", "prefixes": [{"ipv6Prefix": "2001:db8::/64"}]}`
			}
			return 500, nil, ""
		}
		dir := t.TempDir()
		l := &LiveRanges{URLs: []string{CommonCrawlersURL, other}, Dir: dir, Transport: p}
		built, err := PublishedRanges()
		if err != nil {
			t.Fatal(err)
		}
		if got := follow(t, l)(); len(got) != 2 || (got[0].Err == nil) == (got[1].Err == nil) {
			t.Errorf("got the events %+v, want one error and one list", got)
		}
		for _, addr := range []string{"2001:db8::1", googlebotAddr} {
			if _, ok := l.Ranges().Find(netip.MustParseAddr(addr)); !ok {
				t.Errorf("%s: got no range, want one", addr)
			}
		}
		if n := l.Ranges().Len(); n != built.Len()+1 || l.Ranges().Created().Year() != 2025 || !l.Fetched().IsZero() {
			t.Errorf("got %d ranges, created %v, fetched %v; want %d, 2025, never",
				n, l.Ranges().Created(), l.Fetched(), built.Len()+1)
		}
		if _, err := os.Stat(filepath.Join(dir, "ranges-special-crawlers.json")); err != nil {
			t.Error(err)
		}
	})
}

func TestLiveRangesCopy(t *testing.T) {
	kept := func(url, created string, n int) string {
		return fmt.Sprintf(`{"url": %q, "etag": "\"x\"", "fetched": "2026-01-01T00:00:00Z", "list": %s}`, url,
			listOf(created, n))
	}
	cases := map[string]struct {
		text    string
		changed bool
		says    string
	}{
		"good":                    {kept(CommonCrawlersURL, later, 300), true, ""},
		"older than the built in": {kept(CommonCrawlersURL, "2020-01-01", 300), false, ""},
		"empty":                   {"", false, "unexpected end"},
		"half":                    {kept(CommonCrawlersURL, later, 300)[:900], false, "unexpected end"},
		"of another list":         {kept("https://lists.example/common-crawlers.json", later, 300), false, "lists.example"},
		"shrunken":                {kept(CommonCrawlersURL, later, 20), false, "less than half"},
		"bare":                    {listOf(later, 300), false, `the copy of ""`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "ranges-common-crawlers.json"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var events []RangesEvent
			l := &LiveRanges{
				URLs:     RangeURLs(ClassCommon),
				Dir:      dir,
				OnRanges: func(e RangesEvent) { events = append(events, e) },
			}
			before := l.Ranges()
			l.Load()
			if (l.Ranges() != before) != c.changed || c.changed != (l.Ranges().Len() == 300) {
				t.Errorf("got %d ranges in use, %d before; want them changed: %v", l.Ranges().Len(), before.Len(), c.changed)
			}
			switch {
			case c.changed && (len(events) != 1 || !events[0].Changed || events[0].Err != nil):
				t.Errorf("got the events %+v, want one with a change", events)
			case c.says != "" && (len(events) != 1 || events[0].Err == nil || !strings.Contains(events[0].Err.Error(), c.says)):
				t.Errorf("events %+v, want an error that says %q", events, c.says)
			case c.says == "" && !c.changed && len(events) != 0:
				t.Errorf("got the events %+v, want none", events)
			}
		})
	}
}

// TestLiveRangesUnwritable: a list that cannot be kept is used all the same.
func TestLiveRangesUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{answer: func(*http.Request) (int, map[string]string, string) { return 200, nil, listOf(later, 400) }}
		l := &LiveRanges{URLs: RangeURLs(ClassCommon), Dir: filepath.Join(t.TempDir(), "missing"), Transport: p}
		if got := follow(t, l)(); len(got) != 1 || !got[0].Changed || got[0].Err == nil || l.Ranges().Len() != 400 {
			t.Errorf("got the events %+v, want a new list of 400 and an error about its copy", got)
		}
	})
}

func TestLiveRangesURLs(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for url, says := range map[string]string{
		"http://developers.google.com/x.json": "want https",
		"https:///x.json":                     "want https",
		"https://u:p@lists.example/x.json":    "want https",
		"https://lists.example":               "last path element",
		"https://lists.example/":              "last path element",
		"https://lists.example/..":            "last path element",
		"https://lists.example/a%00b":         "last path element",
		"://":                                 "not a URL",
		"https://lists.example/good.json":     "name of the one of",
	} {
		l := &LiveRanges{URLs: []string{"https://other.example/good.json", url}}
		if err := l.Run(ended); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got the error %v, want one that says %q", url, err, says)
		}
	}
	if err := (&LiveRanges{URLs: []string{}}).Run(ended); err == nil {
		t.Error("without lists: got no error, want one")
	}
	if err := (&LiveRanges{}).Run(ended); err != nil {
		t.Error(err)
	}
}
