package verify

import "context"

// handle processes an outcome. It returns the answer to the query, if this is one.
func (q *query) handle(ctx context.Context, out outcome) (answer, bool) {
	c := out.to
	switch {
	case !out.mode.tcp:
	case out.response == nil:
		c.tcp = tcpFailed
	default:
		c.tcp = tcpUntried // it works and may be used again
	}
	switch {
	case out.response != nil:
		return q.handleResponse(ctx, out)
	case out.failure == nil:
		c.caseLost = true
		q.tryTCP(ctx, c)
	case out.mode.tcp:
		q.handleTCPFailure(ctx, c, out.failure)
	case out.failure.cause == CauseTruncated:
		c.truncated = true
		q.tryTCP(ctx, c)
	case out.failure.cause == CauseGarbage: // somebody responds in the server's place
		q.recordFailure(out.failure)
		c.caseLost = true
		q.tryTCP(ctx, c)
	default:
		if c.tcpErrors == 0 { // or else what it said over TCP says more
			q.recordFailure(out.failure)
		}
		c.unreachable = true
		q.startNext(ctx)
	}
	return answer{}, false
}

func (q *query) handleResponse(ctx context.Context, out outcome) (answer, bool) {
	c := out.to
	c.server.recordLatency(out.took)
	a := parseAnswer(out.response, q.name, q.qtype)
	a.server = c.server.address
	switch {
	case a.kind == answerNone:
		q.recordFailure(newFailure(c.server.address, a.cause, a.detail))
		c.done = c.done || out.mode == mode{} // there is no simpler query
		if out.mode.tcp {
			c.tcpErrors++
		}
		if !c.done && (a.cause == CauseFormErr || a.cause == CauseNotImp) {
			q.degrade(ctx, c)
		} else {
			q.startNext(ctx)
		}
		return a, false
	case a.negative() && out.mode.mixedCase:
		if !c.mixedDenied {
			c.mixedDenied = true
			q.send(ctx, c, mode{})
		}
		return a, false
	case a.negative() && c.mixedDenied: // the case makes no difference to this server
	default:
		c.server.learn(out.mode, q.upstream.defaultMode())
	}
	q.upstream.prefer(c.server)
	return a, true
}

// handleTCPFailure processes a failure over TCP, or TLS.
func (q *query) handleTCPFailure(ctx context.Context, c *candidate, f *failure) {
	server := c.server.address
	switch standard := q.upstream.defaultMode(); {
	case standard.tcp:
		q.recordFailure(f)
		c.done = c.pending == 0 && (!c.mode.edns || f.cause == CauseTLS)
	case f.cause == CauseTruncated:
		q.recordFailure(f)
		c.done = c.pending == 0
	case c.truncated:
		q.recordFailure(newFailure(server, CauseTruncated, "TCP: "+f.text()))
		c.done = c.pending == 0
	case c.unreachable:
		c.done = c.pending == 0
	case c.caseLost, c.mixedDenied:
		q.send(ctx, c, mode{})
	case c.start.tcp: // the workaround does not work any more
		c.start = standard
		q.send(ctx, c, standard)
	case c.pending > 0 && c.silentTicks == 1: // no response over UDP either
		c.silentTicks++
		q.send(ctx, c, mode{})
	}
}

// tryTCP asks over TCP, which an off-path attacker cannot forge, or where TCP has failed as the C library does.
func (q *query) tryTCP(ctx context.Context, c *candidate) {
	switch {
	case c.tcp == tcpUntried:
		q.send(ctx, c, mode{tcp: true, edns: c.mode.edns})
	case c.tcp == tcpPending:
	case c.truncated:
		q.recordFailure(newFailure(c.server.address, CauseTruncated, ""))
		c.done = c.pending == 0
	case c.mode != mode{}:
		q.send(ctx, c, mode{})
	default:
		c.done = c.pending == 0
	}
}

// startNext asks one more server, after another one failed.
func (q *query) startNext(ctx context.Context) {
	for _, c := range q.candidates {
		if !c.started {
			q.start(ctx, c)
			return
		}
	}
}

// degrade asks a server again in a simpler mode than the last, which failed; when there is none, the server is done.
func (q *query) degrade(ctx context.Context, c *candidate) {
	m, standard := c.mode, q.upstream.defaultMode()
	switch {
	case c.unreachable && (standard.tcp || c.tcp != tcpUntried || c.tcpErrors > 1):
		c.done = true
		return
	case c.unreachable:
		m = mode{tcp: true, edns: m.edns && c.tcpErrors == 0}
	case m.edns:
		m.edns = false
	case m.tcp && !standard.tcp:
		m = mode{mixedCase: standard.mixedCase}
	case m.mixedCase:
		m.mixedCase = false
	default:
		c.done = true
		return
	}
	q.send(ctx, c, m)
}

// tryBeside asks a silent server in another mode while earlier attempts are still pending: a lost datagram may be all
// that is wrong.
func (q *query) tryBeside(ctx context.Context, c *candidate) {
	standard := q.upstream.defaultMode()
	const modes = 3
	c.silentTicks++
	switch step := c.silentTicks % modes; {
	case q.upstream.attempts > 0 && c.silentTicks >= modes*q.upstream.attempts || c.truncated:
	case standard.tcp:
		q.sendBeside(ctx, c, mode{tcp: true, edns: step != 1})
	case c.caseLost, c.mixedDenied, step == 2:
		q.sendBeside(ctx, c, mode{})
	case step == 0 || c.start.tcp:
		q.sendBeside(ctx, c, standard)
	default:
		q.sendBeside(ctx, c, mode{mixedCase: c.start.mixedCase})
		if c.tcp == tcpUntried {
			q.sendBeside(ctx, c, mode{tcp: true, edns: standard.edns})
		}
	}
}
