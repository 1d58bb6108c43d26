package report

import (
	"cmp"
	"math"
	"slices"
)

// maxBoots is how many runs of gateways are told apart. More are not counted.
const maxBoots = 100_000

// Bounds of the stretches of numbers that are remembered, of one boot and of all. Beyond them the lowest hole of the boot
// misses for good, and lines up to its end are not known again when they come twice.
const (
	maxStretches    = 1024
	maxAllStretches = 200_000
)

// boots keeps the book of seq: which lines have been read, which numbers miss, and which of these gap lines explain. A line
// is its boot and its seq, in whatever source it stands. Numbers may come late: the files of a log are read in the order of
// their time, and the clock may have been set back.
type boots struct {
	known     map[uint64]*numbers
	stretches int // remembered, of all boots
	gaps      int64
	runs      []run // scratch

	lost, leftOut, removed, unsynced int64
}

// numbers are a boot's.
type numbers struct {
	read      []stretch // lines that were read; sorted, and none touches another
	explained []stretch // lines that gap lines say were lost; likewise
	missing   uint64    // in holes that are not remembered
	forgotten uint64    // lines up to this number are not known again; 0: all are
}

// stretch is numbers without a hole, both ends included.
type stretch struct{ from, to uint64 }

func newBoots() *boots { return &boots{known: map[uint64]*numbers{}} }

// of returns the numbers of a boot; nil for one beyond those that are told apart.
func (b *boots) of(boot uint64) *numbers {
	n := b.known[boot]
	if n == nil && len(b.known) < maxBoots {
		n = &numbers{}
		b.known[boot] = n
	}
	return n
}

// repeats says whether a chunk holds a line that was read before, or one line twice.
func (b *boots) repeats(c *chunk) bool {
	b.runs = b.runs[:0]
	for _, r := range c.runs {
		if r.gap {
			continue
		}
		if n := b.known[c.boots[r.boot]]; n != nil && n.overlaps(r.from, r.to) {
			return true
		}
		b.runs = append(b.runs, r)
	}
	slices.SortFunc(b.runs, func(x, y run) int { return cmp.Or(cmp.Compare(x.boot, y.boot), cmp.Compare(x.from, y.from)) })
	for i := 1; i < len(b.runs); i++ {
		if b.runs[i].boot == b.runs[i-1].boot && b.runs[i].from <= b.runs[i-1].to {
			return true
		}
	}
	return false
}

// take notes a line and says whether it is new.
func (b *boots) take(boot, seq uint64) bool {
	n := b.of(boot)
	if n == nil {
		return true
	}
	if n.overlaps(seq, seq) {
		return false
	}
	b.read(n, stretch{seq, seq})
	return true
}

// chunk adds what a chunk has.
func (b *boots) chunk(c *chunk) {
	for _, r := range c.runs {
		n := b.of(c.boots[r.boot])
		if r.gap {
			if r.lost > 0 || r.leftOut == 0 && r.removed == 0 && r.unsynced == 0 {
				b.gaps++
			}
			b.lost, b.leftOut, b.removed = sum(b.lost, r.lost), sum(b.leftOut, r.leftOut), sum(b.removed, r.removed)
			b.unsynced = sum(b.unsynced, r.unsynced)
			if explains := r.explains(); n != nil && explains > 0 && r.from > 0 {
				b.explain(n, stretch{r.from - min(explains, r.from), r.from - 1})
			}
			continue
		}
		if n != nil {
			b.read(n, stretch{r.from, r.to})
		}
	}
}

// read adds lines that were read.
func (b *boots) read(n *numbers, s stretch) {
	before := len(n.read)
	n.read = insert(n.read, s)
	b.stretches += len(n.read) - before
	for len(n.read) > 1 && (len(n.read) > maxStretches || b.stretches > maxAllStretches) {
		b.forget(n)
	}
}

// explain adds lines that a gap line says were lost, left out or removed.
func (b *boots) explain(n *numbers, s stretch) {
	n.explained = insert(n.explained, s)
	for len(n.explained) > maxStretches && len(n.read) > 1 {
		b.forget(n)
	}
	if len(n.explained) > maxStretches {
		n.explained = slices.Delete(n.explained, 0, 1)
	}
}

// forget settles the lowest hole, and what explains it.
func (b *boots) forget(n *numbers) {
	first, second := n.read[0], n.read[1]
	n.missing += second.from - first.to - 1 - covered(n.explained, stretch{first.to + 1, second.from - 1})
	n.read[1].from = first.from
	n.forgotten = second.to
	n.read = slices.Delete(n.read, 0, 1)
	b.stretches--
	settled := 0
	for settled < len(n.explained) && n.explained[settled].to <= n.forgotten {
		settled++
	}
	n.explained = slices.Delete(n.explained, 0, settled)
}

// overlaps says whether one of the lines is known to have been read.
func (n *numbers) overlaps(from, to uint64) bool {
	if n.forgotten > 0 && from <= n.forgotten {
		if to <= n.forgotten {
			return false
		}
		from = n.forgotten + 1
	}
	return covered(n.read, stretch{from, to}) > 0
}

// holes counts the numbers that miss between the lowest and the highest that was read or explained.
func (n *numbers) holes() uint64 {
	all := slices.Clone(n.read)
	for _, s := range n.explained {
		all = insert(all, s)
	}
	missing := n.missing
	for i := 1; i < len(all); i++ {
		missing += all[i].from - all[i-1].to - 1
	}
	return missing
}

// insert adds a stretch to a sorted list and joins what it touches.
func insert(list []stretch, s stretch) []stretch {
	// Nearly always it goes on where the list ends.
	if k := len(list) - 1; k >= 0 && s.from > list[k].to && s.from-1 == list[k].to {
		list[k].to = s.to
		return list
	}
	from, _ := slices.BinarySearchFunc(list, s.from, func(x stretch, at uint64) int {
		if x.to < at && x.to+1 < at {
			return -1
		}
		return 1
	})
	to := from
	for to < len(list) && (list[to].from <= s.to || list[to].from == s.to+1) {
		s.from, s.to = min(s.from, list[to].from), max(s.to, list[to].to)
		to++
	}
	return slices.Replace(list, from, to, s)
}

// covered counts the numbers of s that are in a sorted list.
func covered(list []stretch, s stretch) (n uint64) {
	if s.from > s.to {
		return 0
	}
	at, _ := slices.BinarySearchFunc(list, s.from, func(x stretch, at uint64) int {
		if x.to < at {
			return -1
		}
		return 1
	})
	for ; at < len(list) && list[at].from <= s.to; at++ {
		n += min(list[at].to, s.to) - max(list[at].from, s.from) + 1
	}
	return n
}

// sum adds without running over.
func sum(a int64, b uint64) int64 {
	if b > uint64(math.MaxInt64-a) {
		return math.MaxInt64
	}
	return a + int64(b)
}

func (b *boots) report(log *Reading) {
	log.Boots, log.Gaps, log.Lost, log.LeftOut, log.Removed = int64(len(b.known)), b.gaps, b.lost, b.leftOut, b.removed
	log.Unsynced = b.unsynced
	for _, n := range b.known {
		log.Missing = sum(log.Missing, n.holes())
	}
}
