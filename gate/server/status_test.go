package server

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gate421/gate/server/servertest"
)

// scrape reads the metrics: by series, as in name{label="value"}, its value. It requires that a series comes once, and
// after its HELP and TYPE.
func (s *setup) scrape() map[string]float64 {
	s.T.Helper()
	resp, err := http.Get("http://" + s.Admin + "/metrics")
	if err != nil {
		s.T.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.T.Fatalf("/metrics: %d %v", resp.StatusCode, err)
	}
	out := map[string]float64{}
	family, kind := "", ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			family, _, _ = strings.Cut(rest, " ")
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			_, kind, _ = strings.Cut(rest, " ")
			continue
		}
		end := strings.LastIndexByte(line, ' ')
		name := line[:max(end, 0)]
		value, err := strconv.ParseFloat(line[end+1:], 64)
		base, _, _ := strings.Cut(name, "{")
		if kind == "histogram" || kind == "summary" {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, part)
			}
		}
		if _, twice := out[name]; err != nil || base != family || twice {
			s.T.Fatalf("%s %s: %q, %v", kind, family, line, err)
		}
		out[name] = value
	}
	return out
}

// numbers are the series that have other values than 0 and depend on what was done alone.
func numbers(all map[string]float64) map[string]float64 {
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(name string, value float64) bool {
		for _, prefix := range []string{
			"gate421_log_written", "gate421_log_queue", "gate421_build_info", "gate421_certificate_", "gate421_ranges_",
			"gate421_guard_last", "gate421_origin_up", "gate421_config_",
		} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		// how long things took is for machines to know; that they were timed is exact
		timed := strings.Contains(name, "_bucket{") || strings.Contains(name, "_seconds_sum")
		return !strings.HasPrefix(name, "gate421_") || timed || value == 0
	})
	return out
}

const metricsConfig = `
listen: {https: "127.0.0.1:0", http: "127.0.0.1:0"}
admin: "127.0.0.1:0"
sites:
  - {hosts: [one.example], origin: $echo, http2_crawl: refuse}
  - {hosts: [dead.example], origin: $dead, http2_crawl: refuse}
  - {hosts: [dies.example], origin: $dies, http2_crawl: observe}
  - {hosts: [mis.example], origin: $misdirected, http2_crawl: allow}
  - {hosts: [odd.example], origin: $nonsense, http2_crawl: refuse, guard: null}
  - {hosts: [files.example], origin: "$files", http2_crawl: refuse}
`

// Three requests of every kind, and the numbers are exact. A machine under load may hold a refusal's line up for too
// long: such a round is played again.
func TestMetricsAreExact(t *testing.T) {
	for late := true; late; {
		t.Run("", func(t *testing.T) { late = exact(t) })
	}
}

