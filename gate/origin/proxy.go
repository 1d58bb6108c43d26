package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"time"

	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.
	"golang.org/x/net/http2"
)

// proxy asks an HTTP/2 server. Requests to one server share connections; x/net's engine cares for them, as at the door.
type proxy struct {
	scheme    string        // http or https
	address   string        // host:port of the server
	wait      time.Duration // the longest without progress
	reverse   *httputil.ReverseProxy
	transport *http.Transport
	fresh     *http.Transport // the same, with a new connection for every request
	open      atomic.Int64    // connections over TLS, of both
}

// newProxy prepares a proxy; secure is nil where there is no TLS.
func newProxy(address string, secure *tls.Config, wait time.Duration) (*proxy, error) {
	p := &proxy{address: address, scheme: "http", wait: wait}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	if secure != nil {
		p.scheme = "https"
		protocols = new(http.Protocols)
		protocols.SetHTTP2(true)
	}
	dialer := &net.Dialer{Timeout: connectTime, KeepAlive: 30 * time.Second}
	for _, t := range []**http.Transport{&p.transport, &p.fresh} {
		*t = &http.Transport{
			// Requests over TLS carry their own host as the URL's, so that the transport pools by host; every connection
			// leads to the server all the same.
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", address)
			},
			DialTLSContext: func(ctx context.Context, _, authority string) (net.Conn, error) {
				if p.open.Load() >= idleConns { // hosts may be the clients' choice, and each has its own
					p.transport.CloseIdleConnections()
				}
				return p.shake(ctx, dialer, secure, authority)
			},
			ResponseHeaderTimeout: wait,
			ExpectContinueTimeout: continueWait,
			IdleConnTimeout:       idleAtMost,
			DisableCompression:    true,
			DisableKeepAlives:     t == &p.fresh,
			Protocols:             protocols,
			HTTP2: &http.HTTP2Config{
				MaxReceiveBufferPerConnection: 1 << 20,
				MaxReceiveBufferPerStream:     256 << 10,
				SendPingTimeout:               30 * time.Second,
				PingTimeout:                   15 * time.Second,
				WriteByteTimeout:              wait,
			},
		}
		if err := http2.ConfigureTransport(*t); err != nil {
			return nil, err
		}
	}
	p.forward()
	return p, nil
}

// shake connects with TLS and insists on HTTP/2.
func (p *proxy) shake(ctx context.Context, dialer *net.Dialer, secure *tls.Config, authority string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	raw, err := dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	p.open.Add(1)
	raw = &counted{Conn: raw, open: &p.open}
	config := secure.Clone()
	config.NextProtos = []string{http2.NextProtoTLS}
	if config.ServerName == "" {
		config.ServerName = hostname(authority)
	}
	c := tls.Client(raw, config)
	err = c.HandshakeContext(ctx)
	if err == nil && c.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		err = errNoHTTP2
	}
	if err != nil {
		raw.Close()
		return nil, &unconnected{err}
	}
	return c, nil
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

// Close serves net.Conn.
func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

var errNoHTTP2 = errors.New("the server does not speak HTTP/2")

// unconnected is why there is no connection although the server was reached.
type unconnected struct{ error }

// Unwrap gives the cause.
func (u *unconnected) Unwrap() error { return u.error }

func (p *proxy) forward() {
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p,
		ErrorLog:       log.New(io.Discard, "", 0), // every failure is named in the record
		ModifyResponse: inspect,
		ErrorHandler:   fail,
	}
}

// serve asks the server, and passes its answer on if there is one.
func (p *proxy) serve(w http.ResponseWriter, r *http.Request, c *call) {
	f := &flight{call: *c, client: w, request: r}
	if r.ContentLength != 0 {
		http.NewResponseController(w).EnableFullDuplex() // see upload
	}
	// Stopping the body of an HTTP/1 client ends its request's context, and the answer must not end with it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	f.stall.wait, f.stall.end = p.wait, cancel
	defer context.AfterFunc(r.Context(), func() {
		if !f.stopped.Load() {
			cancel()
		}
	})()
	if ctx.Value(http.ServerContextKey) == nil {
		ctx = context.WithValue(ctx, http.ServerContextKey, f) // without it ReverseProxy passes half an answer off as whole
	}
	out := r.WithContext(context.WithValue(ctx, flightKey{}, f))
	paced := &pacedWriter{ResponseWriter: w}
	w = paced
	defer func() {
		caught := recover()
		if f.stopped.Load() && r.ProtoMajor == 1 {
			http.NewResponseController(w).SetReadDeadline(time.Time{}) // as in upload.stop
		}
		if caught != nil && caught != http.ErrAbortHandler {
			panic(caught)
		}
		*c = f.call
		switch {
		case c.failure != nil:
		case f.broke != nil && !f.gone():
			c.failure = &Failure{Reset, cut(f.broke)}
			if timeout(f.broke) {
				c.failure.word = Timeout
			}
		case caught != nil: // the server is well: it was the client that took no more
			c.failure = &Failure{ClientGone, cut(errors.Join(paced.slow, context.Cause(r.Context())))}
		}
	}()
	if !r.ProtoAtLeast(1, 1) {
		w = final{w}
	}
	p.reverse.ServeHTTP(w, out)
}

// final passes no informational answers on: HTTP/1.0 knows none.
type final struct{ http.ResponseWriter }

