package policy

import (
	"fmt"
	"strings"
	"testing"

	"gate421/verify"

	"pgregory.net/rapid"
)

func site(t interface {
	Helper()
	Fatal(...any)
}, state State, paths ...Rule) *Site {
	t.Helper()
	p, err := New([]Spec{{Hosts: []string{"example.com"}, State: state, Paths: paths}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Site("example.com")
}

// refusable is the one shape of request that is refused; each row of the table changes one fact of it.
func refusable(s *Site) Facts {
	return Facts{Site: s, HTTP2: true, Covered: true, Path: "/page", Claim: "googlebot", Armed: true, Loggable: true}
}

func TestDecideTable(t *testing.T) {
	refuse, observe, allow := site(t, Refuse), site(t, Observe), site(t, Allow)
	for _, test := range []struct {
		name    string
		site    *Site
		verdict verify.Verdict
		change  func(*Facts)
		want    Decision
		status  int
		asked   bool
	}{
		{"unknown host, HTTP/2", nil, verify.Genuine, nil, Decision{Action: Reject, Reason: UnknownHost}, 421, false},
		{"unknown host, HTTP/1.1", nil, verify.Genuine, func(f *Facts) { f.HTTP2 = false }, Decision{Action: Reject, Reason: UnknownHost}, 404, false},
		{"misdirected", refuse, verify.Genuine, func(f *Facts) { f.Covered = false }, Decision{Action: Reject, Reason: Misdirected}, 421, false},
		{"HTTP/1.1", refuse, verify.Genuine, func(f *Facts) { f.HTTP2 = false }, Decision{Reason: HTTP1}, 0, false},
		{"HTTP/1.1, certificate of another host", refuse, verify.Genuine, func(f *Facts) { f.HTTP2, f.Covered = false, false }, Decision{Reason: HTTP1}, 0, false},
		{"no claim", refuse, verify.Genuine, func(f *Facts) { f.Claim = "" }, Decision{Reason: NoClaim}, 0, false},
		{"allowed", allow, verify.Genuine, nil, Decision{Reason: Allowed, Rule: SiteRule}, 0, false},
		{"robots.txt", refuse, verify.Genuine, func(f *Facts) { f.Path = "/robots.txt" }, Decision{Reason: Allowed, Rule: "/robots.txt$"}, 0, false},
		{"impostor", refuse, verify.Impostor, nil, Decision{Reason: Impostor, Rule: SiteRule, State: Refuse, Verdict: verify.Impostor}, 0, true},
		{"unverified", refuse, verify.Unknown, nil, Decision{Reason: Unverified, Rule: SiteRule, State: Refuse}, 0, true},
		{"a verdict that does not exist", refuse, verify.Verdict(77), nil, Decision{Reason: Unverified, Rule: SiteRule, State: Refuse, Verdict: 77}, 0, true},
		{"guard", refuse, verify.Genuine, func(f *Facts) { f.Armed = false }, Decision{Reason: Guard, Would: Refuse421, Rule: SiteRule, State: Refuse, Verdict: verify.Genuine}, 0, true},
		{"observed", observe, verify.Genuine, nil, Decision{Reason: Observed, Would: Refuse421, Rule: SiteRule, State: Observe, Verdict: verify.Genuine}, 0, true},
		{"log unavailable", refuse, verify.Genuine, func(f *Facts) { f.Loggable = false }, Decision{Reason: LogUnavailable, Rule: SiteRule, State: Refuse, Verdict: verify.Genuine}, 0, true},
		{"refused", refuse, verify.Genuine, nil, Decision{Action: Refuse421, Reason: Refused, Rule: SiteRule, State: Refuse, Verdict: verify.Genuine}, 421, true},
	} {
		facts := refusable(test.site)
		if test.change != nil {
			test.change(&facts)
		}
		asked := false
		got := Decide(facts, func() verify.Verdict { asked = true; return test.verdict })
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
		if status := got.Status(facts.HTTP2); status != test.status {
			t.Errorf("%s: status %d, want %d", test.name, status, test.status)
		}
		if asked != test.asked {
			t.Errorf("%s: asked for the verdict: %v, want %v", test.name, asked, test.asked)
		}
	}
	if d := Decide(refusable(refuse), nil); d.Action != Serve || d.Reason != Unverified {
		t.Errorf("nobody to ask: %+v", d)
	}
}

// generated draws a site, facts about a request to it and a verdict, hostile ones among them.
func generated(t *rapid.T) (Facts, verify.Verdict) {
	state := rapid.SampledFrom([]State{Allow, Observe, Refuse, Refuse, Refuse})
	segment := rapid.SampledFrom(
		[]string{"a", "b", "*", "/", ".", "robots.txt", "robots", "%2E", "$", "?", "ü", "%41", "/*"},
	)
	word := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(segment, 0, 6).Draw(t, "segments"), "")
	})
	spec := Spec{Hosts: []string{"example.com"}, State: state.Draw(t, "site state")}
	seen := map[string]bool{}
	for _, pattern := range rapid.SliceOfN(rapid.OneOf(word, rapid.SampledFrom([]string{"/", "/robots.txt", "/robots.txt$", "/*"})), 0, 6).Draw(t, "patterns") {
		if CheckPattern(pattern) == nil && !seen[CanonicalPattern(pattern)] {
			seen[CanonicalPattern(pattern)] = true
			spec.Paths = append(spec.Paths, Rule{Pattern: pattern, State: state.Draw(t, "state")})
		}
	}
	p, err := New([]Spec{spec})
	if err != nil {
		t.Fatal(err)
	}
	often := rapid.SampledFrom([]bool{true, true, true, false})
	f := Facts{
		HTTP2: often.Draw(t, "http2"), Covered: often.Draw(t, "covered"),
		Armed: often.Draw(t, "armed"), Loggable: often.Draw(t, "loggable"),
		Path:  rapid.OneOf(word, rapid.SampledFrom([]string{"/robots.txt", "/robots%2etxt", "*", ""})).Draw(t, "path"),
		Claim: rapid.SampledFrom([]string{"googlebot", "googlebot", "googlebot", ""}).Draw(t, "claim"),
	}
	if often.Draw(t, "known host") {
		f.Site = p.Site("example.com")
	}
	return f, rapid.SampledFrom([]verify.Verdict{verify.Genuine, verify.Genuine, verify.Genuine, verify.Impostor, verify.Unknown, verify.Verdict(9)}).
		Draw(t, "verdict")
}

