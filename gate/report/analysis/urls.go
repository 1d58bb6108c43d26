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

func (u *urls) text(tracked *trackedURL) (host, path string) {
	text := u.texts[tracked.block].String()[tracked.offset:]
	return text[:tracked.host], text[tracked.host : int(tracked.host)+int(tracked.path)]
}

// find returns the index of a URL, or -1 and where it belongs in the table.
func (u *urls) find(k urlKey) (index int, hash uint64, slot int) {
	u.scratch = append(u.scratch[:0], byte(k.crawler), byte(k.crawler>>8), byte(len(k.host)), byte(len(k.host)>>8))
	u.scratch = append(append(u.scratch, k.host...), k.path...)
	hash = maphash.Bytes(u.seed, u.scratch)
	mask := len(u.table) - 1
	for slot = int(hash) & mask; u.table[slot] != 0; slot = (slot + 1) & mask {
		i := int(u.table[slot] - 1)
		tracked := u.at(i)
		if tracked.hash != hash || tracked.crawler != k.crawler {
			continue
		}
		if host, path := u.text(tracked); host == string(k.host) && path == string(k.path) {
			return i, hash, slot
		}
	}
	return -1, hash, slot
}

// track finds a URL or begins to track it; -1 if there is no room for it.
func (u *urls) track(k urlKey) int {
	i, hash, slot := u.find(k)
	length := len(k.host) + len(k.path)
	if i >= 0 {
		return i
	}
	if u.count >= u.limit || length > u.textLeft || length > maxText {
		return -1
	}
	u.textLeft -= length
	if len(u.texts) == 0 || u.texts[len(u.texts)-1].Len()+length > blockBytes {
		u.texts = append(u.texts, &strings.Builder{})
		u.texts[len(u.texts)-1].Grow(blockBytes)
	}
	text := u.texts[len(u.texts)-1]
	tracked := trackedURL{hash: hash, block: uint32(len(u.texts) - 1), offset: uint16(text.Len()), host: uint16(len(k.host)),
		path: uint16(len(k.path)), crawler: k.crawler}
	text.Write(k.host)
	text.Write(k.path)
	if u.count%blockURLs == 0 {
		u.blocks = append(u.blocks, make([]trackedURL, 0, blockURLs))
	}
	last := &u.blocks[len(u.blocks)-1]
	*last = append(*last, tracked)
	u.count++
	u.table[slot] = uint32(u.count)
	if u.count > len(u.table)/4*3 {
		u.rehash()
	}
	return u.count - 1
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
func (u *urls) refused(k urlKey, at int64, id uint64, siteRule uint32) (tracked bool) {
	i := u.track(k)
	if i < 0 {
		u.remember(pendingRefusal{id, at, siteRule, -1})
		return false
	}
	url := u.at(i)
	u.remember(pendingRefusal{url.id, url.last, url.siteRule, int32(i)})
	if url.waiting {
		url.before, url.siteRuleBefore = url.last, url.siteRule
		url.refusals++
	} else {
		url.fetchedBefore = url.fetchedBefore || url.refusals > 0
		url.siteRuleBefore = url.siteRule
		url.first, url.refusals, url.waiting, url.failedStatus = at, 1, true, 0
	}
	url.last, url.id, url.siteRule = at, id, siteRule
	return true
}

// fetched notes a fetch. ended says whether it ended a wait; then latency is the bucket of that wait, and siteRule that
// of its last refusal.
func (u *urls) fetched(k urlKey, at int64) (ended bool, latency uint16, siteRule uint32) {
	i, _, _ := u.find(k)
	if i < 0 {
		return false, 0, 0
	}
	url := u.at(i)
	if !url.waiting || at < url.last {
		return false, 0, 0
	}
	url.waiting = false
	url.latency = bucketOf(at - url.first)
	return true, url.latency, url.siteRule
}

// failed notes that the crawler came for a refused URL and got an error.
func (u *urls) failed(k urlKey, at int64, status uint16) {
	i, _, _ := u.find(k)
	if i < 0 {
		return
	}
	if tracked := u.at(i); tracked.waiting && at >= tracked.first {
		tracked.failedAt, tracked.failedStatus = at, status
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
func (u *urls) withdraw(k urlKey, id uint64) (r revert, ok bool) {
	i, _, _ := u.find(k)
	if i < 0 || u.at(i).id != id {
		return u.withdrawLate(id)
	}
	url := u.at(i)
	r = revert{at: url.last, siteRule: url.siteRule}
	url.id = 0
	if !url.waiting {
		r.ended, r.latency = true, url.latency
	}
	url.refusals--
	if url.refusals == 0 {
		url.waiting = false
		url.siteRule = url.siteRuleBefore
		return r, true
	}
	if r.ended {
		r.moved, r.newSiteRule = true, url.siteRuleBefore
	}
	url.last, url.siteRule = url.before, url.siteRuleBefore
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
		if tracked := u.at(i); tracked.refusals > 0 || tracked.fetchedBefore {
			do(tracked)
		}
	}
}

// waiting lists the URLs that have not been fetched since, in the order of the report.
func (u *urls) waiting(crawler func(uint16) string, site func(uint32) string) []RefusedURL {
	list := []RefusedURL{}
	u.each(func(url *trackedURL) {
		if url.waiting {
			host, path := u.text(url)
			w := RefusedURL{Crawler: crawler(url.crawler), Site: site(url.siteRule), Host: host, Path: path,
				First: instant(url.first), Last: instant(url.last), Refusals: int64(url.refusals)}
			if url.failedStatus != 0 {
				w.FailedAt, w.FailedStatus = instant(url.failedAt), int(url.failedStatus)
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
