package origin

import (
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// flight is what the callbacks of one forwarded request leave for serve; it travels in the request's context.
type flight struct {
	call    call
	client  http.ResponseWriter
	request *http.Request // the client's
	broke   error         // what ended the server's body too early
	stall   stall         // of the server's body

	// Of the client's body, which another goroutine reads:
	read    atomic.Bool // some of it was
	waiting atomic.Bool // more of it is waited for
	waited  atomic.Bool // it was when it was stopped
	whole   atomic.Bool // all of it was
	upload  atomic.Bool // it broke
	stopped atomic.Bool // nobody wants the rest
}

type flightKey struct{}

// gone says whether the client has left, or its body broke. Where the body was stopped, it only looks so.
func (f *flight) gone() bool {
	return !f.stopped.Load() && (f.upload.Load() || f.request.Context().Err() != nil)
}

// upstream is a client's body; it notes that it was read and that it broke.
type upstream struct {
	io.ReadCloser
	flight *flight
}

// Read serves io.Reader.
func (u *upstream) Read(p []byte) (int, error) {
	u.flight.read.Store(true)
	u.flight.waiting.Store(true)
	u.flight.stall.send(!u.flight.stopped.Load())
	n, err := u.ReadCloser.Read(p)
	u.flight.stall.send(false)
	u.flight.waiting.Store(false)
	if err == io.EOF {
		u.flight.whole.Store(true)
		strip(u.flight.request.Trailer)
	} else if err != nil {
		u.flight.upload.Store(true)
	}
	return n, err
}

// Close lets nobody wait for a client that says no more. What has not been read stays open: another server may get it.
func (u *upstream) Close() error {
	f := u.flight
	defer f.stall.send(false)
	if f.waiting.Load() {
		f.waited.Store(true)
	}
	if !f.read.Load() || f.whole.Load() || f.upload.Load() || f.request.Context().Err() != nil || f.stopped.Swap(true) {
		return nil
	}
	if f.request.ProtoMajor > 1 || http.NewResponseController(f.client).SetReadDeadline(time.Unix(1, 0)) != nil {
		return f.request.Body.Close()
	}
	return nil
}

// downstream is a server's body; it notes that it broke, or stalled.
type downstream struct {
	io.ReadCloser
	flight *flight
}

// Read serves io.Reader.
func (d *downstream) Read(p []byte) (int, error) {
	d.flight.stall.read(true)
	n, err := d.ReadCloser.Read(p)
	over := d.flight.stall.read(false)
	if err != nil && err != io.EOF {
		if over {
			err = os.ErrDeadlineExceeded // as from a conn, and not that the stream was ended for it
		}
		d.flight.broke = err
	}
	return n, err
}
