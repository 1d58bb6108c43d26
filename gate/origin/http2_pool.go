package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"gate421/gate/http1/client"

	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.
	"golang.org/x/net/http2"
)

// h2pool keeps the connections to one HTTP/2 server.
//
// A connection carries the requests of one client connection at a time, and is another's only when all of them have
// ended. Windows, streams and the socket are shared by the requests on a connection, so nothing that a client does not
// read or send, and nothing that the server does to a connection because of it, holds up anybody else.
//
// Memory is bounded by the windows of streams, for the window of a connection is never the narrower one: a client's
// first connection has wide windows and takes few requests, what is more goes over connections with narrow ones. A
// client connection that reads nothing of 100 responses costs 8 × 256 KiB and 92 × 32 KiB, 5 MiB; all of a server's
// wide windows together 256 MiB.
type h2pool struct {
	address   string      // host:port of the server
	secure    *tls.Config // nil: no TLS; ServerName "": the request's host
	dialer    net.Dialer
	connector dialFunc // nil: dialer
	files     *Descriptors
	wide      *http2.Transport
	narrow    *http2.Transport

	mu          sync.Mutex
	busy        map[owner][]*h2conn
	idle        map[kind][]*h2conn // the one used last at the end
	count       int                // of idle ones: hosts may be the clients' choice
	broad       int                // wide ones that are busy
	streamLimit int                // streams on a connection, as the server last said
	known       bool               // it has said so
	closed      bool
}

// owner is whose requests a connection carries.
type owner struct {
	client string // its address and port; where a proxy names it without a port, where one does not the proxy's
	host   string // over TLS; "": connections serve all hosts
}

// kind is which connections are alike.
type kind struct {
	host string
	wide bool
}

const (
	wideWindow    = 256 << 10 // of a response's body on its way, per request
	wideStreams   = 8
	wideAtMost    = 128 // connections
	narrowWindow  = 32 << 10
	narrowStreams = 100
	// sharedWindow is a connection's. It is out of reach, also where the engine counts too little back: it forgets the
	// first frame of a body that must not be there.
	sharedWindow = 1 << 30
)

