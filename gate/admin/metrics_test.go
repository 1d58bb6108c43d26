package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

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
			return []guard.Status{
				{Site: "gone.example", Crawler: "googlebot", Tripped: true},
				{
					Site:    "shop.example.com",
					Crawler: "adsbot-google",
				}, {Site: "shop.example.com", Crawler: "googlebot", Tripped: true},
			}
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
			a.OnRecord(&r)
		}
	}
	watch(3, *refusal())
	back := refusal()
	watch(
		2,
		audit.Record{
			Site:          "example.com",
			Host:          back.Host,
			Path:          back.Path,
			Claim:         "googlebot",
			Verdict:       "genuine",
			VerdictSource: "cache",
			Action:        "serve",
			Reason:        "http1",
			Status:        200,
		},
	)
	watch(
		1,
		audit.Record{
			Site:          "example.com",
			Claim:         "googlebot",
			Verdict:       "impostor",
			VerdictSource: "dns",
			Action:        "serve",
			Reason:        "http1",
		},
	)
	watch(
		4,
		audit.Record{
			Site:         "*.example.org",
			Claim:        "googlebot",
			Verdict:      "unknown",
			VerdictCause: "wait",
			Action:       "serve",
			Reason:       "unverified",
		},
	)
	watch(5, audit.Record{Host: "evil.example", Action: "reject", Reason: "unknown_host"})
	watch(6, audit.Record{Site: "shop.example.com", Action: "serve", Reason: "no_claim"})
	watch(
		1,
		audit.Record{
			Site:          "shop.example.com",
			Verdict:       "genuine",
			VerdictSource: "elsewhere",
			Action:        "what",
			Reason:        "refused",
		},
	)

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
		`gate421_come_backs_total{site="example.com"} 1`,
		`gate421_verified_http1_requests_total{site="example.com"} 2`,
		`gate421_verified_http1_requests_total{site="shop.example.com"} 0`,
		`gate421_come_backs_total{site="shop.example.com"} 0`,
		`gate421_guard_tripped{crawler="googlebot",site="shop.example.com"} 1`,
		`gate421_guard_tripped{crawler="adsbot-google",site="shop.example.com"} 0`,
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

// whole is an Admin that every source is connected to, with numbers that no two series share.
func whole(t *testing.T) *Admin {
	return example(t, func(c *Config) {
		c.Guard = func() []guard.Status {
			return []guard.Status{
				{
					Site:     "example.com",
					Crawler:  "googlebot",
					Refusals: 12,
					CameBack: time.Unix(1_790_000_000, 0),
				}, {Site: "shop.example.com"},
			}
		}
		c.Origins = func() []Origin {
			return []Origin{
				{Site: "example.com", Address: "http://127.0.0.1:3000", InFlight: 14},
				{Site: "example.com", Address: "unix:/run/app.sock", OutUntil: noon()},
			}
		}
		c.Ranges = func() []RangeList {
			return []RangeList{
				{
					Name:     "common-crawlers",
					Prefixes: 300,
					Fetched:  time.Unix(1_780_000_000, 0),
				}, {Name: "special-crawlers", Stale: true},
			}
		}
		c.Certificates = func() []Certificate {
			return []Certificate{{Hosts: []string{"example.com"}, NotAfter: time.Unix(1_800_000_000, 0)}}
		}
		c.Log = func() audit.LogStats {
			return audit.LogStats{
				QueueLines:   21,
				QueueBytes:   22,
				WrittenLines: 23,
				WrittenBytes: 24,
				LostLines:    25,
				Gaps:         26,
				GivenUp:      27,
				Failures:     28,
				Rotations:    29,
				LeftOutLines: 30,
				SyncFailures: 31,
			}
		}
		c.Lookups = func() Lookups {
			return Lookups{
				InFlight: 31,
				Queued:   32,
				Shed:     33,
				Results:  map[string]uint64{"genuine": 34, "servfail": 35},
				Took:     Histogram{Bounds: []float64{0.001, 0.25}, Counts: []uint64{3, 4, 5}, Sum: 36.5},
			}
		}
		c.Front = func() FrontStats {
			return FrontStats{
				Open: map[string]uint64{
					"http1": 41,
					"none":  0,
				}, Connections: map[string]uint64{"http2": 42}, Handshakes: map[string]uint64{"no_hello": 43},
				Requests: map[string]uint64{
					"http2": 44,
				}, Resets: map[string]uint64{"client": 45}, Errors: map[string]uint64{"protocol_error": 46},
			}
		}
	})
}

