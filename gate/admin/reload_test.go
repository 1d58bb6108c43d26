package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A file that was rejected is on the page, in the metrics and in the health answer until it is mended.
func TestRejectedConfiguration(t *testing.T) {
	state := Reload{At: noon().Add(-time.Hour), File: "/etc/gate421/gate421.yaml"}
	a := example(t, func(c *Config) { c.Reload = func() Reload { return state } })
	expect(t, words(t, body(t, get(t, a, "/"))), nil, []string{"was rejected"})
	if lines := series(t, a, "gate421_config"); !slices.Contains(lines, "gate421_config_last_reload_successful 1") {
		t.Errorf("in use: %q, want config_last_reload_successful 1", lines)
	}
	state.Rejected, state.Error = noon().Add(-5*time.Minute), "/etc/gate421/gate421.yaml:3:1: unknown key \"ca\x1b\""
	expect(t, words(t, body(t, get(t, a, "/"))), []string{
		"The configuration file was rejected What /etc/gate421/gate421.yaml has said since 20 November 2026, 11:55 UTC (5 minutes ago) is not in use",
		`/etc/gate421/gate421.yaml:3:1: unknown key &#34;ca\x1b&#34;`,
	}, nil)
	lines := series(t, a, "gate421_config")
	if !slices.Contains(lines, "gate421_config_last_reload_successful 0") ||
		!slices.Contains(lines,
			fmt.Sprintf("gate421_config_last_reload_timestamp_seconds %v", float64(state.At.Unix()))) {
		t.Errorf("rejected: %q, want config_last_reload_successful 0 and the time of the version in use", lines)
	}
	answer := get(t, a, "/health")
	if text := body(t, answer); answer.StatusCode != 200 ||
		!strings.Contains(text, "the configuration file was rejected") ||
		!strings.Contains(text, "gate421.yaml:3:1") {
		t.Errorf("health: %d %q, want 200 and what was rejected", answer.StatusCode, text)
	}
}

func TestOriginsThatDoNotAnswer(t *testing.T) {
	var servers []Origin
	a := example(t, func(c *Config) { c.Origins = func() []Origin { return servers } })
	servers = []Origin{{Site: "example.com", Address: "http://127.0.0.1:3000", Failures: 7}}
	expect(t, words(t, body(t, get(t, a, "/"))), nil, []string{"does not answer"})
	servers[0].DownSince, servers[0].Error, servers[0].Cure = noon().Add(-time.Hour),
		"refused: connection refused", "nothing listens there: is it running?"
	expect(t, words(t, body(t, get(t, a, "/"))), []string{
		"The origin http://127.0.0.1:3000 of example.com does not answer It has answered no request since 20 November 2026, 11:00 UTC (60 minutes ago). " +
			"The latest failure: refused: connection refused. Nothing listens there: is it running?",
	}, nil)
	if lines := series(t, a, "gate421_origin_up"); len(lines) != 1 || !strings.HasSuffix(lines[0], " 0") {
		t.Errorf("%q, want origin_up 0", lines)
	}
	for range 20 {
		servers = append(servers, servers[0])
	}
	servers = append(servers[1:],
		Origin{Site: "example.com", Address: "file:/srv/www", DownSince: noon(), Error: "unreachable"})
	expect(t, words(t, body(t, get(t, a, "/"))), []string{"And 16 more origins"}, nil)
}
