package verify

import (
	"context"
	"slices"
	"sync"
	"time"
)

// query is one question and the attempts to get it answered: at one or more servers, in one or more modes. The first
// answer counts, however late it comes. A query is used once, by one goroutine.
//
// A server is first asked in the default mode, over UDP with EDNS(0) and the letters of the name in mixed case, or with
// the workaround that is known for it. Where that fails, the next attempt asks for less, down to what the C library
// sends:
//
//   - an error (SERVFAIL, REFUSED and the like, or a response that says nothing): the other servers first, then
//     without EDNS(0), then with the name in its own case. FORMERR, NOTIMP and BADVERS: the same server, at once.
//   - the case of the name is not kept, or the response is truncated: over TCP. Only if that fails too is the name
//     asked for in its own case, with a random id and port.
//   - a negative answer to a name in mixed case: the name in its own case, because some servers know no other. Only
//     that answer counts.
//   - silence: the next server, and the same one without EDNS(0) and over TCP; then with the name in its own case; then
//     again. Earlier attempts are still waited for. While many lookups wait for silent servers, each tries less of
//     this.
//
// Except after silence, a forged response must have the right id, address and port to cause any of this, or 16 of them
// must reach that port. So an off-path attacker needs about as many guesses to make a query easier to forge as to forge
// one of the C library's, and has then still that to do. Silence, also that of a slow server, leads to attempts that
// are each as easy to forge as one of the C library's; if one of them works, it becomes the server's workaround for a
// while.
type query struct {
	resolver   *Resolver
	upstream   *upstream
	name       string // in presentation form, fully qualified
	qtype      uint16
	onProgress func(*failure) // called with what is waited for, or what went wrong

	candidates []*candidate
	outcomes   chan outcome
	running    sync.WaitGroup
	started    time.Time
	ticks      int      // of the silence timer so far
	sent       int      // attempts
	pending    int      // attempts without an outcome
	failure    *failure // the one that says most; nil: none yet
}

// candidate is a server as one query sees it.
type candidate struct {
	server *server
	start  mode
	mode   mode // of the latest attempt

	started     bool
	done        bool // nothing is left to try
	pending     int  // attempts without an outcome
	firstTick   int  // the tick at which it was asked first
	silentTicks int  // ticks at which it owed a response
	tcp         tcpState
	tcpErrors   int  // error responses over TCP
	truncated   bool // over UDP
	caseLost    bool // a response had the name in another case, or others respond in its place
	mixedDenied bool // a name in mixed case got a negative answer
	unreachable bool // nobody listens
}

// tcpState is how far TCP has been tried.
type tcpState uint8

const (
	tcpUntried tcpState = iota
	tcpPending
	tcpFailed
)

const (
	udpInterval       = 300 * time.Millisecond // of silence before something else is tried
	tcpInterval       = time.Second
	maxAttempts       = 20 // of one query, at all servers together: each keeps a socket until the query ends
	ownAttempts       = 3  // at a time, of one query, to which others may be added …
	maxSharedAttempts = 32 // … as long as no more of all queries of a Resolver are under way
)

// strayDetail is the detail of a failure by messages that are no response to the query.
const strayDetail = "responses to other questions"

// ask asks the servers and returns the answer. Its kind is answerNone only with a failure.
func (l *lookup) ask(ctx context.Context, name string, qtype uint16) (answer, *failure) {
	u := l.resolver.upstream()
	if u == nil || len(u.servers) == 0 {
		return answer{}, newFailure("", CauseResolver, "")
	}
	ctx, cancel := u.withTimeout(ctx)
	q := &query{
		resolver: l.resolver, upstream: u, name: name, qtype: qtype, onProgress: l.setProgress,
		outcomes: make(chan outcome, maxAttempts), started: time.Now(),
	}
	for _, s := range u.order() {
		start := s.firstMode(u.defaultMode())
		q.candidates = append(q.candidates, &candidate{server: s, start: start, mode: start})
	}
	a, answered := q.run(ctx)
	cancel()
	q.running.Wait() // the attempts end with ctx
	if answered {
		return a, nil
	}
	return answer{}, q.finalFailure()
}

func (q *query) run(ctx context.Context) (a answer, answered bool) {
	q.start(ctx, q.candidates[0])
	timer := time.NewTimer(q.interval(1))
	defer timer.Stop()
	for tick := 1; q.pending > 0 && !q.exhausted(); {
		select {
		case out := <-q.outcomes:
			q.pending--
			out.to.pending--
			if a, answered = q.handle(ctx, out); answered {
				return a, true
			}
			q.tryRest(ctx)
			timer.Reset(q.interval(tick)) // this was no silence
		case <-timer.C:
			q.onSilence(ctx, tick)
			tick++
			timer.Reset(q.interval(tick))
		case <-ctx.Done():
			return answer{}, false
		}
	}
	return answer{}, false
}

