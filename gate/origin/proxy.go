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
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// proxy forwards over net/http's transport, and over direct what has no body.
type proxy struct {
	direct    *direct
	address   string // host:port of the origin
	scheme    string
	reverse   *httputil.ReverseProxy
	transport *http.Transport
	fresh     *http.Transport // the same, with a new connection for every request
}

func newProxy(u *url.URL, c Config) (*proxy, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	p := &proxy{address: net.JoinHostPort(u.Hostname(), port), scheme: u.Scheme}
	secure, err := tlsConfig(c)
	if err != nil {
		return nil, err
	}
	p.direct = &direct{address: p.address, wait: c.Wait, dialer: net.Dialer{KeepAlive: 30 * time.Second}}
	if u.Scheme == "https" {
		p.direct.secure = secure.Clone()
		p.direct.secure.NextProtos = []string{"http/1.1"}
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	p.transport = &http.Transport{
		// Requests carry their own host as the URL's, so that the transport pools by host and names it in the handshake;
		// every connection leads to the origin all the same.
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", p.address)
		},
		TLSClientConfig:       secure,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: c.Wait,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   1024,
		DisableCompression:    true,
		Protocols:             protocols,
		WriteBufferSize:       8 << 10,
		ReadBufferSize:        8 << 10,
	}
	p.fresh = p.transport.Clone()
	p.fresh.DisableKeepAlives = true
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p,
		ErrorLog:       log.New(io.Discard, "", 0), // every failure is named in the record
		ModifyResponse: inspect,
		ErrorHandler:   fail,
	}
	return p, nil
}

// flight is what the callbacks of one forwarded request leave for serve; it travels in the request's context.
type flight struct {
	header http.Header // of the answer to the client
	start  time.Time
	first  time.Duration
	status int
	err    *Failure    // what fail answered for
	broke  error       // what ended the origin's body too early
	upload atomic.Bool // the client's body broke; another goroutine reads it
}

type flightKey struct{}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) (status int, first time.Duration, err error) {
	if !wellFormed(r) {
		if r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close") // who knows where the next request begins
		}
		http.Error(w, "400: the request is malformed.", http.StatusBadRequest)
		return 0, 0, nil
	}
	if p.direct.takes(r) {
		return p.direct.serve(w, r)
	}
	f := &flight{header: w.Header(), start: time.Now()}
	// Without it net/http's server swallows what is left of an HTTP/1 body before the answer begins, and the origin lacks it.
	http.NewResponseController(w).EnableFullDuplex()
	out := r.WithContext(context.WithValue(r.Context(), flightKey{}, f))
	if out.Body != nil {
		out.Body = &upload{out.Body, f}
	}
	defer func() {
		caught := recover()
		if caught != nil && caught != http.ErrAbortHandler {
			panic(caught)
		}
		status, first = f.status, f.first
		switch {
		case f.err != nil:
			err = f.err
		case f.broke != nil && r.Context().Err() == nil:
			err = &Failure{Reset, cut(f.broke)}
		case caught != nil: // the origin is well: it was the client that took no more
			err = &Failure{ClientGone, cut(context.Cause(r.Context()))}
		}
	}()
	p.reverse.ServeHTTP(w, out)
	return
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
		f.first, f.status = time.Since(f.start), http.StatusMisdirectedRequest
		return nil, &Failure{Misdirected, err}
	}
	return answer, nil
}

func (p *proxy) close() {
	p.direct.idle.close()
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
	// No origin may turn this connection into HTTP/2: other requests would walk past the gate.
	delete(out.Header, "Http2-Settings")
	if strings.Contains(strings.ToLower(out.Header.Get("Upgrade")), "h2c") {
		delete(out.Header, "Upgrade")
		delete(out.Header, "Connection")
	}
	if in.Header["Expect"] != nil {
		out.Close = true // else the transport has the client send a body that the origin turned down, to keep the connection
	}
	if len(in.Trailer) > 0 {
		out.Trailer = in.Trailer // the values come at the end of the body, into this very map
		out.ContentLength = -1   // HTTP/1.1 has trailers on chunked bodies only
	}
	if ip, _, err := net.SplitHostPort(in.RemoteAddr); err == nil {
		out.Header["X-Forwarded-For"] = []string{ip}
	}
	out.Header["X-Forwarded-Host"] = []string{in.Host}
	out.Header["X-Forwarded-Proto"] = []string{"https"}
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
	f.first, f.status = time.Since(f.start), answer.StatusCode
	if answer.StatusCode < 100 {
		return &Failure{Garbage, nil} // net/http's server would panic
	}
	switch answer.StatusCode {
	case http.StatusNoContent, http.StatusNotModified:
		if answer.Request.Method != http.MethodHead {
			answer.Header.Del("Content-Length") // as in readHead
		}
	case http.StatusMisdirectedRequest:
		return &Failure{Misdirected, nil}
	case http.StatusSwitchingProtocols:
		return nil // the body is the connection; ReverseProxy turns down a protocol that was not asked for
	}
	if answer.Header["Content-Type"] == nil {
		f.header["Content-Type"] = nil // keeps net/http from guessing one
	}
	answer.Body = &download{answer.Body, f}
	return nil
}

// upload is a client's body; it notes that it broke.
type upload struct {
	io.ReadCloser
	flight *flight
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		u.flight.upload.Store(true)
	}
	return n, err
}

// download is an origin's body; it notes that it broke.
type download struct {
	io.ReadCloser
	flight *flight
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		d.flight.broke = err
	}
	return n, err
}

// fail answers for an origin that did not.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	f := r.Context().Value(flightKey{}).(*flight)
	failure := name(err, r.Context().Err() != nil || f.upload.Load())
	f.err = failure
	if f.status == 0 {
		f.first = time.Since(f.start)
	}
	failure.answer(w)
}

// answer is what the client of a failed request gets.
func (f *Failure) answer(w http.ResponseWriter) {
	status, text := http.StatusBadGateway, "502: the site's own server did not answer properly. Please try again later.\n"
	switch f.word {
	case Timeout:
		status, text = http.StatusGatewayTimeout, "504: the site's own server did not answer in time. Please try again later.\n"
	case ClientGone: // heard only by a client whose body was broken
		status, text = http.StatusBadRequest, "400: the request's body broke off.\n"
	}
	h := w.Header()
	clear(h)
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
		strings.Contains(err.Error(), "server closed idle connection"):
		word = Reset
	}
	return &Failure{word, err}
}
