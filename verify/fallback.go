package verify

import "context"

// hear takes an outcome. It returns the reading that settles the query, if this one does.
func (q *query) hear(ctx context.Context, out outcome) (reading, bool) {
	c := out.to
	switch {
	case !out.how.tcp:
	case out.m == nil:
		c.tcp = tcpFailed
	default:
		c.tcp = tcpUntried // it does work
	}
	switch {
	case out.m != nil:
		return q.hearMessage(ctx, out)
	case out.trouble == nil:
		c.folded = true
		q.overTCP(ctx, c)
	case out.how.tcp:
		q.hearTCP(ctx, c, out.trouble)
	case out.trouble.cause == CauseTruncated:
		c.truncated = true
		q.overTCP(ctx, c)
	case out.trouble.cause == CauseGarbage: // somebody answers in the server's place
		q.record(out.trouble)
		c.folded = true
		q.overTCP(ctx, c)
	default:
		if c.vain == 0 { // or else what it said over TCP says more
			q.record(out.trouble)
		}
		c.closed = true
		q.beginNext(ctx)
	}
	return reading{}, false
}

func (q *query) hearMessage(ctx context.Context, out outcome) (reading, bool) {
	c := out.to
	c.server.responded(out.took)
	r := read(out.m, q.name, q.qtype)
	r.server = c.server.address
	switch {
	case r.kind == readingNothing:
		q.record(troubleAt(c.server.address, r.cause, r.detail))
		c.done = c.done || out.how == manner{} // it will not say more to any other question
		if out.how.tcp {
			c.vain++
		}
		if !c.done && (r.cause == CauseFormErr || r.cause == CauseNotImp) {
			q.degrade(ctx, c)
		} else {
			q.beginNext(ctx)
		}
		return r, false
	case r.no() && out.how.mixed:
		if !c.denied {
			c.denied = true
			q.send(ctx, c, manner{})
		}
		return r, false
	case r.no() && c.denied: // it does not matter how the name is written
	default:
		c.server.learn(out.how, q.from.usual())
	}
	q.from.prefer(c.server)
	return r, true
}

// hearTCP takes what went wrong over TCP, or TLS.
func (q *query) hearTCP(ctx context.Context, c *candidate, t *trouble) {
	server := c.server.address
	switch usual := q.from.usual(); {
	case usual.tcp:
		q.record(t)
		c.done = c.pending == 0 && (!c.how.edns || t.cause == CauseTLS)
	case t.cause == CauseTruncated:
		q.record(t)
		c.done = c.pending == 0
	case c.truncated:
		q.record(troubleAt(server, CauseTruncated, "TCP: "+t.words()))
		c.done = c.pending == 0
	case c.closed:
		c.done = c.pending == 0
	case c.folded, c.denied:
		q.send(ctx, c, manner{})
	case c.start.tcp: // that it is remembered to answer over TCP does not hold any more
		c.start = usual
		q.send(ctx, c, usual)
	case c.pending > 0 && c.waves == 1: // UDP is silent
		c.waves++
		q.send(ctx, c, manner{})
	}
}

// overTCP asks over TCP, of which forgers of datagrams know nothing, and where that is no way, as the C library asks.
func (q *query) overTCP(ctx context.Context, c *candidate) {
	switch {
	case c.tcp == tcpUntried:
		q.send(ctx, c, manner{tcp: true, edns: c.how.edns})
	case c.tcp == tcpPending:
	case c.truncated:
		q.record(troubleAt(c.server.address, CauseTruncated, ""))
		c.done = c.pending == 0
	case c.how != manner{}:
		q.send(ctx, c, manner{})
	default:
		c.done = c.pending == 0
	}
}

// beginNext asks one server more, after another one failed.
func (q *query) beginNext(ctx context.Context) {
	for _, c := range q.candidates {
		if !c.begun {
			q.begin(ctx, c)
			return
		}
	}
}

// degrade asks less of a server that did not answer what it was asked last; when there is no less, it is done.
func (q *query) degrade(ctx context.Context, c *candidate) {
	how, usual := c.how, q.from.usual()
	switch {
	case c.closed && (usual.tcp || c.tcp != tcpUntried || c.vain > 1):
		c.done = true
		return
	case c.closed:
		how = manner{tcp: true, edns: how.edns && c.vain == 0}
	case how.edns:
		how.edns = false
	case how.tcp && !usual.tcp:
		how = manner{mixed: usual.mixed}
	case how.mixed:
		how.mixed = false
	default:
		c.done = true
		return
	}
	q.send(ctx, c, how)
}

// hasten asks a server in another manner beside the attempts that it has not answered. Two manners lose nothing when a
// lost datagram is all that is wrong.
func (q *query) hasten(ctx context.Context, c *candidate) {
	usual := q.from.usual()
	const manners = 3
	c.waves++
	switch step := c.waves % manners; {
	case q.from.attempts > 0 && c.waves >= manners*q.from.attempts || c.truncated:
	case usual.tcp:
		q.sendBeside(ctx, c, manner{tcp: true, edns: step != 1})
	case c.folded, c.denied, step == 2:
		q.sendBeside(ctx, c, manner{})
	case step == 0 || c.start.tcp:
		q.sendBeside(ctx, c, usual)
	default:
		q.sendBeside(ctx, c, manner{mixed: c.start.mixed})
		if c.tcp == tcpUntried {
			q.sendBeside(ctx, c, manner{tcp: true, edns: usual.edns})
		}
	}
}
