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

	"gate421/gate/forwarding"
	"gate421/gate/http1"
	"gate421/gate/http1/client"
)

// http2Proxy asks an HTTP/2 server.
type http2Proxy struct {
	scheme  string        // http or https
	address string        // host:port of the server
	wait    time.Duration // the longest without progress
	pace    minRate
	pool    *h2pool
	held    atomic.Int64 // bytes of clients' bodies, kept to be sent again
	reverse *httputil.ReverseProxy
}

// newProxy prepares a proxy; secure is nil where there is no TLS.
func newProxy(address string, secure *tls.Config, wait time.Duration) (*http2Proxy, error) {
	p := &http2Proxy{address: address, scheme: "http", wait: wait}
	if secure != nil {
		p.scheme = "https"
	}
	var err error
	p.pool, err = newH2Pool(address, secure, wait)
	p.forward()
	return p, err
}

func (h *http2Proxy) forward() {
	h.reverse = &httputil.ReverseProxy{
		Rewrite:        h.rewrite,
		Transport:      h,
		ErrorLog:       log.New(io.Discard, "", 0), // every failure is named in the record
		ModifyResponse: modifyResponse,
		ErrorHandler:   handleError,
	}
}

// serve asks the server, and passes its response on if there is one.
func (h *http2Proxy) serve(w http.ResponseWriter, r *http.Request, c *call) {
	f := &http2Request{call: *c, pace: h.pace, client: w, request: r, source: c.source}
	// Stopping the body of an HTTP/1 client ends its request's context, and the response must not end with it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	f.cancel = cancel
	f.stall.wait, f.stall.onStall, f.stall.onLate = h.wait, f.abandon, f.ping
	if r.ContentLength != 0 {
		http.NewResponseController(w).EnableFullDuplex() // see upload
		if f.source == nil {
			f.source = newSource(w, r, &h.held)
		}
		f.source.assign(f)
	}
	defer context.AfterFunc(r.Context(), func() {
		if !f.stopped() {
			f.abandon()
		}
	})()
	if ctx.Value(http.ServerContextKey) == nil {
		ctx = context.WithValue(
			ctx,
			http.ServerContextKey,
			f,
		) // without it ReverseProxy passes half a response off as whole
	}
	out := r.WithContext(context.WithValue(ctx, http2RequestKey{}, f))
	paced := &pacedWriter{ResponseWriter: w}
	w = paced
	defer func() {
		caught := recover()
		f.release()
		if caught != nil && caught != http.ErrAbortHandler {
			panic(caught)
		}
		*c = f.call
		c.source = f.source
		switch {
		case c.failure != nil:
		case f.broke != nil && !f.gone():
			c.failure = &Failure{Reset, aborted(f.broke)}
			if timeout(f.broke) {
				c.failure.word = Timeout
			}
		case caught != nil: // the server is well: it was the client that took no more
			c.failure = &Failure{ClientGone, aborted(errors.Join(paced.slow, context.Cause(r.Context())))}
		}
		if c.retryable && f.source != nil {
			r.Body = &attemptBody{replayBody: f.source, last: true}
		}
	}()
	if !r.ProtoAtLeast(1, 1) {
		w = final{w}
	}
	h.reverse.ServeHTTP(w, out)
}

// final passes no informational responses on: HTTP/1.0 knows none.
type final struct{ http.ResponseWriter }

// WriteHeader serves http.ResponseWriter.
func (f final) WriteHeader(status int) {
	if status >= 200 {
		f.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap serves http.ResponseController.
func (f final) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func (h *http2Proxy) close() { h.pool.close() }

// rewrite makes the request that the origin gets. ReverseProxy has removed hop-by-hop fields already.
func (h *http2Proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	out.URL.Scheme, out.URL.Host = h.scheme, h.address
	if h.scheme == "https" {
		out.URL.Host = net.JoinHostPort(hostname(in.Host), "443")
	}
	out.Host = in.Host
	// The target goes on as it came, byte for byte; re-encoding it would change what some applications see. What would
	// read as an authority comes behind one, which the engine takes off again.
	out.URL.RawQuery = in.URL.RawQuery
	if path, _, query := strings.Cut(http1.OriginForm(in.RequestURI), "?"); path != "*" {
		if strings.HasPrefix(path, "//") {
			path = "//" + in.Host + path
		}
		out.URL.Opaque, out.URL.ForceQuery = path, query
	}
	for name := range out.Header {
		if plain := forwarding.Fold(name); forwarding.Name(plain) || plain != name && client.Framing(plain) {
			delete(out.Header, name)
		}
	}
	for _, name := range []string{"Http2-Settings", "Upgrade", "Connection"} { // HTTP/2 knows none
		delete(out.Header, name)
	}
	if len(in.Trailer) > 0 {
		client.StripTrailer(in.Trailer)
		out.Trailer = in.Trailer // the values come at the end of the body, into this very map
	}
	var room forwarding.Buffer
	for _, field := range forwarding.Of(in, &room) {
		out.Header[field.Name] = []string{field.Value}
	}
}

// hostname is the name that stands for a host in the handshake and in the pool: without port, brackets and final dot.
func hostname(authority string) string {
	host := authority
	if h, _, err := net.SplitHostPort(authority); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