func TestMetricsOfTheSources(t *testing.T) {
	lines := series(t, whole(t), "gate421_")
	for _, want := range []string{
		`gate421_guard_refusals{crawler="googlebot",site="example.com"} 12`,
		`gate421_guard_refusals{crawler="",site="shop.example.com"} 0`,
		`gate421_guard_last_http1_timestamp_seconds{crawler="googlebot",site="example.com"} 1.79e+09`,
		`gate421_guard_last_http1_timestamp_seconds{crawler="",site="shop.example.com"} 0`,
		`gate421_ranges_prefixes{list="common-crawlers"} 300`,
		`gate421_ranges_prefixes{list="special-crawlers"} 0`,
		`gate421_ranges_stale{list="common-crawlers"} 0`,
		`gate421_ranges_stale{list="special-crawlers"} 1`,
		`gate421_origin_up{origin="http://127.0.0.1:3000",site="example.com"} 1`, `gate421_origin_up{origin="unix:/run/app.sock",site="example.com"} 0`,
		`gate421_origin_requests_in_flight{origin="http://127.0.0.1:3000",site="example.com"} 14`,
		`gate421_log_queue_lines 21`, `gate421_log_queue_bytes 22`, `gate421_log_written_lines_total 23`, `gate421_log_written_bytes_total 24`,
		`gate421_log_lost_lines_total 25`, `gate421_log_gaps_total 26`, `gate421_log_refusals_given_up_total 27`, `gate421_log_write_failures_total 28`,
		`gate421_log_rotations_total 29`, `gate421_log_left_out_lines_total 30`, `gate421_log_sync_failures_total 31`,
		`gate421_lookups_in_flight 31`, `gate421_lookups_queued 32`, `gate421_lookups_shed_total 33`,
		`gate421_lookups_total{result="genuine"} 34`, `gate421_lookups_total{result="servfail"} 35`,
		`gate421_verify_seconds_bucket{le="0.001"} 3`, `gate421_verify_seconds_bucket{le="0.25"} 7`, `gate421_verify_seconds_bucket{le="+Inf"} 12`,
		`gate421_verify_seconds_count 12`, `gate421_verify_seconds_sum 36.5`,
		`gate421_connections_open{protocol="http1"} 41`, `gate421_connections_open{protocol="none"} 0`, `gate421_connections_total{protocol="http2"} 42`,
		`gate421_handshakes_failed_total{cause="no_hello"} 43`, `gate421_requests_in_flight{protocol="http2"} 44`,
		`gate421_http2_stream_resets_total{by="client"} 45`, `gate421_http2_connection_errors_total{kind="protocol_error"} 46`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing %s", want)
		}
	}
	for _, unwanted := range []string{`gate421_guard_refusals{crawler="",site="*.example.org"}`} {
		if strings.Contains(strings.Join(lines, "\n"), unwanted) {
			t.Errorf("there is %s, and no guard", unwanted)
		}
	}
	for _, name := range []string{"gate421_log_queue", "gate421_lookups", "gate421_verify", "gate421_connections", "gate421_http2", "gate421_ranges", "gate421_origin_up"} {
		if got := series(t, example(t, nil), name); got != nil {
			t.Errorf("without a source there is %q", got)
		}
	}
}

// The same rules that "promtool check metrics" has.
func TestMetricsFollowTheConventions(t *testing.T) {
	text := body(t, get(t, whole(t), "/metrics"))
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %+v", err, problems)
	}
	if strings.Count(text, "# TYPE gate421_") < 30 {
		t.Error("the linter was shown too little")
	}
	problems, err = promlint.New(strings.NewReader("# TYPE gate421_requests counter\ngate421_requests 1\n")).Lint()
	if err != nil || len(problems) == 0 {
		t.Errorf("the linter finds nothing to complain of: %v", err)
	}
}

