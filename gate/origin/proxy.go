package origin

import (
	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.

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
	"syscall"
	"time"

	"golang.org/x/net/http2"
)

// proxy asks an HTTP/2 server. Requests to one server share connections; x/net's engine cares for them, as at the door.
type proxy struct {
	scheme    string // http or https
	address   string // host:port of the server
	reverse   *httputil.ReverseProxy
	transport *http.Transport
	fresh     *http.Transport // the same, with a new connection for every request
}

// newProxy prepares a proxy; secure is nil where there is no TLS.
func newProxy(address string, secure *tls.Config, wait time.Duration) (*proxy, error) {
	p := &proxy{address: address, scheme: "http"}
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
				return shake(ctx, dialer, address, secure, authority)
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
func shake(ctx context.Context, dialer *net.Dialer, address string, secure *tls.Config, authority string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
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

// flight is what the callbacks of one forwarded request leave for serve; it travels in the request's context.
type flight struct {
	call   call
	header http.Header // of the answer to the client
	major  int         // version of the client's protocol
	broke  error       // what ended the server's body too early
	upload atomic.Bool // the client's body broke; another goroutine reads it
	read   atomic.Bool // some of it was read
}

type flightKey struct{}

// serve asks the server, and passes its answer on if there is one.
func (p *proxy) serve(w http.ResponseWriter, r *http.Request, c *call) {
	f := &flight{call: *c, header: w.Header(), major: r.ProtoMajor}
	if r.ContentLength != 0 {
		http.NewResponseController(w).EnableFullDuplex() // see upload
	}
	out := r.WithContext(context.WithValue(r.Context(), flightKey{}, f))
	if out.Body != nil {
		out.Body = &upstream{out.Body, f, r}
	}
	defer func() {
		caught := recover()
		if caught != nil && caught != http.ErrAbortHandler {
			panic(caught)
		}
		*c = f.call
		switch {
		case c.failure != nil:
		case f.broke != nil && r.Context().Err() == nil && !f.upload.Load():
			c.failure = &Failure{Reset, cut(f.broke)}
		case caught != nil: // the server is well: it was the client that took no more
			c.failure = &Failure{ClientGone, cut(context.Cause(r.Context()))}
		}
	}()
	p.reverse.ServeHTTP(w, out)
}

// RoundTrip asks the origin. A 421 is asked again once, on a new connection, where there is no body that is used up: a
// server that shares connections between its sites may have meant this connection only (RFC 9110 section 15.5.20).
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := p.transport.RoundTrip(r)
	if err != nil || answer.StatusCode != http.StatusMisdirectedRequest || r.Body != nil && r.Body != http.NoBody {
		return answer, err
	}
	answer.Body.Close()
	if answer, err = p.fresh.RoundTrip(r); err != nil {
		f := r.Context().Value(flightKey{}).(*flight)
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
			return &Failure{Garbage, nil} // net/http's server would panic
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
		f.header["Content-Type"] = nil // keeps net/http from guessing one
	}
	if len(answer.Trailer) > 0 && f.major == 1 {
		delete(answer.Header, "Content-Length") // HTTP/1.1 has trailers on chunked bodies only
	}
	answer.Body = &downstream{answer.Body, f}
	return nil
}

// upstream is a client's body; it notes that it was read and that it broke. It stays open until then: another server may get
// it.
type upstream struct {
	io.ReadCloser
	flight  *flight
	request *http.Request // the client's
}

func (u *upstream) Read(p []byte) (int, error) {
	u.flight.read.Store(true)
	n, err := u.ReadCloser.Read(p)
	if err == io.EOF {
		strip(u.request.Trailer)
	} else if err != nil {
		u.flight.upload.Store(true)
	}
	return n, err
}

func (u *upstream) Close() error {
	if !u.flight.read.Load() {
		return nil
	}
	return u.ReadCloser.Close()
}

// downstream is a server's body; it notes that it broke.
type downstream struct {
	io.ReadCloser
	flight *flight
}

func (d *downstream) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		d.flight.broke = err
	}
	return n, err
}

// fail notes why a server did not answer.
func fail(_ http.ResponseWriter, r *http.Request, err error) {
	f := r.Context().Value(flightKey{}).(*flight)
	c := &f.call
	c.failure = name(err, r.Context().Err() != nil || f.upload.Load())
	c.first = time.Since(c.start)
	c.unread = f.read.Load()
	var op *net.OpError
	var never *unconnected
	dialed := errors.As(err, &op) && op.Op == "dial" || errors.As(err, &never)
	broke := c.failure.word == Reset && r.ContentLength == 0 && replayable(r.Method)
	c.elsewhere = c.status == 0 && !f.read.Load() && r.Context().Err() == nil && (dialed || broke)
}

// answer is what the client of a failed request gets. last says that its connection ends with it.
func (f *Failure) answer(w http.ResponseWriter, last bool) {
	status, text := http.StatusBadGateway, "502: the site's own server did not answer properly. Please try again later.\n"
	switch f.word {
	case Timeout:
		status, text = http.StatusGatewayTimeout, "504: the site's own server did not answer in time. Please try again later.\n"
	case ClientGone: // heard only by a client whose body was broken
		status, text = http.StatusBadRequest, "400: the request's body broke off.\n"
	}
	h := w.Header()
	clear(h)
	if last {
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// name finds the word for what went wrong before an answer began.
func name(err error, gone bool) *Failure {
	var failure *Failure
	var network net.Error
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var stream http2.StreamError
	var goAway http2.GoAwayError
	word := Garbage
	switch {
	case errors.As(err, &failure):
		return failure
	case gone:
		word = ClientGone
	case errors.As(err, &certificate):
		word = Certificate
	case errors.Is(err, syscall.ECONNREFUSED):
		word = Refused
	case errors.As(err, &op) && op.Op == "dial":
		word = Unreachable
	case errors.As(err, &network) && network.Timeout():
		word = Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.As(err, &stream), errors.As(err, &goAway), strings.Contains(err.Error(), "server closed idle connection"),
		strings.Contains(err.Error(), "client connection lost"):
		word = Reset
	}
	return &Failure{word, err}
}