func newH2Pool(address string, secure *tls.Config, wait time.Duration) (*h2pool, error) {
	p := &h2pool{
		address: address, secure: secure, dialer: net.Dialer{Timeout: connectTime, KeepAlive: 30 * time.Second},
		busy: map[owner][]*h2conn{}, idle: map[kind][]*h2conn{}, streamLimit: narrowStreams,
	}
	for engine, window := range map[**http2.Transport]int{&p.wide: wideWindow, &p.narrow: narrowWindow} {
		// No pings at intervals: gRPC's servers end connections for them, and a server that is gone shows by what it
		// does not answer. See h2conn.ping for the others.
		var err error
		*engine, err = http2.ConfigureTransports(&http.Transport{
			ExpectContinueTimeout:  continueWait,
			IdleConnTimeout:        idleAtMost,
			DisableCompression:     true,
			MaxResponseHeaderBytes: client.MaxHead,
			HTTP2: &http.HTTP2Config{
				MaxReceiveBufferPerConnection: sharedWindow,
				MaxReceiveBufferPerStream:     window,
				WriteByteTimeout:              wait,
			},
		})
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// take gives a connection that has room for one more request of o; it is released when that has ended. It is a new one
// where fresh is set, and of no other use where single is; and none of those in not. With once the request cannot be
// repeated: it gets no connection that was idle for aMoment or longer, which its server may be closing right now
// without a word.
func (h *h2pool) take(ctx context.Context, o owner, fresh, single, once bool, not []*h2conn) (*h2conn, error) {
	for {
		h.mu.Lock()
		c, open := h.choose(o, fresh || single, once, not)
		if c == nil {
			c = h.add(o, single)
			h.mu.Unlock()
			return c, h.dial(ctx, c)
		}
		h.mu.Unlock()
		if open {
			return c, nil
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
		}
		h.mu.Lock()
		c.waiting--
		err := c.err
		h.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !errors.Is(err, context.Canceled): // who connected may have left
			return nil, err
		}
	}
}

// choose finds a connection for o. It counts the request; or that it waits for a connection that is not open yet, or of
// which it is not known yet how many streams the server allows. nil asks for another connection. The caller holds mu.
func (h *h2pool) choose(o owner, fresh, once bool, not []*h2conn) (c *h2conn, open bool) {
	if fresh {
		return nil, false
	}
	busy := h.busy[o]
	for _, c := range busy {
		if c.isReady && !c.single && c.requests < min(c.maxStreams(), h.streamLimit) && !slices.Contains(not, c) &&
			c.engine.ReserveNewRequest() {
			c.requests++
			return c, true
		}
	}
	for _, c := range busy {
		if !c.isReady && !c.single && c.requests+c.waiting < min(c.maxStreams(), h.streamLimit) {
			c.waiting++
			return c, false
		}
	}
	k := kind{o.host, h.mayBeWide(o)}
	for stack := h.idle[k]; len(stack) > 0; stack = h.idle[k] {
		c := stack[len(stack)-1]
		h.unstack(c)
		if once && time.Since(c.since) >= aMoment { // the others are idle for longer
			go c.engine.Close() // a new one takes its place
			return nil, false
		}
		if c.engine.ReserveNewRequest() {
			c.requests = 1
			h.engage(c, o)
			return c, true
		}
		go c.engine.Close() // the server goes away
	}
	return nil, false
}

// mayBeWide says whether o's next connection is to have wide windows. The caller holds mu.
func (h *h2pool) mayBeWide(o owner) bool {
	return h.broad < wideAtMost && !slices.ContainsFunc(h.busy[o], func(c *h2conn) bool { return c.wide })
}

// add prepares a connection for a request of o. The caller holds mu.
func (h *h2pool) add(o owner, single bool) *h2conn {
	c := &h2conn{pool: h, wide: h.mayBeWide(o), single: single, ready: make(chan struct{}), requests: 1}
	h.engage(c, o)
	return c
}

// engage makes a connection o's. The caller holds mu.
func (h *h2pool) engage(c *h2conn, o owner) {
	c.owner = o
	if c.wide {
		h.broad++
	}
	h.busy[o] = append(h.busy[o], c)
}

// disengage undoes it. The caller holds mu.
func (h *h2pool) disengage(c *h2conn) {
	busy := h.busy[c.owner]
	i := slices.Index(busy, c)
	if i < 0 {
		return
	}
	if c.wide {
		h.broad--
	}
	if h.busy[c.owner] = slices.Delete(busy, i, i+1); len(busy) == 1 {
		delete(h.busy, c.owner)
	}
}

// unstack takes a connection from the idle ones. The caller holds mu.
func (h *h2pool) unstack(c *h2conn) {
	k := kind{c.owner.host, c.wide}
	stack := h.idle[k]
	i := slices.Index(stack, c)
	if i < 0 {
		return
	}
	h.count--
	if h.idle[k] = slices.Delete(stack, i, i+1); len(stack) == 1 {
		delete(h.idle, k)
	}
}

// release ends a request. A connection on which one was broken off is not handed on to another client: the server may
// be busy with it for as long as it likes.
func (h *h2pool) release(c *h2conn, whole bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.broken = c.broken || !whole
	if c.requests--; c.requests > 0 {
		return
	}
	h.disengage(c)
	switch {
	case c.gone:
	case c.broken || c.single || h.closed || !c.engine.CanTakeNewRequest():
		go c.engine.Close() // it may wait for the socket
	default:
		if h.count >= idleConns {
			h.evict()
		}
		k := kind{c.owner.host, c.wide}
		c.since = time.Now()
		h.idle[k] = append(h.idle[k], c)
		h.count++
	}
}

// evict closes one connection, some host's oldest. The caller holds mu.
func (h *h2pool) evict() {
	for _, stack := range h.idle {
		c := stack[0]
		h.unstack(c)
		go c.engine.Close()
		return
	}
}

// closeIdle closes all idle connections, for others are wanted more.
func (h *h2pool) closeIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.count > 0 {
		h.evict()
	}
}

// drop forgets a connection that is closed.
func (h *h2pool) drop(c *h2conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.gone = true
	h.disengage(c)
	h.unstack(c)
	c.beReady()
}

// setStreamLimit notes how many streams the server allows on c, and lets who waits for that go on.
func (h *h2pool) setStreamLimit(c *h2conn, allows uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streamLimit, h.known = int(min(allows, narrowStreams)), true
	c.beReady()
}

// close lets go of idle connections; the others end with their requests.
func (h *h2pool) close() {
	h.mu.Lock()
	h.closed = true
	var idle []*h2conn
	for _, stack := range h.idle {
		idle = append(idle, stack...)
	}
	h.mu.Unlock()
	for _, c := range idle {
		c.engine.Close()
	}
}
