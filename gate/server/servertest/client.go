package servertest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Call is one request of a client of the tests, on a connection of its own.
type Call struct {
	Method, URL string
	From        string // loopback address; "" 127.0.0.1
	Proto       string // HTTP/1.1 or HTTP/2.0
	Agent       string
	Introduced  string // the client's address in a PROXY header; "" without
	SNI         string // name in the handshake; "" the URL's host
	Header      http.Header
	Body        string
}

// Reply is what came of it. err with a status says that the response was cut off.
type Reply struct {
	Status int
	Proto  string
	Header http.Header
	Body   string
	Err    error
	Took   time.Duration
}

// User-Agents of those who come most.
const (
	Googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	Browser   = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// Agent gives the User-Agent for a short name, or what stands between quotes.
func Agent(name string) string {
	agents := map[string]string{
		"googlebot": Googlebot, "browser": Browser,
		"googlebot-image": "Googlebot-Image/1.0",
		"adsbot":          "AdsBot-Google (+http://www.google.com/adsbot.html)",
		"notgooglebot":    "Mozilla/5.0 (compatible; notgooglebot/2.1)",
	}
	if agent, ok := agents[name]; ok {
		return agent
	}
	return strings.Trim(name, `"`)
}

// Do makes the call; whatever the URL's host, the connection leads to one of the gateway's listeners.
func (e *Env) Do(ctx context.Context, c Call) Reply {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.From)}}
	to := e.HTTPS
	if strings.HasPrefix(c.URL, "http://") {
		to = e.HTTP
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(c.Proto != "HTTP/2.0")
	protocols.SetHTTP2(c.Proto == "HTTP/2.0")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "tcp", to)
			if err == nil && c.Introduced != "" {
				_, err = fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.1 4711 443\r\n", c.Introduced)
			}
			return conn, err
		},
		TLSClientConfig:    &tls.Config{RootCAs: e.Roots, ServerName: c.SNI, MinVersion: tls.VersionTLS12},
		Protocols:          protocols,
		DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	var body io.Reader
	if c.Body != "" {
		body = strings.NewReader(c.Body)
	}
	r, err := http.NewRequestWithContext(ctx, c.Method, c.URL, body)
	if err != nil {
		return Reply{Err: err}
	}
	for name, values := range c.Header {
		r.Header[name] = values
	}
	r.Header.Set("User-Agent", c.Agent)
	start := time.Now()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return Reply{Err: err, Took: time.Since(start)}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Reply{resp.StatusCode, resp.Proto, resp.Header, string(text), err, time.Since(start)}
}

// Recorded makes the call and waits for its line. A machine under load may hold a line up for longer than a refusal
// waits: such a request is served, as it should be, and made again.
func (e *Env) Recorded(c Call) (Reply, map[string]any) {
	e.T.Helper()
	for {
		got := e.Do(e.T.Context(), c)
		line := e.Log.Decision()
		if line["reason"] == "refused" && got.Status != http.StatusMisdirectedRequest { // it came too late
			line = e.Log.Wait(map[string]string{"event": "decision", "request_id": line["request_id"].(string)})
		}
		if line["reason"] != "log_unavailable" {
			return got, line
		}
		e.T.Logf("made again, because the log was too slow: %s %s", c.Method, c.URL)
		e.Late = true
	}
}

// Get is the call that most tests make.
func (e *Env) Get(t *testing.T, url, from, proto, agent string) Reply {
	t.Helper()
	r := e.Do(t.Context(), Call{Method: http.MethodGet, URL: url, From: from, Proto: proto, Agent: Agent(agent)})
	if r.Err != nil {
		t.Fatalf("GET %s from %s over %s: %v", url, from, proto, r.Err)
	}
	return r
}