// Law 1: never refuse a client that is not verified. A request to a host that is served here is refused only if the
// verdict was asked for and was genuine.
func TestLaw1OnlyVerifiedIsRefused(t *testing.T) {
	refusals := 0
	rapid.Check(t, func(t *rapid.T) {
		f, verdict := generated(t)
		asked := 0
		d := Decide(f, func() verify.Verdict { asked++; return verdict })
		if asked > 1 {
			t.Fatalf("asked %d times", asked)
		}
		if d.Action == Refuse421 {
			refusals++
			if asked != 1 || verdict != verify.Genuine || f.Claim == "" {
				t.Fatalf("refused with %+v and verdict %v (asked %d times)", f, verdict, asked)
			}
		}
		if d.Action == Reject && f.Site != nil && (f.Covered || !f.HTTP2) {
			t.Fatalf("rejected %+v: %+v", f, d)
		}
		if nobody := Decide(f, nil); nobody.Action == Refuse421 {
			t.Fatalf("refused without a verdict: %+v", f)
		}
	})
	if refusals == 0 {
		t.Fatal("no generated request was refused: the property says nothing")
	}
}

// Law 2: never answer 421 over HTTP/1.x, never refuse /robots.txt unless its own rule says so.
func TestLaw2HTTP1AndRobots(t *testing.T) {
	robots := 0
	rapid.Check(t, func(t *rapid.T) {
		f, verdict := generated(t)
		if rapid.Bool().Draw(t, "own rule for robots.txt") {
			own := rapid.SampledFrom([]string{"/robots.txt", "/robots.txt$", "/robots%2Etxt"}).Draw(t, "spelling")
			f = refusable(
				site(t, rapid.SampledFrom([]State{Allow, Refuse}).Draw(t, "other state"),
					Rule{Pattern: own, State: Refuse}),
			)
			f.Path, f.HTTP2 = "/robots.txt", rapid.Bool().Draw(t, "http2 too")
		}
		d := Decide(f, func() verify.Verdict { return verdict })
		if !f.HTTP2 && (d.Status(f.HTTP2) == 421 || d.Action == Refuse421) {
			t.Fatalf("421 over HTTP/1.x: %+v %+v", f, d)
		}
		if d.Action == Refuse421 && string(appendCanonical(nil, f.Path, false)) == "/robots.txt" {
			robots++
			if own := CanonicalPattern(d.Rule); own != "/robots.txt" && own != "/robots.txt$" {
				t.Fatalf("/robots.txt refused by %q", d.Rule)
			}
		}
	})
	if robots == 0 {
		t.Fatal("/robots.txt was never refused by its own rule: the property says nothing")
	}
}

