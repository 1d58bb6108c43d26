package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gate421/gate/audit"
	"gate421/gate/config"
	"gate421/gate/front"
	"gate421/gate/server/servertest"
)

// Connections that are closed without a word are spoken of on stderr, in the log, on the page and in the metrics.
func TestEnforcedLimitsAreSaid(t *testing.T) {
	t.Parallel()
	s := startGateway(t, `
listen: {https: "127.0.0.1:0", http: "127.0.0.1:0", proxy_protocol: [127.0.0.0/8]}
admin: "127.0.0.1:0"
sites: [{hosts: [one.example], origin: $echo, http2_crawl: refuse}]
`)
	c, err := net.Dial("tcp", s.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
	if resp, _ := io.ReadAll(c); len(resp) > 0 {
		t.Errorf("responded %q, want nothing before a PROXY header", resp)
	}
	line := s.Log.Wait(map[string]string{"event": "limit", "limit": "proxy_protocol", "what": "began",
		"network": "127.0.0.1/32", "times": "1"})
	if since, _ := line["since"].(string); since == "" {
		t.Errorf("since is missing in %v", line)
	}
	const title = "127.0.0.1 is listed under listen.proxy_protocol, and a connection from there did not begin with a " +
		"PROXY header"
	for _, words := range []string{"gate421: " + title, "\nhint: turn the PROXY protocol on"} {
		for deadline := time.Now().Add(servertest.Patience); !strings.Contains(s.Stderr.String(),
			words); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("stderr does not say %q: %s", words, s.Stderr)
			}
		}
	}
	if got := s.scrape()[`gate421_limits_total{limit="proxy_protocol"}`]; got != 1 {
		t.Errorf("the metric is %v", got)
	}
	resp, err := http.Get("http://" + s.Admin + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(page), "<h2>"+title) {
		t.Errorf("the page does not say it: %v\n%s", err, page)
	}
	s.close()
	s.Log.Wait(map[string]string{"event": "limit", "limit": "proxy_protocol", "what": "ended", "times": "0"})
}

func TestWordsOfLimits(t *testing.T) {
	for _, limit := range []string{"address", "network", "requests", "connections", "files", "proxy_protocol"} {
		for _, test := range []struct{ clientIP, client, shown string }{
			{"full", "192.0.2.7/32", "192.0.2.7"}, {"full", "2001:db8:1:2::/64", "2001:db8:1:2::/64"},
			{"truncated", "192.0.2.7/32", "192.0.2.0/24"}, {"truncated", "2001:db8:1:2::/64", "2001:db8:1::/48"},
			{"truncated", "192.0.2.0/24", "192.0.2.0/24"},
		} {
			c := &config.Config{Log: config.Log{ClientIP: test.clientIP}}
			g := &Gateway{config: c, current: c, frontLimits: front.Limits{Connections: 16_384, ConnectionsPerAddress: 4096,
				RequestsPerAddress: 1024, HeaderTime: 10 * time.Second}}
			private := privacyOf(c.Log)
			g.privacySettings.Store(&private)
			n := front.LimitNotice{Limit: limit, Client: g.loggable(netip.MustParsePrefix(test.client))}
			title, cure := g.limitWords(n)
			if personal := limit != "connections" && limit != "files"; strings.Contains(title, test.shown+" ") != personal ||
				strings.Contains(title+cure, "%!") || cure == "" {
				t.Errorf("%s of %s (%s): %s; %s", limit, test.client, test.clientIP, title, cure)
			}
		}
	}
	none := &Gateway{}
	none.privacySettings.Store(&audit.Privacy{Truncate: true})
	if got := none.loggable(netip.Prefix{}); got.IsValid() {
		t.Errorf("everybody is %v", got)
	}
}

func TestWhatIsSaidSeldom(t *testing.T) {
	var s hourly
	start := time.Now()
	for i, test := range []struct {
		word  string
		after time.Duration
		want  bool
	}{{"a", 0, true}, {"a", 59 * time.Minute, false}, {"b", 59 * time.Minute, true}, {"a", time.Hour, true},
		{"a", time.Hour, false}} {
		if got := s.due(test.word, start.Add(test.after)); got != test.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

func TestConnectionsOfOneAddressAreAQuarter(t *testing.T) {
	for _, test := range [][3]int{{4096, 16_384, 4096}, {4096, 1000, 250}, {4096, 1_000_000, 4096}, {64, 100, 64},
		{5000, 100, 5000}} {
		if got := perAddress(test[0], test[1]); got != test[2] {
			t.Errorf("%d of %d: %d, want %d", test[0], test[1], got, test[2])
		}
	}
}

// Each request may need a file at the sites' own servers, and one address must not have all of them.
func TestRequestsOfOneAddressAreAQuarter(t *testing.T) {
	for _, test := range []struct {
		wanted      int
		files       uint64
		connections int
		want        int
	}{{1024, 0, 16_384, 1024}, {1024, 524_288, 16_384, 1024}, {1024, 4096, 1792, 505}, {1024, 1024, 256, 127},
		{1024, 64, 16, 4}, {1000, 1024, 256, 1000}} {
		if got := requestsPerAddress(test.wanted, originDescriptors(test.files, test.connections)); got != test.want {
			t.Errorf("%d with %d files: %d, want %d", test.wanted, test.files, got, test.want)
		}
	}
}

// What log.client_ip and log.query keep out of the log is neither on the page nor in what is said of limits, from the
// start and from the reload on that asks for it.
func TestPageAndLimitsKeepTheLogsPrivacy(t *testing.T) {
	t.Parallel()
	s := startGateway(t, "log: {file: $folder/decisions.log, client_ip: truncated, query: drop}\n"+fmt.Sprintf(oneSite,
		"observe"))
	visitor, network := servertest.Local("127.0.0.7"), netip.MustParsePrefix("198.51.100.77/32")
	shown := func(secret string) (full bool) {
		t.Helper()
		got, _ := s.Recorded(servertest.Call{Method: http.MethodGet, URL: "https://shop.test/?" + secret, From: visitor,
			Proto: "HTTP/2.0", Agent: servertest.Browser})
		if got.Status != http.StatusOK {
			t.Fatalf("status %d, %v; want 200", got.Status, got.Err)
		}
		w := httptest.NewRecorder()
		s.gateway.admin.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil))
		full = strings.Contains(w.Body.String(), secret)
		if limits := s.gateway.loggable(network) == network; limits != full {
			t.Errorf("the page shows all %v, what is said of limits %v", full, limits)
		}
		return full
	}
	if shown("one-secret") {
		t.Error("the page shows what the log must not have")
	}
	s.Write("log: {file: $folder/decisions.log}\n" + fmt.Sprintf(oneSite, "observe"))
	s.reload()
	if !shown("no-secret") {
		t.Error("the page hides what the log may have")
	}
	s.Write("log: {file: $folder/decisions.log, client_ip: truncated, query: drop}\n" + fmt.Sprintf(oneSite, "observe"))
	s.reload()
	if shown("two-secret") {
		t.Error("the page shows what the log must not have any more")
	}
}
