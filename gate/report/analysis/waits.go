package analysis

import (
	"math/bits"
	"slices"
)

// waits counts how long URLs waited, in buckets that grow with the wait: 64 to each doubling, so that the middle of a
// bucket is at most 0.8 % off. The zero value is ready.
type waits struct {
	buckets map[uint16]int64
	count   int64
}

const (
	perDoubling = 64
	bitsOf64    = 6
)

// bucketOf is the bucket of a wait in nanoseconds; a negative one counts as 0.
func bucketOf(wait int64) uint16 {
	if wait < 2*perDoubling {
		return uint16(max(wait, 0))
	}
	shift := bits.Len64(uint64(wait)) - bitsOf64 - 1
	return uint16(shift<<bitsOf64 + int(wait>>shift))
}

// middle is the middle of a bucket in nanoseconds.
func middle(bucket uint16) float64 {
	if bucket < 2*perDoubling {
		return float64(bucket)
	}
	shift := bucket>>bitsOf64 - 1
	low := uint64(bucket-shift<<bitsOf64) << shift
	return float64(low) + float64(uint64(1)<<shift-1)/2
}

// add counts n waits of a bucket; n may be negative.
func (w *waits) add(bucket uint16, n int64) {
	if w.buckets == nil {
		w.buckets = map[uint16]int64{}
	}
	w.buckets[bucket] += n
	w.count += n
}

// seconds is a percentile of the waits by nearest rank, in seconds; 0 without a wait.
func (w *waits) seconds(percent int64) float64 {
	if w.count <= 0 {
		return 0
	}
	var order []uint16
	for b := range w.buckets {
		order = append(order, b)
	}
	slices.Sort(order)
	rank := (w.count*percent + 99) / 100
	for _, b := range order {
		if rank -= w.buckets[b]; rank <= 0 {
			return middle(b) / 1e9
		}
	}
	return 0
}
