package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"gate421/gate/server/servertest"
)

// Of a site's servers one is down: every request is served, its record says who answered, and the metrics say who is
// out.
func TestSeveralOrigins(t *testing.T) {
	t.Parallel()
	s := startGateway(t, `
admin: "127.0.0.1:0"
sites: [{hosts: [one.example], origin: ["$dead", "$echo"], http2_crawl: refuse}]
`)
	dead, echo := s.Origins.URL("dead"), s.Origins.URL("echo")
	for i := range 8 {
		c := servertest.Call{Method: http.MethodPost, URL: "https://one.example/",
			Proto: []string{"HTTP/1.1", "HTTP/2.0"}[i%2], Agent: servertest.Browser, Body: "the body"}
		got, line := s.Recorded(c)
		if got.Status != 200 || got.Body != c.Body || line["origin"] != echo || line["origin_error"] != nil {
			t.Errorf("%+v, record %v", got, line)
		}
	}
	for series, want := range map[string]float64{
		`gate421_origin_up{origin="` + dead + `",site="one.example"}`:                 0,
		`gate421_origin_up{origin="` + echo + `",site="one.example"}`:                 1,
		`gate421_origin_requests_in_flight{origin="` + echo + `",site="one.example"}`: 0,
		`gate421_origin_requests_total{result="2xx",site="one.example"}`:              8,
	} {
		if got, ok := s.scrape()[series]; !ok || got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
}

// A gRPC call through the whole program: messages go both ways while both sides are open, the status comes behind them.
func TestGRPCThroughTheGateway(t *testing.T) {
	t.Parallel()
	s := startGateway(t, `sites: [{hosts: [one.example], origin: $messages, http2_crawl: refuse}]`)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.Roots, ServerName: "one.example"}, Protocols: new(http.Protocols),
	}
	transport.Protocols.SetHTTP2(true)
	defer transport.CloseIdleConnections()
	reader, writer := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.HTTPS+"/package.Service/Method",
		reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "one.example"
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for i := range 3 {
		sent, got := fmt.Sprintf("\x00\x00\x00\x00\x01%d", i), make([]byte, 6)
		io.WriteString(writer, sent)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != sent {
			t.Fatalf("the message came back as %q, %v; want %q", got, err, sent)
		}
	}
	writer.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 ||
		resp.Trailer.Get("Grpc-Status") != "0 over HTTP/2.0, te: trailers" {
		t.Errorf("behind the messages %q, %v, trailer %v; want the status alone", rest, err, resp.Trailer)
	}
	if line := s.Log.Decision(); line["origin"] != s.Origins.URL("messages") || line["origin_status"] != 200. {
		t.Errorf("the record is %v; want the origin and its status 200", line)
	}
}

// A WebSocket through the whole program. Over HTTP/2 the gateway offers none, so that browsers open an HTTP/1.1
// connection.
func TestWebSocketThroughTheGateway(t *testing.T) {
	t.Parallel()
	s := startGateway(t, `sites: [{hosts: [one.example], origin: $socket, http2_crawl: refuse}]`)
	c, err := tls.Dial("tcp", s.HTTPS, &tls.Config{RootCAs: s.Roots, ServerName: "one.example",
		NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(servertest.Patience))
	io.WriteString(c, "GET /chat HTTP/1.1\r\nHost: one.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	buffered := bufio.NewReader(c)
	resp, err := http.ReadResponse(buffered, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("the upgrade: %v, %v; want 101", resp, err)
	}
	io.WriteString(c, ",late")
	c.CloseWrite()
	if got, err := io.ReadAll(buffered); err != nil || string(got) != "early,late" {
		t.Errorf("came back %q, %v; want %q", got, err, "early,late")
	}
	if line := s.Log.Decision(); line["status"] != 101. || line["origin"] != s.Origins.URL("socket") {
		t.Errorf("the record is %v; want the origin and status 101", line)
	}
}
