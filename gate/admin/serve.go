package admin

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// mostConns are open at once: whoever looks at a gateway needs few, and those who do not mean to look must not take
// what its visitors need. Beyond, one that asks for nothing makes way.
const mostConns = 64

// How long a client may take. Whoever has begun to ask and not ended makes way for others after busyTime.
const (
	headTime = 5 * time.Second
	pageTime = 30 * time.Second // to ask, and for the answer
	idleTime = 60 * time.Second
	busyTime = time.Second
)

// Server answers on a listener. All fields are set before Serve and not changed after.
type Server struct {
	Handler http.Handler
	// Listen opens the listener again when it has failed. nil: it stays closed.
	Listen func(context.Context) (net.Listener, error)
	// OnListener is told when nobody can connect any more, and with nil when that is over. nil: nobody is told.
	OnListener func(error)
}

// Serve answers on l, and on what Listen opens when that fails, until ctx ends. It closes what it has used.
func (s *Server) Serve(ctx context.Context, l net.Listener) {
	const least, most = time.Second, time.Minute
	failing, pause := false, least
	note := func(err error) {
		if changed := (err != nil) != failing; changed && ctx.Err() == nil && s.OnListener != nil {
			s.OnListener(err)
		}
		failing = err != nil
	}
	for {
		if l != nil {
			pause = least
			err := s.serve(ctx, l, note)
			l.Close()
			if ctx.Err() != nil {
				return
			}
			note(err)
			l = nil
		}
		if s.Listen == nil {
			<-ctx.Done()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
		if again, err := s.Listen(ctx); err == nil {
			l = again
			note(nil)
		}
	}
}

// serve answers on one listener until it fails or ctx ends.
func (s *Server) serve(ctx context.Context, l net.Listener, note func(error)) error {
	d := &desk{Listener: l, ctx: ctx, note: note, open: map[*visitor]struct{}{}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler: s.Handler, ReadHeaderTimeout: headTime, ReadTimeout: pageTime, WriteTimeout: pageTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 32 << 10, Protocols: protocols, ConnState: d.changed,
		ErrorLog: log.New(io.Discard, "", 0), // what it says, strangers can make it say
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	return server.Serve(d)
}

// desk hands on connections, mostConns at a time.
type desk struct {
	net.Listener
	ctx  context.Context
	note func(error) // called by Accept

	mu   sync.Mutex
	open map[*visitor]struct{}
}

// visitor is one connection.
type visitor struct {
	net.Conn
	desk  *desk
	left  sync.Once
	state http.ConnState // under the desk's mu, and so is since
	since time.Time
}

// Accept waits until a connection comes. For what passes, such as a lack of file descriptors, it tries again.
func (d *desk) Accept() (net.Conn, error) {
	const least, most = 5 * time.Millisecond, time.Second
	for pause := least; ; pause = min(2*pause, most) {
		c, err := d.Listener.Accept()
		if err == nil {
			d.note(nil)
			return d.enter(c), nil
		}
		var named interface{ Temporary() bool }
		if !errors.As(err, &named) || !named.Temporary() {
			return nil, err
		}
		d.note(err)
		d.mu.Lock()
		d.makeWay()
		d.mu.Unlock()
		select {
		case <-d.ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

func (d *desk) enter(c net.Conn) net.Conn {
	v := &visitor{Conn: c, desk: d, since: time.Now()}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.open) >= mostConns && !d.makeWay() {
		c.Close() // the server finds out when it reads
		return v
	}
	d.open[v] = struct{}{}
	return v
}

// makeWay closes a connection that asks for nothing, or has been asking for too long: the one that has been so for
// longest. The caller holds mu.
func (d *desk) makeWay() bool {
	var first *visitor
	for v := range d.open {
		if v.state == http.StateActive && time.Since(v.since) < busyTime {
			continue
		}
		if first == nil || before(v, first) {
			first = v
		}
	}
	if first == nil {
		return false
	}
	delete(d.open, first)
	first.Conn.Close()
	return true
}

// before says whether v makes way before other: those that never asked, those that are idle, those that are asking.
func before(v, other *visitor) bool {
	order := map[http.ConnState]int{http.StateNew: 0, http.StateIdle: 1, http.StateActive: 2}
	if a, b := order[v.state], order[other.state]; a != b {
		return a < b
	}
	return v.since.Before(other.since)
}

// changed is told by the server what a connection does.
func (d *desk) changed(c net.Conn, state http.ConnState) {
	v, ok := c.(*visitor)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v.state, v.since = state, time.Now()
}

// Close serves net.Conn.
func (v *visitor) Close() error {
	v.left.Do(func() {
		v.desk.mu.Lock()
		delete(v.desk.open, v)
		v.desk.mu.Unlock()
	})
	return v.Conn.Close()
}
