// Package guard answers one question: do the crawlers that were sent away come back?
//
// A page that answers 421 and is never fetched over HTTP/1.1 leaves Google's index. So the guard counts, for each site
// and crawler, the refusals since that crawler last came over HTTP/1.x and was verified. For the two it trips when
// there have been Limit.Refusals of them, Limit.Within has gone by since the first, and the crawler has not come back
// once. Refusing then stops for that crawler on that site, as if the state were observe, until somebody resumes the
// site; a come-back alone does not re-arm it, because the owner should look first. A crawler is an entry of verify's
// catalogue, all its tokens together: Googlebot-Image is Googlebot, AdsBot-Google is another crawler, and the visits of
// the one say nothing of the other.
//
// A site that is set to observe or allow serves its pages over HTTP/2 again, so that nobody has a reason to come back.
// What was counted there is forgotten then, see Guard.Forget, but for trips.
//
// # Time
//
// The time that has to go by is what a running guard has seen go by on the monotonic clock. What the wall clock does,
// backward or forward, however far, neither trips a guard nor keeps it from tripping. While no gateway runs nobody is
// refused here and nobody can come back here, so that this time does not count: after a restart the wait goes on where
// it was when it was last kept, at most a minute before a crash. Wall-clock times are kept to be shown to people and
// are never reckoned with.
//
// # The file
//
// Counts and trips are kept in a file in the state folder: written within a second of a change, at once when a guard
// trips or is resumed, by way of a temporary name, so that a crash leaves the file as it was a second ago at the worst.
// One goroutine writes it. Whoever counts or asks waits for memory alone, however slow the disk is. Trouble with the
// file never stops the counting; it is reported through Config.OnEvent, once until it is over.
//
// Files of the first versions did not tell crawlers apart and kept no waited time. Their count of a site is every
// crawler's: a trip stops refusing for all of them until the site is resumed; a count that has not tripped becomes that
// of the crawler which is refused next and ends with the first come-back of any, as it would have. Its wait is the time
// from the first refusal to the file's last change.
package guard

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limit is a site's guard. The zero value never trips.
type Limit struct {
	Refusals int
	Within   time.Duration
}

// Due says whether a guard has to trip after that many refusals since the last come-back and so long a wait since the
// first.
func (l Limit) Due(refusals int64, waited time.Duration) bool {
	return l.Refusals > 0 && refusals >= int64(l.Refusals) && waited >= l.Within
}

// Config of a Guard.
type Config struct {
	Folder  string           // the state folder; "" keeps nothing across restarts
	OnEvent func(Event)      // nil: nobody is told; called without locks held, must not block for long
	Now     func() time.Time // the wall clock, for what people are shown; nil: time.Now
}

// Event is something the owner should hear of.
type Event struct {
	Site     string // "" where it is about the file
	Crawler  string // "": all of them, as the first versions counted
	What     string // tripped, resumed, trouble
	Refusals int64  // since the last come-back
	Since    time.Time
	Waited   time.Duration // since the first of them, while a gateway ran
	Error    string
}

// Status is a count as it stands: of a crawler on a site.
type Status struct {
	Site     string
	Crawler  string // "": all of them, as the first versions counted
	Tripped  bool
	Refusals int64         // since the last come-back
	Since    time.Time     // of the first of them, by the wall clock; zero without
	Waited   time.Duration // since then, while a gateway ran
	CameBack time.Time     // last, by the wall clock; zero: never seen
}

// count is the refusals of a crawler, or of everyone, on a site.
type count struct {
	refusals int64
	since    time.Time     // of the first refusal, to be shown
	waited   time.Duration // since the first refusal, before from
	from     time.Time     // with a reading of the monotonic clock; zero: there is nothing to wait for
	cameBack time.Time     // to be shown
	tripped  bool
}

// wait is the time since the first refusal.
func (c *count) wait() time.Duration {
	if c.from.IsZero() {
		return c.waited
	}
	return c.waited + time.Since(c.from)
}

