package server

import (
	"net/http"

	"gate421/gate/http1"
)

// exchange makes the request of a head, and its response.
func (c *conn) exchange(h *head) *exchange {
	x := &exchange{conn: c, spelling: &h.spelling}
	x.context.init(x, c.base)
	request := http.Request{
		Method: h.method, URL: h.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: h.minor, Header: h.header, Body: http.NoBody,
		ContentLength: h.length, Close: !h.keepsAlive(), Host: h.host, Trailer: h.trailer, RemoteAddr: c.remote, RequestURI: h.target, TLS: c.secure,
	}
	if h.minor == 0 {
		request.Proto = "HTTP/1.0"
	}
	if h.length != 0 {
		request.Body = &x.body
	}
	if h.length < 0 {
		request.TransferEncoding = []string{"chunked"}
	}
	x.request = request.WithContext(&x.context)
	x.body.init(x, h)
	x.response.init(x, h)
	return x
}

// expect looks at what the client expects (RFC 9110 section 10.1.1). HTTP/1.0 knows no expectations.
func (e *exchange) expect(h *head) *rejection {
	values := h.header["Expect"]
	if values == nil || h.minor == 0 {
		return nil
	}
	if len(values) > 1 || !http1.Same(values[0], "100-continue") {
		return &rejection{http.StatusExpectationFailed, "an expectation other than 100-continue"}
	}
	e.body.awaitsContinue.Store(h.length != 0)
	return nil
}

// reject sends the error response to a malformed request.
func (c *conn) reject(f *rejection) outcome {
	if f.status == 0 {
		return closeNormally
	}
	if c.server.OnReject != nil {
		c.server.OnReject(f.status)
	}
	x := &exchange{conn: c}
	x.context.init(x, c.base)
	x.request = (&http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}).WithContext(
		&x.context,
	)
	h := &head{minor: 1, close: true}
	x.body.init(x, h)
	x.response.init(x, h)
	text := http.StatusText(f.status) + ": " + f.text + ".\n"
	header := x.response.Header()
	header["Content-Type"] = []string{"text/plain; charset=utf-8"}
	x.response.WriteHeader(f.status)
	x.response.Write([]byte(text))
	x.context.end()
	how := x.response.end()
	x.release()
	if how == abort {
		return how
	}
	return linger
}

// keepsAlive reports whether the client lets the connection go on.
func (h *head) keepsAlive() bool { return !h.close && (h.minor == 1 || h.keepAlive) }
