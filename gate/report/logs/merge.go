package logs

import (
	"context"
	"sync"
	"time"
)

// cursor is where the merge stands in a stream.
type cursor struct {
	*stream
	index   int
	chunk   *chunk
	next    int   // entry of the chunk
	key     int64 // time of the next entry, but never earlier than that of the one before: a clock may be set back
	started bool
}

// merge hands on records, always from the stream whose next one is the earliest, until all streams have ended.
func (r *Reader) merge(ctx context.Context, open []*cursor, depth int, readers *sync.WaitGroup,
	each func(Record) error) error {
	reported := time.Now()
	for len(open) > 0 {
		at, second := earliest(open)
		c := open[at]
		if !c.started {
			c.start(ctx, depth, readers)
		}
		ended, err := c.advance(ctx, second, r, each)
		if err != nil {
			return err
		}
		if ended {
			open = append(open[:at], open[at+1:]...)
		}
		if r.OnProgress != nil && time.Since(reported) >= 100*time.Millisecond {
			reported = time.Now()
			r.OnProgress(Progress{Read: r.read.Load(), Total: r.total, Lines: r.lines.Load()})
		}
	}
	return nil
}

// earliest finds the stream with the earliest next record, and the one behind it, which says how far the first may go;
// nil if there is none. Of two at one time the one that was named first goes first.
func earliest(open []*cursor) (at int, second *cursor) {
	for i, c := range open[1:] {
		switch {
		case c.key < open[at].key:
			second, at = open[at], i+1
		case second == nil || c.key < second.key:
			second = c
		}
	}
	return at, second
}

func (c *cursor) start(ctx context.Context, depth int, readers *sync.WaitGroup) {
	c.started = true
	c.free, c.filled = make(chan *chunk, depth), make(chan *chunk, depth)
	for range depth {
		c.free <- &chunk{done: make(chan struct{}, 1)}
	}
	readers.Go(func() { c.stream.run(ctx) })
}

// advance hands on the records before the next one of second, at most those of one chunk, and says whether the stream
// has ended.
func (c *cursor) advance(ctx context.Context, second *cursor, r *Reader,
	each func(Record) error) (ended bool, err error) {
	if c.chunk == nil {
		if ended, err := c.receive(ctx); ended || err != nil {
			return ended, err
		}
		r.addChunk(c.index, c.chunk)
	}
	entries := c.chunk.entries
	for ; c.next < len(entries); c.next++ {
		e := &entries[c.next]
		c.key = max(c.key, e.at)
		if second != nil && (c.key > second.key || c.key == second.key && c.index > second.index) {
			return false, nil
		}
		if err := each(Record{e, c.chunk}); err != nil {
			return false, err
		}
	}
	c.free <- c.chunk
	c.chunk, c.next = nil, 0
	return false, nil
}

// receive waits for the stream's next chunk, parsed.
func (c *cursor) receive(ctx context.Context) (ended bool, err error) {
	select {
	case next, ok := <-c.filled:
		if !ok {
			return true, ctx.Err()
		}
		c.chunk = next
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case <-c.chunk.done:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return false, nil
}
