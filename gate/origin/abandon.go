package origin

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"gate421/gate/socket"
)

// A request that is given up (its client has left, its body broke off, its server is too slow) is not over for its
// server: that works on until it notices. So our side of the connection ends, which tells the server, and then the
// server is waited for, so that whoever counts what is under way there can go on counting it.

const (
	// abandonedConns are waited for at most, of one server; each has a file descriptor, which counts among Files.
	abandonedConns = 256
	// abandonedBytes are read of what the server still says. Who says more notices when nobody takes it.
	abandonedBytes = 64 << 10
	// abandonedTime is how long a server may work on where there is nothing to wait for: over HTTP/2 it does not say
	// when a request that was reset has ended. One that has begun to respond has as long to end: it may go on for ever
	// (server-sent events), and many servers notice by a write that fails, and by nothing else.
	abandonedTime = time.Second
)

// abandoned counts the connections to a server that are waited for. The zero value is ready for use.
type abandoned struct{ count atomic.Int64 }

// close closes a connection for whoever reads from it, and then our side of it. It closes over when the server has
// ended its own, or the time is up.
func (a *abandoned) close(raw net.Conn, files *Descriptors, most time.Duration, over chan struct{}) {
	var rest *os.File
	if a.count.Add(1) <= abandonedConns && files.acquireSpare() {
		if rest = duplicate(raw); rest == nil {
			files.release()
		}
	}
	raw.Close()
	if rest == nil {
		a.count.Add(-1)
		time.AfterFunc(abandonedTime, func() { close(over) })
		return
	}
	closeWrite(rest)
	go func() {
		defer close(over)
		defer a.count.Add(-1)
		defer files.release()
		defer rest.Close()
		rest.SetReadDeadline(time.Now().Add(most))
		if _, err := rest.Read(make([]byte, 1)); err == nil {
			rest.SetReadDeadline(time.Now().Add(abandonedTime))
			io.CopyN(io.Discard, rest, abandonedBytes)
		}
	}()
}

// unfinished is a failure that a server does not know of yet.
type unfinished struct {
	*Failure
	over <-chan struct{}
}

// Unwrap gives the failure.
func (u *unfinished) Unwrap() error { return u.Failure }

// Ended is closed when the server has let go of the request.
func (u *unfinished) Ended() <-chan struct{} { return u.over }

// result is the failure of a request as Serve returns it.
func (c *call) result() error {
	if c.released != nil {
		return &unfinished{c.failure, *c.released}
	}
	if c.failure.word != ClientGone && c.failure.word != ClientSlow || !c.sent && c.server.http2 == nil {
		return c.failure
	}
	over := make(chan struct{})
	time.AfterFunc(abandonedTime, func() { close(over) })
	return &unfinished{c.failure, over}
}

// waitReleased waits until the server has let go of a request whose connection was hung up, or the request has ended.
func (c *conn) waitReleased() {
	if over := c.over.Load(); over != nil {
		select {
		case <-*over:
		case <-c.Done():
		}
	}
}

// duplicate gives a socket another descriptor; nil where that cannot be done. Neither File.Fd nor net.FileConn may be
// used on it: they make the socket blocking for a moment, for both descriptors, and a read that begins in that moment
// cannot be ended.
func duplicate(raw net.Conn) *os.File {
	conn, ok := raw.(interface{ File() (*os.File, error) })
	if !ok {
		return nil
	}
	file, err := conn.File()
	if err != nil {
		return nil
	}
	return file
}

// closeWrite ends our side of a socket.
func closeWrite(file *os.File) {
	if control, err := file.SyscallConn(); err == nil {
		control.Control(func(fd uintptr) { socket.CloseWrite(fd) })
	}
}
