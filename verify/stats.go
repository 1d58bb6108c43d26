package verify

import (
	"slices"
	"sync/atomic"
	"time"
)

// Stats counts the lookups of a Verifier: what it is doing, and what it has done since it was made. Verdicts from the
// cache and the method Lookup, which does not count towards the budget, are left out. The numbers are not read at one
// instant, so they may be some lookups apart. The caller may change it.
type Stats struct {
	InFlight int // running lookups
	Queued   int // queued lookups

	// Shed counts the claims that got no lookup, or no callback, because they were over the Budget.
	Shed uint64

	// Results counts the lookups that ended by result: "genuine" for any crawler of the catalogue, "impostor", the
	// Cause constant of a failure, or "other". Every word is a key, most of them with 0. A lookup that Close ended is
	// not counted.
	Results map[string]uint64

	// Took is how long those lookups took, without their time in the queue.
	Took Histogram
}

// Histogram counts durations by size.
type Histogram struct {
	Bounds []time.Duration // upper, inclusive and ascending
	Counts []uint64        // not cumulative: one for each bound and one for what is above the last
	Sum    time.Duration
}

// The keys of Stats.Results that are no Cause.
const (
	resultGenuine  = "genuine"
	resultImpostor = "impostor"
	resultOther    = "other" // the last of resultWords
)

const (
	results = 17
	buckets = 13
)

func resultWords() [results]string {
	return [...]string{
		resultGenuine, resultImpostor, CauseTimeout, CauseServfail, CauseRefused, CauseFormErr, CauseNotImp,
		CauseLame, CauseIndefinite, CauseFiltered, CauseGarbage, CauseTruncated, CauseLoop, CauseUnreachable, CauseTLS,
		CauseResolver, resultOther,
	}
}

// bounds returns the histogram's bounds; the last is where a lookup ends.
func bounds() [buckets - 1]time.Duration {
	const ms = time.Millisecond
	return [...]time.Duration{
		ms, 5 * ms / 2, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms,
		time.Second, 5 * time.Second / 2, lookupTimeout,
	}
}

// counts are the counters of Stats. The zero value is ready for use.
type counts struct {
	shed    atomic.Uint64
	results [results]atomic.Uint64
	took    [buckets]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// record counts a lookup that ended.
func (c *counts) record(found *report) {
	word := resultImpostor
	switch {
	case found.genuine != 0:
		word = resultGenuine
	case found.failed != 0:
		word = found.failure.cause
	}
	words, limits := resultWords(), bounds()
	result := slices.Index(words[:], word)
	if result < 0 {
		result = results - 1
	}
	c.results[result].Add(1)
	size := 0
	for size < len(limits) && found.took > limits[size] {
		size++
	}
	c.took[size].Add(1)
	c.sum.Add(int64(found.took))
}

// Stats returns the counts. It may be called at any time, also after Close.
func (v *Verifier) Stats() Stats {
	v.start()
	v.mu.Lock()
	s := Stats{InFlight: v.budget.all.running, Queued: v.budget.all.queued}
	v.mu.Unlock()
	s.Shed = v.counts.shed.Load()
	s.Results = make(map[string]uint64, results)
	for i, word := range resultWords() {
		s.Results[word] = v.counts.results[i].Load()
	}
	limits := bounds()
	s.Took = Histogram{Bounds: limits[:], Counts: make([]uint64, buckets), Sum: time.Duration(v.counts.sum.Load())}
	for i := range s.Took.Counts {
		s.Took.Counts[i] = v.counts.took[i].Load()
	}
	return s
}
