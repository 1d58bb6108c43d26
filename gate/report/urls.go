package report

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
)

// Bounds of the refused URLs that are followed.
const (
	defaultURLs = 1_000_000
	meanText    = 256     // bytes of host and path that a URL may have on the average
	maxText     = 4 << 10 // and at the most: the log cuts a path at 2 KiB
	blockBytes  = 64 << 10
	blockURLs   = 4096
	maxDoubts   = 1024
)

// page is a URL as a line names it: the crawler, the host and the path with its query.
type page struct {
	crawler    uint16
	host, path []byte
}

// refusedURL is a URL that was refused, and its wait: from the first refusal to the fetch that ends it.
type refusedURL struct {
	hash        uint64
	id          uint64 // of the last refusal's request, as long as it can be taken back
	first, last int64  // refused in this wait; nanoseconds since 1970
	before      int64  // the refusal before the last one
	came        int64  // in this wait, over HTTP/1.x, for an error: the latest time
	block       uint32 // where host and path are
	offset      uint16
	host, path  uint16 // lengths
	crawler     uint16
	latency     uint16 // bucket of the fetch that ended the wait
	status      uint16 // the error that it came for; 0: it did not come
	refusals    uint32 // in this wait
	place       uint32 // of the last refusal
	placeBefore uint32 // of the one before
	open        bool   // the wait has not ended
	settled     bool   // an earlier wait has
}

// doubt is a refusal that could still be taken back and that its URL no longer remembers.
type doubt struct {
	id    uint64
	at    int64
	place uint32
	url   int32 // -1: not followed
}

// urls follows refused URLs. A stranger may choose paths, and many of them: hashes are seeded, texts are compared, and the
// memory is bounded.
type urls struct {
	most    int
	text    int // bytes of text that are left
	seed    maphash.Seed
	table   []uint32 // index of a URL and 1; 0: free
	blocks  [][]refusedURL
	count   int
	texts   []*strings.Builder
	doubts  []doubt // a ring
	oldest  int
	scratch []byte
}

func newURLs(most int) *urls {
	if most <= 0 {
		most = defaultURLs
	}
	return &urls{most: most, text: most * meanText, seed: maphash.MakeSeed(), table: make([]uint32, 1024)}
}

func (t *urls) at(i int) *refusedURL { return &t.blocks[i/blockURLs][i%blockURLs] }

func (t *urls) words(u *refusedURL) (host, path string) {
	text := t.texts[u.block].String()[u.offset:]
	return text[:u.host], text[u.host : int(u.host)+int(u.path)]
}

// find returns the index of a URL, or -1 and where it belongs in the table.
func (t *urls) find(a page) (index int, hash uint64, slot int) {
	t.scratch = append(t.scratch[:0], byte(a.crawler), byte(a.crawler>>8), byte(len(a.host)), byte(len(a.host)>>8))
	t.scratch = append(append(t.scratch, a.host...), a.path...)
	hash = maphash.Bytes(t.seed, t.scratch)
	mask := len(t.table) - 1
	for slot = int(hash) & mask; t.table[slot] != 0; slot = (slot + 1) & mask {
		i := int(t.table[slot] - 1)
		u := t.at(i)
		if u.hash != hash || u.crawler != a.crawler {
			continue
		}
		if host, path := t.words(u); host == string(a.host) && path == string(a.path) {
			return i, hash, slot
		}
	}
	return -1, hash, slot
}

// follow finds a URL or begins to follow it; -1 if there is no room for it.
func (t *urls) follow(a page) int {
	i, hash, slot := t.find(a)
	length := len(a.host) + len(a.path)
	if i >= 0 {
		return i
	}
	if t.count >= t.most || length > t.text || length > maxText {
		return -1
	}
	t.text -= length
	if len(t.texts) == 0 || t.texts[len(t.texts)-1].Len()+length > blockBytes {
		t.texts = append(t.texts, &strings.Builder{})
		t.texts[len(t.texts)-1].Grow(blockBytes)
	}
	text := t.texts[len(t.texts)-1]
	u := refusedURL{hash: hash, block: uint32(len(t.texts) - 1), offset: uint16(text.Len()), host: uint16(len(a.host)),
		path: uint16(len(a.path)), crawler: a.crawler}
	text.Write(a.host)
	text.Write(a.path)
	if t.count%blockURLs == 0 {
		t.blocks = append(t.blocks, make([]refusedURL, 0, blockURLs))
	}
	last := &t.blocks[len(t.blocks)-1]
	*last = append(*last, u)
	t.count++
	t.table[slot] = uint32(t.count)
	if t.count > len(t.table)/4*3 {
		t.rehash()
	}
	return t.count - 1
}

