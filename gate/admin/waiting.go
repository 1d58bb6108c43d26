package admin

import (
	"hash/maphash"
	"net/http"
	"sync"

	"gate421/gate/audit"
	"gate421/gate/policy"
)

// maxWaiting is how many refused URLs are remembered: beyond, the one that was refused the longest ago is forgotten.
const maxWaiting = 1 << 18

// waiting remembers which URLs were refused and have not been fetched since, to know a come-back: a crawler, a host and
// a path with its query. Two URLs are one where 64 bits of their hashes agree, which a stranger cannot bring about.
type waiting struct {
	seed maphash.Seed

	mu      sync.Mutex
	open    map[uint64]uint64 // those that wait: the number of the refusal that began it
	ring    []uint64          // the latest that began a wait; number n stands at n % maxWaiting
	refusal uint64            // the next number
}

func newWaiting() *waiting {
	return &waiting{seed: maphash.MakeSeed(), open: map[uint64]uint64{}}
}

// record notes a refusal, and says whether a record is a come-back: the first fetch of a refused URL over HTTP/1.x, by
// the verified crawler that was refused, with an answer below 500. It never waits for anything slow.
func (w *waiting) record(r *audit.Record) (comeBack bool) {
	switch {
	case r.Verdict != verdictGenuine:
		return false
	case r.Reason == string(policy.Refused) && r.Action == policy.Refuse421.String():
		w.refused(w.hash(r))
	case r.Reason == string(policy.HTTP1) && r.Status > 0 && r.Status < http.StatusInternalServerError:
		return w.fetched(w.hash(r))
	}
	return false
}

func (w *waiting) hash(r *audit.Record) uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, text := range [...]string{r.Claim, r.Host, r.Path} {
		h.WriteString(text)
		h.WriteByte(0xff) // in no UTF-8
	}
	return h.Sum64()
}

func (w *waiting) refused(url uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, waits := w.open[url]; waits {
		return
	}
	w.open[url] = w.refusal
	if at := w.refusal % maxWaiting; w.refusal < maxWaiting {
		w.ring = append(w.ring, url)
	} else {
		if old := w.ring[at]; w.open[old] == w.refusal-maxWaiting {
			delete(w.open, old)
		}
		w.ring[at] = url
	}
	w.refusal++
}

func (w *waiting) fetched(url uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, waits := w.open[url]; !waits {
		return false
	}
	delete(w.open, url)
	return true
}
