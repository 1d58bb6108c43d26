package origin

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/http1/client"
)

// Client is one connection of a client's, and what origins keep open for it alone: see the package comment on
// logins. It is the context of the requests that come on it. End it when the connection has ended.
//
// Have none where several people's requests come on one connection, as from a proxy: then nothing is kept, and
// nobody is taken for somebody else.
type Client struct {
	context.Context

	mu    sync.Mutex
	conns []keptConn // idle; the one used last at the end
	ended bool
}

// keptConn is a connection that waits for its client's next request.
type keptConn struct {
	list   *list
	server *server
	conn   *conn
}

// keptAtMost is how many a client may have, as one that asks for several sites on one connection.
const keptAtMost = 4

type clientKey struct{}

// NewClient makes the context of a connection's requests out of another.
func NewClient(ctx context.Context) *Client { return &Client{Context: ctx} }

// Value serves context.Context.
func (c *Client) Value(key any) any {
	if _, asked := key.(clientKey); asked {
		return c
	}
	return c.Context.Value(key)
}

// End closes what was kept.
func (c *Client) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, k := range c.conns {
		k.close()
	}
	c.conns = nil
}

// clientOf is the connection that a request came on, nil where nothing is kept. The requests of an HTTP/2 connection
// come at once, and a login is a conversation: servers that hold one have their clients use HTTP/1.1 for it. Whoever
// says that it forwards a request may forward those of others on the same connection, whether it is known as a proxy or
// not.
func clientOf(r *http.Request) *Client {
	if r.ProtoMajor != 1 || r.Header["X-Forwarded-For"] != nil || r.Header["Forwarded"] != nil ||
		r.Header["Via"] != nil {
		return nil
	}
	c, _ := r.Context().Value(clientKey{}).(*Client)
	return c
}

// take returns the client's own connection to one of a list's servers, nil where it has none for a host. The next
// step of a login also goes to a server of another list, if it has the same address: the configuration has changed
// meanwhile.
func (c *Client) take(l *list, login bool, authority string) *keptConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, k := range slices.Backward(c.conns) {
		ours := k.list == l || login && k.conn.halfDone && l.has(k.server.address)
		if !ours || k.conn.host != k.server.http1.pooledBy(authority) {
			continue
		}
		c.conns = slices.Delete(c.conns, i, i+1)
		there := k.list.kept.remove(k.conn)
		if !there && login && k.conn.halfDone {
			k.conn.closed, there = true, true // it made way: the login cannot go on
		}
		if there {
			return &k
		}
	}
	return nil
}

// has says whether one of the servers has an address.
func (l *list) has(address string) bool {
	return slices.ContainsFunc(l.servers, func(s *server) bool { return s.address == address })
}

// put keeps a connection.
func (c *Client) put(k keptConn) {
	k.conn.own, k.conn.Used, k.conn.since = true, true, time.Now()
	k.conn.Shrink()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !k.list.kept.add(k.conn) {
		k.conn.Raw.Close()
		return
	}
	if len(c.conns) == keptAtMost {
		c.conns[0].close()
		c.conns = slices.Delete(c.conns, 0, 1)
	}
	c.conns = append(c.conns, k)
}

func (k keptConn) close() {
	k.list.kept.remove(k.conn)
	k.conn.Raw.Close()
}

// keep gives the connection back: to everybody, or to its client where the server may know who that is. One that
// is not whole is closed; that it was is remembered where a login is half done.
func (p *http1Proxy) keep(c *conn, asked *call, r *http.Request, h client.Head, whole bool) {
	own := asked.login || c.own || h.Login.Bound
	c.answered, c.keptFor = asked.start.Add(asked.timeToFirstByte), h.KeptFor
	if whole && !own {
		p.idle.put(c)
		return
	}
	c.halfDone = h.LoginHalfDone()
	client := clientOf(r)
	if !whole || client == nil {
		c.close()
	}
	if client != nil && (whole || c.halfDone) {
		client.put(keptConn{asked.list, asked.server, c})
	}
}

// keptConns are the connections that a list's servers keep for clients, as far as no request uses them. The zero
// value is ready.
type keptConns struct {
	count atomic.Int64

	mu     sync.Mutex
	idle   map[*conn]struct{}
	closed bool
}

// add returns false where nothing is kept any more.
func (k *keptConns) add(c *conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	if k.idle == nil {
		k.idle = map[*conn]struct{}{}
	}
	k.idle[c] = struct{}{}
	k.count.Add(1)
	return true
}

// remove returns false where the connection has been closed.
func (k *keptConns) remove(c *conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, there := k.idle[c]; !there {
		return false
	}
	delete(k.idle, c)
	k.count.Add(-1)
	return true
}

// closeIdle makes room for other connections: whoever has let theirs be idle for a while logs in again.
func (k *keptConns) closeIdle() {
	const aWhile = time.Second
	k.mu.Lock()
	defer k.mu.Unlock()
	for c := range k.idle {
		if time.Since(c.since) >= aWhile {
			delete(k.idle, c)
			k.count.Add(-1)
			c.Raw.Close()
		}
	}
}

func (k *keptConns) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for c := range k.idle {
		c.Raw.Close()
	}
	clear(k.idle)
	k.count.Store(0)
}
