package report

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKnownCrawl is a crawl whose outcome is known page by page.
func TestKnownCrawl(t *testing.T) {
	var log strings.Builder
	seq := 0
	add := func(minute int, proto, path, more string) {
		seq++
		log.WriteString(crawlLine(minute, seq, proto, path, more))
	}
	add(0, "HTTP/1.1", "/fetched-before", "")
	add(1, "HTTP/2.0", "/fetched-before", "")
	for minute, path := range []string{"/fetched", "/never", "/by-impostor", "/by-unknown", "/by-another", "/over-http2", "/503", "/404", "/redirected", "/again", "/twice", "/taken-back", "/other-host"} {
		add(10+minute, "HTTP/2.0", path, "")
	}
	add(30, "HTTP/2.0", "/twice", "")
	add(31, "HTTP/2.0", "/taken-back", fmt.Sprintf(`,"request_id":"r%d","action":"serve","reason":"log_unavailable","status":200`, seq-2))
	add(40, "HTTP/1.1", "/fetched", "")
	add(41, "HTTP/1.1", "/by-impostor", `,"verdict":"impostor","client_ip":"192.0.2.77"`)
	add(42, "HTTP/1.1", "/by-unknown", `,"verdict":"unknown"`)
	add(43, "HTTP/1.1", "/by-another", `,"claim":"bingbot"`)
	add(44, "HTTP/2.0", "/over-http2", `,"action":"serve","reason":"guard","status":200`)
	add(45, "HTTP/1.1", "/503", `,"status":503`)
	add(46, "HTTP/1.1", "/404", `,"status":404`)
	add(47, "HTTP/1.1", "/redirected", `,"action":"redirect","reason":"plain_http","status":308`)
	add(48, "HTTP/1.1", "/again", "")
	add(49, "HTTP/1.1", "/twice", "")
	add(50, "HTTP/1.1", "/other-host", `,"host":"www.a.test"`)
	add(51, "HTTP/2.0", "/again", "")
	q := Question{}
	got, err := Examine(t.Context(), q, texts([]byte(log.String())))
	if err != nil {
		t.Fatal(err)
	}
	var waiting []string
	for _, w := range got.Waiting {
		waiting = append(waiting, w.Path)
	}
	wanted := []string{"/fetched-before", "/never", "/by-impostor", "/by-unknown", "/by-another", "/over-http2", "/503", "/redirected", "/other-host", "/again"}
	if !slices.Equal(waiting, wanted) {
		t.Errorf("waiting: %q", waiting)
	}
	for _, w := range got.Waiting {
		want := 0
		if w.Path == "/503" {
			want = 503
		}
		if w.Status != want || (want != 0) != (w.Came.Minute() == 45) {
			t.Errorf("%s: came at %v and got %d, want %d", w.Path, w.Came, w.Status, want)
		}
	}
	c := got.Crawl
	if c.FailedURLs != 1 {
		t.Errorf("%d URLs came back and got an error, want 1", c.FailedURLs)
	}
	if c.Refused != 15 || c.HTTP2 != 17 || c.RefusedURLs != 13 || c.FetchedURLs != 3 || c.WaitingURLs != 10 || c.ComeBacks != 4 || got.Log.Withdrawn != 1 ||
		c.Served["guard"] != 1 || c.Served["log_unavailable"] != 1 || len(c.Served) != 2 {
		t.Errorf("%+v %+v", c, got.Log)
	}
	// The waits are 28 (twice), 29 and 30 minutes.
	if c.P50 < 28*60*0.99 || c.P50 > 29*60*1.01 || c.P95 < 30*60*0.99-60 || c.P95 > 30*60*1.01 {
		t.Errorf("p50 %g, p95 %g", c.P50, c.P95)
	}
	if len(got.Impostors) != 1 || got.Impostors[0].Network != "192.0.2.0/24" || len(got.Unknown) != 1 || got.Unknown[0].Cause != "unspecified" {
		t.Errorf("%+v %+v", got.Impostors, got.Unknown)
	}
}

