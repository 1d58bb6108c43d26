package server

import (
	"net/http"

	"gate421/gate/http1"
)

// exchange makes the request of a head, and the answer to come.
func (k *conn) exchange(h *head) *exchange {
	x := &exchange{conn: k, spelling: &h.spelling}
	x.life.init(x, k.base)
	request := http.Request{
		Method: h.method, URL: h.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: h.minor, Header: h.header, Body: http.NoBody,
		ContentLength: h.length, Close: !h.keeps(), Host: h.host, Trailer: h.trailer, RemoteAddr: k.remote, RequestURI: h.target, TLS: k.secure,
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
	x.request = request.WithContext(&x.life)
	x.body.init(x, h)
	x.answer.init(x, h)
	return x
}

// expect looks at what the client expects (RFC 9110 section 10.1.1). HTTP/1.0 knows no expectations.
func (x *exchange) expect(h *head) *failure {
	values := h.header["Expect"]
	if values == nil || h.minor == 0 {
		return nil
	}
	if len(values) > 1 || !http1.Same(values[0], "100-continue") {
		return &failure{http.StatusExpectationFailed, "an expectation other than 100-continue"}
	}
	x.body.asked.Store(h.length != 0)
	return nil
}

// refuse answers what is no request.
func (k *conn) refuse(f *failure) after {
	if f.status == 0 {
		return goodbye
	}
	if k.server.Refused != nil {
		k.server.Refused(f.status)
	}
	x := &exchange{conn: k}
	x.life.init(x, k.base)
	x.request = (&http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}).WithContext(&x.life)
	h := &head{minor: 1, close: true}
	x.body.init(x, h)
	x.answer.init(x, h)
	text := http.StatusText(f.status) + ": " + f.text + ".\n"
	header := x.answer.Header()
	header["Content-Type"] = []string{"text/plain; charset=utf-8"}
	x.answer.WriteHeader(f.status)
	x.answer.Write([]byte(text))
	x.life.stop()
	how := x.answer.end()
	x.finish()
	if how == cutOff {
		return how
	}
	return linger
}

// keeps says whether the client lets the connection go on.
func (h *head) keeps() bool { return !h.close && (h.minor == 1 || h.alive) }
