package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of a test. Nothing takes as long unless it is broken.
const patience = 20 * time.Second

// call is one request of a client of the tests, on a connection of its own.
type call struct {
	method, url string
	from        string // loopback address; "" 127.0.0.1
	proto       string // HTTP/1.1 or HTTP/2.0
	agent       string
	introduced  string // the client's address in a PROXY header; "" without
	sni         string // name in the handshake; "" the URL's host
	header      http.Header
	body        string
}

// reply is what came of it. err with a status says that the answer was cut off.
type reply struct {
	status int
	proto  string
	header http.Header
	body   string
	err    error
	took   time.Duration
}

// agentOf gives the User-Agent for a short name, or what stands between quotes.
func agentOf(name string) string {
	agents := map[string]string{
		"googlebot": crawlerAgent, "browser": browserAgent,
		"googlebot-image": "Googlebot-Image/1.0",
		"adsbot":          "AdsBot-Google (+http://www.google.com/adsbot.html)",
		"notgooglebot":    "Mozilla/5.0 (compatible; notgooglebot/2.1)",
	}
	if agent, ok := agents[name]; ok {
		return agent
	}
	return strings.Trim(name, `"`)
}

// do makes the call; whatever the URL's host, the connection leads to one of the gateway's listeners.
func (s *setting) do(ctx context.Context, c call) reply {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
	to := s.gateway.secure
	if strings.HasPrefix(c.url, "http://") {
		to = s.gateway.plain
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(c.proto != "HTTP/2.0")
	protocols.SetHTTP2(c.proto == "HTTP/2.0")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "tcp", to.Addr().String())
			if err == nil && c.introduced != "" {
				_, err = fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.1 4711 443\r\n", c.introduced)
			}
			return conn, err
		},
		TLSClientConfig:    &tls.Config{RootCAs: s.roots, ServerName: c.sni, MinVersion: tls.VersionTLS12},
		Protocols:          protocols,
		DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequestWithContext(ctx, c.method, c.url, body)
	if err != nil {
		return reply{err: err}
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", c.agent)
	start := time.Now()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return reply{err: err, took: time.Since(start)}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, answer.Proto, answer.Header, string(text), err, time.Since(start)}
}

// recorded makes the call and waits for its line. A machine under load may hold a line up for longer than a refusal waits:
// such a request is served, as it should be, and made again.
func (s *setting) recorded(c call) (reply, map[string]any) {
	s.t.Helper()
	for {
		got := s.do(s.t.Context(), c)
		line := s.log.decision()
		if line["reason"] == "refused" && got.status != http.StatusMisdirectedRequest { // it came too late
			line = s.log.wait(map[string]string{"event": "decision", "request_id": line["request_id"].(string)})
		}
		if line["reason"] != "log_unavailable" {
			return got, line
		}
		s.t.Logf("made again, because the log was too slow: %s %s", c.method, c.url)
		s.late = true
	}
}

// get is the call that most tests make.
func (s *setting) get(t *testing.T, url, from, proto, agent string) reply {
	t.Helper()
	r := s.do(t.Context(), call{method: http.MethodGet, url: url, from: from, proto: proto, agent: agentOf(agent)})
	if r.err != nil {
		t.Fatalf("GET %s from %s over %s: %v", url, from, proto, r.err)
	}
	return r
}

func trusted(t *testing.T, path string) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("%s holds no certificate", path)
	}
	return roots
}
