package origin

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// flight is what the callbacks of one forwarded request leave for serve; it travels in the request's context.
type flight struct {
	call    call
	client  http.ResponseWriter
	request *http.Request // the client's
	broke   error         // what ended the server's body too early
	wait    time.Duration // the longest that a read of it may take
	end     func()        // ends what is asked of the server
	stalled atomic.Bool   // it was ended because the body stalled

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

// uploading says whether more of the client's body may be on its way.
func (f *flight) uploading() bool {
	return f.request.ContentLength != 0 && !f.whole.Load() && !f.upload.Load() && !f.stopped.Load()
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
	n, err := u.ReadCloser.Read(p)
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

// downstream is a server's body; it notes that it broke. As with HTTP/1.1's servers every read may take one wait: the bound is on
// stalling, the time that the client takes does not count, and nothing is bounded while the client's body is on its way.
type downstream struct {
	io.ReadCloser
	flight  *flight
	timer   *time.Timer
	reading atomic.Bool
}

// Read serves io.Reader.
func (d *downstream) Read(p []byte) (int, error) {
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Hour, d.stall)
	}
	d.reading.Store(true)
	d.timer.Reset(d.flight.wait)
	n, err := d.ReadCloser.Read(p)
	d.reading.Store(false)
	d.timer.Stop()
	if err != nil && err != io.EOF {
		d.flight.broke = err
	}
	return n, err
}

// stall ends a body whose next bytes have not come.
func (d *downstream) stall() {
	f := d.flight
	switch {
	case !d.reading.Load():
	case f.uploading():
		d.timer.Reset(f.wait)
	default:
		f.stalled.Store(true)
		f.end()
	}
}
