//go:build peers

package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gate421/verify/verifytest"
)

const shop = "shop.test"

// serveShop starts nginx and, in front of it, a gateway that refuses, reachable under every address of the namespace.
// paths are the site's exceptions, as they stand in the configuration.
func serveShop(t *testing.T, z *zone, wait, paths string) *gateway {
	t.Helper()
	return serve(t, setup{listen: ":0", resolver: z.address(), wait: wait, sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse, paths: {%s}}
`, shop, onePage(t), paths)})
}

// call is a visit and what its record says beside what follows from the visit itself.
type call struct {
	name string
	visit
	path string
	want record
}

// The decision, seen from outside: real addresses, a real handshake, a real resolver, and one line for each.
func TestGooglebotIsSentBackToHTTP1(t *testing.T) {
	if !inside(t) {
		return
	}
	const ptr4, ptr6 = "crawl-66-249-66-1.googlebot.com", "crawl-2001-4860-4801-10--1.googlebot.com"
	refusal := func(source, ptr string) record {
		return record{Verdict: "genuine", VerdictSource: source, PTR: ptr, Rule: "http2_crawl", State: "refuse", Action: "refuse", Reason: "refused", Status: 421}
	}
	first := func(source, ptr string) record {
		return record{Verdict: "genuine", VerdictSource: source, PTR: ptr, Rule: "http2_crawl", State: "refuse", Action: "serve", Reason: "http1", Status: 200}
	}
	impostor := func(ptr string) record {
		return record{Verdict: "impostor", VerdictSource: "dns", PTR: ptr, Rule: "http2_crawl", State: "refuse", Action: "serve", Reason: "impostor", Status: 200}
	}
	const h2, h1 = "HTTP/2.0", "HTTP/1.1"
	calls := []call{
		{"Googlebot over HTTP/2", visit{from: googlebot4, agent: googlebotAgent, proto: h2}, "/a", refusal("dns", ptr4)},
		{"Googlebot over HTTP/1.1", visit{from: googlebot4, agent: googlebotAgent, proto: h1}, "/b", first("cache", ptr4)},
		{"Googlebot over HTTP/2 again", visit{from: googlebot4, agent: googlebotAgent, proto: h2}, "/c?d=e", refusal("cache", ptr4)},
		{"Googlebot over IPv6 and HTTP/1.1", visit{to: "[::1]", from: googlebot6, agent: googlebotAgent, proto: h1}, "/f", first("dns", ptr6)},
		{"Googlebot over IPv6 and HTTP/2", visit{to: "[::1]", from: googlebot6, agent: googlebotAgent, proto: h2}, "/g", refusal("cache", ptr6)},
		{"Googlebot for robots.txt", visit{from: googlebot4, agent: googlebotAgent, proto: h2}, "/robots.txt",
			record{Verdict: "genuine", VerdictSource: "cache", PTR: ptr4,
				Rule: "/robots.txt$", State: "allow", Action: "serve", Reason: "allowed", Status: 200}},
		{"a browser from Googlebot's address", visit{from: googlebot4, agent: browserAgent, proto: h2}, "/h", record{Action: "serve", Reason: "no_claim", Status: 200}},
		{"an impostor without a reverse name", visit{from: "127.0.0.1", agent: googlebotAgent, proto: h2}, "/i", impostor("")},
		{"an impostor whose name leads to Googlebot", visit{from: forgedBack, agent: googlebotAgent, proto: h2}, "/j", impostor("crawl-66-249-66-66.googlebot.com")},
		{"an impostor whose name leads nowhere", visit{from: forgedDead, agent: googlebotAgent, proto: h2}, "/k", impostor("crawl-95-216-227-158.googlebot.com")},
	}
	g := serveShop(t, googleZone(t), "10s", "")
	wants := map[string]record{}
	for _, c := range calls {
		c.url = "https://" + shop + c.path
		got := g.curl(t, c.visit)
		t.Logf("%s, from %s: %s %s: %d, %d bytes", c.name, c.from, c.proto, c.path, got.status, len(got.body))
		if got.status != c.want.Status {
			t.Errorf("%s: %d, want %d", c.name, got.status, c.want.Status)
		}
		if c.want.Status == 421 {
			checkRefusal(t, c.name, got)
		} else {
			c.want.OriginStatus = 200
		}
		wants[c.path] = complete(c, len(got.body))
	}
	records := byPath(t, g.finish(t))
	if len(records) != len(calls) {
		t.Errorf("%d records for %d requests", len(records), len(calls))
	}
	for path, want := range wants {
		if got := records[path]; got.parted(want.BytesOut).early() != want.early() {
			t.Errorf("%s:\ngot  %+v\nwant %+v", path, got, want)
		}
	}
}

// complete adds to a wanted record what follows from the request.
func complete(c call, bytes int) record {
	r := c.want
	r.Event, r.Site, r.Host, r.SNI, r.Method = "decision", shop, shop, shop, "GET"
	r.Path, r.Proto, r.ClientIP, r.Agent, r.BytesOut = c.path, c.proto, c.from, c.agent, int64(bytes)
	r.ALPN = map[string]string{"HTTP/2.0": "h2", "HTTP/1.1": "http/1.1"}[c.proto]
	if c.agent == googlebotAgent {
		r.Claim = "googlebot"
	}
	return r
}

// checkRefusal looks at all that a refusal says to a crawler.
func checkRefusal(t *testing.T, name string, got answer) {
	t.Helper()
	body := string(got.body)
	if strings.Count(body, "\n") != 1 || !strings.HasSuffix(body, "\n") || !strings.Contains(body, "421") || !strings.Contains(body, "HTTP/1.1") {
		t.Errorf("%s: the body is %q, want one line that says why", name, body)
	}
	h := got.header
	if h.Get("Cache-Control") != "no-store" || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") || h.Get("Set-Cookie") != "" || h.Get("Alt-Svc") != "" {
		t.Errorf("%s: the header is %v", name, h)
	}
}

// Another client's view of the same: a 421 and the end of the connection, so that the crawler opens a new one.
func TestRefusalSendsGoAway(t *testing.T) {
	if !inside(t) {
		return
	}
	g := serveShop(t, googleZone(t), "10s", "")
	look := func(agent string) string {
		return output(t, tool(t, "nghttp", fromNghttp2), "--verbose", "--null-out", "-H", ":authority: "+shop, "-H", "user-agent: "+agent,
			"https://"+googlebot4+":"+g.port+"/")
	}
	const goAway = "recv GOAWAY frame"
	if said := look(googlebotAgent); !strings.Contains(said, ":status: 421") || !strings.Contains(said, goAway) {
		t.Errorf("nghttp as Googlebot saw no 421, or no GOAWAY:\n%s", said)
	}
	if said := look(browserAgent); !strings.Contains(said, ":status: 200") || strings.Contains(said, goAway) {
		t.Errorf("nghttp as a browser saw no 200, or a GOAWAY:\n%s", said)
	}
	records := g.finish(t)
	if len(records) != 2 || !refused(records[0]) || records[0].ClientIP != googlebot4 || records[0].SNI != shop || !served(records[1]) {
		t.Errorf("records: %+v", records)
	}
}

// Every refusal that h2load counts has its line: on connections that are kept, and on such as end with each refusal.
func TestEveryRefusalHasItsLine(t *testing.T) {
	if !inside(t) {
		return
	}
	for _, test := range []struct {
		name, paths string
		args        []string
		requests    int
	}{
		{"connections are kept", "/kept/: allow", []string{"-n", "1000", "-c", "5", "-m", "10"}, 1000},
		{"the whole site refuses", "", []string{"-n", "40", "-c", "40", "-m", "1"}, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := serveShop(t, googleZone(t), "10s", test.paths)
			l := g.h2load(t, googlebot4, shop, googlebotAgent, test.args...)
			g.finish(t)
			b := balance(t, g.log)
			t.Logf("%d times 421 at the client, %d refusals in the log; %d served because the disk was too slow for their lines", l.statuses[421], b.refusals, b.spared)
			if l.err != nil || l.statuses[421] != b.refusals || l.statuses[200] != b.spared || b.refusals+b.spared != test.requests || b.torn > 0 {
				t.Errorf("h2load: %v; by status %v; the log: %+v; want %d refusals", l.err, l.statuses, b, test.requests)
			}
			if b.spared > test.requests/2 {
				t.Errorf("%d of %d were served because the log could not take the line", b.spared, test.requests)
			}
		})
	}
}

// books is what a log says of requests that were all to be refused.
type books struct {
	refusals int // lines of refusals that count
	spared   int // served, because the file did not take the line in time
	torn     int // lines that are not whole
}

// balance reads a log, also one that breaks off.
func balance(t *testing.T, path string) books {
	t.Helper()
	var b books
	counted := map[string]bool{} // by request
	for line := range bytes.Lines(read(t, path)) {
		var r struct {
			record
			Request string `json:"request_id"`
		}
		switch err := json.Unmarshal(line, &r); {
		case err != nil || line[len(line)-1] != '\n':
			b.torn++
		case refused(r.record):
			b.refusals++
			counted[r.Request] = true
		case r.Reason == "log_unavailable" && r.Status == 200:
			b.spared++
			if counted[r.Request] { // the line came too late, and says so by the second one of the same request
				b.refusals--
			}
		case r.Event == "decision":
			t.Errorf("not a refusal: %s", line)
		}
	}
	return b
}

// A resolver that falls silent, and then is gone: strangers to the cache are served within the budget and the log says
// why; who was proven before is still refused.
func TestResolverTroubleServes(t *testing.T) {
	if !inside(t) {
		return
	}
	const wait, silent, gone = time.Second, "66.249.66.2", "66.249.66.3"
	z := googleZone(t, silent, gone)
	g := serveShop(t, z, "1s", "")
	ask := func(from, path string, status int) answer {
		got := g.curl(t, visit{from: from, agent: googlebotAgent, proto: "HTTP/2.0", url: "https://" + shop + path})
		t.Logf("%s from %s: %d after %v", path, from, got.status, got.took.Round(time.Millisecond))
		if got.status != status {
			t.Errorf("%s from %s: %d, want %d", path, from, got.status, status)
		}
		return got
	}
	ask(googlebot4, "/proven", 421)
	z.SetFault(verifytest.Silent)
	if took := ask(silent, "/silent", 200).took; took < wait/2 || took > wait+10*time.Second {
		t.Errorf("a request whose verdict nobody gives took %v; the budget is %v", took, wait)
	}
	ask(googlebot4, "/silent/proven", 421)
	z.stop()
	if took := ask(gone, "/gone", 200).took; took > wait+10*time.Second {
		t.Errorf("a request while the resolver is gone took %v; the budget is %v", took, wait)
	}
	ask(googlebot4, "/gone/proven", 421)
	records := byPath(t, g.finish(t))
	if len(records) != 5 {
		t.Errorf("%d records for 5 requests", len(records))
	}
	for path, want := range map[string]record{
		"/proven":        {Reason: "refused", Verdict: "genuine", VerdictSource: "dns"},
		"/silent":        {Reason: "unverified", Verdict: "unknown", VerdictCause: "timeout " + z.address()},
		"/silent/proven": {Reason: "refused", Verdict: "genuine", VerdictSource: "cache"},
		"/gone":          {Reason: "unverified", Verdict: "unknown", VerdictSource: "dns", VerdictCause: "unreachable " + z.address() + " connection refused"},
		"/gone/proven":   {Reason: "refused", Verdict: "genuine", VerdictSource: "cache"},
	} {
		r := records[path]
		got := record{ClientIP: r.ClientIP, Reason: r.Reason, Verdict: r.Verdict, VerdictSource: r.VerdictSource, VerdictCause: r.VerdictCause}
		if want.ClientIP = r.ClientIP; got.early() != want.early() {
			t.Errorf("%s:\ngot  %+v\nwant %+v", path, got, want)
		}
	}
}
