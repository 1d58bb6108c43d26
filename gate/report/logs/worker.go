package logs

import (
	"hash/maphash"
	"math"
)

// seqRun is a run of one boot's numbers without a hole, or what a gap line explains.
type seqRun struct {
	boot                   uint32 // index into the chunk's boots
	from, to               uint64
	lost, leftOut, removed uint64 // of a gap line, whose number is from
	unsynced               uint64 // likewise
	gap                    bool
}

// explains is how many numbers before its own a gap line explains. The last of the removed lines had its number.
func (s *seqRun) explains() uint64 {
	n := max(s.removed, 1) - 1
	for _, more := range [...]uint64{s.lost, s.leftOut} {
		n += min(more, math.MaxUint64-n)
	}
	return n
}

// parsed is what a worker finds in a chunk.
type parsed struct {
	lines, records, broken, foreign, otherVersions int64
	repeated                                       int64 // lines that were read before
	earliest, latest                               int64 // of the records
	entries                                        []entry
	unescaped                                      []byte   // texts that had to be unescaped
	boots                                          []uint64 // hashes of their names
	runs                                           []seqRun
}

func (p *parsed) reset() {
	*p = parsed{entries: p.entries[:0], unescaped: p.unescaped[:0], boots: p.boots[:0], runs: p.runs[:0],
		earliest: math.MaxInt64, latest: math.MinInt64}
}

// worker parses chunks, counts what can be counted in any order and finds the records. One goroutine uses it; what it
// keeps from chunk to chunk only saves work.
type worker struct {
	filter  *filter
	seed    maphash.Seed // of the requests and boots of one reading
	selects bool         // lines that fit the filter's choice, instead of records about crawlers
	known   *sequences   // lines that are known here are left out; nil: none is looked up
	line    line
	times   timeParser
	scratch []byte
	open    map[uint64]uint32 // boot: the index of its latest run in the chunk
	start   uint32            // of the line in the chunk; see span
	sites   sitesSeen         // where one site is asked for
}

func newWorker(f *filter, seed maphash.Seed, selects bool, known *sequences) *worker {
	return &worker{filter: f, seed: seed, selects: selects, known: known, open: map[uint64]uint32{}}
}

// parse parses a chunk.
func (w *worker) parse(c *chunk) {
	c.reset()
	clear(w.open)
	c.lines, c.broken = c.long, c.long
	rest := c.data
	for len(rest) > 0 {
		w.start = uint32(len(c.data) - len(rest))
		var text []byte
		var whole bool
		text, rest, whole = cutLine(rest)
		if len(text) == 0 {
			continue
		}
		if len(text) <= maxLine && w.unwrap(c, text) {
			c.lines++
			w.add(c)
			continue
		}
		if whole || !c.tail {
			c.lines++
			if len(text) > maxLine || torn(text) {
				c.broken++
			} else {
				c.foreign++
			}
		}
	}
}

// unwrap finds the log's line in a line of the chunk, and where it begins.
func (w *worker) unwrap(c *chunk, text []byte) bool {
	at, unescaped, buffer, ok := w.line.unwrap(text, c.unescaped)
	c.unescaped = buffer
	if unescaped {
		w.start = uint32(at) | inUnescaped
	} else {
		w.start += uint32(at)
	}
	return ok
}

// add counts a line and makes a record of it if one is asked for.
func (w *worker) add(c *chunk) {
	l := &w.line
	one, ok := l.version()
	at, timely := w.times.parse(w.text(fieldTime))
	if !ok || !timely || l.values[fieldEvent].kind != stringValue {
		c.foreign++
		return
	}
	if !w.addSeq(c) {
		c.repeated++
		return
	}
	if !one {
		c.otherVersions++
	}
	if w.filter.site != "" {
		w.sites.addLine(w)
	}
	if w.selects {
		w.selectLine(c, at)
		return
	}
	switch {
	case l.is(fieldEvent, "decision"):
		w.addDecision(c, at)
	case l.is(fieldEvent, "rule"):
		w.addEvent(c, at, RuleChange)
	case l.is(fieldEvent, "guard"):
		w.addEvent(c, at, GuardEvent)
	}
}

