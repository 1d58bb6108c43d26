package logs

import (
	"cmp"
	"math"
	"slices"
)

// maxBoots is how many runs of gateways are told apart. More are not counted.
const maxBoots = 100_000

// Bounds of the intervals of numbers that are remembered, of one boot and of all. Beyond them the lowest hole of the
// boot is missing for good, and lines up to its end are not known again when they come twice.
const (
	maxIntervals    = 1024
	maxAllIntervals = 200_000
)

// sequences keeps, for each boot, which numbers (seq) were read, which are missing, and which of these gap lines
// explain. A line is its boot and its seq, in whatever source it stands. Numbers may come late: the files of a log are
// read in the order of their time, and the clock may have been set back. One goroutine uses it.
type sequences struct {
	boots     map[uint64]*bootSeqs // by the hash of their names
	intervals int                  // remembered, of all boots
	gaps      int64
	runs      []seqRun // scratch

	lost, leftOut, removed, unsynced int64
}

// bootSeqs are the numbers of one boot.
type bootSeqs struct {
	read      []interval // lines that were read; sorted, and none touches another
	explained []interval // lines that gap lines say were lost; likewise
	missing   uint64     // in holes that are not remembered
	forgotten uint64     // lines up to this number are not known again; 0: all are
}

// interval is numbers without a hole, both ends included.
type interval struct{ from, to uint64 }

func newSequences() *sequences { return &sequences{boots: map[uint64]*bootSeqs{}} }

// of returns the numbers of a boot; nil for one beyond those that are told apart.
func (s *sequences) of(boot uint64) *bootSeqs {
	b := s.boots[boot]
	if b == nil && len(s.boots) < maxBoots {
		b = &bootSeqs{}
		s.boots[boot] = b
	}
	return b
}

// repeats says whether a chunk holds a line that was read before, or one line twice.
func (s *sequences) repeats(c *chunk) bool {
	s.runs = s.runs[:0]
	for _, r := range c.runs {
		if r.gap {
			continue
		}
		if b := s.boots[c.boots[r.boot]]; b != nil && b.overlaps(r.from, r.to) {
			return true
		}
		s.runs = append(s.runs, r)
	}
	slices.SortFunc(s.runs, func(x, y seqRun) int {
		return cmp.Or(cmp.Compare(x.boot, y.boot),
			cmp.Compare(x.from, y.from))
	})
	for i := 1; i < len(s.runs); i++ {
		if s.runs[i].boot == s.runs[i-1].boot && s.runs[i].from <= s.runs[i-1].to {
			return true
		}
	}
	return false
}

// take notes a line and says whether it is new.
func (s *sequences) take(boot, seq uint64) bool {
	b := s.of(boot)
	if b == nil {
		return true
	}
	if b.overlaps(seq, seq) {
		return false
	}
	s.addRead(b, interval{seq, seq})
	return true
}

// addChunk adds the lines of a chunk.
func (s *sequences) addChunk(c *chunk) {
	for _, r := range c.runs {
		b := s.of(c.boots[r.boot])
		if r.gap {
			if r.lost > 0 || r.leftOut == 0 && r.removed == 0 && r.unsynced == 0 {
				s.gaps++
			}
			s.lost, s.leftOut = addSaturating(s.lost, r.lost), addSaturating(s.leftOut, r.leftOut)
			s.removed = addSaturating(s.removed, r.removed)
			s.unsynced = addSaturating(s.unsynced, r.unsynced)
			if explains := r.explains(); b != nil && explains > 0 && r.from > 0 {
				s.addExplained(b, interval{r.from - min(explains, r.from), r.from - 1})
			}
			continue
		}
		if b != nil {
			s.addRead(b, interval{r.from, r.to})
		}
	}
}

// addRead adds lines that were read.
func (s *sequences) addRead(b *bootSeqs, lines interval) {
	before := len(b.read)
	b.read = insert(b.read, lines)
	s.intervals += len(b.read) - before
	for len(b.read) > 1 && (len(b.read) > maxIntervals || s.intervals > maxAllIntervals) {
		s.forget(b)
	}
}

// addExplained adds lines that a gap line says were lost, left out or removed.
func (s *sequences) addExplained(b *bootSeqs, lines interval) {
	b.explained = insert(b.explained, lines)
	for len(b.explained) > maxIntervals && len(b.read) > 1 {
		s.forget(b)
	}
	if len(b.explained) > maxIntervals {
		b.explained = slices.Delete(b.explained, 0, 1)
	}
}

// forget counts the lowest hole for good and drops what explains it.
func (s *sequences) forget(b *bootSeqs) {
	first, second := b.read[0], b.read[1]
	b.missing += second.from - first.to - 1 - covered(b.explained, interval{first.to + 1, second.from - 1})
	b.read[1].from = first.from
	b.forgotten = second.to
	b.read = slices.Delete(b.read, 0, 1)
	s.intervals--
	done := 0
	for done < len(b.explained) && b.explained[done].to <= b.forgotten {
		done++
	}
	b.explained = slices.Delete(b.explained, 0, done)
}

// overlaps says whether one of the lines is known to have been read.
func (b *bootSeqs) overlaps(from, to uint64) bool {
	if b.forgotten > 0 && from <= b.forgotten {
		if to <= b.forgotten {
			return false
		}
		from = b.forgotten + 1
	}
	return covered(b.read, interval{from, to}) > 0
}

// holes counts the numbers that are missing between the lowest and the highest that was read or explained.
func (b *bootSeqs) holes() uint64 {
	all := slices.Clone(b.read)
	for _, lines := range b.explained {
		all = insert(all, lines)
	}
	missing := b.missing
	for i := 1; i < len(all); i++ {
		missing += all[i].from - all[i-1].to - 1
	}
	return missing
}

// insert adds an interval to a sorted list and joins what it touches.
func insert(list []interval, s interval) []interval {
	// Nearly always it goes on where the list ends.
	if k := len(list) - 1; k >= 0 && s.from > list[k].to && s.from-1 == list[k].to {
		list[k].to = s.to
		return list
	}
	from, _ := slices.BinarySearchFunc(list, s.from, func(x interval, at uint64) int {
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
func covered(list []interval, s interval) (n uint64) {
	if s.from > s.to {
		return 0
	}
	at, _ := slices.BinarySearchFunc(list, s.from, func(x interval, at uint64) int {
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

// addSaturating adds; what does not fit stays at the largest.
func addSaturating(a int64, b uint64) int64 {
	if b > uint64(math.MaxInt64-a) {
		return math.MaxInt64
	}
	return a + int64(b)
}

func (s *sequences) addTo(stats *Stats) {
	stats.Boots, stats.Gaps = int64(len(s.boots)), s.gaps
	stats.Lost, stats.LeftOut, stats.Removed, stats.Unsynced = s.lost, s.leftOut, s.removed, s.unsynced
	for _, b := range s.boots {
		stats.Missing = addSaturating(stats.Missing, b.holes())
	}
}
