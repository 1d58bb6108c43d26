package audit

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Bounds of the queue between requests and the file. What is being written counts as queued.
const (
	maxQueueLines = 16384
	maxQueueBytes = 16 << 20
	keepQueue     = 4 << 20 // memory that an empty queue holds on to

	ordinaryLines = maxQueueLines / 4 * 3 // what ordinary lines may take of it
	ordinaryBytes = maxQueueBytes / 4 * 3

	gapEvery = time.Second // at the most
)

// queue is lines on their way to the file, end to end in one piece of memory.
type queue struct {
	text    []byte
	tickets []ticket // one a line, in their order
}

// ticket is what the writer has to know of a line.
type ticket struct {
	end      int      // of the line in text
	head     int      // length of the line up to the place of its number
	missing  uint64   // a gap line: the numbers that miss before it
	refusal  *refusal // nil: nobody waits
	ordinary bool     // neither an event nor of a proved crawler
}

// missed is what a gap line tells of.
type missed struct {
	lost, leftOut uint64
	since         time.Time  // of the first of them
	network       netip.Addr // of the first that was left out
}

func (m *missed) none() bool { return m.lost+m.leftOut == 0 }

func (q *queue) add(line []byte, m ticket) {
	q.text = append(q.text, line...)
	m.end = len(q.text)
	q.tickets = append(q.tickets, m)
}

// line is the text of the i-th line.
func (q *queue) line(i int) []byte {
	from := 0
	if i > 0 {
		from = q.tickets[i-1].end
	}
	return q.text[from:q.tickets[i].end]
}

// empty makes room for other lines. Memory that a rush took is given back.
func (q *queue) empty() {
	clear(q.tickets)
	q.text, q.tickets = q.text[:0], q.tickets[:0]
	if cap(q.text) > keepQueue {
		*q = queue{}
	}
}

// refusal is the wait for one line: whoever settles it first decides what became of it.
type refusal struct {
	state  atomic.Uint32 // queued, taken or abandoned
	result chan error    // buffered
}

const (
	queued uint32 = iota
	taken
	abandoned
)

// refuse answers whoever waits for the line with an error, unless that has been settled.
func (t *ticket) refuse(err error) {
	if t.refusal != nil && t.refusal.state.Swap(abandoned) != abandoned {
		t.refusal.result <- err
	}
}

// enqueue queues a line, unless there is no room, and wakes the writer where that is needed: for the first line and for
// whatever cannot wait for the writer's rest.
func (l *Log) enqueue(line []byte, m ticket, at time.Time) bool {
	lines, bytes := maxQueueLines, maxQueueBytes
	if m.ordinary {
		lines, bytes = ordinaryLines, ordinaryBytes
	}
	l.mu.Lock()
	if l.closed || l.lines >= lines || l.bytes >= bytes {
		if m.refusal == nil && !l.closed {
			if l.missed.none() {
				l.missed.since = at
			}
			l.missed.lost++
			l.stats.LostLines++
		}
		l.mu.Unlock()
		return false
	}
	first := len(l.queue.tickets) == 0
	l.queue.add(line, m)
	l.lines++
	l.bytes += len(line)
	urgent := m.refusal != nil || len(l.queue.text) >= maxBatch
	l.mu.Unlock()
	if first {
		signal(l.wake)
	}
	if urgent {
		signal(l.hurry)
	}
	return true
}

// leaveOut counts a line that its client's network may not have any more.
func (l *Log) leaveOut(client netip.Addr, at time.Time) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	first := l.missed.none()
	if first {
		l.missed.since = at
	}
	if l.missed.leftOut == 0 {
		l.missed.network = client
	}
	l.missed.leftOut++
	l.stats.LeftOutLines++
	l.mu.Unlock()
	if first {
		signal(l.wake)
	}
}

// signal leaves a token, if there is none yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take hands over what is queued, in exchange for an empty queue. A file that takes lines again first hears of those
// that were lost or left out, once a second while there are more. Where they wait for that, next is how long.
func (l *Log) take(spare queue) (full queue, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.missed.none() && !l.failed.Load() && !l.stalled.Load() {
		if next = gapEvery - time.Since(l.gapAt); next <= 0 || l.closed {
			l.gap()
			next = 0
		}
	}
	full = l.queue
	l.queue = spare
	return full, next
}

// gap queues the line that tells of those which miss. The caller holds mu.
func (l *Log) gap() {
	m := l.missed
	fields := Fields{"since": m.since}
	if m.lost > 0 {
		fields["lost"] = m.lost
	}
	if m.leftOut > 0 {
		fields["left_out"] = m.leftOut
		if of := network(m.network); of.IsValid() {
			fields["network"] = of.String()
		}
	}
	e := l.encoders.Get().(*encoder)
	line, head := e.event(l.config.Now(), "gap", fields)
	l.queue.add(line, ticket{head: head, missing: m.lost + m.leftOut})
	l.lines++
	l.bytes += len(line)
	l.encoders.Put(e)
	l.missed, l.gapAt = missed{}, time.Now()
	l.stats.Gaps++
}
