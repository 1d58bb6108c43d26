package report

import (
	"context"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// reading reads sources: one goroutine a stream cuts them into chunks, workers parse chunks, and the caller's goroutine
// gets the events of all streams in the order of time. What it holds is bounded by the streams that overlap in time, never
// by the number of lines.
type reading struct {
	question *Question
	filter   *filter
	selects  bool
	total    int64 // bytes of all files; 0: not known
	chunk    int   // bytes of a chunk; 0: as fits the number of sources
	lines    atomic.Int64
	read     atomic.Int64
	boots    *boots     // what was read so far; the caller's goroutine's
	sites    sitesSeen  // where one site is asked for; complete when the reading has ended
	again    *collector // parses a chunk again in which lines stand that were read before
}

// receiver takes what was read, in order, on one goroutine.
type receiver interface {
	began(source int, c *chunk)     // a chunk's turn has come: its counts
	event(c *chunk, e *event) error // the next event of all sources
}

// head is where the merge stands in a stream.
type head struct {
	*stream
	index   int
	chunk   *chunk
	next    int   // event of the chunk
	key     int64 // time of the next event, but never earlier than that of the one before: a clock may be set back
	started bool
}

// run reads all sources to their end and closes them.
func (r *reading) run(ctx context.Context, sources []*Source, to receiver) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers, readers sync.WaitGroup
	count := r.question.Workers
	if count <= 0 {
		count = runtime.GOMAXPROCS(0)
	}
	jobs := make(chan *chunk, count)
	seed := maphash.MakeSeed()
	all := make([]*collector, count)
	for i := range all {
		w := &collector{filter: r.filter, seed: seed, selects: r.selects, open: map[uint64]uint32{}}
		all[i] = w
		workers.Go(func() {
			for c := range jobs {
				w.collect(c)
				r.lines.Add(c.lines)
				c.done <- struct{}{}
			}
		})
	}
	r.boots = newBoots()
	r.again = &collector{filter: r.filter, seed: seed, selects: r.selects, open: map[uint64]uint32{}, seen: r.boots}
	heads := make([]*head, len(sources))
	r.total = total(sources)
	for i, s := range sources {
		heads[i] = &head{stream: &stream{source: s, size: r.size(len(sources)), jobs: jobs, read: &r.read}, index: i, key: s.first}
	}
	err := r.merge(ctx, heads, count+2, &readers, to)
	cancel()
	closeSources(sources)
	if err != nil { // a reader may hang in a stream that brings nothing; it ends with it
		go func() { readers.Wait(); close(jobs) }()
		return err
	}
	readers.Wait()
	close(jobs)
	workers.Wait()
	for _, w := range append(all, r.again) {
		r.sites.add(&w.others)
	}
	return nil
}

// total is how long all files are together; 0 if one is a stream.
func total(sources []*Source) (n int64) {
	for _, s := range sources {
		for _, p := range s.parts {
			if p.size < 0 {
				return 0
			}
			n += p.size
		}
	}
	return n
}

// size is that of a chunk: what all sources hold at once is bounded.
func (r *reading) size(sources int) int {
	switch {
	case r.chunk > 0:
		return r.chunk
	case sources <= 8:
		return 1 << 20
	case sources <= 64:
		return 256 << 10
	}
	return 64 << 10
}

// merge hands on events, always from the stream whose next one is the earliest, until all streams have ended.
func (r *reading) merge(ctx context.Context, open []*head, depth int, readers *sync.WaitGroup, to receiver) error {
	told := time.Now()
	for len(open) > 0 {
		at, second := first(open)
		h := open[at]
		if !h.started {
			h.start(ctx, depth, readers)
		}
		ended, err := h.advance(ctx, second, r, to)
		if err != nil {
			return err
		}
		if ended {
			open = append(open[:at], open[at+1:]...)
		}
		if p := r.question.Progress; p != nil && time.Since(told) >= 100*time.Millisecond {
			told = time.Now()
			p(Progress{Read: r.read.Load(), Total: r.total, Lines: r.lines.Load()})
		}
	}
	return nil
}

// first finds the stream with the earliest next event, and the one behind it, which says how far the first may go; nil if
// there is none. Of two at one time the one that was named first goes first.
func first(open []*head) (at int, second *head) {
	for i, h := range open[1:] {
		switch {
		case h.key < open[at].key:
			second, at = open[at], i+1
		case second == nil || h.key < second.key:
			second = h
		}
	}
	return at, second
}

func (h *head) start(ctx context.Context, depth int, readers *sync.WaitGroup) {
	h.started = true
	h.free, h.filled = make(chan *chunk, depth), make(chan *chunk, depth)
	for range depth {
		h.free <- &chunk{done: make(chan struct{}, 1)}
	}
	readers.Go(func() { h.stream.run(ctx) })
}

// advance hands on the events before the next one of second, at the most those of one chunk, and says whether the stream
// has ended.
func (h *head) advance(ctx context.Context, second *head, r *reading, to receiver) (ended bool, err error) {
	if h.chunk == nil {
		if ended, err := h.receive(ctx); ended || err != nil {
			return ended, err
		}
		r.number(h.chunk)
		to.began(h.index, h.chunk)
	}
	events := h.chunk.events
	for ; h.next < len(events); h.next++ {
		e := &events[h.next]
		h.key = max(h.key, e.at)
		if second != nil && (h.key > second.key || h.key == second.key && h.index > second.index) {
			return false, nil
		}
		if err := to.event(h.chunk, e); err != nil {
			return false, err
		}
	}
	h.free <- h.chunk
	h.chunk, h.next = nil, 0
	return false, nil
}

// number notes the lines of a chunk, and takes those out of it that were read before. That is seldom, so the workers do not
// look: such a chunk is parsed again.
func (r *reading) number(c *chunk) {
	if r.boots.repeats(c) {
		r.again.collect(c)
	}
	r.boots.chunk(c)
}

// receive waits for the stream's next chunk, parsed.
func (h *head) receive(ctx context.Context) (ended bool, err error) {
	select {
	case c, ok := <-h.filled:
		if !ok {
			return true, ctx.Err()
		}
		h.chunk = c
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case <-h.chunk.done:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return false, nil
}