// TestSeveralGateways refuses on one gateway and is fetched from on another, in files whose order of names says nothing.
func TestSeveralGateways(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	logs := make([]strings.Builder, 3)
	for i := range 60 {
		path := fmt.Sprint("/", i/2)
		if i%2 == 0 {
			logs[i%3].WriteString(crawlLine(i, i, "HTTP/2.0", path, ""))
		} else {
			logs[i%3].WriteString(crawlLine(i, i, "HTTP/1.1", path, ""))
		}
	}
	for i, form := range []func([]byte) []byte{func(b []byte) []byte { return b }, gzipped, zstandard} {
		paths = append(paths, filepath.Join(dir, fmt.Sprint("gateway-", i, ".log")))
		put(t, paths[i], form([]byte(logs[i].String())))
	}
	for range 6 {
		rand.Shuffle(3, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		got := examineFile(t, Question{}, paths...)
		if got.Crawl.ComeBacks != 30 || got.Crawl.FetchedURLs != 30 || got.Crawl.WaitingURLs != 0 || got.Crawl.P95 < 59 || got.Crawl.P95 > 61 {
			t.Errorf("%q: %+v", paths, got.Crawl)
		}
	}
}

// TestWithdrawals takes refusals back in the moments that leave the least behind.
func TestWithdrawals(t *testing.T) {
	back := func(of int) string {
		return fmt.Sprintf(`,"request_id":"r%d","action":"serve","reason":"log_unavailable","status":200`, of)
	}
	for name, test := range map[string]struct {
		log                                            string
		refused, urls, waiting, comeBacks, n, refusals int64
	}{
		"fetched in between":   {crawlLine(1, 1, "HTTP/2.0", "/", "") + crawlLine(2, 2, "HTTP/1.1", "/", "") + crawlLine(3, 3, "HTTP/2.0", "/", back(1)), 0, 0, 0, 0, 1, 0},
		"one of two":           {crawlLine(1, 1, "HTTP/2.0", "/", "") + crawlLine(2, 2, "HTTP/2.0", "/", "") + crawlLine(3, 3, "HTTP/2.0", "/", back(2)), 1, 1, 1, 0, 1, 1},
		"the first of two":     {crawlLine(1, 1, "HTTP/2.0", "/", "") + crawlLine(2, 2, "HTTP/2.0", "/", "") + crawlLine(3, 3, "HTTP/2.0", "/", back(1)), 1, 1, 1, 0, 1, 1},
		"of two, then fetched": {crawlLine(1, 1, "HTTP/2.0", "/", "") + crawlLine(2, 2, "HTTP/2.0", "/", "") + crawlLine(3, 3, "HTTP/1.1", "/", "") + crawlLine(4, 4, "HTTP/2.0", "/", back(2)), 1, 1, 0, 1, 1, 0},
		"after a come-back":    {crawlLine(1, 1, "HTTP/2.0", "/", "") + crawlLine(2, 2, "HTTP/1.1", "/", "") + crawlLine(3, 3, "HTTP/2.0", "/", "") + crawlLine(4, 4, "HTTP/2.0", "/", back(3)), 1, 1, 0, 1, 1, 0},
		"another boot's":       {crawlLine(1, 1, "HTTP/2.0", "/", "") + crawlLine(3, 3, "HTTP/2.0", "/", back(1)+`,"boot":"b2"`), 1, 1, 1, 0, 0, 1},
		"twice":                {crawlLine(1, 1, "HTTP/2.0", "/", "") + crawlLine(3, 3, "HTTP/2.0", "/", back(1)) + crawlLine(3, 4, "HTTP/2.0", "/", back(1)), 0, 0, 0, 0, 1, 0},
		"before it":            {crawlLine(3, 3, "HTTP/2.0", "/", back(4)) + crawlLine(4, 4, "HTTP/2.0", "/", ""), 1, 1, 1, 0, 0, 1},
	} {
		got, err := Examine(t.Context(), Question{}, texts([]byte(test.log)))
		if err != nil {
			t.Fatal(err)
		}
		c, refusals := got.Sites[0].Rules[0].Crawl, int64(0)
		if len(got.Waiting) > 0 {
			refusals = got.Waiting[0].Refusals
		}
		have := []int64{c.Refused, c.RefusedURLs, c.WaitingURLs, c.ComeBacks, got.Log.Withdrawn, refusals, got.Crawl.ComeBacks}
		if want := []int64{test.refused, test.urls, test.waiting, test.comeBacks, test.n, test.refusals, test.comeBacks}; !slices.Equal(have, want) {
			t.Errorf("%s: %v, want %v", name, have, want)
		}
	}
}

// TestBeyondTheURLs follows three URLs and counts the refusals of the others.
func TestBeyondTheURLs(t *testing.T) {
	var log strings.Builder
	for i := range 10 {
		log.WriteString(crawlLine(i, i+1, "HTTP/2.0", fmt.Sprint("/", i%5), ""))
	}
	log.WriteString(crawlLine(20, 11, "HTTP/1.1", "/4", "") + crawlLine(20, 12, "HTTP/1.1", "/0", ""))
	log.WriteString(crawlLine(21, 13, "HTTP/2.0", "/4", `,"request_id":"r10","action":"serve","reason":"log_unavailable","status":200`))
	got, err := Examine(t.Context(), Question{URLs: 3}, texts([]byte(log.String())))
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Crawl; c.Refused != 9 || c.RefusedURLs != 3 || c.FetchedURLs != 1 || c.Beyond != 3 || got.Log.Withdrawn != 1 {
		t.Errorf("%+v", c)
	}
}

// TestBytesOfAURL keeps the promise that a million refused URLs fit into memory.
func TestBytesOfAURL(t *testing.T) {
	const count = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	u := newURLs(0)
	host, text := []byte("www.example.com"), 0
	for i := range count {
		path := fmt.Appendf(nil, "/shop/item-%07d?colour=red", i)
		text += len(host) + len(path)
		u.refused(page{0, host, path}, int64(i), uint64(i), 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / count
	t.Logf("%d bytes a URL, %d of them its text", each, text/count)
	if each > 200 {
		t.Errorf("%d bytes a URL", each)
	}
	runtime.KeepAlive(u)
}

// TestHostileTimes holds the curve's memory whatever times a log has.
func TestHostileTimes(t *testing.T) {
	var log strings.Builder
	for year := 1971; year < 2200; year += 7 {
		line := crawlLine(1, year, "HTTP/2.0", "/", "")
		log.WriteString(strings.Replace(line, `"2026-`, fmt.Sprintf(`"%d-`, year), 1))
	}
	got, err := Examine(t.Context(), Question{}, texts([]byte(log.String())))
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for i, p := range got.Crawl.Curve {
		sum += p.Refused
		if p.Time.Weekday() != time.Monday || i > 0 && p.Time.Sub(got.Crawl.Curve[i-1].Time) != time.Duration(got.Step)*time.Second {
			t.Fatalf("step %d begins %v", i, p.Time)
		}
	}
	if len(got.Crawl.Curve) > longestRow+1 || sum != 33 {
		t.Errorf("%d steps with %d refusals", len(got.Crawl.Curve), sum)
	}
}

// TestClockSetBack keeps the order of the file, and no wait is negative.
func TestClockSetBack(t *testing.T) {
	log := crawlLine(30, 1, "HTTP/2.0", "/", "") + crawlLine(10, 2, "HTTP/1.1", "/", "") + crawlLine(40, 3, "HTTP/2.0", "/b", "") +
		crawlLine(20, 4, "HTTP/2.0", "/", "") + crawlLine(25, 5, "HTTP/1.1", "/", "") + crawlLine(26, 6, "HTTP/1.1", "/b", "")
	got, err := Examine(t.Context(), Question{}, texts([]byte(log)))
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Crawl; c.ComeBacks != 1 || c.P95 != 0 || c.WaitingURLs != 1 || got.From.Minute() != 10 || got.Until.Minute() != 40 || len(got.Crawl.Curve) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestBounds fills what strangers could fill: networks, causes, rules, boots.
func TestBounds(t *testing.T) {
	var log strings.Builder
	const many = maxNetworks + 1000
	for i := range many {
		fmt.Fprintf(&log, `{"v":1,"time":"2026-11-22T00:00:00.000000Z","event":"decision","claim":"googlebot","verdict":"impostor","client_ip":"2001:%x:%x::1"}`+"\n", i>>16, i&0xffff)
		if i < maxPlaces+500 {
			log.WriteString(crawlLine(i%60, 2*i, "HTTP/2.0", "/", fmt.Sprintf(`,"rule":"/%d"`, i)))
			log.WriteString(crawlLine(i%60, 2*i+1, "HTTP/2.0", "/", fmt.Sprintf(`,"verdict":"unknown","verdict_cause":"c%d"`, i)))
		}
	}
	got, err := Examine(t.Context(), Question{}, texts([]byte(log.String())))
	if err != nil {
		t.Fatal(err)
	}
	if last := got.Impostors[len(got.Impostors)-1]; len(got.Impostors) != maxNetworks+1 || last.Network != "" || last.Requests != many-maxNetworks {
		t.Errorf("%d networks, %+v", len(got.Impostors), last)
	}
	if last := got.Unknown[0]; len(got.Unknown) != maxCauses+1 || last.Cause != "other" || last.Requests != maxPlaces+500-maxCauses {
		t.Errorf("%d causes, %+v", len(got.Unknown), last)
	}
	if len(got.Sites) != 1 || len(got.Sites[0].Rules) != maxPlaces || got.Sites[0].Refused != maxPlaces || got.Crawl.Refused != maxPlaces+500 {
		t.Errorf("%d sites", len(got.Sites))
	}
}
