package origin

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1"
	"gate421/gate/http1/client"
)

// upload sends the body of a request while its response is read. It holds one buffer, whatever the body's size.
//
// The client's body is its to read, the connection its to write to. Only when it has ended may either be used by
// others.
type upload struct {
	conn    *conn
	goAhead chan struct{} // nil: none is waited for; the server of HTTP/2 and gather meet the client's Expect themselves
	client  http.ResponseWriter
	mu      sync.Mutex
	given   bool          // the go-ahead; under mu
	quit    chan struct{} // closed: nobody waits for it any more
	done    chan struct{} // closed at its end
	whole   bool          // all of the body was sent; to be read after done
	active  atomic.Bool   // it may still send
	waiting atomic.Bool   // the client is waited for
	broke   atomic.Bool   // the client's body broke off, or is no HTTP
}

const (
	// continueWait is how long a server is waited for after "Expect: 100-continue" (RFC 9110 section 10.1.1
	// wants that no client waits for ever).
	continueWait = time.Second
	// endWait is how long a body that is nearly sent is waited for, so that its connections can go on.
	endWait = 5 * time.Millisecond
)

var errBodyTooShort = errors.New("the body is shorter than its length")

// upload begins to send r's body over c, whose head has been sent.
func (p *http1Proxy) upload(c *conn, w http.ResponseWriter, r *http.Request) {
	// Without it a server may swallow what is left of an HTTP/1 body before the response begins, and the origin lacks
	// it.
	http.NewResponseController(w).EnableFullDuplex()
	u := &upload{conn: c, quit: make(chan struct{}), done: make(chan struct{})}
	if http1.Lists(r.Header["Expect"], "100-continue") {
		u.goAhead, u.client = make(chan struct{}), w
	}
	u.active.Store(true)
	c.up, c.Sending = u, &u.active
	c.Conn.SetReadDeadline(time.Time{})
	go u.send(p, r)
}

// proceed gives the go-ahead that a client asked for with its Expect. It says so to the client itself: net/http would
// do it when the body is read, in that goroutine, beside what else the server may announce meanwhile.
func (u *upload) proceed() {
	if u.goAhead != nil && u.first() {
		u.client.WriteHeader(http.StatusContinue)
		close(u.goAhead)
	}
}

// first says, once, that nobody has given the go-ahead yet.
func (u *upload) first() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	given := u.given
	u.given = true
	return !given
}

// ended says whether all of the body was sent. It waits a moment, no longer: what a server answers early is not held
// up.
func (u *upload) ended() bool {
	select {
	case <-u.done:
		return u.whole
	default:
	}
	timer := time.NewTimer(endWait)
	defer timer.Stop()
	select {
	case <-u.done:
		return u.whole
	case <-timer.C:
		return false
	}
}

// goesOn says whether the rest of a body is sent although the server has answered: it asks for the next step of a
// login on this connection, and clients keep theirs for it. Its length is known, so that a client that sends no
// more is not waited for without end.
func (u *upload) goesOn(r *http.Request, h client.Head) bool {
	return h.LoginHalfDone() && h.Keep && h.Length >= 0 && r.ContentLength > 0 && !unusual(r) && u.goAhead == nil &&
		clientOf(r) != nil
}

// finish lets the client have its response, and returns when the upload has ended. It says whether the body was sent
// whole.
func (u *upload) finish(w http.ResponseWriter, r *http.Request) bool {
	if flush(w) != nil {
		return false
	}
	select {
	case <-u.done:
		return u.whole
	case <-r.Context().Done():
		return false
	}
}

// stop ends an upload, and the connection with it where it is not complete. It says whether the body was sent whole.
func (u *upload) stop(w http.ResponseWriter, r *http.Request) bool {
	select {
	case <-u.done:
		return u.whole
	default:
	}
	close(u.quit)
	u.conn.Raw.Close()
	control := http.NewResponseController(w)
	if r.ProtoMajor > 1 || control.SetReadDeadline(time.Unix(1, 0)) != nil {
		r.Body.Close()
		<-u.done
		return false
	}
	<-u.done
	control.SetReadDeadline(time.Time{}) // the server may read on, to let the client finish
	return false
}

