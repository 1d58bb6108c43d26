package report

import (
	"hash/maphash"
	"math"
)

// happening is what an event means to the report.
type happening uint8

const (
	crawled    happening = iota // a verified crawler's request
	refused                     // one that was refused
	fetched                     // one over HTTP/1.x that gave the crawler the page
	posed                       // an impostor's
	failed                      // one over HTTP/1.x that gave it an error of the server instead
	unproved                    // a claim's that could not be proved or disproved
	changed                     // of a rule, or the guard
	withdrawn                   // takes a refusal back, and is not asked for itself
	recordLine                  // a line that a selection wants
)

// span is a piece of a chunk's text: of data, or of side where the highest bit of start is set.
type span struct{ start, length uint32 }

const inSide = 1 << 31

// event is a line whose place in the order matters, without its text.
type event struct {
	at     int64 // nanoseconds since 1970
	id     uint64
	what   happening
	http2  bool
	undoes bool // it is log_unavailable: a refusal with its id did not happen
	site   span // of a selection: the line
	host   span
	path   span
	claim  span
	rule   span
	state  span
	reason span
	client span
	ptr    span
	cause  span
	change uint32 // index into the chunk's changes
	status uint16 // of what failed
}

// run is a stretch of one boot's numbers without a hole, or what a gap line explains.
type run struct {
	boot                   uint32 // index into the chunk's boots
	from, to               uint64
	lost, leftOut, removed uint64 // a gap line's, whose number stands in from
	unsynced               uint64 // likewise
	gap                    bool
}

// explains is how many numbers before its own a gap line explains. The last of the removed lines had its number.
func (r *run) explains() uint64 {
	n := max(r.removed, 1) - 1
	for _, more := range [...]uint64{r.lost, r.leftOut} {
		n += min(more, math.MaxUint64-n)
	}
	return n
}

// found is what a worker finds in a chunk.
type found struct {
	lines, records, broken, foreign, other int64
	repeated                               int64 // lines that were read before
	earliest, latest                       int64 // of the records
	events                                 []event
	changes                                []Change
	side                                   []byte // texts that had to be unescaped
	boots                                  []uint64
	runs                                   []run
}

func (f *found) reset() {
	*f = found{events: f.events[:0], changes: f.changes[:0], side: f.side[:0], boots: f.boots[:0], runs: f.runs[:0],
		earliest: math.MaxInt64, latest: math.MinInt64}
}

// text is what a span says. It is valid as long as the chunk.
func (c *chunk) text(s span) []byte {
	if s.start&inSide != 0 {
		start := s.start &^ inSide
		return c.side[start : start+s.length]
	}
	return c.data[s.start : s.start+s.length]
}

// collector is a worker: it parses chunks, counts what can be counted in any order and finds the events. One goroutine uses
// it; what it keeps from chunk to chunk only saves work.
type collector struct {
	filter  *filter
	seed    maphash.Seed // of the ids and boots of one reading
	selects bool         // whole lines are wanted, and nothing else
	seen    *boots       // lines that are known here are left out; nil: none is looked up
	line    line
	clock   clock
	scratch []byte
	open    map[uint64]uint32 // boot: the index of its latest run in the chunk
	start   uint32            // of the line in the chunk, or in side
	others  sitesSeen         // where one site is asked for
}

