package analysis

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
)

// Bounds of the refused URLs that are tracked.
const (
	maxURLs    = 1_000_000
	meanText   = 256     // bytes of host and path that a URL may have on average
	maxText    = 4 << 10 // and at most: the log cuts a path at 2 KiB
	blockBytes = 64 << 10
	blockURLs  = 4096
	maxPending = 1024
)

// urlKey is a URL as a record names it: the crawler, the host and the path with its query string.
type urlKey struct {
	crawler    uint16
	host, path []byte
}

// trackedURL is a URL that was refused, and its wait: from the first refusal to the fetch that ends it.
type trackedURL struct {
	hash           uint64
	id             uint64 // of the last refusal's request, as long as it can be withdrawn
	first, last    int64  // refused in this wait; nanoseconds since 1970
	before         int64  // the refusal before the last one
	failedAt       int64  // in this wait the crawler came over HTTP/1.x and got an error: the latest time
	block          uint32 // where host and path are
	offset         uint16
	host, path     uint16 // lengths
	crawler        uint16
	latency        uint16 // bucket of the fetch that ended the wait
	failedStatus   uint16 // of that error; 0: it did not come
	refusals       uint32 // in this wait
	siteRule       uint32 // of the last refusal
	siteRuleBefore uint32 // of the one before
	waiting        bool   // the wait has not ended
	fetchedBefore  bool   // an earlier wait has
}

// pendingRefusal is a refusal that could still be withdrawn and that its URL no longer remembers.
type pendingRefusal struct {
	id       uint64
	at       int64
	siteRule uint32
	url      int32 // -1: not tracked
}

// urls tracks refused URLs. A stranger may choose paths, and many of them: hashes are seeded, texts are compared, and
// the memory is bounded. One goroutine uses it.
type urls struct {
	limit         int // of URLs
	textLeft      int // bytes
	seed          maphash.Seed
	table         []uint32 // index of a URL and 1; 0: free
	blocks        [][]trackedURL
	count         int
	texts         []*strings.Builder
	pending       []pendingRefusal // a ring
	oldestPending int
	scratch       []byte
}

// newURLs tracks up to so many URLs; 0: maxURLs.
func newURLs(limit int) *urls {
	if limit <= 0 {
		limit = maxURLs
	}
	return &urls{limit: limit, textLeft: limit * meanText, seed: maphash.MakeSeed(), table: make([]uint32, 1024)}
}

func (u *urls) at(i int) *trackedURL { return &u.blocks[i/blockURLs][i%blockURLs] }

func (t *urls) text(u *trackedURL) (host, path string) {
	text := t.texts[u.block].String()[u.offset:]
	return text[:u.host], text[u.host : int(u.host)+int(u.path)]
}

// find returns the index of a URL, or -1 and where it belongs in the table.
func (t *urls) find(k urlKey) (index int, hash uint64, slot int) {
	t.scratch = append(t.scratch[:0], byte(k.crawler), byte(k.crawler>>8), byte(len(k.host)), byte(len(k.host)>>8))
	t.scratch = append(append(t.scratch, k.host...), k.path...)
	hash = maphash.Bytes(t.seed, t.scratch)
	mask := len(t.table) - 1
	for slot = int(hash) & mask; t.table[slot] != 0; slot = (slot + 1) & mask {
		i := int(t.table[slot] - 1)
		u := t.at(i)
		if u.hash != hash || u.crawler != k.crawler {
			continue
		}
		if host, path := t.text(u); host == string(k.host) && path == string(k.path) {
			return i, hash, slot
		}
	}
	return -1, hash, slot
}

