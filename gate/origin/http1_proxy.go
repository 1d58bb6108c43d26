package origin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1"
	"gate421/gate/http1/client"
)

// http1Proxy asks an HTTP/1.1 server in the caller's own goroutine: no other goroutine, no channel, buffers that are
// used again. Only a request with a body has a second goroutine, which sends it.
//
// It is strict where it reads: a response whose length can be understood in two ways is no response. A connection is
// used again only if its request was sent and its response was read to the end, and nothing came behind it.
type http1Proxy struct {
	network   string      // tcp or unix
	address   string      // host:port, or the path of a socket
	secure    *tls.Config // nil: no TLS; ServerName "": the request's host
	wait      time.Duration
	pace      minRate
	dialer    net.Dialer
	connector dialFunc // nil: dialer
	files     *Descriptors
	idle      pool
	abandoned abandoned
	copies    sync.Pool    // of *[copySize]byte, for bodies
	held      atomic.Int64 // bodies that are waited for, see bufferBody
}

const (
	copySize    = 16 << 10
	connectTime = 5 * time.Second // TLS included
	maxEarly    = 16 << 20        // bytes of all informational responses to one request
)

// serve asks the server, and passes its response on if there is one.
func (p *http1Proxy) serve(w http.ResponseWriter, r *http.Request, c *call) {
	if r.Header["Expect"] != nil && !r.ProtoAtLeast(1, 1) {
		delete(r.Header, "Expect") // HTTP/1.0 knows none (RFC 9110 section 10.1.1)
	}
	if g := p.bufferBody(r); g != nil {
		c.gathered = g
		defer g.end(w, r, c)
		if err := g.broke(); err != nil { // who reads no chunks would take it for an empty one, and act
			c.timeToFirstByte, c.unread, c.failure = time.Since(c.start), true, &Failure{ClientGone, err}
			return
		}
	}
	k, h, failure := p.roundTrip(w, r, c)
	if failure != nil {
		c.status, c.timeToFirstByte, c.failure = h.Status, time.Since(c.start), failure
		return
	}
	c.responded(h.Status)
	c.responseBegun = true
	if h.Status == http.StatusSwitchingProtocols {
		c.failure = k.tunnel(w, h)
	} else {
		c.failure = p.copyResponse(w, r, c, k, h)
	}
	c.sent, c.released = true, k.over.Load()
}

// roundTrip sends the request and reads the head of the response. A request that met a dead connection is sent again on
// a new one if nothing was heard of it and it may be repeated, not where the server is only slow; a 421 is asked again
// once, because a server that shares connections between its sites may have meant this connection only (RFC 9110
// section 15.5.20). The next step of a login is sent on its own connection or not at all.
func (p *http1Proxy) roundTrip(w http.ResponseWriter, r *http.Request, c *call) (*conn, client.Head, *Failure) {
	ctx := r.Context()
	var misdirected client.Head
	for again := false; ; again = true {
		k, h, err := p.attempt(c, again, w, r)
		if k == nil {
			c.retryable = misdirected.Status == 0
			return nil, misdirected, misdirectedOr(misdirected, err, ctx.Err() != nil)
		}
		if err == nil && h.Status != http.StatusMisdirectedRequest {
			return k, h, nil
		}
		halfDone := c.login && k.halfDone
		once := r.ContentLength != 0 || again || halfDone // it cannot be sent to this server again
		lost := err != nil && (k.Heard || !replayable(r.Method) || ctx.Err() != nil || timeout(err))
		if err == nil && !once || err != nil && !once && k.Used && !lost {
			misdirected = h
			k.close()
			clear(w.Header())
			continue
		}
		gone := ctx.Err() != nil
		if k.up != nil {
			gone = gone || k.up.broke.Load()
			c.waitedForClient = k.up.waiting.Load()
		}
		if err != nil && (gone || timeout(err)) {
			k.HangUp() // before anybody closes the socket
		}
		if k.up != nil {
			c.unread = !k.up.stop(w, r) // which may end ctx
		}
		k.close()
		c.sent, c.released = true, k.over.Load()
		c.loginLost = halfDone
		if err == nil {
			return nil, h, &Failure{Misdirected, nil}
		}
		c.retryable = !lost && !halfDone && r.ContentLength == 0 && misdirected.Status == 0
		failure := misdirectedOr(misdirected, err, gone)
		if misdirected.Status != 0 {
			h = misdirected
		}
		return nil, h, failure
	}
}