// collect parses a chunk.
func (w *collector) collect(c *chunk) {
	c.reset()
	clear(w.open)
	c.lines, c.broken = c.long, c.long
	rest := c.data
	for len(rest) > 0 {
		w.start = uint32(len(c.data) - len(rest))
		var text []byte
		var whole bool
		text, rest, whole = lineOf(rest)
		if len(text) == 0 {
			continue
		}
		if len(text) <= maxLine && w.find(c, text) {
			c.lines++
			w.sort(c)
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

// find finds the log's line in a line of the chunk, and where it begins.
func (w *collector) find(c *chunk, text []byte) bool {
	at, unescaped, side, ok := w.line.find(text, c.side)
	c.side = side
	if unescaped {
		w.start = uint32(at) | inSide
	} else {
		w.start += uint32(at)
	}
	return ok
}

// sort finds out what a line is for.
func (w *collector) sort(c *chunk) {
	l := &w.line
	one, ok := l.version()
	when, side := l.decoded(memberTime, w.scratch[:0])
	w.scratch = side
	at, timely := w.clock.read(when)
	if !ok || !timely || l.values[memberEvent].kind != characters {
		c.foreign++
		return
	}
	if !w.number(c) {
		c.repeated++
		return
	}
	if !one {
		c.other++
	}
	if w.filter.site != "" {
		w.others.line(w)
	}
	if w.selects {
		w.choose(c, at)
		return
	}
	switch {
	case l.is(memberEvent, "decision"):
		w.decision(c, at)
	case l.is(memberEvent, "rule"), l.is(memberEvent, "guard"):
		w.change(c, at)
	}
}

// number keeps the book of seq. It says whether the line is new.
func (w *collector) number(c *chunk) bool {
	l := &w.line
	seq, ok := l.count(memberSeq)
	var name []byte
	name, w.scratch = l.decoded(memberBoot, w.scratch[:0])
	if len(name) == 0 || !ok {
		return true
	}
	boot := maphash.Bytes(w.seed, name)
	if w.seen != nil && !w.seen.take(boot, seq) {
		return false
	}
	at, known := w.open[boot]
	switch {
	case known && seq > c.runs[at].to && seq-1 == c.runs[at].to:
		c.runs[at].to = seq
	case known:
		at = w.run(c, run{boot: c.runs[at].boot, from: seq, to: seq})
		w.open[boot] = at
	default:
		c.boots = append(c.boots, boot)
		at = w.run(c, run{boot: uint32(len(c.boots) - 1), from: seq, to: seq})
		w.open[boot] = at
	}
	if l.is(memberEvent, "gap") {
		lost, _ := l.count(memberLost)
		leftOut, _ := l.count(memberLeftOut)
		removed, _ := l.count(memberRemoved)
		unsynced, _ := l.count(memberUnsynced)
		w.run(c, run{boot: c.runs[at].boot, from: seq, to: seq, lost: lost, leftOut: leftOut, removed: removed, unsynced: unsynced, gap: true})
	}
	return true
}

func (w *collector) run(c *chunk, r run) uint32 {
	c.runs = append(c.runs, r)
	return uint32(len(c.runs) - 1)
}

// decision counts a decision and makes an event of it if a crawler is claimed.
func (w *collector) decision(c *chunk, at int64) {
	l, f := &w.line, w.filter
	timely := f.time(at)
	if !timely && l.values[memberClaim].kind == absent || !f.ofSite(l, &w.scratch) || !f.ofPath(l, &w.scratch) {
		return
	}
	if timely {
		c.records++
		c.earliest, c.latest = min(c.earliest, at), max(c.latest, at)
	}
	if l.values[memberClaim].kind == absent && l.values[memberVerdict].kind == absent {
		return
	}
	e := event{at: at, http2: w.begins(memberProto, "HTTP/2"), undoes: l.is(memberReason, "log_unavailable")}
	e.claim = w.span(c, memberClaim)
	if !w.meaning(&e) {
		return
	}
	if e.id = w.id(); e.id == 0 {
		e.undoes = false
	}
	if !timely {
		if !e.undoes {
			return
		}
		e.what = withdrawn
	}
	e.site, e.host, e.path = w.span(c, memberSite), w.span(c, memberHost), w.span(c, memberPath)
	e.rule, e.state, e.reason = w.span(c, memberRule), w.span(c, memberState), w.span(c, memberReason)
	e.client, e.ptr, e.cause = w.span(c, memberClientIP), w.span(c, memberPTR), w.span(c, memberCause)
	c.events = append(c.events, e)
}

// meaning finds out what a decision means to the report; false: nothing.
func (w *collector) meaning(e *event) bool {
	l := &w.line
	claims := e.claim.length > 0
	switch {
	case l.is(memberVerdict, "impostor"):
		e.what = posed
		return true
	case l.is(memberVerdict, "unknown"):
		e.what = unproved
		return claims
	case !claims || !l.is(memberVerdict, "genuine"):
		return false
	case e.http2 && l.is(memberAction, "reject"):
		return false
	case !e.http2 && !w.begins(memberProto, "HTTP/1"): // HTTP/3 to a CDN, or nobody knows what: neither refused nor a come-back
		return false
	case e.http2 && l.is(memberAction, "refuse") && l.is(memberReason, "refused"):
		e.what = refused
	case !e.http2 && l.is(memberAction, "serve"):
		switch status, ok := l.count(memberStatus); {
		case !ok || status == 0 || status > 999: // nobody knows what the crawler got
		case status < 500:
			e.what = fetched
		default:
			e.what, e.status = failed, uint16(status)
		}
	}
	return true
}

// id is the request of a line among all boots; 0: it has none.
func (w *collector) id() uint64 {
	var h maphash.Hash
	var text []byte
	if text, w.scratch = w.line.decoded(memberRequestID, w.scratch[:0]); len(text) == 0 {
		return 0
	}
	h.SetSeed(w.seed)
	h.Write(text)
	h.WriteByte(0xff) // in no UTF-8
	text, w.scratch = w.line.decoded(memberBoot, w.scratch[:0])
	h.Write(text)
	return max(h.Sum64(), 1)
}

func (w *collector) begins(m member, prefix string) bool {
	var got []byte
	got, w.scratch = w.line.decoded(m, w.scratch[:0])
	return len(got) >= len(prefix) && string(got[:len(prefix)]) == prefix
}

// span is where a member's text is in the chunk.
func (w *collector) span(c *chunk, m member) span {
	v := w.line.values[m]
	if v.kind != characters {
		return span{}
	}
	before := len(c.side)
	got, side := w.line.decoded(m, c.side)
	c.side = side
	if len(side) > before {
		return span{uint32(before) | inSide, uint32(len(got))}
	}
	return span{w.start + v.start, v.end - v.start}
}

// change makes an event of a line about a rule or the guard.
func (w *collector) change(c *chunk, at int64) {
	l := &w.line
	guard := l.is(memberEvent, "guard")
	if !w.filter.time(at) || !w.filter.ofSite(l, &w.scratch) ||
		guard && !l.is(memberWhat, "tripped") && !l.is(memberWhat, "resumed") {
		return
	}
	change := Change{Time: instant(at), Event: "rule", Site: w.string(memberSite), Rule: w.string(memberRule),
		From: w.string(memberFrom), To: w.string(memberTo), What: w.string(memberWhat), By: w.string(memberBy)}
	if guard {
		change.Event, change.Crawler = "guard", w.string(memberCrawler)
	}
	c.changes = append(c.changes, change)
	c.events = append(c.events, event{at: at, what: changed, change: uint32(len(c.changes) - 1)})
}

// text is a member's string. It is valid until the next call.
func (w *collector) text(m member) (got []byte) {
	got, w.scratch = w.line.decoded(m, w.scratch[:0])
	return got
}

func (w *collector) string(m member) string { return string(w.text(m)) }

// choose makes an event of a line that a selection wants.
func (w *collector) choose(c *chunk, at int64) {
	if w.filter.wants(&w.line, at, &w.scratch) {
		c.records++
		c.events = append(c.events, event{at: at, what: recordLine, site: span{w.start, uint32(len(w.line.text))}})
	}
}

// wants says whether a selection wants a line.
func (f *filter) wants(l *line, at int64, scratch *[]byte) bool {
	if !f.time(at) || !f.ofSite(l, scratch) {
		return false
	}
	if !l.is(memberEvent, "decision") {
		return f.events()
	}
	return f.ofPath(l, scratch) && f.chosen(l, scratch)
}