// addSeq notes the boot and seq of a line. It says whether the line is new.
func (w *worker) addSeq(c *chunk) bool {
	l := &w.line
	seq, ok := l.count(fieldSeq)
	name := w.text(fieldBoot)
	if len(name) == 0 || !ok {
		return true
	}
	boot := maphash.Bytes(w.seed, name)
	if w.known != nil && !w.known.take(boot, seq) {
		return false
	}
	at, known := w.open[boot]
	switch {
	case known && seq > c.runs[at].to && seq-1 == c.runs[at].to:
		c.runs[at].to = seq
	case known:
		at = c.addRun(seqRun{boot: c.runs[at].boot, from: seq, to: seq})
		w.open[boot] = at
	default:
		c.boots = append(c.boots, boot)
		at = c.addRun(seqRun{boot: uint32(len(c.boots) - 1), from: seq, to: seq})
		w.open[boot] = at
	}
	if l.is(fieldEvent, "gap") {
		gap := seqRun{boot: c.runs[at].boot, from: seq, to: seq, gap: true}
		gap.lost, _ = l.count(fieldLost)
		gap.leftOut, _ = l.count(fieldLeftOut)
		gap.removed, _ = l.count(fieldRemoved)
		gap.unsynced, _ = l.count(fieldUnsynced)
		c.addRun(gap)
	}
	return true
}

func (p *parsed) addRun(r seqRun) (index uint32) {
	p.runs = append(p.runs, r)
	return uint32(len(p.runs) - 1)
}

// addDecision counts a decision and makes a record of it if a crawler is claimed or there is a verdict.
func (w *worker) addDecision(c *chunk, at int64) {
	l, f := &w.line, w.filter
	timely := f.matchesTime(at)
	if !timely && l.values[FieldClaim].kind == absent || !f.matchesSite(l, &w.scratch) ||
		!f.matchesPath(l, &w.scratch) {
		return
	}
	if timely {
		c.records++
		c.earliest, c.latest = min(c.earliest, at), max(c.latest, at)
	}
	if l.values[FieldClaim].kind == absent && l.values[FieldVerdict].kind == absent {
		return
	}
	request := w.request()
	if !timely && (request == 0 || !l.is(FieldReason, logUnavailable)) {
		return
	}
	e := entry{at: at, request: request, kind: Decision, outside: !timely}
	if status, ok := l.count(fieldStatus); ok && status <= 999 {
		e.status = uint16(status)
	}
	w.addTexts(c, &e, FieldSite, FieldReason)
	c.entries = append(c.entries, e)
}

// addEvent makes a record of a line about a rule or the guard.
func (w *worker) addEvent(c *chunk, at int64, k Kind) {
	if !w.filter.matchesTime(at) || !w.filter.matchesSite(&w.line, &w.scratch) {
		return
	}
	e := entry{at: at, kind: k}
	w.addTexts(c, &e, FieldSite, FieldSite)
	w.addTexts(c, &e, FieldRule, FieldRule)
	w.addTexts(c, &e, FieldFrom, FieldCrawler)
	c.entries = append(c.entries, e)
}

// addTexts adds the texts of the fields from first to last.
func (w *worker) addTexts(c *chunk, e *entry, first, last Field) {
	for f := first; f <= last; f++ {
		e.texts[f] = w.span(c, f)
	}
}

// selectLine makes a record of a line that a selection holds.
func (w *worker) selectLine(c *chunk, at int64) {
	if !w.filter.selects(&w.line, at, &w.scratch) {
		return
	}
	c.records++
	c.entries = append(c.entries, entry{at: at, line: span{w.start, uint32(len(w.line.text))}})
}

// request identifies the request of a line among all boots; 0: it has none.
func (w *worker) request() uint64 {
	var h maphash.Hash
	id := w.text(fieldRequestID)
	if len(id) == 0 {
		return 0
	}
	h.SetSeed(w.seed)
	h.Write(id)
	h.WriteByte(0xff) // in no UTF-8
	h.Write(w.text(fieldBoot))
	return max(h.Sum64(), 1)
}

// span is where a field's text is in the chunk.
func (w *worker) span(c *chunk, f Field) span {
	v := w.line.values[f]
	if v.kind != stringValue {
		return span{}
	}
	before := len(c.unescaped)
	got, buffer := w.line.decoded(f, c.unescaped)
	c.unescaped = buffer
	if len(buffer) > before {
		return span{uint32(before) | inUnescaped, uint32(len(got))}
	}
	return span{w.start + v.start, v.end - v.start}
}

// text is a field's string. It is valid until the next call.
func (w *worker) text(f Field) (got []byte) {
	got, w.scratch = w.line.decoded(f, w.scratch[:0])
	return got
}
