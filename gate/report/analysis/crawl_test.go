package analysis

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gate421/gate/report/logs/logstest"
)

// A crawl whose outcome is known page by page.
func TestKnownCrawl(t *testing.T) {
	var log strings.Builder
	seq := 0
	add := func(minute int, proto, path, more string) {
		seq++
		log.WriteString(logstest.Line(minute, seq, proto, path, more))
	}
	add(0, "HTTP/1.1", "/fetched-before", "")
	add(1, "HTTP/2.0", "/fetched-before", "")
	for minute, path := range []string{"/fetched", "/never", "/by-impostor", "/by-unknown", "/by-another",
		"/over-http2", "/503", "/404", "/redirected", "/again", "/twice", "/withdrawn", "/other-host"} {
		add(10+minute, "HTTP/2.0", path, "")
	}
	add(30, "HTTP/2.0", "/twice", "")
	add(31, "HTTP/2.0", "/withdrawn", withdrawal(seq-2))
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
	got := examineText(t, log.String())
	var waiting []string
	for _, w := range got.Waiting {
		waiting = append(waiting, w.Path)
	}
	want := []string{"/fetched-before", "/never", "/by-impostor", "/by-unknown", "/by-another", "/over-http2", "/503",
		"/redirected", "/other-host", "/again"}
	if !slices.Equal(waiting, want) {
		t.Errorf("waiting: got %q, want %q", waiting, want)
	}
	for _, w := range got.Waiting {
		want := 0
		if w.Path == "/503" {
			want = 503
		}
		if w.FailedStatus != want || (want != 0) != (w.FailedAt.Minute() == 45) {
			t.Errorf("%s: got status %d at %v, want %d", w.Path, w.FailedStatus, w.FailedAt, want)
		}
	}
	c := got.Crawl
	// The waits are 28 (twice), 29 and 30 minutes.
	if c.P50 < 28*60*0.99 || c.P50 > 29*60*1.01 || c.P95 < 30*60*0.99-60 || c.P95 > 30*60*1.01 {
		t.Errorf("got p50 %g and p95 %g, want 28 to 29 and 29 to 30 minutes", c.P50, c.P95)
	}
	c.P50, c.P95, c.Curve = 0, 0, nil
	wanted := Crawl{HTTP2: 17, HTTP1: 9, Refused: 15, Served: map[string]int64{"guard": 1, "log_unavailable": 1},
		RefusedURLs: 13, FetchedURLs: 3, WaitingURLs: 10, FailedURLs: 1, ComeBacks: 4}
	if !reflect.DeepEqual(c, wanted) {
		t.Errorf("got  %+v\nwant %+v", c, wanted)
	}
	if got.Log.Withdrawn != 1 {
		t.Errorf("got %d withdrawn, want 1", got.Log.Withdrawn)
	}
	if n := got.Impostors; len(n) != 1 || n[0].Network != "192.0.2.0/24" {
		t.Errorf("impostors: got %+v, want 192.0.2.0/24 alone", n)
	}
	if u := got.Unknown; len(u) != 1 || u[0].Cause != "unspecified" {
		t.Errorf("unknown: got %+v, want unspecified alone", u)
	}
}

// withdrawal are the fields of a record that withdraws the refusal of another one's request.
func withdrawal(of int) string {
	return fmt.Sprintf(`,"request_id":"r%d","action":"serve","reason":"log_unavailable","status":200`, of)
}

// A URL that was refused by one gateway and fetched from another has come back, in whatever order the logs are named.
func TestSeveralGateways(t *testing.T) {
	gateways := make([]string, 3)
	for i := range 60 {
		path := fmt.Sprint("/", i/2)
		if i%2 == 0 {
			gateways[i%3] += logstest.Line(i, i, "HTTP/2.0", path, "")
		} else {
			gateways[i%3] += logstest.Line(i, i, "HTTP/1.1", path, "")
		}
	}
	for range 6 {
		rand.Shuffle(3, func(i, j int) { gateways[i], gateways[j] = gateways[j], gateways[i] })
		r, err := Examine(t.Context(), reader(gateways...))
		if err != nil {
			t.Fatal(err)
		}
		got := r.Crawl
		if got.ComeBacks != 30 || got.FetchedURLs != 30 || got.WaitingURLs != 0 || got.P95 < 59 || got.P95 > 61 {
			t.Errorf("got %+v, want 30 URLs that came back after a minute", got)
		}
	}
}

