package admin

import (
	"slices"
	"sync/atomic"
	"time"

	"gate421/gate/audit"
)

// Histogram counts times by size. The zero value has counted none.
type Histogram struct {
	Bounds []float64 // seconds, upper, inclusive and ascending
	Counts []uint64  // one for each bound, of what is not in a smaller one, and one for what is above the last
	Sum    float64   // seconds
}

// What asking an origin can come to: a status class, a word for what went wrong, or other.
const (
	statusClasses = 5
	originWords   = 11
	originResults = statusClasses + originWords + 1
)

// originResultWords are the labels, in that order. What went wrong has the words of a record's origin_error.
func originResultWords() [originResults]string {
	return [...]string{
		"1xx", "2xx", "3xx", "4xx", "5xx",
		"refused", "unreachable", "timeout", "certificate", "garbage", "reset", "origin_misdirected", "client_gone", "client_slow", "client_busy", "panic", other,
	}
}

const originBuckets = 15

// originBounds end where an origin is no longer waited for.
func originBounds() [originBuckets - 1]time.Duration {
	const ms, s = time.Millisecond, time.Second
	return [...]time.Duration{
		ms,
		5 * ms / 2,
		5 * ms,
		10 * ms,
		25 * ms,
		50 * ms,
		100 * ms,
		250 * ms,
		500 * ms,
		s,
		5 * s / 2,
		5 * s,
		10 * s,
		60 * s,
	}
}

// originTally counts what a site's origins answered.
type originTally struct {
	results [originResults]atomic.Uint64
	first   [originBuckets]atomic.Uint64 // times until an answer began
	sum     atomic.Int64                 // nanoseconds
}

// count counts a record. Where nobody was asked, as by the gate's own answers and those of a folder, there is nothing
// to count.
func (o *originTally) count(r *audit.Record) {
	switch {
	case r.OriginError != "":
		words := originResultWords()
		i := slices.Index(words[statusClasses:], r.OriginError)
		if i < 0 {
			i = originWords
		}
		o.results[statusClasses+i].Add(1)
	case r.OriginStatus == 0:
		return
	case r.OriginStatus >= 100 && r.OriginStatus < 600:
		o.results[r.OriginStatus/100-1].Add(1)
	default:
		o.results[originResults-1].Add(1)
	}
	if r.OriginStatus == 0 {
		return // it never began
	}
	limits := originBounds()
	i := 0
	for i < len(limits) && r.OriginTook > limits[i] {
		i++
	}
	o.first[i].Add(1)
	o.sum.Add(int64(r.OriginTook))
}

func (o *originTally) histogram() Histogram {
	h := Histogram{Counts: make([]uint64, originBuckets), Sum: time.Duration(o.sum.Load()).Seconds()}
	for _, bound := range originBounds() {
		h.Bounds = append(h.Bounds, bound.Seconds())
	}
	for i := range h.Counts {
		h.Counts[i] = o.first[i].Load()
	}
	return h
}