// misdirectedOr is the failure of a request whose first response, h, may have been a 421: whatever the second try met,
// that is what it comes down to. With no such response it is the failure that err stands for.
func misdirectedOr(h client.Head, err error, gone bool) *Failure {
	if h.Status != 0 {
		return &Failure{Misdirected, err}
	}
	return failureOf(err, gone)
}

// replayable says whether a request without a body may be sent twice (RFC 9110 section 9.2.2).
func replayable(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// repeatable says whether a request may be sent again after its connection has broken: it is meant to be, and
// nothing of it is used up.
func repeatable(r *http.Request) bool { return r.ContentLength == 0 && replayable(r.Method) }

// timeout says whether err is about time.
func timeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// attempt asks over one connection, without one if there is none to be had. One that has gone bad while it was idle has
// heard nothing of the request: then there is another.
func (p *http1Proxy) attempt(c *call, fresh bool, w http.ResponseWriter, r *http.Request) (*conn, client.Head, error) {
	for {
		k, err := p.connect(c, r, fresh)
		if err != nil {
			return nil, client.Head{}, err
		}
		if err := r.Context().Err(); err != nil {
			k.close()
			return nil, client.Head{}, err
		}
		h, err := client.Head{}, client.ErrStale
		if !k.closed {
			k.begin(r.Context(), r.ContentLength != 0)
			h, err = p.converse(k, w, r)
		}
		if err != client.ErrStale || c.login && k.halfDone {
			return k, h, err
		}
		k.close()
	}
}

// converse writes the head of the request in one piece, begins to send the body if there is one, and reads heads
// until the final one. It passes informational ones on, however many: they are bounded by the time that the response
// may take, and by what they are long.
func (p *http1Proxy) converse(c *conn, w http.ResponseWriter, r *http.Request) (client.Head, error) {
	_, open := r.Body.(*bufferedBody) // its trailer fields were not announced, and may come meanwhile
	if err := c.WriteRequest(r, !open); err != nil {
		return client.Head{}, err
	}
	if r.ContentLength != 0 {
		p.upload(c, w, r)
	}
	for early := 0; early <= maxEarly; {
		h, err := c.ReadHead(w.Header(), r.Method)
		if err != nil {
			return client.Head{}, err
		}
		switch {
		case h.Status == http.StatusSwitchingProtocols:
			if h.Upgrade == "" || !http1.Same(h.Upgrade, client.Upgrade(r)) {
				return h, fmt.Errorf("%w: 101 that nobody asked for", client.ErrMalformed)
			}
			return h, nil
		case h.Status >= 200:
			return h, nil
		case h.Status == http.StatusContinue:
			if c.up != nil {
				c.up.proceed() // reading the body makes the server tell the client so
			}
		case r.ProtoAtLeast(1, 1):
			spellNames(w, h.Names)
			w.WriteHeader(h.Status)
		}
		clear(w.Header())
		early += h.Size
	}
	return client.Head{}, fmt.Errorf("%w: informational responses of more than %d bytes", client.ErrMalformed, maxEarly)
}

// copyResponse copies the response to the client and keeps the connection, or closes it.
func (p *http1Proxy) copyResponse(
	w http.ResponseWriter,
	r *http.Request,
	asked *call,
	c *conn,
	h client.Head,
) *Failure {
	header := w.Header()
	if header["Content-Type"] == nil {
		header["Content-Type"] = nil // keeps a server from guessing one
	}
	if h.Length < 0 && r.ProtoMajor == 1 {
		header["Transfer-Encoding"] = []string{"chunked"} // keeps a server from counting a short body
	}
	goesOn := false
	if c.up != nil && r.ProtoMajor == 1 && !c.up.ended() {
		if goesOn = c.up.goesOn(r, h); !goesOn {
			header["Connection"] = []string{"close"} // what is left of the body would be taken for the next request
		}
	}
	if h.LoginHalfDone() && r.ProtoMajor == 1 && (!h.Keep || unusual(r)) {
		header["Connection"] = []string{"close"} // the client has to begin again, as the server has it
	}
	spellNames(w, h.Names)
	w.WriteHeader(h.Status)
	c.BeginBody()
	lost, gone := p.copyBody(w, c, h, r.ProtoMajor)
	spellNames(w, c.TrailerNames)
	whole, left := true, r.Context().Err() != nil
	if c.up != nil {
		left = left || c.up.broke.Load()
	}
	if gone != nil || lost != nil && (left || timeout(lost)) {
		c.HangUp() // before anybody closes the socket
	}
	if c.up != nil {
		goesOn = goesOn && lost == nil && gone == nil
		whole = goesOn && c.up.finish(w, r) || c.up.ended() || c.up.stop(w, r) // which may end the context
	}
	switch {
	case lost == nil && gone == nil:
		p.keep(c, asked, r, h, whole && h.Keep && !unusual(r) && c.Clean() && c.Release())
		return nil
	case gone != nil || left:
		c.close()
		return &Failure{ClientGone, aborted(errors.Join(gone, lost))}
	}
	c.close()
	word := Reset
	if timeout(lost) {
		word = Timeout
	}
	return &Failure{word, aborted(lost)}
}

// unusual says that a request has a body which some servers do not read, whatever its length says: what is left of it
// would be the beginning of the next client's request.
func unusual(r *http.Request) bool {
	return r.ContentLength != 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// copyBody copies as it comes: what is there is sent on before more is waited for, where nobody knows how much will
// come or every event counts. lost is what ended the origin's body too early, gone what ended the client.
func (p *http1Proxy) copyBody(w http.ResponseWriter, c *conn, h client.Head, protocol int) (lost, gone error) {
	if h.Length == 0 {
		return nil, nil
	}
	if body := c.SmallBody(h.Length); body != nil {
		_, gone = w.Write(body)
		return nil, gone
	}
	var source interface {
		io.Reader
		Ready() bool
	} = c
	if h.Chunked {
		source = c.Chunked(w.Header())
	}
	stream := h.Length < 0 || eventStream(w.Header())
	lent, _ := p.copies.Get().(*[copySize]byte)
	if lent == nil {
		lent = new([copySize]byte)
	}
	defer func() {
		if gone == nil { // the HTTP/2 server may still be sending what a failed Write was given
			p.copies.Put(lent)
		}
	}()
	buffer, left, slow := lent[:], h.Length, p.pace.watch(w.Header(), h.Length, p.wait)
	unsent, sent := stream, false
	for {
		if unsent && !source.Ready() {
			if gone = flush(w); gone != nil {
				return nil, gone
			}
			unsent, sent = false, true
		}
		room := buffer
		if h.Length > 0 && left < int64(len(room)) {
			room = room[:left] // what comes behind the body is not touched
		}
		began, paced := time.Now(), c.up == nil || !c.up.active.Load()
		if c.up == nil {
			c.Until = began.Add(c.Wait) // for the next byte of the body, whatever comes between
		}
		n, err := source.Read(room)
		if slow != nil && paced && err == nil {
			err = slow.read(n, time.Since(began))
		}
		if n > 0 {
			left -= int64(n)
			if _, gone = w.Write(room[:n]); gone != nil {
				return nil, gone
			}
			unsent = stream
		}
		switch {
		case h.Length > 0 && left == 0:
			return nil, nil
		case err == io.EOF && h.Length < 0:
			if !sent && protocol > 1 {
				return nil, flush(w) // keeps the HTTP/2 server from counting a short body
			}
			return nil, nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF, nil
		case err != nil:
			return err, nil
		}
	}
}

func flush(w http.ResponseWriter) error {
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