// reset forgets the refusals and the trip.
func (c *count) reset() {
	c.refusals, c.since, c.waited, c.from, c.tripped = 0, time.Time{}, 0, time.Time{}, false
}

// key names a count. An empty crawler is all of them.
type key struct{ site, crawler string }

// Guard is safe for any number of goroutines.
type Guard struct {
	config Config

	writing sync.Mutex // held while the file is written; taken before mu, never while mu is held

	mu       sync.Mutex // never held over a call to the system
	limits   map[string]Limit
	crawlers []string
	counts   map[key]*count
	dirty    bool // counts have changed since they were written

	lock      *os.File      // nil: none could be had
	wake      chan struct{} // has room for one: write now
	requested chan struct{} // has room for one: take up requests now
	done      chan struct{}
	idle      sync.WaitGroup
	once      sync.Once
}

// Open reads the kept counts and starts keeping them. A missing file is a fresh start; a file that cannot be read or
// understood is an error, because starting from nothing would re-arm a guard that had tripped.
func Open(c Config) (*Guard, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	g := &Guard{config: c, limits: map[string]Limit{}, counts: map[key]*count{},
		wake: make(chan struct{}, 1), requested: make(chan struct{}, 1), done: make(chan struct{})}
	if c.Folder == "" {
		return g, nil
	}
	if err := g.load(); err != nil {
		return nil, err
	}
	g.goOn()
	// Whoever asks later then finds a folder that this user can read. A state folder that takes none takes no counts
	// either, and that is reported.
	_ = os.Mkdir(g.requests(), 0o700)
	g.lock = lock(c.Folder)
	g.idle.Go(g.keep)
	return g, nil
}

// Limit sets the limits by site name, and which crawlers there are; a site that is not in limits never trips. What was
// counted stays.
func (g *Guard) Limit(limits map[string]Limit, crawlers []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits, g.crawlers = limits, crawlers
}

// Armed says whether refusing a crawler is still right on a site, and trips the guard when it no longer is.
func (g *Guard) Armed(site, crawler string) bool {
	g.mu.Lock()
	limit := g.limits[site]
	for _, k := range [...]key{{site, ""}, {site, crawler}} {
		n := g.counts[k]
		switch {
		case limit.Refusals <= 0 || n == nil:
		case n.tripped:
			g.mu.Unlock()
			return false
		case limit.Due(n.refusals, n.wait()):
			event := g.trip(k, n)
			g.mu.Unlock()
			g.config.OnEvent(event)
			return false
		}
	}
	g.mu.Unlock()
	return true
}

// trip stops a count's wait. The caller holds mu.
func (g *Guard) trip(k key, n *count) Event {
	n.tripped, n.waited, n.from = true, n.wait(), time.Time{}
	g.hurry()
	status := g.status(k, n)
	return Event{Site: k.site, Crawler: k.crawler, What: "tripped",
		Refusals: n.refusals, Since: status.Since, Waited: n.waited}
}

// Refused counts one refusal.
func (g *Guard) Refused(site, crawler string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of(key{site, crawler})
	if old := g.counts[key{site, ""}]; old != nil && !old.tripped {
		n.inherit(old)
		delete(g.counts, key{site, ""})
	}
	if n.refusals == 0 {
		n.since, n.from = g.config.Now().UTC(), time.Now()
	}
	n.refusals++
	g.dirty = true
}

// inherit adds what the first versions counted of the site.
func (c *count) inherit(old *count) {
	if c.tripped || old.refusals == 0 {
		return
	}
	c.refusals += old.refusals
	c.since, c.waited, c.from = old.since, max(old.wait(), c.wait()), time.Now()
}

