package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gate421/gate/audit"
	"gate421/gate/guard"
	"gate421/gate/policy"
)

// series are the lines of /metrics that begin with a prefix.
func series(t *testing.T, a *Admin, prefix string) []string {
	t.Helper()
	got := get(t, a, "/metrics")
	text := body(t, got)
	if got.StatusCode != 200 {
		t.Fatalf("/metrics: %d %s", got.StatusCode, text)
	}
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, prefix) {
			out = append(out, line)
		}
	}
	return out
}

func TestMetricsCountRecords(t *testing.T) {
	a := example(t, func(c *Config) {
		c.LogReady = func() bool { return false }
		c.Guard = func() []guard.Status {
			return []guard.Status{{Site: "gone.example", Tripped: true}, {Site: "shop.example.com", Tripped: true}}
		}
		c.Certificates = func() []Certificate {
			return []Certificate{
				{Hosts: []string{"example.com", "www.example.com"}, NotAfter: time.Unix(1_800_000_000, 0)},
				{Hosts: []string{"example.com", "bad\xff"}, NotAfter: time.Unix(1_700_000_000, 0)},
			}
		}
	})
	watch := func(times int, r audit.Record) {
		for range times {
			a.Watch(&r)
		}
	}
	watch(3, *refusal())
	watch(2, audit.Record{Site: "example.com", Claim: "googlebot", Verdict: "genuine", VerdictSource: "cache", Action: "serve", Reason: "http1"})
	watch(1, audit.Record{Site: "example.com", Claim: "googlebot", Verdict: "impostor", VerdictSource: "dns", Action: "serve", Reason: "http1"})
	watch(4, audit.Record{Site: "*.example.org", Claim: "googlebot", Verdict: "unknown", VerdictCause: "wait", Action: "serve", Reason: "unverified"})
	watch(5, audit.Record{Host: "evil.example", Action: "reject", Reason: "unknown_host"})
	watch(6, audit.Record{Site: "shop.example.com", Action: "serve", Reason: "no_claim"})
	watch(1, audit.Record{Site: "shop.example.com", Verdict: "genuine", VerdictSource: "elsewhere", Action: "what", Reason: "refused"})

	lines := series(t, a, "gate421_")
	for _, want := range []string{
		`gate421_decisions_total{action="refuse",reason="refused",site="example.com"} 3`,
		`gate421_decisions_total{action="serve",reason="http1",site="example.com"} 3`,
		`gate421_decisions_total{action="serve",reason="unverified",site="*.example.org"} 4`,
		`gate421_decisions_total{action="reject",reason="unknown_host",site=""} 5`,
		`gate421_decisions_total{action="serve",reason="no_claim",site="shop.example.com"} 6`,
		`gate421_decisions_total{action="refuse",reason="refused",site="shop.example.com"} 0`,
		`gate421_decisions_total{action="other",reason="other",site="shop.example.com"} 1`,
		`gate421_verdicts_total{source="cache",verdict="genuine"} 5`,
		`gate421_verdicts_total{source="dns",verdict="impostor"} 1`,
		`gate421_verdicts_total{source="dns",verdict="genuine"} 0`,
		`gate421_verdicts_total{source="",verdict="unknown"} 4`,
		`gate421_verdicts_total{source="other",verdict="genuine"} 1`,
		`gate421_come_backs_total{site="example.com"} 2`,
		`gate421_come_backs_total{site="shop.example.com"} 0`,
		`gate421_guard_tripped{site="shop.example.com"} 1`,
		`gate421_guard_tripped{site="example.com"} 0`,
		`gate421_log_ready 0`,
		`gate421_certificate_expiry_timestamp_seconds{host="example.com"} 1.7e+09`,
		`gate421_certificate_expiry_timestamp_seconds{host="www.example.com"} 1.8e+09`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing %s", want)
		}
	}
	for _, unwanted := range []string{"gone.example", "evil.example", `source="",verdict="genuine"`} {
		if text := strings.Join(lines, "\n"); strings.Contains(text, unwanted) {
			t.Errorf("metrics have %s:\n%s", unwanted, text)
		}
	}
	if got := series(t, a, "gate421_build_info{"); len(got) != 1 || !strings.Contains(got[0], `version="1.2.3"`) {
		t.Errorf("build info: %q", got)
	}
	for _, collector := range []string{"go_goroutines ", "process_cpu_seconds_total "} {
		if len(series(t, a, collector)) != 1 {
			t.Errorf("no %s", collector)
		}
	}
}

func TestStrangersAddNoSeries(t *testing.T) {
	a := example(t, nil)
	before := len(series(t, a, "gate421_"))
	for i := range 1000 {
		name := fmt.Sprintf("n%d.example", i)
		a.Watch(&audit.Record{Site: name, Host: name, Method: name, Proto: name, Action: "serve", Reason: "no_claim"})
		a.Watch(&audit.Record{Host: name, Claim: name, Verdict: name, VerdictSource: name, Action: name, Reason: name})
		a.Watch(&audit.Record{Site: "www.example.com", Action: "serve", Reason: "http1"}) // a host, but not a site's name
	}
	// no_claim, http1 and other without a site, and an unknown verdict from elsewhere
	if after := len(series(t, a, "gate421_")); after > before+4 {
		t.Errorf("%d series became %d", before, after)
	}
}

func TestCountsOutliveAReload(t *testing.T) {
	live := sites(t)()
	a := example(t, func(c *Config) { c.Policy = func() *policy.Policy { return live } })
	a.Watch(refusal())
	next, err := policy.New([]policy.Spec{{Hosts: []string{"new.example"}, State: policy.Observe}})
	if err != nil {
		t.Fatal(err)
	}
	live = next
	a.Watch(refusal()) // decided before the reload
	a.Watch(&audit.Record{Site: "new.example", Action: "serve", Reason: "no_claim"})
	lines := series(t, a, "gate421_decisions_total")
	for _, want := range []string{
		`gate421_decisions_total{action="refuse",reason="refused",site="example.com"} 2`,
		`gate421_decisions_total{action="serve",reason="no_claim",site="new.example"} 1`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing %s", want)
		}
	}
	if page := body(t, get(t, a, "/")); !strings.Contains(page, "<h3>new.example ") || strings.Contains(page, "<h3>example.com ") {
		t.Error("the page does not show the live sites alone")
	}
}
