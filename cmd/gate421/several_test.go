package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Of a site's servers one is down: every request is served, its record says who answered, and the metrics say who is out.
func TestSeveralOrigins(t *testing.T) {
	s := startGateway(t, `
admin: "127.0.0.1:0"
sites: [{hosts: [one.example], origin: ["$dead", "$echo"], http2_crawl: refuse}]
`)
	dead, echo := s.origins.url("dead"), s.origins.url("echo")
	for i := range 8 {
		c := call{method: http.MethodPost, url: "https://one.example/", proto: []string{"HTTP/1.1", "HTTP/2.0"}[i%2], agent: browserAgent, body: "the body"}
		got, line := s.recorded(c)
		if got.status != 200 || got.body != c.body || line["origin"] != echo || line["origin_error"] != nil {
			t.Errorf("%+v, record %v", got, line)
		}
	}
	for series, want := range map[string]float64{
		`gate421_origin_up{origin="` + dead + `",site="one.example"}`: 0, `gate421_origin_up{origin="` + echo + `",site="one.example"}`: 1,
		`gate421_origin_requests_in_flight{origin="` + echo + `",site="one.example"}`: 0, `gate421_origin_requests_total{result="2xx",site="one.example"}`: 8,
	} {
		if got, ok := s.scrape()[series]; !ok || got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
}

// A gRPC call through the whole program: messages go both ways while both sides are open, the status comes behind them.
func TestGRPCThroughTheGateway(t *testing.T) {
	s := startGateway(t, `sites: [{hosts: [one.example], origin: $messages, http2_crawl: refuse}]`)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots, ServerName: "one.example"}, Protocols: new(http.Protocols),
	}
	transport.Protocols.SetHTTP2(true)
	defer transport.CloseIdleConnections()
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.gateway.secure.Addr().String()+"/package.Service/Method", reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "one.example"
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for i := range 3 {
		sent, got := fmt.Sprintf("\x00\x00\x00\x00\x01%d", i), make([]byte, 6)
		io.WriteString(writer, sent)
		if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != sent {
			t.Fatalf("%q %v", got, err)
		}
	}
	writer.Close()
	if rest, err := io.ReadAll(answer.Body); err != nil || len(rest) > 0 || answer.Trailer.Get("Grpc-Status") != "0 over HTTP/2.0, te: trailers" {
		t.Errorf("%q %v %v", rest, err, answer.Trailer)
	}
	if line := s.log.decision(); line["origin"] != s.origins.url("messages") || line["origin_status"] != 200. {
		t.Errorf("%v", line)
	}
}

// A WebSocket through the whole program. Over HTTP/2 the gateway offers none, so that browsers open an HTTP/1.1 connection.
func TestWebSocketThroughTheGateway(t *testing.T) {
	s := startGateway(t, `sites: [{hosts: [one.example], origin: $socket, http2_crawl: refuse}]`)
	c, err := tls.Dial("tcp", s.gateway.secure.Addr().String(), &tls.Config{RootCAs: s.roots, ServerName: "one.example", NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: one.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	buffered := bufio.NewReader(c)
	answer, err := http.ReadResponse(buffered, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("%v %v", answer, err)
	}
	io.WriteString(c, ",late")
	c.CloseWrite()
	if got, err := io.ReadAll(buffered); err != nil || string(got) != "early,late" {
		t.Errorf("%q %v", got, err)
	}
	if line := s.log.decision(); line["status"] != 101. || line["origin"] != s.origins.url("socket") {
		t.Errorf("%v", line)
	}
}

func TestCheckLiveLooksAtEveryServer(t *testing.T) {
	s := newSetting(t)
	s.dns.googlebotAt(t, "66.249.66.1")
	file := liveFile(t, s, unused(t), `["127.0.0.1"]`, `["$echo", "$dead", "$messages", "unix:/nowhere/app.sock"]`, "{source: local}", "$dns")
	out, _, err := quiet(t.Context(), []string{"check", "--live", "--config", file}, "")
	if exitCode(err) != 1 || message(err) != "gate421: 2 of the live checks failed" {
		t.Errorf("exit %d, %s", exitCode(err), message(err))
	}
	for _, want := range []string{
		"ok     origin " + s.origins.url("echo") + " of 127.0.0.1 answers over HTTP/1.1: status 200",
		"failed origin " + s.origins.url("dead") + " of 127.0.0.1 does not answer: refused",
		"ok     origin " + s.origins.url("messages") + " of 127.0.0.1 answers over HTTP/2: status 200",
		"failed origin unix:/nowhere/app.sock of 127.0.0.1 does not answer: unreachable",
		"curl -i -H 'Host: 127.0.0.1' --unix-socket /nowhere/app.sock http://127.0.0.1/ shows what it says",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("missing %q in\n%s", want, out)
		}
	}
}
