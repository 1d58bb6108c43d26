// Package guard answers one question: do the crawlers that were sent away come back?
//
// A page that answers 421 and is never fetched over HTTP/1.1 leaves Google's index. So the guard counts, for each site,
// the refusals since a verified crawler last came over HTTP/1.x. It trips when there have been Limit.Refusals of them, the
// first at least Limit.Within ago, and not one come-back since. A tripped site is served as if its state were observe until
// somebody resumes it; a come-back alone does not re-arm it, because the owner should look first.
//
// Counts and trips are kept in a file in the state folder: written within a second of a change, at once when the guard
// trips or is resumed, by way of a temporary name, so that a crash leaves the file as it was a second ago at the worst.
// One goroutine writes it. Whoever counts or asks waits for memory alone, however slow the disk is. Trouble with the file
// never stops the counting; it is reported through Config.Notify, once until it is over.
package guard

import (
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

// Due says whether a site with that many refusals since its last come-back, the first of them at since, has to trip.
func (l Limit) Due(refusals int64, since, now time.Time) bool {
	return l.Refusals > 0 && refusals >= int64(l.Refusals) && now.Sub(since) >= l.Within
}

// Config of a Guard.
type Config struct {
	Folder string           // the state folder; "" keeps nothing across restarts
	Notify func(Event)      // nil: nobody is told; called without locks held, must not block for long
	Now    func() time.Time // nil: time.Now
}

// Event is something the owner should hear of.
type Event struct {
	Site     string // "" where it is about the file
	What     string // tripped, resumed, trouble
	Refusals int64  // since the last come-back
	Since    time.Time
	Error    string
}

// Status is a site's count as it stands.
type Status struct {
	Site     string
	Tripped  bool
	Refusals int64     // since the last come-back
	Since    time.Time // of the first of them; zero without
	CameBack time.Time // last; zero: never seen
}

// count is what the file keeps of a site.
type count struct {
	Refusals int64     `json:"refusals"`
	Since    time.Time `json:"since,omitzero"`
	CameBack time.Time `json:"came_back,omitzero"`
	Tripped  bool      `json:"tripped"`
}

// Guard is safe for any number of goroutines.
type Guard struct {
	config Config

	writing sync.Mutex // held while the file is written; taken before mu, never while mu is held

	mu     sync.Mutex // never held over a call to the system
	limits map[string]Limit
	counts map[string]*count
	dirty  bool // counts have changed since they were written

	wake chan struct{} // has room for one: write now
	done chan struct{}
	idle sync.WaitGroup
	once sync.Once
}

// Open reads the kept counts and starts keeping them. A missing file is a fresh start; a file that cannot be read or
// understood is an error, because starting from nothing would re-arm a site that had tripped.
func Open(c Config) (*Guard, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Notify == nil {
		c.Notify = func(Event) {}
	}
	g := &Guard{config: c, limits: map[string]Limit{}, counts: map[string]*count{},
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	if c.Folder == "" {
		return g, nil
	}
	if err := g.load(); err != nil {
		return nil, err
	}
	// Whoever asks later then finds a folder that this user can read. A state folder that takes none takes no counts either,
	// and that is reported.
	_ = os.Mkdir(g.requests(), 0o700)
	g.idle.Go(g.keep)
	return g, nil
}

// Limit sets the limits by site name; a site that is not in limits never trips. What was counted stays.
func (g *Guard) Limit(limits map[string]Limit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limits = limits
}

// Armed says whether refusing is still right on a site, and trips its guard when it no longer is.
func (g *Guard) Armed(site string) bool {
	g.mu.Lock()
	limit, n := g.limits[site], g.counts[site]
	if limit.Refusals <= 0 || n == nil {
		g.mu.Unlock()
		return true
	}
	if n.Tripped {
		g.mu.Unlock()
		return false
	}
	if !limit.Due(n.Refusals, n.Since, g.config.Now()) {
		g.mu.Unlock()
		return true
	}
	n.Tripped = true
	event := Event{Site: site, What: "tripped", Refusals: n.Refusals, Since: n.Since}
	g.hurry()
	g.mu.Unlock()
	g.config.Notify(event)
	return false
}

// Refused counts one refusal.
func (g *Guard) Refused(site string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of(site)
	if n.Refusals == 0 {
		n.Since = g.config.Now().UTC()
	}
	n.Refusals++
	g.dirty = true
}

// CameBack notes that a verified crawler came over HTTP/1.x.
func (g *Guard) CameBack(site string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.of(site)
	n.CameBack = g.config.Now().UTC()
	if !n.Tripped { // what tripped it stays to be looked at
		n.Refusals, n.Since = 0, time.Time{}
	}
	g.dirty = true
}

// Resume re-arms a site and forgets what was counted. It says whether the site had tripped.
func (g *Guard) Resume(site string) bool {
	g.mu.Lock()
	n := g.counts[site]
	if n == nil || !n.Tripped {
		g.mu.Unlock()
		return false
	}
	n.Tripped, n.Refusals, n.Since = false, 0, time.Time{}
	g.hurry()
	g.mu.Unlock()
	g.config.Notify(Event{Site: site, What: "resumed"})
	return true
}

// Status lists the guarded sites by name, those without a count yet among them.
func (g *Guard) Status() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	guarded := map[string]*count{}
	for site, limit := range g.limits {
		if limit.Refusals > 0 {
			guarded[site] = g.counts[site]
		}
	}
	return list(guarded)
}

func list(counts map[string]*count) []Status {
	out := make([]Status, 0, len(counts))
	for site, n := range counts {
		status := Status{Site: site}
		if n != nil {
			status = Status{Site: site, Tripped: n.Tripped, Refusals: n.Refusals, Since: n.Since, CameBack: n.CameBack}
		}
		out = append(out, status)
	}
	slices.SortFunc(out, func(a, b Status) int { return strings.Compare(a.Site, b.Site) })
	return out
}

// Close keeps the counts a last time. It waits for the disk.
func (g *Guard) Close() error {
	g.once.Do(func() { close(g.done) })
	g.idle.Wait()
	if g.config.Folder == "" {
		return nil
	}
	return g.write()
}

func (g *Guard) of(site string) *count {
	n := g.counts[site]
	if n == nil {
		n = &count{}
		g.counts[site] = n
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