// exhausted reports whether no server is left that may say more.
func (q *query) exhausted() bool {
	return !slices.ContainsFunc(q.candidates, func(c *candidate) bool { return !c.done })
}

// finalFailure is why a query ended without an answer. An outcome that was on its way at the end may say more than
// silence does.
func (q *query) finalFailure() *failure {
	for q.pending > 0 {
		select {
		case out := <-q.outcomes:
			q.pending--
			if out.failure != nil {
				q.recordFailure(out.failure)
			}
			continue
		default:
		}
		break
	}
	if q.failure == nil {
		return newFailure(q.candidates[0].server.address, CauseTimeout, "")
	}
	return q.failure
}

func (q *query) recordFailure(f *failure) {
	if f.saysMoreThan(q.failure) {
		q.failure = f
		q.onProgress(f)
	}
}

// interval is how long silence lasts before that tick.
func (q *query) interval(tick int) time.Duration {
	unit := udpInterval
	if q.upstream.defaultMode().tcp {
		unit = tcpInterval
	}
	if timeout := q.upstream.timeout; timeout > 0 {
		ticks := max(3, (timeout+unit-1)/unit)
		return (timeout + ticks - 1) / ticks // so that one of the ticks is when the next server's turn comes
	}
	unit = q.candidates[0].server.silenceTimeout(unit)
	switch {
	case tick <= 2:
		return unit
	case tick == 3:
		return 2 * unit
	default:
		return 3 * unit
	}
}

// onSilence is called when no outcome came for an interval: one more server is asked, silent ones are asked in another
// mode, and those that failed get another chance.
func (q *query) onSilence(ctx context.Context, tick int) {
	last := tick // index of the last server that may be asked
	if q.upstream.timeout > 0 {
		last = int(time.Since(q.started) / q.upstream.timeout)
	}
	q.ticks = tick
	startedOne := false
	for _, c := range q.candidates[:min(last+1, len(q.candidates))] {
		if !c.started {
			q.start(ctx, c)
			startedOne = true
			break
		}
	}
	for _, c := range q.candidates {
		switch {
		case c.done || !c.started:
		case c.pending == 0:
			q.degrade(ctx, c)
		case startedOne && tick-c.firstTick < 2: // the next server first
		case tick > c.firstTick:
			q.tryBeside(ctx, c)
		}
	}
}

// tryRest is called after each outcome. When no attempt is pending it tries what is left, one server after the other.
func (q *query) tryRest(ctx context.Context) {
	for q.pending == 0 {
		var next *candidate
		for _, c := range q.candidates {
			if !c.done && (next == nil || !c.started && next.started) {
				next = c
			}
		}
		switch {
		case next == nil:
			return
		case !next.started:
			q.start(ctx, next)
		default:
			q.degrade(ctx, next)
		}
	}
}

func (q *query) start(ctx context.Context, c *candidate) {
	c.started, c.firstTick = true, q.ticks
	q.send(ctx, c, c.start)
}

// sendBeside makes an attempt beside others that are pending at the same server. It makes none while too many are: if
// the servers are down, lookups must not take the file descriptors that the process needs to serve.
func (q *query) sendBeside(ctx context.Context, c *candidate, m mode) {
	shared := q.pending >= ownAttempts && q.sent < maxAttempts
	if shared && q.resolver.sharedAttempts.Add(1) > maxSharedAttempts {
		q.resolver.sharedAttempts.Add(-1)
		return
	}
	q.attempt(ctx, c, m, shared)
}

func (q *query) send(ctx context.Context, c *candidate, m mode) { q.attempt(ctx, c, m, false) }

// attempt makes an attempt, in a goroutine of its own.
func (q *query) attempt(ctx context.Context, c *candidate, m mode, shared bool) {
	if q.sent == maxAttempts {
		c.done = c.pending == 0
		return
	}
	q.sent++
	q.pending++
	c.pending++
	if m.tcp {
		c.tcp = tcpPending
	}
	if !m.tcp || c.start.tcp {
		c.mode = m
	}
	if q.sent == 1 {
		q.onProgress(newFailure(c.server.address, CauseTimeout, ""))
	}
	a := attempt{to: c, mode: m, sent: time.Now()}
	q.running.Go(func() {
		out := q.exchange(ctx, a)
		if shared {
			q.resolver.sharedAttempts.Add(-1)
		}
		q.outcomes <- out
	})
}