// Refusals are withdrawn in the moments that leave the least behind.
func TestWithdrawals(t *testing.T) {
	refuse := func(seq int) string { return logstest.Line(seq, seq, "HTTP/2.0", "/", "") }
	fetch := func(seq int) string { return logstest.Line(seq, seq, "HTTP/1.1", "/", "") }
	withdraw := func(seq, of int) string { return logstest.Line(seq, seq, "HTTP/2.0", "/", withdrawal(of)) }
	type counts struct{ refused, urls, waiting, comeBacks, withdrawn, refusals int64 }
	for name, test := range map[string]struct {
		log  string
		want counts
	}{
		"fetched in between":   {refuse(1) + fetch(2) + withdraw(3, 1), counts{withdrawn: 1}},
		"one of two":           {refuse(1) + refuse(2) + withdraw(3, 2), counts{1, 1, 1, 0, 1, 1}},
		"the first of two":     {refuse(1) + refuse(2) + withdraw(3, 1), counts{1, 1, 1, 0, 1, 1}},
		"of two, then fetched": {refuse(1) + refuse(2) + fetch(3) + withdraw(4, 2), counts{1, 1, 0, 1, 1, 0}},
		"after a come-back":    {refuse(1) + fetch(2) + refuse(3) + withdraw(4, 3), counts{1, 1, 0, 1, 1, 0}},
		"of another boot": {refuse(1) + logstest.Line(3, 3, "HTTP/2.0", "/", withdrawal(1)+`,"boot":"b2"`),
			counts{1, 1, 1, 0, 0, 1}},
		"twice":     {refuse(1) + withdraw(3, 1) + withdraw(4, 1), counts{withdrawn: 1}},
		"before it": {withdraw(3, 4) + refuse(4), counts{1, 1, 1, 0, 0, 1}},
	} {
		r := examineText(t, test.log)
		c, refusals := r.Sites[0].Rules[0].Crawl, int64(0)
		if len(r.Waiting) > 0 {
			refusals = r.Waiting[0].Refusals
		}
		got := counts{c.Refused, c.RefusedURLs, c.WaitingURLs, c.ComeBacks, r.Log.Withdrawn, refusals}
		if got != test.want || r.Crawl.ComeBacks != c.ComeBacks {
			t.Errorf("%s: got %+v (%d come-backs of all sites), want %+v", name, got, r.Crawl.ComeBacks, test.want)
		}
	}
}

// Beyond the URLs that are tracked, refusals are counted.
func TestUntrackedURLs(t *testing.T) {
	var log strings.Builder
	for i := range 10 {
		log.WriteString(logstest.Line(i, i+1, "HTTP/2.0", fmt.Sprint("/", i%5), ""))
	}
	log.WriteString(logstest.Line(20, 11, "HTTP/1.1", "/4", "") + logstest.Line(20, 12, "HTTP/1.1", "/0", ""))
	log.WriteString(logstest.Line(21, 13, "HTTP/2.0", "/4", withdrawal(10)))
	got, err := examine(t.Context(), reader(log.String()), 3)
	if err != nil {
		t.Fatal(err)
	}
	if c := got.Crawl; c.Refused != 9 || c.RefusedURLs != 3 || c.FetchedURLs != 1 || c.Untracked != 3 ||
		got.Log.Withdrawn != 1 {
		t.Errorf("got %+v and %d withdrawn, want 9 refused, 3 URLs, 1 fetched, 3 untracked, 1 withdrawn", c,
			got.Log.Withdrawn)
	}
}

