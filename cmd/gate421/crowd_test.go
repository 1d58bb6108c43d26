package main

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// TestCrowd lets many clients of all kinds come at once: each is answered as if it were alone, and each has its line.
func TestCrowd(t *testing.T) {
	s := startGateway(t, `
crawlers: [googlebot, adsbot-google]
sites:
  - {hosts: [shop.test], origin: $echo, http2_crawl: refuse}
  - {hosts: [blog.test], origin: $echo, http2_crawl: observe}
  - {hosts: [broken.test], origin: $dead, http2_crawl: refuse}
`)
	crawler := local("127.0.0.2")
	kinds := []struct {
		call   call
		status int
		reason string
	}{
		{call{method: "GET", url: "https://shop.test/a", from: crawler, proto: "HTTP/2.0", agent: agentOf("googlebot")}, 421, "refused"},
		{call{method: "GET", url: "https://shop.test/a", from: crawler, proto: "HTTP/1.1", agent: agentOf("googlebot")}, 200, "http1"},
		{call{method: "GET", url: "https://shop.test/robots.txt", from: crawler, proto: "HTTP/2.0", agent: agentOf("googlebot")}, 200, "allowed"},
		{call{method: "GET", url: "https://shop.test/a", from: local("127.0.0.3"), proto: "HTTP/2.0", agent: agentOf("adsbot")}, 200, "impostor"},
		{call{method: "GET", url: "https://blog.test/a", from: crawler, proto: "HTTP/2.0", agent: agentOf("googlebot")}, 200, "observed"},
		{call{method: "GET", url: "https://shop.test/a", from: "127.0.0.1", proto: "HTTP/2.0", agent: agentOf("browser")}, 200, "no_claim"},
		{call{method: "POST", url: "https://shop.test/a", from: "127.0.0.1", proto: "HTTP/1.1", agent: agentOf("browser"), body: "a body"}, 200, "http1"},
		{call{method: "GET", url: "https://elsewhere.test/a", sni: "shop.test", from: "127.0.0.1", proto: "HTTP/2.0", agent: agentOf("browser")}, 421, "unknown_host"},
		{call{method: "GET", url: "https://blog.test/a", sni: "shop.test", from: "127.0.0.1", proto: "HTTP/2.0", agent: agentOf("browser")}, 421, "misdirected"},
		{call{method: "HEAD", url: "https://broken.test/a", from: "127.0.0.1", proto: "HTTP/2.0", agent: agentOf("browser")}, 502, "no_claim"},
	}
	const clients, rounds = 50, 4
	wanted := map[string]int{}
	var late atomic.Int64 // refusals whose line the log could not take in time: they have to be served
	var crowd sync.WaitGroup
	for i := range clients {
		for round := range rounds {
			wanted[kinds[(i+round)%len(kinds)].reason]++
		}
		crowd.Go(func() {
			for round := range rounds {
				kind := kinds[(i+round)%len(kinds)]
				got := s.do(t.Context(), kind.call)
				if kind.reason == "refused" && got.status == http.StatusOK {
					late.Add(1)
					continue
				}
				if got.err != nil || got.status != kind.status || got.proto != kind.call.proto {
					t.Errorf("%s %s over %s: status %d over %s, error %v; wanted %d, %s",
						kind.call.method, kind.call.url, kind.call.proto, got.status, got.proto, got.err, kind.status, kind.reason)
				}
				if kind.call.method == http.MethodPost && got.body != kind.call.body {
					t.Errorf("the body came back as %q", got.body)
				}
			}
		})
	}
	crowd.Wait()
	s.close()
	s.log.poll()
	reasons, ids := map[string]int{}, map[any]bool{}
	for i, line := range s.log.lines {
		if line["event"] == "decision" {
			s.log.taken[i] = true
			if ids[line["request_id"]] {
				reasons["refused"]-- // written too late, and then served
			}
			reasons[line["reason"].(string)]++
			ids[line["request_id"]] = true
		}
	}
	if n := int(late.Load()); n > 0 {
		t.Logf("%d of %d refusals were served because the log was too slow", n, wanted["refused"])
		wanted["refused"] -= n
		wanted["log_unavailable"] = n
	}
	if wanted["refused"] == 0 {
		t.Error("nobody was refused")
	}
	if !maps.Equal(reasons, wanted) || len(ids) != clients*rounds {
		t.Errorf("the log has %v with %d request ids, wanted %v", reasons, len(ids), wanted)
	}
	inOrder(t, s.log, late.Load() == 0)
}
