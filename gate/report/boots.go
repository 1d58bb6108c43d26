package report

import "math"

// maxBoots is how many runs of gateways are told apart. More are not counted.
const maxBoots = 100_000

// boots keeps the book of seq: which numbers miss, and which of them gap lines explain. Each source has its own page, so
// that copies of a log beside one another do not spoil it.
type boots struct {
	known map[uint64]bool
	last  map[origin]*numbers
	gaps  int64
	lost  int64
}

// origin is a boot in a source.
type origin struct {
	source int
	boot   uint64
}

// numbers are a boot's: the highest seq so far, and how many below it miss and are not explained.
type numbers struct{ last, missing uint64 }

func newBoots() *boots { return &boots{known: map[uint64]bool{}, last: map[origin]*numbers{}} }

// chunk adds what a chunk has, in the order of the source's lines.
func (b *boots) chunk(source int, c *chunk) {
	for _, boot := range c.boots {
		if len(b.known) < maxBoots {
			b.known[boot] = true
		}
	}
	for _, r := range c.runs {
		at := origin{source, c.boots[r.boot]}
		n := b.last[at]
		if r.gap {
			b.gaps++
			b.lost = sum(b.lost, r.lost)
			if n != nil {
				n.missing -= min(n.missing, r.lost)
			}
			continue
		}
		switch {
		case n == nil && len(b.last) < maxBoots:
			b.last[at] = &numbers{last: r.to}
		case n == nil:
		case r.from > n.last:
			if hole := r.from - n.last - 1; n.missing <= math.MaxUint64-hole {
				n.missing += hole
			}
			n.last = r.to
		default:
			n.last = max(n.last, r.to)
		}
	}
}

// sum adds without running over.
func sum(a int64, b uint64) int64 {
	if b > uint64(math.MaxInt64-a) {
		return math.MaxInt64
	}
	return a + int64(b)
}

func (b *boots) report(r *Report) {
	r.Log.Boots, r.Log.Gaps, r.Log.Lost = int64(len(b.known)), b.gaps, b.lost
	for _, n := range b.last {
		r.Log.Missing = sum(r.Log.Missing, n.missing)
	}
}