// exact says whether a line came too late for its refusal.
func exact(t *testing.T) (late bool) {
	s := startGateway(t, metricsConfig)
	before := s.scrape()
	if got := numbers(before); len(got) != 2 || got["gate421_log_ready"] != 1 || got["gate421_resolver_working"] != 1 {
		t.Errorf("before the first request: %v", got)
	}
	const each = 3
	kinds := []servertest.Call{
		{URL: "https://one.example/", From: "127.0.0.2", Proto: "HTTP/2.0", Agent: servertest.Googlebot},
		{URL: "https://one.example/", From: "127.0.0.2", Proto: "HTTP/1.1", Agent: servertest.Googlebot},
		{URL: "https://one.example/", From: "127.0.0.3", Proto: "HTTP/2.0", Agent: servertest.Googlebot},
		{URL: "https://one.example/", Proto: "HTTP/2.0", Agent: servertest.Browser},
		{URL: "https://dead.example/", Proto: "HTTP/2.0", Agent: servertest.Browser},
		{URL: "https://dies.example/", Proto: "HTTP/2.0", Agent: servertest.Browser},
		{URL: "https://dies.example/", From: "127.0.0.2", Proto: "HTTP/2.0", Agent: servertest.Googlebot},
		{URL: "https://mis.example/", From: "127.0.0.2", Proto: "HTTP/2.0", Agent: servertest.Googlebot},
		{URL: "https://odd.example/", Proto: "HTTP/1.1", Agent: servertest.Browser},
		{URL: "https://files.example/", Proto: "HTTP/1.1", Agent: servertest.Browser},
		{URL: "https://nobody.example/", Proto: "HTTP/2.0", Agent: servertest.Browser, SNI: "one.example"},
		{URL: "https://nobody.example/", Proto: "HTTP/2.0", Agent: servertest.Browser}, // no handshake
		{URL: "http://one.example/", Proto: "HTTP/1.1", Agent: servertest.Browser},     // redirected: no decision, but a line
	}
	for _, c := range kinds {
		c.Method = http.MethodGet
		if c.From == "" {
			c.From = "127.0.0.1"
		}
		for range each {
			s.Do(t.Context(), c)
		}
	}
	want := map[string]float64{
		"gate421_log_ready": 1, "gate421_resolver_working": 1,
		`gate421_decisions_total{action="refuse",reason="refused",site="one.example"}`:  3,
		`gate421_decisions_total{action="serve",reason="http1",site="one.example"}`:     3,
		`gate421_decisions_total{action="serve",reason="impostor",site="one.example"}`:  3,
		`gate421_decisions_total{action="serve",reason="no_claim",site="one.example"}`:  3,
		`gate421_decisions_total{action="serve",reason="no_claim",site="dead.example"}`: 3,
		`gate421_decisions_total{action="serve",reason="no_claim",site="dies.example"}`: 3,
		`gate421_decisions_total{action="serve",reason="observed",site="dies.example"}`: 3,
		`gate421_decisions_total{action="serve",reason="allowed",site="mis.example"}`:   3,
		`gate421_decisions_total{action="serve",reason="http1",site="odd.example"}`:     3,
		`gate421_decisions_total{action="serve",reason="http1",site="files.example"}`:   3,
		`gate421_decisions_total{action="reject",reason="unknown_host",site=""}`:        3,
		`gate421_verdicts_total{source="dns",verdict="genuine"}`:                        1,
		`gate421_verdicts_total{source="cache",verdict="genuine"}`:                      11,
		`gate421_verdicts_total{source="dns",verdict="impostor"}`:                       1,
		`gate421_verdicts_total{source="cache",verdict="impostor"}`:                     2,
		`gate421_lookups_total{result="genuine"}`:                                       1,
		`gate421_lookups_total{result="impostor"}`:                                      1,
		"gate421_verify_seconds_count":                                                  2,
		`gate421_come_backs_total{site="one.example"}`:                                  1,
		`gate421_verified_http1_requests_total{site="one.example"}`:                     3,
		`gate421_origin_requests_total{result="2xx",site="one.example"}`:                9,
		`gate421_origin_seconds_count{site="one.example"}`:                              9,
		`gate421_origin_requests_total{result="refused",site="dead.example"}`:           3,
		`gate421_origin_requests_total{result="reset",site="dies.example"}`:             6,
		`gate421_origin_seconds_count{site="dies.example"}`:                             6,
		`gate421_origin_requests_total{result="origin_misdirected",site="mis.example"}`: 3,
		`gate421_origin_seconds_count{site="mis.example"}`:                              3,
		`gate421_origin_requests_total{result="garbage",site="odd.example"}`:            3,
		`gate421_connections_total{protocol="http1"}`:                                   9,
		`gate421_connections_total{protocol="http2"}`:                                   24,
		`gate421_connections_total{protocol="plain"}`:                                   3,
		`gate421_http2_stream_resets_total{by="server"}`:                                6, // answers that were cut off
		`gate421_handshakes_failed_total{cause="unknown_name"}`:                         3,
	}
	var got map[string]float64
	settled := func() bool {
		got = numbers(s.scrape())
		return maps.Equal(got, want)
	}
	for deadline := time.Now().Add(5 * time.Second); !settled() &&
		time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
	}
	if got[`gate421_decisions_total{action="serve",reason="log_unavailable",site="one.example"}`] > 0 {
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if got[name] != want[name] {
			t.Errorf("%s %v, want %v", name, got[name], want[name])
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
	after := s.scrape()
	if names, then := slices.Sorted(maps.Keys(gateOnly(before))),
		slices.Sorted(maps.Keys(gateOnly(after))); !slices.Equal(names, then) {
		t.Errorf("%d series became %d", len(names), len(then))
	}
	return false
}

// gateOnly leaves out the process and Go's runtime.
func gateOnly(all map[string]float64) map[string]float64 {
	maps.DeleteFunc(all, func(name string, _ float64) bool { return !strings.HasPrefix(name, "gate421_") })
	return all
}

// Counters never fall while everything happens at once, and whatever strangers send, no series comes.
func TestMetricsUnderLoad(t *testing.T) {
	t.Parallel()
	s := startGateway(t, metricsConfig)
	before := gateOnly(s.scrape())
	ended := make(chan struct{})
	var crowd sync.WaitGroup
	for i := range 4 {
		crowd.Go(func() {
			for n := range 40 {
				odd := fmt.Sprintf("n%d-%d", i, n)
				s.Do(t.Context(), servertest.Call{
					Method: http.MethodGet, URL: "https://" + odd + ".example/" + odd, From: fmt.Sprintf("127.0.%d.%d", 1+i, 1+n),
					SNI:   "one.example",
					Proto: []string{"HTTP/2.0", "HTTP/1.1"}[n%2], Agent: "Googlebot/2.1 " + odd,
				})
				s.Do(t.Context(), servertest.Call{
					Method: "M" + strings.ToUpper(strings.ReplaceAll(odd, "-", "")), URL: "https://one.example/" + odd,
					From:  fmt.Sprintf("127.0.%d.%d", 1+i, 1+n),
					Proto: []string{"HTTP/1.1", "HTTP/2.0"}[n%2], Agent: "Googlebot/2.1 " + odd,
				})
			}
		})
	}
	go func() {
		crowd.Wait()
		close(ended)
	}()
	last := before
	for going := true; going; {
		select {
		case <-ended:
			going = false
		default:
		}
		now := gateOnly(s.scrape())
		for name, value := range last {
			base, _, _ := strings.Cut(name, "{")
			counter := strings.HasSuffix(base, "_total") || strings.HasSuffix(base, "_count") ||
				strings.HasSuffix(base, "_bucket")
			if now[name] < value && counter {
				t.Errorf("%s fell from %v to %v", name, value, now[name])
			}
		}
		last = now
	}
	if len(last) != len(before) {
		for name := range last {
			if _, ok := before[name]; !ok {
				t.Errorf("there is a new series %s", name)
			}
		}
	}
}

// Every word that an origin's trouble can have is one of the metrics' own.
func TestMetricsKnowEveryOriginError(t *testing.T) {
	t.Parallel()
	s := startGateway(t, metricsConfig)
	series := s.scrape()
	words := 0
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "origin", "failure.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		word, err := strconv.Unquote(literal.Value)
		if err != nil {
			return true
		}
		words++
		if _, ok := series[fmt.Sprintf("gate421_origin_requests_total{result=%q,site=\"one.example\"}", word)]; !ok {
			t.Errorf("origin_error %q is counted as other", word)
		}
		return true
	})
	if words < 8 {
		t.Errorf("only %d words found: the test looks in the wrong place", words)
	}
}
