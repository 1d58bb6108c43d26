package gate

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"gate421/gate/policy"
)

// refuse writes the record and then the 421. If the record cannot be written, it sends nothing and returns false.
//
// RFC 9110 section 15.5.20 has 421 for a request that does not fit the connection it came on. no-store, because RFC
// 7540 once let it be cached. Where the whole site refuses and no proxy stands between, "Connection: close" makes the
// HTTP/2 server send GOAWAY, so that the crawler comes back on a new connection.
func (h *Handler) refuse(x *exchange, d policy.Decision, w http.ResponseWriter, r *http.Request) bool {
	body := "421: this site asks " + x.facts.Claim + " to crawl it over HTTP/1.1 instead of HTTP/2.\n"
	x.recordDecision(d)
	x.record.Status = d.Status(true)
	if r.Method != http.MethodHead {
		x.record.BytesOut = int64(len(body))
	}
	x.record.Took = time.Since(x.start)
	if h.Log.Refusal(&x.record) != nil {
		x.record.Status, x.record.BytesOut = 0, 0
		return false
	}
	if h.Guard != nil {
		h.Guard.Refused(x.record.Site, x.facts.Claim)
	}
	if x.facts.Site.RefusesAll() && !x.client.proxied {
		w.Header().Set("Connection", "close")
	}
	respond(w, r, x.record.Status, body)
	if h.OnRecord != nil {
		h.OnRecord(&x.record)
	}
	return true
}

// reject responds for a host that is not served here, or not on this connection.
func (h *Handler) reject(x *exchange, d policy.Decision, w http.ResponseWriter, r *http.Request) {
	status := d.Status(x.facts.HTTP2 && !x.client.proxied)
	body := strconv.Itoa(status) + ": no site of this name is served here.\n"
	if d.Reason == policy.Misdirected {
		body = "421: the certificate of this connection is not for this site; please use another connection.\n"
	}
	x.record.Status = status
	if r.Method != http.MethodHead {
		x.record.BytesOut = int64(len(body))
	}
	respond(w, r, status, body)
}

// respond sends a whole response of the gate's own.
func respond(w http.ResponseWriter, r *http.Request, status int, body string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		io.WriteString(w, body) // a client that went away is nobody's error
	}
}

// serve lets the origin respond and notes what came of it.
func (h *Handler) serve(x *exchange, origin Origin, w http.ResponseWriter, r *http.Request) {
	out := &response{ResponseWriter: w, noAltSvc: x.facts.Site.Refuses()}
	x.record.Origin = origin.String()
	defer func() {
		x.record.Status, x.record.BytesOut = out.status, out.bytes
		if p := recover(); p != nil {
			if x.record.OriginError == "" {
				x.record.OriginError = "panic"
			}
			panic(p) // the server cuts the connection or the stream, and keeps running
		}
	}()
	slot, ok := h.admit(x, out, r)
	if !ok {
		return
	}
	var failed error
	out.slot = slot
	defer func() { release(out.slot, failed) }()
	server, status, timeToFirstByte, err := origin.Serve(out, r)
	failed = err
	out.trailers()
	if server != "" {
		x.record.Origin = server
	}
	x.record.OriginStatus, x.record.OriginTook = status, timeToFirstByte
	if status == http.StatusSwitchingProtocols && out.status == 0 {
		out.status = status // it went out on the connection that the origin's side took over
	}
	if err != nil {
		x.record.OriginError = errorWord(err)
		if errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler)
		}
	}
	if out.status == 0 && err == nil {
		out.status = http.StatusOK // what a server answers for a handler that says nothing
	}
}

// errorWord is the log's word for an origin's error, or its whole text if it has none.
func errorWord(err error) string {
	var named interface{ Word() string }
	if errors.As(err, &named) {
		return named.Word()
	}
	return err.Error()
}

// response passes a response on and remembers what it was. Flushing, hijacking and deadlines reach the connection
// through Unwrap.
type response struct {
	http.ResponseWriter
	status   int   // the final one; 0: none yet
	bytes    int64 // of the body
	noAltSvc bool
	slot     Slot // nil: there is none, or it was given back
}

// Unwrap serves http.ResponseController.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Hijack serves http.Hijacker. What goes on from here is a connection, and counts as one and not as a request.
func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rest, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil && r.slot != nil {
		r.slot.Release()
		r.slot = nil
	}
	return c, rest, err
}

// WriteHeader passes on informational responses (1xx but 101) without taking them for the final one. The origin's
// Alt-Svc is dropped where the site refuses: another service would carry the crawler past the gate (RFC 7838).
func (r *response) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	if r.noAltSvc {
		delete(r.ResponseWriter.Header(), "Alt-Svc")
	}
	r.ResponseWriter.WriteHeader(status)
}

// trailers drops Alt-Svc from what comes behind the body, announced or not: net/http takes it from the header when the
// handler has returned.
func (r *response) trailers() {
	if r.noAltSvc {
		header := r.ResponseWriter.Header()
		delete(header, "Alt-Svc")
		delete(header, http.TrailerPrefix+"Alt-Svc")
	}
}

// Write counts all of p, even where it fails: a client that leaves with the last byte makes the last write fail.
func (r *response) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(len(p))
	return n, err
}