// WriteHeader serves http.ResponseWriter.
func (f final) WriteHeader(status int) {
	if status >= 200 {
		f.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap serves http.ResponseController.
func (f final) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// RoundTrip asks the origin, with a login for a connection on one of its own. A 421 is asked again once, on a new
// connection, where there is no body that is used up: a server that shares connections between its sites may have
// meant this connection only (RFC 9110 section 15.5.20).
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	f := r.Context().Value(flightKey{}).(*flight)
	if r.Body != nil && r.Body != http.NoBody {
		body := r.Body
		r = r.WithContext(r.Context())
		r.Body = &upstream{body, f}
		f.stall.send(true)
	}
	if presentsLogin(r.Header) {
		return p.fresh.RoundTrip(r) // who is let in on a connection must not let in the others on it
	}
	answer, err := p.transport.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusMisdirectedRequest || r.Body != nil && r.Body != http.NoBody {
		return answer, err
	}
	answer.Body.Close()
	if answer, err = p.fresh.RoundTrip(r); err != nil {
		f.call.status = http.StatusMisdirectedRequest
		return nil, &Failure{Misdirected, err}
	}
	return answer, nil
}

func (p *proxy) close() {
	p.transport.CloseIdleConnections()
	p.fresh.CloseIdleConnections()
}

// rewrite makes the request that the origin gets. ReverseProxy has removed hop-by-hop fields already.
func (p *proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	out.URL.Scheme, out.URL.Host = p.scheme, p.address
	if p.scheme == "https" {
		out.URL.Host = net.JoinHostPort(hostname(in.Host), "443")
	}
	out.Host = in.Host
	// The target goes on as it came, byte for byte; re-encoding it would change what some applications see. A target in
	// absolute form, or one that would read as an authority, takes the parsed way.
	out.URL.RawQuery = in.URL.RawQuery
	if t := in.RequestURI; strings.HasPrefix(t, "/") && !strings.HasPrefix(t, "//") {
		out.URL.Opaque, _, out.URL.ForceQuery = strings.Cut(t, "?")
	}
	for name := range out.Header {
		if plain := hyphens(name); forwarding(plain) || plain != name && framing(plain) {
			delete(out.Header, name)
		}
	}
	for _, name := range []string{"Http2-Settings", "Upgrade", "Connection"} { // HTTP/2 knows none
		delete(out.Header, name)
	}
	if len(in.Trailer) > 0 {
		strip(in.Trailer)
		out.Trailer = in.Trailer // the values come at the end of the body, into this very map
	}
	if ip, _, err := net.SplitHostPort(in.RemoteAddr); err == nil {
		out.Header["X-Forwarded-For"] = []string{ip}
	}
	out.Header["X-Forwarded-Host"] = []string{in.Host}
	out.Header["X-Forwarded-Proto"] = []string{"https"}
}

// strip removes what may not come behind a body.
func strip(trailer http.Header) {
	for name := range trailer {
		if !trails(name) {
			delete(trailer, name)
		}
	}
}

// forwarding says whether a field is one that proxies name the client and its request in.
func forwarding(name string) bool {
	switch name {
	case "Forwarded", "X-Forwarded", "Forwarded-For", "X-Real-Ip", "X-Client-Ip", "Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip",
		"Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Fastly-Client-Ip", "X-Original-Forwarded-For", "X-Original-Host":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// hostname is the name that stands for a host in the handshake and in the pool: without port, brackets and final dot.
func hostname(authority string) string {
	host := authority
	if h, _, err := net.SplitHostPort(authority); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// inspect sees the final answer before the client does.
func inspect(answer *http.Response) error {
	f := answer.Request.Context().Value(flightKey{}).(*flight)
	if answer.StatusCode < 200 || answer.StatusCode == http.StatusMisdirectedRequest {
		f.call.status = answer.StatusCode
		if answer.StatusCode < 200 {
			return &Failure{Garbage, nil} // a server would panic
		}
		return &Failure{Misdirected, nil}
	}
	f.call.answered(answer.StatusCode)
	f.call.begun = true
	switch answer.StatusCode {
	case http.StatusNoContent, http.StatusNotModified:
		if answer.Request.Method != http.MethodHead {
			answer.Header.Del("Content-Length") // as in readHead
		}
	}
	if answer.Header["Content-Type"] == nil {
		f.client.Header()["Content-Type"] = nil // keeps a server from guessing one
	}
	if len(answer.Trailer) > 0 && f.request.ProtoMajor == 1 {
		delete(answer.Header, "Content-Length") // HTTP/1.1 has trailers on chunked bodies only
	}
	if f.request.ProtoMajor == 1 && f.read.Load() && !f.whole.Load() {
		answer.Header["Connection"] = []string{"close"} // as in pass
	}
	f.stall.body = answer.Body
	answer.Body = &downstream{answer.Body, f}
	return nil
}

// fail notes why a server did not answer.
func fail(_ http.ResponseWriter, r *http.Request, err error) {
	f := r.Context().Value(flightKey{}).(*flight)
	c := &f.call
	c.failure = name(err, f.gone())
	c.first = time.Since(c.start)
	c.unread = f.read.Load() && !f.whole.Load()
	c.waited = f.waited.Load()
	var op *net.OpError
	var never *unconnected
	dialed := errors.As(err, &op) && op.Op == "dial" || errors.As(err, &never)
	broke := c.failure.word == Reset && r.ContentLength == 0 && replayable(r.Method)
	c.elsewhere = c.status == 0 && !f.read.Load() && !f.gone() && (dialed || broke)
}
