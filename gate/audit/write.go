package audit

import (
	"time"
)

// write is the one goroutine that writes: it takes what is queued and hands it to the file in as few writes as it can, so
// that many refusals at once share one.
func (l *Log) write() {
	var backlog []entry // taken from the queue and not written yet, in order
	var batch []byte
	for {
		backlog = l.take(backlog)
		if len(backlog) == 0 {
			select {
			case <-l.wake:
				continue
			case <-l.done:
				if backlog = l.take(backlog); len(backlog) == 0 {
					return
				}
			}
		}
		batch = batch[:0]
		n := 0
		for n < len(backlog) && len(batch) < maxBatch {
			if e := backlog[n]; e.refusal == nil || e.refusal.state.CompareAndSwap(queued, taken) {
				batch = append(batch, e.line...)
				n++
				continue
			}
			l.settle(backlog[n : n+1]) // its request went on without it
			backlog = append(backlog[:n], backlog[n+1:]...)
		}
		written, err := l.out.Write(batch)
		if err == nil {
			l.settle(backlog[:n])
			backlog = append(backlog[:0], backlog[n:]...)
			if l.failed.Swap(false) && l.config.Troubled != nil {
				l.config.Troubled(nil)
			}
			l.stalled.Store(false)
			continue
		}
		if !l.failed.Swap(true) && l.config.Troubled != nil {
			l.config.Troubled(err)
		}
		backlog = l.afterFailure(backlog, n, written, err)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-l.done: // one more try has been made with everything queued; the rest cannot be helped
			l.giveUp(append(backlog, l.take(nil)...))
			return
		}
	}
}

// take moves the queue behind backlog, with a gap line at its end if there is a loss that the file can be told.
func (l *Log) take(backlog []entry) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ownUp()
	backlog = append(backlog, l.queue...)
	clear(l.queue)
	l.queue = l.queue[:0]
	return backlog
}

// settle tells those who wait that their line is in the file, and makes room in the queue.
func (l *Log) settle(entries []entry) {
	l.mu.Lock()
	for _, e := range entries {
		l.lines--
		l.bytes -= len(e.line)
	}
	l.mu.Unlock()
	for _, e := range entries {
		if e.refusal != nil && e.refusal.state.Load() == taken {
			e.refusal.result <- nil
		}
	}
}

// afterFailure sorts out a write of backlog[:n] of which only the first written bytes arrived: lines that are whole in the
// file are settled, refusals among the rest fail, served lines among the rest are kept for the next try.
func (l *Log) afterFailure(backlog []entry, n, written int, err error) []entry {
	whole := 0
	for whole < n && written >= len(backlog[whole].line) {
		written -= len(backlog[whole].line)
		whole++
	}
	l.settle(backlog[:whole])
	kept := backlog[:0]
	for _, e := range backlog[whole:] {
		if e.refusal == nil {
			kept = append(kept, e)
			continue
		}
		e.refusal.state.Store(abandoned)
		l.settle([]entry{e})
		e.refusal.result <- err
	}
	return kept
}

// giveUp counts what Close could not write. Nothing can tell it any more; whoever waits is answered.
func (l *Log) giveUp(entries []entry) {
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	l.missing.Store(lost + int64(len(entries)))
	for _, e := range entries {
		if e.refusal != nil && e.refusal.state.CompareAndSwap(queued, abandoned) {
			e.refusal.result <- ErrUnavailable
		}
	}
}