func (t *urls) rehash() {
	t.table = make([]uint32, 2*len(t.table))
	mask := len(t.table) - 1
	for i := range t.count {
		slot := int(t.at(i).hash) & mask
		for t.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		t.table[slot] = uint32(i + 1)
	}
}

// doubted remembers a refusal for the case that it is taken back late.
func (t *urls) doubted(d doubt) {
	if d.id == 0 {
		return
	}
	if len(t.doubts) < maxDoubts {
		t.doubts = append(t.doubts, d)
		return
	}
	t.doubts[t.oldest] = d
	t.oldest = (t.oldest + 1) % maxDoubts
}

// refused notes a refusal. followed is false if the URL is beyond those that can be followed.
func (t *urls) refused(a page, at int64, id uint64, place uint32) (followed bool) {
	i := t.follow(a)
	if i < 0 {
		t.doubted(doubt{id, at, place, -1})
		return false
	}
	u := t.at(i)
	t.doubted(doubt{u.id, u.last, u.place, int32(i)})
	if u.open {
		u.before, u.placeBefore = u.last, u.place
		u.refusals++
	} else {
		u.settled = u.settled || u.refusals > 0
		u.placeBefore = u.place
		u.first, u.refusals, u.open, u.status = at, 1, true, 0
	}
	u.last, u.id, u.place = at, id, place
	return true
}

// fetched notes a fetch. ended says whether it ended a wait, how long that was and where its last refusal belongs.
func (t *urls) fetched(a page, at int64) (ended bool, latency uint16, place uint32) {
	i, _, _ := t.find(a)
	if i < 0 {
		return false, 0, 0
	}
	u := t.at(i)
	if !u.open || at < u.last {
		return false, 0, 0
	}
	u.open = false
	u.latency = bucketOf(at - u.first)
	return true, u.latency, u.place
}

// failed notes that the crawler came for a refused URL and got an error.
func (t *urls) failed(a page, at int64, status uint16) {
	i, _, _ := t.find(a)
	if i < 0 {
		return
	}
	if u := t.at(i); u.open && at >= u.first {
		u.came, u.status = at, status
	}
}

// undone is what a refusal that did not happen has to be taken out of.
type undone struct {
	at       int64
	place    uint32
	beyond   bool
	ended    bool // a wait, with this latency, which counted for place
	latency  uint16
	moved    bool // the end of the wait counts now for
	newPlace uint32
}

// withdraw takes the refusal of a request back.
func (t *urls) withdraw(a page, id uint64) (what undone, ok bool) {
	i, _, _ := t.find(a)
	if i < 0 || t.at(i).id != id {
		return t.withdrawLate(id)
	}
	u := t.at(i)
	what = undone{at: u.last, place: u.place}
	u.id = 0
	if !u.open {
		what.ended, what.latency = true, u.latency
	}
	u.refusals--
	if u.refusals == 0 {
		u.open = false
		u.place = u.placeBefore
		return what, true
	}
	if what.ended {
		what.moved, what.newPlace = true, u.placeBefore
	}
	u.last, u.place = u.before, u.placeBefore
	return what, true
}

// withdrawLate takes a refusal back that is not the last one of its URL.
func (t *urls) withdrawLate(id uint64) (what undone, ok bool) {
	at := slices.IndexFunc(t.doubts, func(d doubt) bool { return d.id == id })
	if at < 0 {
		return undone{}, false
	}
	d := &t.doubts[at]
	d.id = 0
	what = undone{at: d.at, place: d.place, beyond: d.url < 0}
	if d.url < 0 {
		return what, true
	}
	if u := t.at(int(d.url)); u.open && d.at >= u.first && u.refusals > 1 {
		u.refusals--
		if u.refusals == 1 {
			u.first = u.last
			if u.came < u.first {
				u.status = 0
			}
		}
	}
	return what, true
}

// each calls do for every URL that was refused and not taken back.
func (t *urls) each(do func(*refusedURL)) {
	for i := range t.count {
		if u := t.at(i); u.refusals > 0 || u.settled {
			do(u)
		}
	}
}

// waiting lists what has not been fetched since, in the report's order.
func (t *urls) waiting(crawler func(uint16) string, site func(uint32) string) []Refused {
	list := []Refused{}
	t.each(func(u *refusedURL) {
		if u.open {
			host, path := t.words(u)
			r := Refused{Crawler: crawler(u.crawler), Site: site(u.place), Host: host, Path: path,
				First: instant(u.first), Last: instant(u.last), Refusals: int64(u.refusals)}
			if u.status != 0 {
				r.Came, r.Status = instant(u.came), int(u.status)
			}
			list = append(list, r)
		}
	})
	slices.SortFunc(list, func(a, b Refused) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Crawler, b.Crawler))
	})
	return list
}