// Law 3, the part that is decided here: trouble with verification is served, and the reason says so.
func TestLaw3TroubleServes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, _ := generated(t)
		asked := false
		d := Decide(f, func() verify.Verdict { asked = true; return verify.Unknown })
		if asked && (d.Action != Serve || d.Reason != Unverified) {
			t.Fatalf("unknown verdict: %+v", d)
		}
	})
}

// Law 4, the part that is decided here: what cannot be recorded is not refused.
func TestLaw4NoLineNoRefusal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, verdict := generated(t)
		f.Loggable = false
		if d := Decide(f, func() verify.Verdict { return verdict }); d.Action == Refuse421 {
			t.Fatalf("refused without a log: %+v", f)
		}
	})
}

// Each fact that speaks for the client can only turn a refusal into service, never the reverse.
func TestDoubtServes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, verdict := generated(t)
		before := Decide(f, func() verify.Verdict { return verdict })
		softer := f
		switch rapid.IntRange(0, 3).Draw(t, "doubt") {
		case 0:
			softer.HTTP2 = false
		case 1:
			softer.Claim = ""
		case 2:
			softer.Armed = false
		case 3:
			softer.Loggable = false
		}
		if after := Decide(softer, func() verify.Verdict { return verdict }); after.Action == Refuse421 &&
			before.Action != Refuse421 {
			t.Fatalf("%+v is refused, %+v is not", softer, f)
		}
	})
}

func TestZeroValuesServe(t *testing.T) {
	if d := Decide(Facts{Site: site(t, Refuse)}, nil); d.Action != Serve {
		t.Errorf("the zero facts of a known site: %+v", d)
	}
	if (Decision{}).Action != Serve || State(0) != Allow || verify.Verdict(0) != verify.Unknown {
		t.Error("a zero value does not serve")
	}
}

// many is a site with 1,000 prefix patterns and 50 wildcard patterns.
func many(t testing.TB) *Site {
	var rules []Rule
	for i := range 1000 {
		rules = append(rules,
			Rule{Pattern: fmt.Sprintf("/shop/category-%d/products-%d/", i%40, i), State: State(i % 3)})
	}
	for i := range 50 {
		rules = append(rules, Rule{Pattern: fmt.Sprintf("/*/archive-%d/*.html$", i), State: State(i % 3)})
	}
	return site(t, Refuse, rules...)
}

func BenchmarkDecide(b *testing.B) {
	small := site(b, Refuse, Rule{Pattern: "/downloads/", State: Allow}, Rule{Pattern: "/*.pdf$", State: Observe})
	large := many(b)
	genuine := func() verify.Verdict { return verify.Genuine }
	for _, bench := range []struct {
		name   string
		change func(*Facts)
	}{
		{"warm refusal", func(f *Facts) { f.Path = "/shop/item?id=1" }},
		{"no claim", func(f *Facts) { f.Claim = "" }},
		{"1000 rules", func(f *Facts) { f.Site, f.Path = large, "/shop/category-7/products-407/item-1234.html?colour=red" }},
		{"1000 rules, wildcard wins", func(f *Facts) { f.Site, f.Path = large, "/news/archive-31/2026/11/story.html" }},
		{"1000 rules, percent-encoded", func(f *Facts) { f.Site, f.Path = large, "/shop/category-7/%E3%83%84/item-1234.html" }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			f := refusable(small)
			bench.change(&f)
			b.ReportAllocs()
			for b.Loop() {
				Decide(f, genuine)
			}
		})
	}
}

// The matcher allocates nothing, also where the path has to be brought into canonical form.
func TestDecideAllocatesNothing(t *testing.T) {
	large := many(t)
	for _, path := range []string{"/shop/category-7/products-407/x", "/news/archive-31/2026/story.html", "/shop/%E3%83%84/" + strings.Repeat("x", 500)} {
		f := refusable(large)
		f.Path = path
		if n := testing.AllocsPerRun(100, func() { Decide(f, func() verify.Verdict { return verify.Genuine }) }); n != 0 {
			t.Errorf("%q: %v allocations", path, n)
		}
	}
}
