package verify

import (
	"context"
	"slices"
	"sync"
	"time"
)

// query is one question on its way to an answer: attempts at one or more servers, in one or more manners, of which the
// first that settles it counts, however late it comes. It is used once, by one goroutine.
//
// A server is first asked as well as can be: over UDP with EDNS(0) and the letters of the name in mixed case, or as it
// is remembered to answer. Where that does not do, the next attempt asks less of it, down to what the C library asks:
//
//   - an error (SERVFAIL, REFUSED and their like, or a response that says nothing): the other servers first, then
//     without EDNS(0), then with the name as it is. FORMERR, NOTIMP and BADVERS: the same server, at once.
//   - the case of the name is not kept, or the response is truncated: over TCP. Only if that fails too is the name
//     asked for as it is, with an id and a port by chance.
//   - "no such name" or "no such records" to a name in mixed case: the name as it is, because some servers know no
//     other. Only that response denies anything.
//   - silence: the next server, and the same one without EDNS(0) and over TCP; then with the name as it is; then again.
//     Earlier attempts are still listened to. While many lookups wait for silent servers, each tries less of this.
//
// But for silence, a forged response has to have the id and come from the server's address to the right port before any
// of this happens, or 16 of them have to come to that port alone. So whoever cannot read the traffic needs about as many
// guesses for making a query easier to forge as for forging one that the C library asks, and then has that still before
// him. Silence, also that of a slow server, leads to attempts that are each as easy to forge as one of the C
// library's, and a server that such an attempt works with is asked like that for a while, see habit.
type query struct {
	resolver *Resolver
	from     *upstream
	name     string // in presentation form, fully qualified
	qtype    uint16
	note     func(*trouble) // told what is waited for, or what went wrong

	candidates []*candidate
	outcomes   chan outcome
	running    sync.WaitGroup
	started    time.Time
	waves      int      // that have been
	sent       int      // attempts
	pending    int      // attempts without an outcome
	trouble    *trouble // the one that says most; nil: none yet
}

// candidate is a server as one query sees it.
type candidate struct {
	server *server
	start  manner
	how    manner // of the latest attempt

	begun     bool
	done      bool // nothing is left to try
	pending   int  // attempts without an outcome
	since     int  // the wave that it was asked first in
	waves     int  // for how many it was silent
	tcp       tcpState
	vain      int  // responses over TCP that say nothing
	truncated bool // over UDP
	folded    bool // the case of the name is not kept, or others answer
	denied    bool // a name in mixed case got a "no"
	closed    bool // nobody listens
}

// tcpState is how far TCP has been tried.
type tcpState uint8

const (
	tcpUntried tcpState = iota
	tcpPending
	tcpFailed
)

const (
	udpPace        = 300 * time.Millisecond // of silence before something else is tried
	tcpPace        = time.Second
	attemptsAtMost = 20 // of one query, at all servers together: each keeps a socket until the query ends
	ownAttempts    = 3  // at a time, of one query, to which others may be added …
	sharedAttempts = 32 // … as long as no more of all queries of a Resolver are under way
)

// strays is the detail of trouble with messages that do not belong to the question.
const strays = "responses to other questions"

// ask puts a question to the servers and returns what the best response says. Its kind is readingNothing only with
// trouble.
func (l *lookup) ask(ctx context.Context, name string, qtype uint16) (reading, *trouble) {
	from := l.resolver.upstream()
	if from == nil || len(from.servers) == 0 {
		return reading{}, troubleAt("", CauseResolver, "")
	}
	ctx, cancel := from.bound(ctx)
	q := &query{
		resolver: l.resolver, from: from, name: name, qtype: qtype, note: l.note,
		outcomes: make(chan outcome, attemptsAtMost), started: time.Now(),
	}
	for _, s := range from.order() {
		start := s.manner(from.usual())
		q.candidates = append(q.candidates, &candidate{server: s, start: start, how: start})
	}
	r, settled := q.run(ctx)
	cancel()
	q.running.Wait() // its attempts end with ctx
	if settled {
		return r, nil
	}
	return reading{}, q.why()
}

func (q *query) run(ctx context.Context) (r reading, settled bool) {
	q.begin(ctx, q.candidates[0])
	timer := time.NewTimer(q.pace(1))
	defer timer.Stop()
	for wave := 1; q.pending > 0 && !q.exhausted(); {
		select {
		case out := <-q.outcomes:
			q.pending--
			out.to.pending--
			if r, settled = q.hear(ctx, out); settled {
				return r, true
			}
			q.advance(ctx)
			timer.Reset(q.pace(wave)) // no silence
		case <-timer.C:
			q.wave(ctx, wave)
			wave++
			timer.Reset(q.pace(wave))
		case <-ctx.Done():
			return reading{}, false
		}
	}
	return reading{}, false
}

