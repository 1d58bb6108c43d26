package audit

import (
	"strconv"
	"time"
)

// Bounds of the writer's work.
const (
	maxBatch = 256 << 10            // what one write carries at the most, in bytes, give or take a line
	rest     = 5 * time.Millisecond // the longest a served request's line waits for others to share its write
	retry    = 200 * time.Millisecond
)

// writer is the one goroutine that writes: it takes what is queued and hands it to the file in as few writes as it can.
// Many refusals at once share a write; lines that nobody waits for are collected for a moment.
type writer struct {
	*Log
	work   queue    // taken from the log's queue
	next   int      // the first line of work that is not in the file
	seq    uint64   // of the last line in the file
	batch  []byte   // one write
	placed []placed // the lines in batch
}

// placed is a line in a batch.
type placed struct {
	mark int    // its place in work
	end  int    // in batch
	seq  uint64 // its number
}

func (l *Log) write() {
	w := &writer{Log: l}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	last := false // the try that is made when the log is closed
	for {
		if w.next == len(w.work.tickets) && !w.refill() {
			return
		}
		w.compose()
		if len(w.placed) == 0 { // only refusals that were given up
			w.confirm(0)
			l.stalled.Store(false)
			continue
		}
		written, err := l.out.Write(w.batch)
		if err == nil {
			vain := l.out.keepsNothing()
			if l.failed.Swap(vain != nil) != (vain != nil) {
				l.trouble(writing, vain)
			}
			if vain != nil {
				w.refuseAll(vain)
			}
			w.confirm(len(w.placed))
			l.stalled.Store(false)
			timer.Reset(rest)
			select {
			case <-l.hurry:
			case <-timer.C:
			case <-l.done:
			}
			continue
		}
		w.fail(written, err)
		select {
		case <-time.After(retry):
		case <-l.done:
			if last { // the rest cannot be helped
				w.giveUp()
				return
			}
			last = true
		}
	}
}

// refill waits for lines and takes them all. It returns false when the log is closed and none are left.
func (w *writer) refill() bool {
	for {
		w.work.empty()
		w.next = 0
		var wait time.Duration
		if w.work, wait = w.take(w.work); len(w.work.tickets) > 0 {
			return true
		}
		var gap <-chan time.Time
		if wait > 0 {
			gap = time.After(wait)
		}
		select {
		case <-w.wake:
		case <-w.hurry:
		case <-gap:
		case <-w.done:
			w.work, _ = w.take(w.work)
			return len(w.work.tickets) > 0
		}
	}
}

// compose puts lines into a batch and numbers into the lines. Those of refusals that were given up are left out.
func (w *writer) compose() {
	w.batch, w.placed = w.batch[:0], w.placed[:0]
	seq := w.seq
	for i := w.next; i < len(w.work.tickets) && len(w.batch) < maxBatch; i++ {
		m, line := &w.work.tickets[i], w.work.line(i)
		if m.refusal != nil && !m.refusal.state.CompareAndSwap(queued, taken) {
			continue
		}
		seq += m.missing + 1
		w.batch = append(w.batch, line[:m.head]...)
		w.batch = strconv.AppendUint(w.batch, seq, 10)
		w.batch = append(w.batch, line[m.head:]...)
		w.placed = append(w.placed, placed{i, len(w.batch), seq})
	}
}

// confirm takes note that the first n lines of the batch are in the file, and tells those who wait for one of them.
func (w *writer) confirm(n int) {
	bytes, next := 0, len(w.work.tickets)
	if n > 0 {
		bytes, w.seq = w.placed[n-1].end, w.placed[n-1].seq
	}
	if n < len(w.placed) {
		next = w.placed[n].mark
	} else if n > 0 && len(w.batch) >= maxBatch {
		next = w.placed[n-1].mark + 1
	}
	gone := 0
	for i := w.next; i < next; i++ {
		gone += len(w.work.line(i))
	}
	w.Log.dequeue(next-w.next, gone, n, bytes)
	w.next = next
	for _, p := range w.placed[:n] {
		if r := w.work.tickets[p.mark].refusal; r != nil && r.state.Load() != abandoned {
			r.result <- nil
		}
	}
}

// dequeue counts lines out of the queue, and those of them that are in the file.
func (l *Log) dequeue(lines, bytes, written, writtenBytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines -= lines
	l.bytes -= bytes
	l.stats.WrittenLines += uint64(written)
	l.stats.WrittenBytes += uint64(writtenBytes)
}

// fail sorts out a write of which only the first bytes arrived: lines that are whole in the file are settled, refusals
// among the rest and in the queue fail, served lines are kept for the next try. A line of which only the end is missing
// must not come again, for the next write begins with its end; but nobody is refused on it.
func (w *writer) fail(written int, err error) {
	whole := 0
	for whole < len(w.placed) && w.placed[whole].end <= written {
		whole++
	}
	if whole < len(w.placed) && w.placed[whole].end == written+1 {
		m := &w.work.tickets[w.placed[whole].mark]
		m.refuse(err)
		m.refusal = nil
		whole++
	}
	w.confirm(whole)
	first := !w.failed.Swap(true) // from here on no refusal enters the queue
	w.mu.Lock()
	w.stats.Failures++
	w.mu.Unlock()
	w.refuseAll(err)
	if first {
		w.trouble(writing, err)
	}
}

// refuseAll answers all who wait for a line that is not in the file.
func (w *writer) refuseAll(err error) {
	w.mu.Lock()
	waiting := append(w.work.tickets[w.next:len(w.work.tickets):len(w.work.tickets)], w.queue.tickets...)
	w.mu.Unlock()
	for i := range waiting {
		waiting[i].refuse(err)
	}
}

// giveUp counts what Close could not write. Nothing can tell it any more; whoever waits is answered.
func (w *writer) giveUp() {
	w.mu.Lock()
	tickets := append(w.work.tickets[w.next:len(w.work.tickets):len(w.work.tickets)], w.queue.tickets...)
	missing := w.missed.lost
	w.mu.Unlock()
	for _, m := range tickets {
		switch {
		case m.refusal == nil:
			missing += m.missing + 1
		case m.refusal.state.CompareAndSwap(queued, abandoned):
			m.refusal.result <- ErrUnavailable
		}
	}
	w.missing.Store(missing)
}