// send is the goroutine.
func (u *upload) send(d *http1Proxy, r *http.Request) {
	defer close(u.done)
	defer u.active.Store(false)
	if !u.wait() {
		return
	}
	lent, _ := d.copies.Get().(*[copySize]byte)
	if lent == nil {
		lent = new([copySize]byte)
	}
	defer d.copies.Put(lent)
	var err error
	if client.Sized(r) {
		err = u.copySized(lent[:], r)
	} else {
		err = u.copyChunked(lent[:], r)
	}
	if err != nil {
		switch {
		case u.broke.Load(): // there will be no response
			u.conn.HangUp()
		case timeout(err):
			u.conn.Conn.SetReadDeadline(time.Unix(1, 0))
		default: // the server has heard enough, and may say why
			u.due()
		}
		return
	}
	u.whole = true
	u.due()
}

// due begins the time that the response may take.
func (u *upload) due() {
	if u.active.Swap(false) {
		u.conn.Conn.SetReadDeadline(time.Now().Add(u.conn.Wait))
	}
}

// wait says whether the body is to be sent.
func (u *upload) wait() bool {
	if u.goAhead == nil {
		return true
	}
	timer := time.NewTimer(continueWait)
	defer timer.Stop()
	select {
	case <-u.goAhead:
		return true
	case <-timer.C:
		u.first()
		return true
	case <-u.quit:
		return false
	}
}

func (u *upload) write(p []byte) error {
	u.conn.Conn.SetWriteDeadline(time.Now().Add(u.conn.Wait))
	_, err := u.conn.Conn.Write(p)
	return err
}

// copySized sends as many bytes as were announced, never one more.
func (u *upload) copySized(buffer []byte, r *http.Request) error {
	ended := false
	for left := r.ContentLength; left > 0; {
		u.waiting.Store(true)
		n, err := r.Body.Read(buffer[:min(int64(len(buffer)), left)])
		u.waiting.Store(false)
		if left -= int64(n); n > 0 {
			if err := u.write(buffer[:n]); err != nil {
				return err
			}
		}
		ended = err == io.EOF
		if ended && left > 0 {
			err = errBodyTooShort
		}
		if err != nil && err != io.EOF {
			u.broke.Store(true)
			return err
		}
	}
	u.due()
	if ended {
		return nil
	}
	// The client's connection lives on only if the end is seen.
	if n, err := r.Body.Read(buffer[:1]); n > 0 || err != nil && err != io.EOF {
		u.broke.Store(true)
		return errors.Join(errBodyTooShort, err)
	}
	return nil
}

// copyChunked sends what comes as it comes, a chunk a read, and the trailers. What has come in many small pieces is
// one chunk, and none waits for another.
func (u *upload) copyChunked(buffer []byte, r *http.Request) error {
	const before, behind = len("ffff\r\n"), len("\r\n")
	var digits [4]byte
	for {
		u.waiting.Store(true)
		n, err := r.Body.Read(buffer[before : len(buffer)-behind])
		u.waiting.Store(false)
		out := buffer[:0]
		if n > 0 {
			size := strconv.AppendInt(digits[:0], int64(n), 16)
			start := before - len("\r\n") - len(size)
			copy(buffer[start:], size)
			copy(buffer[before-len("\r\n"):], "\r\n")
			copy(buffer[before+n:], "\r\n")
			out = buffer[start : before+n+behind]
		}
		if err == io.EOF {
			out = client.AppendTrailers(append(out, "0\r\n"...), r.Trailer)
		}
		if len(out) > 0 {
			if err := u.write(out); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			u.broke.Store(true)
			return err
		}
	}
}