func TestOriginsAreCounted(t *testing.T) {
	a := example(t, nil)
	first := strings.Join(series(t, a, "gate421_origin_"), "\n")
	if n := strings.Count(first, "gate421_origin_requests_total{"); n != 3*originResults {
		t.Errorf("%d results at first, want %d for each of 3 sites", n, originResults)
	}
	for _, r := range []audit.Record{
		{OriginStatus: 101, OriginTook: time.Millisecond},
		{OriginStatus: 200, OriginTook: 3 * time.Millisecond}, {OriginStatus: 204, OriginTook: 5 * time.Millisecond},
		{OriginStatus: 301, OriginTook: time.Minute}, {OriginStatus: 404, OriginTook: 2 * time.Minute}, {OriginStatus: 599, OriginTook: time.Second},
		{OriginStatus: 999, OriginTook: time.Second}, {OriginStatus: 42, OriginTook: time.Second},
		{OriginStatus: 200, OriginTook: time.Millisecond, OriginError: "reset"},
		{OriginStatus: 200, OriginTook: time.Millisecond, OriginError: "client_gone"},
		{OriginStatus: 421, OriginTook: time.Millisecond, OriginError: "origin_misdirected"},
		{OriginTook: time.Hour, OriginError: "timeout"}, {OriginError: "refused"}, {OriginError: "refused"}, {OriginError: "panic"},
		{OriginError: "what"}, {OriginError: "2xx"}, {OriginError: "other"},
		{Origin: "file:/folder", Status: 200}, // nobody was asked
		{Status: 421, Action: "refuse", Reason: "refused"},
	} {
		r.Site = "example.com"
		a.OnRecord(&r)
	}
	results := map[string]int{
		"1xx":                1,
		"2xx":                2,
		"3xx":                1,
		"4xx":                1,
		"5xx":                1,
		"reset":              1,
		"client_gone":        1,
		"origin_misdirected": 1,
		"timeout":            1,
		"refused":            2,
		"panic":              1,
		"unreachable":        0,
		"certificate":        0,
		"garbage":            0,
		"other":              5,
	}
	var want []string
	for word, n := range results {
		want = append(want, fmt.Sprintf(`gate421_origin_requests_total{result=%q,site="example.com"} %d`, word, n))
	}
	for bound, n := range map[string]int{"0.001": 4, "0.0025": 4, "0.005": 6, "0.5": 6, "1": 9, "10": 9, "60": 10, "+Inf": 11} {
		want = append(want, fmt.Sprintf(`gate421_origin_seconds_bucket{site="example.com",le=%q} %d`, bound, n))
	}
	want = append(
		want,
		`gate421_origin_seconds_count{site="example.com"} 11`,
		`gate421_origin_seconds_sum{site="example.com"} 183.012`,
	)
	lines := series(t, a, "gate421_origin_")
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("missing %s", line)
		}
	}
	if t.Failed() {
		t.Log(strings.Join(lines, "\n"))
	}
}

func TestStrangersAddNoSeries(t *testing.T) {
	a := whole(t)
	before := len(series(t, a, ""))
	for i := range 10_000 {
		name := fmt.Sprintf("n%d.example", i)
		a.OnRecord(
			&audit.Record{
				Site:   name,
				Host:   name,
				Method: name,
				Path:   name,
				Agent:  name,
				Proto:  name,
				Action: "serve",
				Reason: "no_claim",
			},
		)
		a.OnRecord(
			&audit.Record{
				Host:          name,
				Claim:         name,
				Verdict:       name,
				VerdictSource: name,
				VerdictCause:  name,
				PTR:           name,
				Action:        name,
				Reason:        name,
			},
		)
		a.OnRecord(
			&audit.Record{Site: "www.example.com", Action: "serve", Reason: "http1"},
		) // a host, but not a site's name
		a.OnRecord(
			&audit.Record{
				Site:         "example.com",
				Action:       "serve",
				Reason:       "http1",
				Status:       i,
				OriginStatus: i,
				OriginError:  name,
			},
		)
	}
	// no_claim, http1 and other without a site, and an unknown verdict from elsewhere
	if after := len(series(t, a, "")); after > before+4 {
		t.Errorf("%d series became %d", before, after)
	}
}

func TestCountsOutliveAReload(t *testing.T) {
	live := sites(t)()
	a := example(t, func(c *Config) { c.Policy = func() *policy.Policy { return live } })
	a.OnRecord(refusal())
	next, err := policy.New([]policy.Spec{{Hosts: []string{"new.example"}, State: policy.Observe}})
	if err != nil {
		t.Fatal(err)
	}
	live = next
	a.OnRecord(refusal()) // decided before the reload
	a.OnRecord(&audit.Record{Site: "new.example", Action: "serve", Reason: "no_claim"})
	lines := series(t, a, "gate421_decisions_total")
	for _, want := range []string{
		`gate421_decisions_total{action="refuse",reason="refused",site="example.com"} 2`,
		`gate421_decisions_total{action="serve",reason="no_claim",site="new.example"} 1`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing %s", want)
		}
	}
	if page := body(t, get(t, a, "/")); !strings.Contains(page, "<h3>new.example ") ||
		strings.Contains(page, "<h3>example.com ") {
		t.Error("the page does not show the live sites alone")
	}
}