// track finds a URL or begins to track it; -1 if there is no room for it.
func (t *urls) track(k urlKey) int {
	i, hash, slot := t.find(k)
	length := len(k.host) + len(k.path)
	if i >= 0 {
		return i
	}
	if t.count >= t.limit || length > t.textLeft || length > maxText {
		return -1
	}
	t.textLeft -= length
	if len(t.texts) == 0 || t.texts[len(t.texts)-1].Len()+length > blockBytes {
		t.texts = append(t.texts, &strings.Builder{})
		t.texts[len(t.texts)-1].Grow(blockBytes)
	}
	text := t.texts[len(t.texts)-1]
	u := trackedURL{hash: hash, block: uint32(len(t.texts) - 1), offset: uint16(text.Len()), host: uint16(len(k.host)),
		path: uint16(len(k.path)), crawler: k.crawler}
	text.Write(k.host)
	text.Write(k.path)
	if t.count%blockURLs == 0 {
		t.blocks = append(t.blocks, make([]trackedURL, 0, blockURLs))
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

func (u *urls) rehash() {
	u.table = make([]uint32, 2*len(u.table))
	mask := len(u.table) - 1
	for i := range u.count {
		slot := int(u.at(i).hash) & mask
		for u.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		u.table[slot] = uint32(i + 1)
	}
}

// remember keeps a refusal for the case that it is withdrawn late.
func (u *urls) remember(p pendingRefusal) {
	if p.id == 0 {
		return
	}
	if len(u.pending) < maxPending {
		u.pending = append(u.pending, p)
		return
	}
	u.pending[u.oldestPending] = p
	u.oldestPending = (u.oldestPending + 1) % maxPending
}

// refused notes a refusal. tracked is false if the URL is beyond those that can be tracked.
func (t *urls) refused(k urlKey, at int64, id uint64, siteRule uint32) (tracked bool) {
	i := t.track(k)
	if i < 0 {
		t.remember(pendingRefusal{id, at, siteRule, -1})
		return false
	}
	u := t.at(i)
	t.remember(pendingRefusal{u.id, u.last, u.siteRule, int32(i)})
	if u.waiting {
		u.before, u.siteRuleBefore = u.last, u.siteRule
		u.refusals++
	} else {
		u.fetchedBefore = u.fetchedBefore || u.refusals > 0
		u.siteRuleBefore = u.siteRule
		u.first, u.refusals, u.waiting, u.failedStatus = at, 1, true, 0
	}
	u.last, u.id, u.siteRule = at, id, siteRule
	return true
}

// fetched notes a fetch. ended says whether it ended a wait; then latency is the bucket of that wait, and siteRule that
// of its last refusal.
func (t *urls) fetched(k urlKey, at int64) (ended bool, latency uint16, siteRule uint32) {
	i, _, _ := t.find(k)
	if i < 0 {
		return false, 0, 0
	}
	u := t.at(i)
	if !u.waiting || at < u.last {
		return false, 0, 0
	}
	u.waiting = false
	u.latency = bucketOf(at - u.first)
	return true, u.latency, u.siteRule
}

// failed notes that the crawler came for a refused URL and got an error.
func (u *urls) failed(k urlKey, at int64, status uint16) {
	i, _, _ := u.find(k)
	if i < 0 {
		return
	}
	if u := u.at(i); u.waiting && at >= u.first {
		u.failedAt, u.failedStatus = at, status
	}
}

// revert is where a withdrawn refusal no longer counts.
type revert struct {
	at          int64
	siteRule    uint32
	untracked   bool
	ended       bool // it was in a wait that ended with this latency, counted for siteRule
	latency     uint16
	moved       bool // the end of that wait counts now for newSiteRule
	newSiteRule uint32
}

// withdraw reverts the refusal of a request; ok is false if it is not known.
func (t *urls) withdraw(k urlKey, id uint64) (r revert, ok bool) {
	i, _, _ := t.find(k)
	if i < 0 || t.at(i).id != id {
		return t.withdrawLate(id)
	}
	u := t.at(i)
	r = revert{at: u.last, siteRule: u.siteRule}
	u.id = 0
	if !u.waiting {
		r.ended, r.latency = true, u.latency
	}
	u.refusals--
	if u.refusals == 0 {
		u.waiting = false
		u.siteRule = u.siteRuleBefore
		return r, true
	}
	if r.ended {
		r.moved, r.newSiteRule = true, u.siteRuleBefore
	}
	u.last, u.siteRule = u.before, u.siteRuleBefore
	return r, true
}

// withdrawLate reverts a refusal that is not the last one of its URL.
func (u *urls) withdrawLate(id uint64) (r revert, ok bool) {
	at := slices.IndexFunc(u.pending, func(p pendingRefusal) bool { return p.id == id })
	if at < 0 {
		return revert{}, false
	}
	p := &u.pending[at]
	p.id = 0
	r = revert{at: p.at, siteRule: p.siteRule, untracked: p.url < 0}
	if p.url < 0 {
		return r, true
	}
	if u := u.at(int(p.url)); u.waiting && p.at >= u.first && u.refusals > 1 {
		u.refusals--
		if u.refusals == 1 {
			u.first = u.last
			if u.failedAt < u.first {
				u.failedStatus = 0
			}
		}
	}
	return r, true
}

// each calls do for every URL that was refused, unless the refusal was withdrawn.
func (u *urls) each(do func(*trackedURL)) {
	for i := range u.count {
		if u := u.at(i); u.refusals > 0 || u.fetchedBefore {
			do(u)
		}
	}
}

// waiting lists the URLs that have not been fetched since, in the order of the report.
func (t *urls) waiting(crawler func(uint16) string, site func(uint32) string) []RefusedURL {
	list := []RefusedURL{}
	t.each(func(u *trackedURL) {
		if u.waiting {
			host, path := t.text(u)
			w := RefusedURL{Crawler: crawler(u.crawler), Site: site(u.siteRule), Host: host, Path: path,
				First: instant(u.first), Last: instant(u.last), Refusals: int64(u.refusals)}
			if u.failedStatus != 0 {
				w.FailedAt, w.FailedStatus = instant(u.failedAt), int(u.failedStatus)
			}
			list = append(list, w)
		}
	})
	slices.SortFunc(list, func(a, b RefusedURL) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Crawler, b.Crawler))
	})
	return list
}
