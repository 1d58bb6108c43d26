package server

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"gate421/gate/server/servertest"
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
	crawler := servertest.Local("127.0.0.2")
	kinds := []struct {
		call   servertest.Call
		status int
		reason string
	}{
		{servertest.Call{Method: "GET", URL: "https://shop.test/a", From: crawler, Proto: "HTTP/2.0",
			Agent: servertest.Agent("googlebot")}, 421, "refused"},
		{servertest.Call{Method: "GET", URL: "https://shop.test/a", From: crawler, Proto: "HTTP/1.1",
			Agent: servertest.Agent("googlebot")}, 200, "http1"},
		{servertest.Call{Method: "GET", URL: "https://shop.test/robots.txt", From: crawler, Proto: "HTTP/2.0",
			Agent: servertest.Agent("googlebot")}, 200, "allowed"},
		{servertest.Call{Method: "GET", URL: "https://shop.test/a", From: servertest.Local("127.0.0.3"), Proto: "HTTP/2.0",
			Agent: servertest.Agent("adsbot")}, 200, "impostor"},
		{servertest.Call{Method: "GET", URL: "https://blog.test/a", From: crawler, Proto: "HTTP/2.0",
			Agent: servertest.Agent("googlebot")}, 200, "observed"},
		{servertest.Call{Method: "GET", URL: "https://shop.test/a", From: "127.0.0.1", Proto: "HTTP/2.0",
			Agent: servertest.Agent("browser")}, 200, "no_claim"},
		{servertest.Call{Method: "POST", URL: "https://shop.test/a", From: "127.0.0.1", Proto: "HTTP/1.1",
			Agent: servertest.Agent("browser"), Body: "a body"}, 200, "http1"},
		{servertest.Call{Method: "GET", URL: "https://elsewhere.test/a", SNI: "shop.test", From: "127.0.0.1",
			Proto: "HTTP/2.0", Agent: servertest.Agent("browser")}, 421, "unknown_host"},
		{servertest.Call{Method: "GET", URL: "https://blog.test/a", SNI: "shop.test", From: "127.0.0.1", Proto: "HTTP/2.0",
			Agent: servertest.Agent("browser")}, 421, "misdirected"},
		{servertest.Call{Method: "HEAD", URL: "https://broken.test/a", From: "127.0.0.1", Proto: "HTTP/2.0",
			Agent: servertest.Agent("browser")}, 502, "no_claim"},
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
				got := s.Do(t.Context(), kind.call)
				if kind.reason == "refused" && got.Status == http.StatusOK {
					late.Add(1)
					continue
				}
				if got.Err != nil || got.Status != kind.status || got.Proto != kind.call.Proto {
					t.Errorf("%s %s over %s: status %d over %s, error %v; wanted %d, %s",
						kind.call.Method, kind.call.URL, kind.call.Proto, got.Status, got.Proto, got.Err, kind.status, kind.reason)
				}
				if kind.call.Method == http.MethodPost && got.Body != kind.call.Body {
					t.Errorf("the body came back as %q", got.Body)
				}
			}
		})
	}
	crowd.Wait()
	s.close()
	s.Log.Poll()
	reasons, ids := map[string]int{}, map[any]bool{}
	for i, line := range s.Log.Lines {
		if line["event"] == "decision" {
			s.Log.Taken[i] = true
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
	s.Log.CheckOrder(late.Load() == 0)
}
