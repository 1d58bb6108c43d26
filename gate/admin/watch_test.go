package admin

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gate421/gate/audit"
	"gate421/gate/policy"
)

func TestOutcomesAreThoseOfPolicy(t *testing.T) {
	if got := len(outcomes()); got != maxOutcomes-1 {
		t.Fatalf("%d outcomes, want %d", got, maxOutcomes-1)
	}
	a := example(t, nil)
	site := a.config.Policy().Sites()[0]
	for _, facts := range []policy.Facts{{}, {Site: site}, {Site: site, HTTP2: true}, {Site: site, HTTP2: true, Covered: true}} {
		d := policy.Decide(facts, nil)
		if a.tallies.outcome(d.Action.String(), string(d.Reason)) == maxOutcomes-1 {
			t.Errorf("%s, %s is not among the outcomes", d.Action, d.Reason)
		}
	}
	for _, o := range outcomes() {
		if !strings.HasSuffix(o.words, ".") {
			t.Errorf("%s: no sentence: %q", o.reason, o.words)
		}
	}
}

func TestRemembersTheLatest(t *testing.T) {
	a := example(t, nil)
	for i := range recentClaims + 30 {
		r := refusal()
		r.Path = fmt.Sprintf("/%d", i)
		a.OnRecord(r)
		a.OnRecord(&audit.Record{Path: fmt.Sprintf("/other/%d", i), Action: "serve", Reason: "no_claim"})
	}
	for _, test := range []struct {
		name   string
		list   []memory
		size   int
		latest string
		oldest string
	}{
		{"claims", a.claims.list(), recentClaims, "/229", "/30"},
		{"others", a.others.list(), recentOthers, "/other/229", "/other/180"},
	} {
		if len(test.list) != test.size {
			t.Fatalf("%s: %d remembered, want %d", test.name, len(test.list), test.size)
		}
		if first, last := test.list[0].text[textPath], test.list[test.size-1].text[textPath]; first != test.latest ||
			last != test.oldest {
			t.Errorf("%s: from %q to %q, want from %q to %q", test.name, first, last, test.latest, test.oldest)
		}
	}
}

func TestRemembersAWholeRecord(t *testing.T) {
	a := example(t, nil)
	r := refusal()
	r.VerdictCause, r.Would = "wait", "refuse"
	a.OnRecord(r)
	*r = audit.Record{} // what was remembered is a copy
	got := a.claims.list()[0]
	want := memory{number: 1, at: noon(), client: refusal().ClientIP, status: 421, text: [texts]string{
		"example.com", "www.example.com", "GET", "/a?b=c", "HTTP/2.0", "Mozilla/5.0 (compatible; Googlebot/2.1)", "googlebot",
		"genuine", "wait", "crawl-66-249-66-1.googlebot.com", "http2_crawl", "refuse", "refused", "refuse",
	}}
	if got != want {
		t.Errorf("remembered %+v\nwant       %+v", got, want)
	}
}

func TestRemembersWithinBounds(t *testing.T) {
	a := example(t, nil)
	huge := strings.Repeat("é", 30_000)
	r := &audit.Record{
		Site: huge, Host: huge, Method: huge, Path: "/" + huge, Proto: huge, Agent: huge, Claim: huge, Verdict: huge,
		VerdictCause: huge, PTR: huge, Rule: huge, Action: huge, Reason: huge, Would: huge,
	}
	before := cap(a.claims.slots[1].bytes)
	a.OnRecord(r)
	if after := cap(a.claims.slots[1].bytes); after != before || before > 3000 {
		t.Errorf("a slot grew from %d to %d bytes", before, after)
	}
	for i, text := range a.claims.list()[0].text {
		if whole, cut := strings.CutSuffix(text, ellipsis); !cut || len(whole) > maxLong ||
			strings.Contains(whole, "\uFFFD") {
			t.Errorf("text %d: %d bytes, cut: %v", i, len(whole), cut)
		}
	}
}

func TestASlotOvertakenKeepsTheLater(t *testing.T) {
	q := newRecent(1)
	q.add(&audit.Record{Path: "/1"}, audit.Privacy{}, noon())
	q.slots[0].number = 9 // somebody came by eight rounds later and was faster
	q.add(&audit.Record{Path: "/2"}, audit.Privacy{}, noon())
	if got := q.list()[0].text[textPath]; got != "/1" {
		t.Errorf("remembers %q", got)
	}
}

func TestWatchWhileAsked(t *testing.T) {
	p := sites(t)
	a := example(t, func(c *Config) { c.Now = time.Now })
	const writers, each = 8, 500
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for n := range each {
				r := refusal()
				r.Site = p().Sites()[(i+n)%3].Name
				a.OnRecord(r)
				a.OnRecord(&audit.Record{Site: r.Site, Action: "serve", Reason: "no_claim"})
			}
		})
	}
	for range 4 {
		group.Go(func() {
			for range 5 {
				get(t, a, "/")
				get(t, a, "/metrics")
			}
		})
	}
	group.Wait()
	var refused, served uint64
	for _, tally := range a.counted() {
		refused += tally.decisions[a.tallies.index[policy.Refused]].Load()
		served += tally.decisions[a.tallies.index[policy.NoClaim]].Load()
	}
	if refused != writers*each || served != writers*each {
		t.Errorf("counted %d refused and %d served, want %d each", refused, served, writers*each)
	}
	if got := len(a.claims.list()); got != recentClaims {
		t.Errorf("remembers %d, want %d", got, recentClaims)
	}
}

func TestWatchAllocatesNothing(t *testing.T) {
	a := example(t, nil)
	records := []*audit.Record{
		refusal(),
		{
			Site:   "shop.example.com",
			Host:   "shop.example.com",
			Method: "GET",
			Path:   "/" + strings.Repeat("p", 4000),
			Action: "serve",
			Reason: "no_claim",
		},
		{Host: "nobody.example", Method: "GET", Path: "/", Action: "reject", Reason: "unknown_host"},
		{Site: "gone.example", Action: "serve", Reason: "no_claim"},
		{Site: "example.com", Action: "serve", Reason: "no_claim", OriginStatus: 200, OriginTook: time.Second},
		{Site: "example.com", Action: "serve", Reason: "no_claim", OriginError: "client_gone"},
	}
	for _, r := range records {
		a.OnRecord(r)
		if n := testing.AllocsPerRun(1000, func() { a.OnRecord(r) }); n != 0 {
			t.Errorf("site %q, reason %s: %v allocations", r.Site, r.Reason, n)
		}
	}
}

func BenchmarkWatch(b *testing.B) {
	a := example(b, func(c *Config) { c.Now = time.Now })
	other := refusal()
	other.Claim, other.Verdict, other.VerdictSource, other.PTR, other.Action, other.Reason = "", "", "", "", "serve", "no_claim"
	other.Origin, other.OriginStatus, other.OriginTook = "http://127.0.0.1:3000", 200, 7*time.Millisecond
	for name, r := range map[string]*audit.Record{"crawler": refusal(), "other": other} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.OnRecord(r)
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					a.OnRecord(r)
				}
			})
		})
	}
}
