package verify

import (
	"sync/atomic"
	"time"
)

// How long findings may be used.
const (
	minGenuineTTL   = time.Minute
	maxGenuineTTL   = 24 * time.Hour
	staleFor        = 24 * time.Hour // that a proof stays usable after it expired, only while lookups fail
	impostorTTL     = 10 * time.Minute
	weakImpostorTTL = time.Minute     // with a denial that must not be cached longer
	minDenialGap    = time.Minute     // between the two denials that end a proof
	failureTTL      = 3 * time.Second // from the last failure on
)

// maxCachedName is the longest reverse name that is cached, in bytes: the owner of an address chooses its name. The
// masks of the catalogue match none that is longer.
const maxCachedName = 96

// crawlerSet is a set of a Verifier's crawlers, one bit each, in their order.
type crawlerSet uint32

const maxCrawlers = 32 // bits of a crawlerSet

// finding is what one lookup learned about an address, for all crawlers of the catalogue. It is small, for there can be
// many, and immutable once it is cached.
type finding struct {
	name         string        // the first trusted name that resolved back, else the first that is printable
	second       string        // a second trusted name that resolved back, for crawlers that do not trust the first
	provenByName crawlerSet    // the crawlers that trust name, which resolved back
	genuine      crawlerSet    // the crawlers that are proven, by name or by second
	failed       crawlerSet    // the crawlers that a failure may have hidden a proof from
	refreshed    atomic.Bool   // a refresh was started
	weak         bool          // one of the negative answers was answerWeakNegative
	denied       bool          // a proof that was denied once since
	failure      *failure      // the first, nil if failed is empty
	refreshAt    time.Duration // when it should be looked up again, by the cache's clock
	expires      time.Duration // by the cache's clock
}

// result derives the verdict for one crawler.
func (f *finding) result(crawler crawlerSet, source string) Result {
	r := Result{Source: source, PTR: f.name}
	switch {
	case f.genuine&crawler != 0:
		r.Verdict = Genuine
		if f.provenByName&crawler == 0 {
			r.PTR = f.second
		}
	case f.failed&crawler != 0:
		r.setCause(f.failure)
	default:
		r.Verdict = Impostor
	}
	return r
}

// addProof notes that name, which those crawlers trust, resolved back.
func (f *finding) addProof(name string, trusted crawlerSet) {
	if f.genuine == 0 {
		f.name, f.provenByName = name, trusted
	} else if f.second == "" {
		f.second = name
	}
	f.genuine |= trusted
}

// lifetime is how long a finding may be used: its records live for ttl, and the last failure is that long ago.
func (f *finding) lifetime(ttl, ago time.Duration) time.Duration {
	switch {
	case f.failed != 0:
		return max(failureTTL-ago, 0)
	case f.genuine != 0:
		return min(max(ttl, minGenuineTTL), maxGenuineTTL)
	case f.weak:
		return weakImpostorTTL
	default:
		return impostorTTL
	}
}

// afterDenial returns a proof as it is after its first denial: it expires when it did before, and is looked up again
// after minDenialGap.
func (f *finding) afterDenial(now time.Duration) *finding {
	return &finding{
		name: f.name, second: f.second, provenByName: f.provenByName, genuine: f.genuine,
		failed: f.failed, failure: f.failure,
		denied: true, refreshAt: now + minDenialGap, expires: f.expires,
	}
}
