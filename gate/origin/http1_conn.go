package origin

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"gate421/gate/http1/client"
)

// conn is one HTTP/1.x connection to a server, with what the pool and the requests know of it.
type conn struct {
	*client.Conn
	host string // what the pool knows it under

	own      bool // it is one client's alone
	halfDone bool // with own: the client was asked for the next step of its login
	closed   bool // by close

	up    *upload   // of this request's body; nil: it has none
	since time.Time // idle since

	answered time.Time     // when the head of the last response came: from then on its server may have counted
	keptFor  time.Duration // how long the server says that it keeps it open; 0: it does not say
	pooled   pooled

	// over is closed when the server has let go of a request that was given up; nil: none was.
	over atomic.Pointer[chan struct{}]
}

func newConn(raw net.Conn, host string, wait time.Duration) *conn {
	return &conn{Conn: client.NewConn(raw, wait), host: host}
}

// begin prepares for a request; see client.Conn.Begin.
func (c *conn) begin(ctx context.Context, bound bool) {
	c.up = nil
	c.Begin(ctx, bound)
}

func (c *conn) close() {
	c.Release()
	c.Raw.Close()
	c.closed = true
}
