package origin

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"gate421/gate/http1/client"
)

// list is the servers of one origin: it chooses whom a request goes to.
type list struct {
	servers  []*server
	wait     time.Duration
	kept     keptConns
	files    *Descriptors
	onHealth func(Health) // nil: nobody is

	mu   sync.Mutex // guards next and every server's health
	next int        // where the search begins, so that ties go round
}

// health is what the latest failures say of a server.
type health struct {
	latest  [failuresAtMost]time.Time // the last failures, the oldest first
	until   time.Time                 // it is left out until then; zero: it is not
	span    time.Duration             // how long it is left out
	probing time.Time                 // its time is over, and until then one request alone finds out
}

const (
	failuresAtMost = 3
	failuresWithin = 10 * time.Second
	outAtLeast     = 10 * time.Second
	outAtMost      = 2 * time.Minute
)

// call is one request on its way to a server, and what came of it.
type call struct {
	list   *list
	server *server
	start  time.Time
	probe  bool // the server is out: it is found out whether it is well again

	login bool  // the request presents a login of its connection: it goes on no connection that is anybody else's
	own   *conn // the client's own, to begin with; nil: it has none

	status          int            // of the server's final response; 0: none came
	timeToFirstByte time.Duration  // until it came, or until it was given up
	failure         *Failure       // nil: the client has a whole response
	responseBegun   bool           // the client has the beginning of a response
	retryable       bool           // with failure: another server may be asked
	source          *replayBody    // the client's body, where an HTTP/2 server was asked
	gathered        *bufferedBody  // the client's body, where it was waited for
	unread          bool           // with failure: the client's body was not read to its end
	waitedForClient bool           // with failure: the client's body was waited for
	loginLost       bool           // with failure: the client has to begin its login again, on another connection
	sent            bool           // the server has heard of the request, perhaps
	released        *chan struct{} // closed when it has let go of it, which was given up; nil: nobody knows
}

// responded notes the head of a final response: whatever comes after it, the server is there.
func (c *call) responded(status int) {
	c.status, c.timeToFirstByte = status, time.Since(c.start)
	if c.probe {
		c.list.restore(c.server)
	}
	if news, said := c.server.outage.answered(c.server.address); said && c.list.onHealth != nil {
		c.list.onHealth(news)
	}
}

// serve is what Origin.Serve promises, of a request that is well formed.
func (l *list) serve(
	w http.ResponseWriter,
	r *http.Request,
) (server string, status int, timeToFirstByte time.Duration, err error) {
	c := call{list: l, start: time.Now(), login: client.PresentsLogin(r.Header)}
	if !l.resume(&c, r) {
		l.choose(&c, nil)
	}
	l = c.list
	var body *pacedBody
	if r.ContentLength != 0 {
		body = &pacedBody{ReadCloser: r.Body}
		r.Body = body
	}
	c.server.serve(w, r, &c)
	defer func() {
		if c.source != nil {
			c.source.finish()
		}
	}()
	if c.failure == nil {
		return c.server.address, c.status, c.timeToFirstByte, nil
	}
	l.failed(&c)
	if c.retryable {
		l.retry(w, r, &c)
		if c.gathered != nil {
			if c.source != nil {
				c.source.finish()
			}
			c.gathered.interrupt(w, r)
		}
	}
	if c.failure == nil {
		return c.server.address, c.status, c.timeToFirstByte, nil
	}
	if c.failure.word == ClientGone && (clientStalled(c.failure) || body != nil && body.slow.Load()) {
		c.failure = &Failure{ClientSlow, c.failure.cause}
	}
	if !c.responseBegun {
		c.failure.respond(w, (c.unread || c.loginLost) && r.ProtoMajor == 1)
	}
	return c.server.address, c.status, c.timeToFirstByte, c.result()
}

// resume chooses the connection that is the client's own, and with it the server.
func (l *list) resume(c *call, r *http.Request) bool {
	if l.kept.count.Load() == 0 && !c.login {
		return false
	}
	client := clientOf(r)
	if client == nil {
		return false
	}
	k := client.take(l, c.login, r.Host)
	if k == nil {
		return false
	}
	c.own, c.list, c.server = k.conn, k.list, k.server
	k.server.inFlight.Add(1)
	return true
}