// exhausted reports whether no server is left that may say more.
func (q *query) exhausted() bool {
	return !slices.ContainsFunc(q.candidates, func(c *candidate) bool { return !c.done })
}

// why is the trouble of a query that ended without an answer. What was on its way at the end may say more than silence
// does.
func (q *query) why() *trouble {
	for q.pending > 0 {
		select {
		case out := <-q.outcomes:
			q.pending--
			if out.trouble != nil {
				q.record(out.trouble)
			}
			continue
		default:
		}
		break
	}
	if q.trouble == nil {
		return troubleAt(q.candidates[0].server.address, CauseTimeout, "")
	}
	return q.trouble
}

func (q *query) record(t *trouble) {
	if t.tells(q.trouble) {
		q.trouble = t
		q.note(t)
	}
}

// pace is how long silence lasts before that wave.
func (q *query) pace(wave int) time.Duration {
	unit := udpPace
	if q.from.usual().tcp {
		unit = tcpPace
	}
	if most := q.from.timeout; most > 0 {
		waves := max(3, (most+unit-1)/unit)
		return (most + waves - 1) / waves // so that one of the waves is when the next server's turn comes
	}
	unit = q.candidates[0].server.patience(unit)
	switch {
	case wave <= 2:
		return unit
	case wave == 3:
		return 2 * unit
	default:
		return 3 * unit
	}
}

// wave is called when nothing has settled the query for a while: one more server is asked, silent ones are asked in
// another manner, and those that failed get another chance.
func (q *query) wave(ctx context.Context, wave int) {
	begin := wave // index of the last server that may be asked
	if q.from.timeout > 0 {
		begin = int(time.Since(q.started) / q.from.timeout)
	}
	q.waves = wave
	begun := false
	for _, c := range q.candidates[:min(begin+1, len(q.candidates))] {
		if !c.begun {
			q.begin(ctx, c)
			begun = true
			break
		}
	}
	for _, c := range q.candidates {
		switch {
		case c.done || !c.begun:
		case c.pending == 0:
			q.degrade(ctx, c)
		case begun && wave-c.since < 2: // the next server first
		case wave > c.since:
			q.hasten(ctx, c)
		}
	}
}

// advance is called after each outcome. When nothing is under way it tries what is left, a server after the other.
func (q *query) advance(ctx context.Context) {
	for q.pending == 0 {
		var next *candidate
		for _, c := range q.candidates {
			if !c.done && (next == nil || !c.begun && next.begun) {
				next = c
			}
		}
		switch {
		case next == nil:
			return
		case !next.begun:
			q.begin(ctx, next)
		default:
			q.degrade(ctx, next)
		}
	}
}

func (q *query) begin(ctx context.Context, c *candidate) {
	c.begun, c.since = true, q.waves
	q.send(ctx, c, c.start)
}

// sendBeside makes an attempt beside others that a server is silent to. While the servers answer nobody, most queries have to
// do with few of them, or lookups would take the files that the process needs to serve.
func (q *query) sendBeside(ctx context.Context, c *candidate, how manner) {
	shared := q.pending >= ownAttempts && q.sent < attemptsAtMost
	if shared && q.resolver.shared.Add(1) > sharedAttempts {
		q.resolver.shared.Add(-1)
		return
	}
	q.attempt(ctx, c, how, shared)
}

func (q *query) send(ctx context.Context, c *candidate, how manner) { q.attempt(ctx, c, how, false) }

// attempt makes an attempt, in a goroutine of its own.
func (q *query) attempt(ctx context.Context, c *candidate, how manner, shared bool) {
	if q.sent == attemptsAtMost {
		c.done = c.pending == 0
		return
	}
	q.sent++
	q.pending++
	c.pending++
	if how.tcp {
		c.tcp = tcpPending
	}
	if !how.tcp || c.start.tcp {
		c.how = how
	}
	if q.sent == 1 {
		q.note(troubleAt(c.server.address, CauseTimeout, ""))
	}
	a := attempt{to: c, how: how, sent: time.Now()}
	q.running.Go(func() {
		out := q.exchange(ctx, a)
		if shared {
			q.resolver.shared.Add(-1)
		}
		q.outcomes <- out
	})
}