// The curve is bounded whatever times a log has.
func TestCurveOfCenturies(t *testing.T) {
	var log strings.Builder
	for year := 1971; year < 2200; year += 7 {
		line := logstest.Line(1, year, "HTTP/2.0", "/", "")
		log.WriteString(strings.Replace(line, `"2026-`, fmt.Sprintf(`"%d-`, year), 1))
	}
	got := examineText(t, log.String())
	var sum int64
	for i, p := range got.Crawl.Curve {
		sum += p.Refused
		if p.Time.Weekday() != time.Monday || i > 0 &&
			p.Time.Sub(got.Crawl.Curve[i-1].Time) != time.Duration(got.Step)*time.Second {
			t.Fatalf("step %d begins %v, want a Monday, %d s after the one before", i, p.Time, got.Step)
		}
	}
	if len(got.Crawl.Curve) > maxSteps+1 || sum != 33 {
		t.Errorf("got %d steps with %d refusals, want no more than %d with 33", len(got.Crawl.Curve), sum, maxSteps+1)
	}
}

// Where the clock was set back the order of the file holds, and no wait is negative.
func TestClockSetBack(t *testing.T) {
	log := logstest.Line(30, 1, "HTTP/2.0", "/", "") + logstest.Line(10, 2, "HTTP/1.1", "/", "") +
		logstest.Line(40, 3, "HTTP/2.0", "/b", "") +
		logstest.Line(20, 4, "HTTP/2.0", "/", "") + logstest.Line(25, 5, "HTTP/1.1", "/", "") +
		logstest.Line(26, 6, "HTTP/1.1", "/b", "")
	got := examineText(t, log)
	if c := got.Crawl; c.ComeBacks != 1 || c.P95 != 0 || c.WaitingURLs != 1 || len(c.Curve) != 1 {
		t.Errorf("got %+v, want one come-back after 0 s, one URL waiting, one step", c)
	}
	if got.From.Minute() != 10 || got.Until.Minute() != 40 {
		t.Errorf("got a report from %v until %v, want minutes 10 and 40", got.From, got.Until)
	}
}

// What strangers can fill is bounded: networks, causes, rules.
func TestBounds(t *testing.T) {
	var log strings.Builder
	const many = maxNetworks + 1000
	for i := range many {
		fmt.Fprintf(&log, `{"v":1,"time":"2026-11-22T00:00:00.000000Z","event":"decision","claim":"googlebot",`+
			`"verdict":"impostor","client_ip":"2001:%x:%x::1"}`+"\n", i>>16, i&0xffff)
		if i < maxSiteRules+500 {
			log.WriteString(logstest.Line(i%60, 2*i, "HTTP/2.0", "/", fmt.Sprintf(`,"rule":"/%d"`, i)))
			log.WriteString(logstest.Line(i%60, 2*i+1, "HTTP/2.0", "/",
				fmt.Sprintf(`,"verdict":"unknown","verdict_cause":"c%d"`, i)))
		}
	}
	got := examineText(t, log.String())
	if last := got.Impostors[len(got.Impostors)-1]; len(got.Impostors) != maxNetworks+1 || last.Network != "" ||
		last.Requests != many-maxNetworks {
		t.Errorf("got %d networks, the last %+v; want %d, the last without a network and %d requests",
			len(got.Impostors), last, maxNetworks+1, many-maxNetworks)
	}
	if first := got.Unknown[0]; len(got.Unknown) != maxCauses+1 || first.Cause != "other" ||
		first.Requests != maxSiteRules+500-maxCauses {
		t.Errorf("got %d causes, the first %+v; want %d, the first other with %d requests",
			len(got.Unknown), first, maxCauses+1, maxSiteRules+500-maxCauses)
	}
	if s := got.Sites; len(s) != 1 || len(s[0].Rules) != maxSiteRules || s[0].Refused != maxSiteRules ||
		got.Crawl.Refused != maxSiteRules+500 {
		t.Errorf("got %d sites and %d refusals, want one site with %d rules and refusals, and %d refusals in all",
			len(s), got.Crawl.Refused, maxSiteRules, maxSiteRules+500)
	}
}