// CameBack notes that a crawler came over HTTP/1.x and was verified.
func (g *Guard) CameBack(site, crawler string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of(key{site, crawler})
	if !n.tripped { // what tripped it stays to be looked at
		n.reset()
	}
	n.cameBack = g.config.Now().UTC()
	if old := g.counts[key{site, ""}]; old != nil {
		old.cameBack = n.cameBack
		if !old.tripped {
			delete(g.counts, key{site, ""})
		}
	}
	g.dirty = true
}

// Forget ends the counts of a site that refuses nobody any more. One that has tripped stays until somebody resumes the
// site.
func (g *Guard) Forget(site string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, n := range g.counts {
		if k.site != site || n.tripped || n.refusals == 0 {
			continue
		}
		n.reset()
		g.dirty = true
	}
}

// Resume re-arms a site for every crawler and forgets what was counted of those that had tripped. It says whether any
// had.
func (g *Guard) Resume(site string) bool {
	g.mu.Lock()
	var events []Event
	for k, n := range g.counts {
		if k.site != site || !n.tripped {
			continue
		}
		n.reset()
		events = append(events, Event{Site: site, Crawler: k.crawler, What: "resumed"})
	}
	if len(events) > 0 {
		g.hurry()
	}
	g.mu.Unlock()
	slices.SortFunc(events, func(a, b Event) int { return strings.Compare(a.Crawler, b.Crawler) })
	for _, event := range events {
		g.config.OnEvent(event)
	}
	return len(events) > 0
}

// Status lists every crawler of every guarded site, those without a count yet among them, by site and crawler.
func (g *Guard) Status() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	guarded := map[key]*count{}
	for site, limit := range g.limits {
		if limit.Refusals <= 0 {
			continue
		}
		if n := g.counts[key{site, ""}]; n != nil && (n.refusals > 0 || n.tripped) {
			guarded[key{site, ""}] = n
		}
		for _, crawler := range g.crawlers {
			guarded[key{site, crawler}] = g.counts[key{site, crawler}]
		}
	}
	return g.list(guarded)
}

func (g *Guard) list(counts map[key]*count) []Status {
	out := make([]Status, 0, len(counts))
	for k, n := range counts {
		out = append(out, g.status(k, n))
	}
	slices.SortFunc(out, func(a, b Status) int {
		return cmp.Or(strings.Compare(a.Site, b.Site), strings.Compare(a.Crawler, b.Crawler))
	})
	return out
}

// status is a count as people are shown it. Times that only a wrong clock can have given are mended as far as the wait
// tells.
func (g *Guard) status(k key, n *count) Status {
	if n == nil {
		return Status{Site: k.site, Crawler: k.crawler}
	}
	now := g.config.Now().UTC()
	s := Status{Site: k.site, Crawler: k.crawler, Tripped: n.tripped, Refusals: n.refusals,
		Since: n.since, Waited: n.wait(), CameBack: n.cameBack}
	if latest := now.Add(-s.Waited); s.Since.After(latest) || !s.Since.IsZero() && !plausible(s.Since) {
		s.Since = latest
	}
	if s.CameBack.After(now) {
		s.CameBack = now
	}
	return s
}

// Close keeps the counts a last time. It waits for the disk.
func (g *Guard) Close() error {
	g.once.Do(func() { close(g.done) })
	g.idle.Wait()
	if g.config.Folder == "" {
		return nil
	}
	g.keepWaits()
	err := g.write()
	g.lock.Close() // after which nobody waits for this gateway; an *os.File that is nil takes it
	return err
}

// keepWaits has the waits written with the counts if any of them has grown.
func (g *Guard) keepWaits() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.counts {
		if !n.from.IsZero() {
			g.dirty = true
		}
	}
}

func (g *Guard) of(k key) *count {
	n := g.counts[k]
	if n == nil {
		n = &count{}
		g.counts[k] = n
	}
	return n
}

// hurry has the counts written now and not within a second. The caller holds mu.
func (g *Guard) hurry() {
	g.dirty = true
	select {
	case g.wake <- struct{}{}:
	default: // it has been asked for already
	}
}
