package report

import "math"

// maxBoots is how many runs of gateways are told apart. More are not counted.
const maxBoots = 100_000

// Bounds of the holes that are remembered, of one boot and of all. The numbers of others miss for good.
const (
	maxHoles    = 256
	maxAllHoles = 100_000
)

// boots keeps the book of seq: which numbers miss, and which of them gap lines explain. Each source has its own page, so
// that copies of a log beside one another do not spoil it. Numbers may come late: the files of a log are read in the order of
// their time, and the clock may have been set back.
type boots struct {
	known map[uint64]bool
	last  map[origin]*numbers
	holes int // remembered
	gaps  int64
	lost  int64
}

// origin is a boot in a source.
type origin struct {
	source int
	boot   uint64
}

// numbers are a boot's: the lowest and the highest seq so far, and what misses between them and is not explained.
type numbers struct {
	first, last uint64
	missing     uint64 // holes and what is not remembered of them
	holes       []hole
}

// hole is numbers that miss, both ends included.
type hole struct{ from, to uint64 }

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
			if n == nil || r.lost == 0 || r.from == 0 {
				continue
			}
			r.from, r.to = r.from-min(r.lost, r.from), r.from-1 // as if they had come
		}
		switch {
		case n == nil && len(b.last) < maxBoots:
			b.last[at] = &numbers{first: r.from, last: r.to}
		case n == nil:
		case r.from > n.last:
			b.dig(n, n.last+1, r.from-1)
			n.last = r.to
		case r.to < n.first:
			b.dig(n, r.to+1, n.first-1)
			n.first = r.from
		default:
			b.fill(n, r.from, r.to)
			n.first, n.last = min(n.first, r.from), max(n.last, r.to)
		}
	}
}

// dig notes that numbers miss.
func (b *boots) dig(n *numbers, from, to uint64) {
	if from > to || n.missing > math.MaxUint64-(to-from+1) {
		return
	}
	n.missing += to - from + 1
	if len(n.holes) < maxHoles && b.holes < maxAllHoles {
		n.holes = append(n.holes, hole{from, to})
		b.holes++
	}
}

// fill notes that numbers do not miss, or that it is known why.
func (b *boots) fill(n *numbers, from, to uint64) {
	for i := len(n.holes) - 1; i >= 0; i-- {
		h := n.holes[i]
		if h.to < from || to < h.from {
			continue
		}
		n.missing -= h.to - h.from + 1
		last := len(n.holes) - 1
		n.holes[i] = n.holes[last]
		n.holes = n.holes[:last]
		b.holes--
		if h.from < from {
			b.dig(n, h.from, from-1)
		}
		if to < h.to {
			b.dig(n, to+1, h.to)
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
