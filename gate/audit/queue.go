package audit

import (
	"sync/atomic"
	"time"
)

// Bounds of the queue between requests and the file. What is being written counts as queued.
const (
	maxQueueLines = 16384
	maxQueueBytes = 16 << 20
	keepQueue     = 4 << 20 // memory that an empty queue holds on to
)

// queue is lines on their way to the file, end to end in one piece of memory.
type queue struct {
	text    []byte
	tickets []ticket // one a line, in their order
}

// ticket is what the writer has to know of a line.
type ticket struct {
	end     int      // of the line in text
	head    int      // length of the line up to the place of its number
	lost    uint64   // a gap line: the lines that are lost before it
	refusal *refusal // nil: nobody waits
}

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
func (m *ticket) refuse(err error) {
	if m.refusal != nil && m.refusal.state.Swap(abandoned) != abandoned {
		m.refusal.result <- err
	}
}

// enqueue queues a line, unless there is no room, and wakes the writer where that is needed: for the first line and for
// whatever cannot wait for the writer's rest.
func (l *Log) enqueue(line []byte, m ticket, at time.Time) bool {
	l.mu.Lock()
	if l.closed || l.lines >= maxQueueLines || l.bytes >= maxQueueBytes {
		if m.refusal == nil && !l.closed {
			if l.lost == 0 {
				l.since = at
			}
			l.lost++
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

// signal leaves a token, if there is none yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take hands over what is queued, in exchange for an empty queue. A file that takes lines again first hears of those
// that were lost.
func (l *Log) take(spare queue) queue {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost > 0 && !l.failed.Load() && !l.stalled.Load() {
		e := l.encoders.Get().(*encoder)
		line, head := e.event(l.config.Now(), "gap", Fields{"lost": l.lost, "since": l.since})
		l.queue.add(line, ticket{head: head, lost: l.lost})
		l.lines++
		l.bytes += len(line)
		l.encoders.Put(e)
		l.lost = 0
		l.stats.Gaps++
	}
	full := l.queue
	l.queue = spare
	return full
}
