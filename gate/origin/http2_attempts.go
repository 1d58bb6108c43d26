package origin

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gate421/gate/forwarding"
	"gate421/gate/http1/client"

	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.
	"golang.org/x/net/http2"
)

const (
	attemptsAtMost = 4                      // of one request at the only server; where there are others, two at each
	firstPause     = 100 * time.Millisecond // before the third attempt; before the fourth it is four times as long
)

// RoundTrip asks the origin, in a few attempts and in one time for all of them; with a login for a connection on one of
// its own: a login on a connection must not count for others on it. There is another attempt
//
//   - where the server has done nothing about the request (RFC 9113 section 8.7: REFUSED_STREAM, or GOAWAY below its
//     stream), whatever its method, if its body is there from the beginning, see source;
//   - where a connection that others had used before was closed without a word, as in http1Proxy.roundTrip;
//   - once where the server has answered 421, on a new connection: a server that shares connections between its sites
//     may have meant this one only (RFC 9110 section 15.5.20).
func (h *http2Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	f := r.Context().Value(http2RequestKey{}).(*http2Request)
	f.stall.begin(f.call.start.Add(h.wait))
	defer f.stall.waitForServer(false)
	o := owner{client: f.request.RemoteAddr}
	if h.scheme == "https" {
		o.host = hostname(f.request.Host)
	}
	var refused []*h2conn
	fresh, misdirected, most := false, false, attemptsAtMost
	if len(f.call.list.servers) > 1 {
		most = 2
	}
	for n := 1; ; n++ {
		a := attempt{proxy: h, flight: f, owner: o, fresh: fresh, not: refused}
		response, err := a.do(r)
		switch {
		case err == nil && (response.StatusCode != http.StatusMisdirectedRequest || misdirected || !f.again()):
			return response, nil
		case err == nil:
			response.Body.Close()
			f.release()
			fresh, misdirected = true, true
			continue
		}
		var op *net.OpError
		if f.stall.expired() && !(errors.As(err, &op) && op.Op == "dial") {
			err = os.ErrDeadlineExceeded
		}
		stale := a.used && !a.heard && lost(err) && (a.unsent(err) || f.source == nil && replayable(r.Method))
		switch {
		case misdirected:
			f.call.status = http.StatusMisdirectedRequest
			return nil, &Failure{Misdirected, err}
		case n >= most || !unprocessed(err) && !stale || !f.again() || !f.pause(r.Context(), n):
			return nil, err
		}
		refused = append(refused, a.conn)
		fresh = stale
	}
}

// unprocessed says whether a server has done nothing about a request, by its own word.
func unprocessed(err error) bool {
	var stream http2.StreamError
	var goAway http2.GoAwayError
	if errors.As(err, &goAway) {
		return false // for streams that were begun; it says what the server likes in its text
	}
	// The engine's errors for streams above a GOAWAY have no names.
	return errors.As(err, &stream) && stream.Code == http2.ErrCodeRefusedStream ||
		strings.HasSuffix(
			err.Error(),
			"graceful shutdown GOAWAY",
		) || strings.Contains(err.Error(), "received GOAWAY from server")
}

// lost says whether a connection broke.
func lost(err error) bool {
	var goAway http2.GoAwayError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &goAway) ||
		strings.HasPrefix(err.Error(), "http2: client conn")
}

// again says whether the request may be sent once more.
func (h *http2Request) again() bool {
	return !h.gone() && !h.stall.expired() && (h.source == nil || h.source.again())
}

// pause waits before the attempt that follows the n-th one. It says whether there is to be one.
func (h *http2Request) pause(ctx context.Context, n int) bool {
	if n == 1 {
		return true
	}
	long := firstPause << (2 * (n - 2))
	timer := time.NewTimer(long + rand.N(long/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return h.again()
	case <-ctx.Done():
		return false
	}
}

// attempt is one way of a request to the server.
type attempt struct {
	proxy  *http2Proxy
	flight *http2Request
	owner  owner
	fresh  bool
	not    []*h2conn

	conn    *h2conn
	used    bool // it has served a request before
	written bool // the header of the request was, or was tried to be
	heard   bool // something came back
}

// unsent says whether no server can have seen the whole header.
func (a *attempt) unsent(err error) bool {
	var op *net.OpError
	return !a.written ||
		errors.As(err, &op) && op.Op == "write" && (a.flight.source == nil || a.flight.source.untouched())
}

// do sends the request and waits for the head of the response.
func (a *attempt) do(r *http.Request) (*http.Response, error) {
	f := a.flight
	c, err := a.proxy.pool.take(r.Context(), a.owner, a.fresh, f.call.login, f.source != nil || !replayable(r.Method), a.not)
	if err != nil {
		return nil, err
	}
	a.conn = c
	a.used = c.used.Swap(true)
	var u *attemptBody
	if f.source != nil {
		u = &attemptBody{replayBody: f.source}
	}
	var written, heard atomic.Bool
	out := r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { written.Store(true) },
		GotFirstResponseByte: func() {
			heard.Store(true)
			if u != nil {
				u.answered()
			}
		},
		Got1xxResponse: informational,
	}))
	out.Body = nil
	if u != nil {
		out.Body = u
	}
	f.asked.Store(c)
	response, err := c.engine.RoundTrip(out)
	a.written, a.heard = written.Load(), heard.Load()
	if err != nil {
		f.asked.Store(nil)
		c.pool.release(c, false)
		return nil, err
	}
	f.conn = c
	c.heard()
	return response, nil
}

// informational looks at an informational response before it is passed on.
func informational(status int, header textproto.MIMEHeader) error {
	if status == http.StatusSwitchingProtocols {
		return errors.New("101 over HTTP/2") // RFC 9113 section 8.6
	}
	for name := range header {
		if client.Framing(forwarding.Fold(name)) {
			delete(header, name)
		}
	}
	return nil
}