// retry asks others, each once, until one responses or the time that a response may take is over.
func (l *list) retry(w http.ResponseWriter, r *http.Request, c *call) {
	tried := []*server{c.server}
	for c.failure != nil && c.retryable && !c.responseBegun && time.Since(c.start) < l.wait && r.Context().Err() == nil {
		next := call{list: l, start: c.start, login: c.login, source: c.source, gathered: c.gathered}
		if l.choose(&next, tried); next.server == nil {
			return
		}
		next.server.serve(w, r, &next)
		if *c = next; c.failure != nil {
			l.failed(c)
		}
		tried = append(tried, c.server)
	}
}

// choose picks the server that has the fewest requests in flight of those that are well and not tried yet; where none
// is, the one whose failure is longest ago.
func (l *list) choose(c *call, tried []*server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var best, last *server
	for i := range l.servers {
		s := l.servers[(l.next+i)%len(l.servers)]
		switch {
		case tried != nil && slices.Contains(tried, s):
		case !s.until.IsZero() && (time.Now().Before(s.probing) || time.Now().Before(s.until)):
			if last == nil || s.latest[failuresAtMost-1].Before(last.latest[failuresAtMost-1]) {
				last = s
			}
		case best == nil || s.inFlight.Load() < best.inFlight.Load():
			best = s
		}
	}
	l.next = (l.next + 1) % len(l.servers)
	switch {
	case best == nil && last == nil:
		return
	case best == nil:
		best = last
	case !best.until.IsZero():
		best.probing = time.Now().Add(best.span) // who takes longer, such as with a body of hours, is not waited for
	}
	c.server, c.probe = best, !best.until.IsZero()
	best.inFlight.Add(1)
}

// failed notes a failure that the server is to blame for. While a server is out, those of requests that had nowhere
// else to go do not count: they would keep it out for ever.
func (l *list) failed(c *call) {
	s, now := c.server, time.Now()
	// A body that the client has not sent, or a response that it has not taken, may be why a server gave up.
	blamed := c.failure.blames() && !c.waitedForClient && !c.responseBegun
	if blamed && c.status == 0 {
		if news, said := s.outage.failed(s.address, c.failure); said && l.onHealth != nil {
			l.onHealth(news)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if blamed {
		s.failures.Add(1)
		copy(s.latest[:], s.latest[1:])
		s.latest[failuresAtMost-1] = now
	}
	switch {
	case !s.until.IsZero() && now.Before(s.until):
	case !s.until.IsZero() && c.probe:
		s.probing = time.Time{} // the next request tries, if this one has found out nothing
		if blamed && c.status == 0 {
			s.span = min(2*s.span, outAtMost)
			s.until = now.Add(s.span)
		}
	case s.until.IsZero() && blamed && !s.latest[0].IsZero() && now.Sub(s.latest[0]) < failuresWithin:
		s.span = outAtLeast
		s.until = now.Add(s.span)
	}
}

// restore takes a server back that has answered.
func (l *list) restore(s *server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.health = health{}
}

// blames says whether a failure tells of the server, and not of the client, of one host or of this machine's
// descriptors: whoever may choose the host, or has many requests under way, must not be able to put a server out.
func (f *Failure) blames() bool {
	var host x509.HostnameError
	var fields *client.FieldsError
	return f.word != ClientGone && f.word != Misdirected && !errors.As(f, &host) && !errors.As(f, &fields) &&
		!rejectedName(f) && !errors.Is(f, client.ErrStale) && !errors.Is(f, errNoFiles) &&
		!errors.Is(f, syscall.EMFILE) && !errors.Is(f, syscall.ENFILE)
}

// rejectedName says whether a server has refused the name in the handshake (RFC 6066 section 3).
func rejectedName(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" && op.Err.Error() == "tls: unrecognized name"
}

func (l *list) status() []Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Status, len(l.servers))
	for i, s := range l.servers {
		out[i] = Status{
			Address:  s.address,
			InFlight: int(s.inFlight.Load()),
			Failures: s.failures.Load(),
			OutUntil: s.until,
		}
		out[i].Down, out[i].Since, out[i].Err = s.outage.status()
	}
	return out
}

func (l *list) close() {
	l.files.remove(l)
	l.kept.close()
	for _, s := range l.servers {
		s.close()
	}
}
