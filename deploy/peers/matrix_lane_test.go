//go:build peers

package peers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// laneClient is where the matrix's clients come from: not where HAProxy comes from.
const laneClient = "127.0.0.5"

// laneTime is how long one exchange may take: what is held back somewhere has an end and a name.
const laneTime = 20 * time.Second

// heldTime is laneTime where some origin is known to hold an answer back for good.
const heldTime = 4 * time.Second

// lane is one way for a client to ask: through an arrangement over one protocol, or its origin directly over HTTP/1.1.
type lane struct {
	column, proto string
	host          string
	address       func(host string) string // where a host's connections go
	trusted       *x509.CertPool           // nil: directly, without TLS
	app           *app
	transport     *http.Transport
	dials         atomic.Int64
}

func newLane(column, proto, host string, trusted *x509.CertPool, a *app, address func(string) string) *lane {
	l := &lane{column: column, proto: proto, host: host, trusted: trusted, app: a, address: address}
	l.transport = l.newTransport(proto)
	return l
}

func (l *lane) newTransport(proto string) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(proto == "HTTP/1.1")
	protocols.SetHTTP2(proto == "HTTP/2.0" && l.trusted != nil)
	protocols.SetUnencryptedHTTP2(proto == "HTTP/2.0" && l.trusted == nil)
	return &http.Transport{
		Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: l.trusted}, DisableCompression: true, ExpectContinueTimeout: laneTime,
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			l.dials.Add(1)
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(laneClient)}}
			host, _, _ := net.SplitHostPort(to)
			return dialer.DialContext(ctx, network, l.address(host))
		},
	}
}

// dial opens a connection over which a test writes what it wants, over the lane's protocol.
func (l *lane) dial() (net.Conn, error) {
	c, err := l.transport.DialContext(context.Background(), "tcp", l.host+":443")
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(laneTime))
	if l.trusted == nil {
		return c, nil
	}
	next := map[string]string{"HTTP/1.1": "http/1.1", "HTTP/2.0": "h2"}[l.proto]
	return tls.Client(c, &tls.Config{RootCAs: l.trusted, ServerName: l.host, NextProtos: []string{next}}), nil
}

// ask is a request.
type ask struct {
	method  string // "": GET
	target  string // as it stands in the request
	header  http.Header
	body    []byte
	chunked bool          // the body's length is not told
	trailer http.Header   // behind a chunked body
	prefix  string        // before the lane's host: another site of the same origin
	port    string        // behind the host
	within  time.Duration // 0: laneTime
}

// got is an answer.
type got struct {
	status  int
	early   []int
	hints   http.Header // of the last early answer
	header  http.Header
	trailer http.Header
	body    []byte
	saw     *saw // what the origin says it saw; nil: it does not say
	err     error
}

func (l *lane) request(ctx context.Context, a ask) *http.Request {
	if a.method == "" {
		a.method = http.MethodGet
	}
	scheme, host := "https", a.prefix+l.host
	if l.trusted == nil {
		scheme = "http"
	}
	r := &http.Request{Method: a.method, URL: &url.URL{Scheme: scheme, Host: host, Opaque: a.target}, Header: a.header.Clone(), Host: host + a.port, Trailer: a.trailer}
	if strings.HasPrefix(a.target, "//") && l.proto == "HTTP/2.0" {
		r.URL.Opaque = "//" + r.Host + a.target // Go's HTTP/2 client takes this prefix off
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header["User-Agent"] = []string{browserAgent}
	if a.body != nil {
		r.ContentLength, r.Body = int64(len(a.body)), io.NopCloser(bytes.NewReader(a.body))
	}
	if a.chunked {
		r.ContentLength = -1
	}
	return r.WithContext(ctx)
}

// exchange asks and reads the whole answer.
func (l *lane) exchange(a ask) got {
	if l.trusted == nil && a.prefix == "rpc." {
		transport := l.newTransport("HTTP/2.0")
		defer transport.CloseIdleConnections()
		return l.exchangeOver(transport, a)
	}
	return l.exchangeOver(l.transport, a)
}

func (l *lane) exchangeOver(transport *http.Transport, a ask) (g got) {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(a.within, laneTime))
	defer cancel()
	var mu sync.Mutex
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
		mu.Lock()
		defer mu.Unlock()
		g.early, g.hints = append(g.early, status), http.Header(header)
		return nil
	}})
	response, err := transport.RoundTrip(l.request(ctx, a))
	if err != nil {
		return got{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	mu.Lock()
	defer mu.Unlock()
	g.status, g.header, g.trailer, g.body, g.err = response.StatusCode, response.Header, response.Trailer, body, err
	g.saw = readSaw(response, body).saw
	return g
}

// readSaw reads what an answer says that the origin saw.
func readSaw(response *http.Response, body []byte) got {
	g := got{status: response.StatusCode, header: response.Header, body: body}
	if response.Header.Get("Content-Type") == echoType {
		g.saw = &saw{}
		if err := json.Unmarshal(body, g.saw); err != nil {
			g.saw = nil
		}
	}
	return g
}

func all(checks ...judge) judge {
	return func(l *lane, g got) string {
		for _, c := range checks {
			if wrong := c(l, g); wrong != "" {
				return wrong
			}
		}
		return ""
	}
}
