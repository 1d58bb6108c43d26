package logs

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// errStopped ends a reading whose records nobody wants any more.
var errStopped = errors.New("stopped")

// Reader reads logs once, to their end, and closes them. One goroutine a source cuts it into chunks, workers parse
// chunks, and the caller's goroutine gets the records of all sources in the order of their time; the order within a
// source is kept. It is for one reading: CrawlerRecords or Select is ranged over once.
type Reader struct {
	Sources []*Source
	Query   Query

	Workers    int            // that parse; 0: GOMAXPROCS
	ChunkBytes int            // read at once of a source; 0: as fits the number of sources
	OnProgress func(Progress) // at most ten times a second, on the caller's goroutine; nil: none

	stats     Stats
	total     int64 // bytes of all files; 0: not known
	lines     atomic.Int64
	read      atomic.Int64
	files     []string   // that are read, by source
	earliest  int64      // of the records
	latest    int64      // likewise
	sequences *sequences // what was read so far
	sites     sitesSeen  // where one site is asked for; complete when the reading has ended
	again     *worker    // parses a chunk again in which lines stand that were read before
}

// CrawlerRecords yields what a log has about crawlers: decisions with a claim or a verdict, rule changes and what the
// guard did, as far as the query asks for them; a path is asked of decisions only. A decision that withdraws a refusal
// is there whenever it was taken. It counts all decisions that fit the query. The only errors are those of ctx; an
// error is the last that is yielded.
func (r *Reader) CrawlerRecords(ctx context.Context) iter.Seq2[Record, error] {
	return r.records(ctx, newFilter(&r.Query, Choice{}), false)
}

// Select yields the records that fit the query and the choice. A line that was delivered twice comes once. The only
// errors are those of ctx; an error is the last that is yielded.
func (r *Reader) Select(ctx context.Context, c Choice) iter.Seq2[Record, error] {
	return r.records(ctx, newFilter(&r.Query, c), true)
}

// Stats says what was read. It is complete when all records have been yielded, and never nil.
func (r *Reader) Stats() *Stats { return &r.stats }

func (r *Reader) records(ctx context.Context, f *filter, selects bool) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r.stats = Stats{Files: []string{}, Damaged: []string{}}
		r.earliest, r.latest = math.MaxInt64, math.MinInt64
		err := r.run(ctx, f, selects, func(record Record) error {
			if !yield(record, nil) {
				return errStopped
			}
			return nil
		})
		r.sequences.addTo(&r.stats)
		r.sites.addTo(&r.stats)
		if r.earliest <= r.latest {
			r.stats.Earliest, r.stats.Latest = instant(r.earliest), instant(r.latest)
		}
		if err != nil && err != errStopped {
			yield(Record{}, err)
		}
	}
}

// run reads all sources to their end and closes them.
func (r *Reader) run(ctx context.Context, f *filter, selects bool, each func(Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var workers, readers sync.WaitGroup
	count := r.Workers
	if count <= 0 {
		count = runtime.GOMAXPROCS(0)
	}
	jobs := make(chan *chunk, count)
	seed := maphash.MakeSeed()
	all := make([]*worker, count)
	for i := range all {
		w := newWorker(f, seed, selects, nil)
		all[i] = w
		workers.Go(func() {
			for c := range jobs {
				w.parse(c)
				r.lines.Add(c.lines)
				c.done <- struct{}{}
			}
		})
	}
	r.sequences = newSequences()
	r.again = newWorker(f, seed, selects, r.sequences)
	r.total = totalSize(r.Sources)
	r.files = make([]string, len(r.Sources))
	cursors := make([]*cursor, len(r.Sources))
	for i, s := range r.Sources {
		cursors[i] = &cursor{stream: &stream{source: s, size: r.chunkSize(), jobs: jobs, read: &r.read}, index: i,
			key: s.first}
	}
	err := r.merge(ctx, cursors, count+2, &readers, each)
	cancel()
	closeSources(r.Sources)
	if err != nil { // a reader may hang in a stream that brings nothing; it ends with it
		go func() { readers.Wait(); close(jobs) }()
		return err
	}
	readers.Wait()
	close(jobs)
	workers.Wait()
	for _, w := range append(all, r.again) {
		r.sites.merge(&w.sites)
	}
	return nil
}

// totalSize is how long all files are together; 0 if one is a stream.
func totalSize(sources []*Source) (n int64) {
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

// chunkSize bounds what all sources hold at once.
func (r *Reader) chunkSize() int {
	switch {
	case r.ChunkBytes > 0:
		return r.ChunkBytes
	case len(r.Sources) <= 8:
		return 1 << 20
	case len(r.Sources) <= 64:
		return 256 << 10
	}
	return 64 << 10
}

// addChunk notes a chunk whose turn has come, and takes those lines out of it that were read before. That is seldom, so
// the workers do not look: such a chunk is parsed again.
func (r *Reader) addChunk(source int, c *chunk) {
	if r.sequences.repeats(c) {
		r.again.parse(c)
	}
	r.sequences.addChunk(c)
	if c.part != nil {
		r.files[source] = c.part.name
	}
	r.stats.addChunk(r.files[source], c)
	r.earliest, r.latest = min(r.earliest, c.earliest), max(r.latest, c.latest)
}
