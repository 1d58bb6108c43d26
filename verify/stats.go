package verify

import (
	"slices"
	"sync/atomic"
	"time"
)

// Stats is what a Verifier is doing, and what it has done since it was made. It speaks of lookups as they were made, so
// neither of answers from memory nor of the method Lookup, which has no part in the budget. Numbers of one Stats may be
// some lookups apart from each other. The caller may change it.
type Stats struct {
	InFlight int // lookups under way
	Queued   int // lookups that wait for their turn

	// Shed are the times that nothing was looked up, or nobody was told, for want of budget.
	Shed uint64

	// Results are the lookups that ended, by what came of them: "genuine" for any crawler of the catalogue, "impostor", the
	// Cause constant of what went wrong with the DNS, or "other". Every word is there, most of them with 0. A lookup that
	// was cut short by Close is not counted.
	Results map[string]uint64

	// Took is how long those lookups took, their time in the queue left out.
	Took Histogram
}

// Histogram counts durations by size.
type Histogram struct {
	Bounds []time.Duration // upper, inclusive and ascending
	Counts []uint64        // one for each bound, of what is not in a smaller one, and one for what is above the last
	Sum    time.Duration
}

// The words of Stats.Results that are no Cause.
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

// bounds end where a lookup ends.
func bounds() [buckets - 1]time.Duration {
	const ms = time.Millisecond
	return [...]time.Duration{ms, 5 * ms / 2, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms, time.Second, 5 * time.Second / 2, lookupAtMost}
}

// counts are the parts of Stats that only grow. The zero value is ready for use.
type counts struct {
	refused atomic.Uint64
	results [results]atomic.Uint64
	took    [buckets]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// ended counts a lookup.
func (c *counts) ended(found *report) {
	word := resultImpostor
	switch {
	case found.genuine != 0:
		word = resultGenuine
	case found.troubled != 0:
		word = found.trouble.cause
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

// Stats may be called at any time, also after Close.
func (v *Verifier) Stats() Stats {
	v.start()
	v.mu.Lock()
	s := Stats{InFlight: v.budget.all.flying, Queued: v.budget.all.waiting}
	v.mu.Unlock()
	s.Shed = v.counts.refused.Load()
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
