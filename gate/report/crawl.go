package report

import (
	"cmp"
	"slices"
	"time"
)

// Bounds of what strangers' logs may make a report hold.
const (
	maxPlaces   = 10_000 // pairs of a site and a rule
	maxReasons  = 64
	maxCrawlers = 1000
)

// series is what a report says about all sites, about one, or about one rule of one.
type series struct {
	site, rule, state string
	counts            counts
	served            map[string]int64
	beyond            int64
	waits             waits
	curve             curve

	refusedURLs, waitingURLs, failedURLs int64
}

// place is the series that a request counts for, but for that of all sites. A nil one is beyond what is held.
type place struct {
	site, rule *series
}

// crawl counts verified crawl requests and follows what became of the refused ones. It is used by one goroutine.
type crawl struct {
	all      series
	sites    map[string]*series
	places   []place
	index    map[string]uint32 // of a place, by the lengths and names of site and rule
	crawlers map[string]uint16
	names    []string // of crawlers
	reasons  map[string]string
	calendar calendar
	urls     *urls
	withdrew int64
	key      []byte
}

func newCrawl(most int) *crawl {
	return &crawl{all: series{served: map[string]int64{}}, sites: map[string]*series{}, places: make([]place, 1), index: map[string]uint32{},
		crawlers: map[string]uint16{}, reasons: map[string]string{}, calendar: newCalendar(), urls: newURLs(most)}
}

// event counts one request of a verified crawler.
func (c *crawl) event(k *chunk, e *event) {
	a := page{c.crawler(k.text(e.claim)), k.text(e.host), k.text(e.path)}
	if e.undoes {
		c.withdraw(a, e.id)
	}
	if e.what == withdrawn {
		return
	}
	at := c.place(k.text(e.site), k.text(e.rule), k.text(e.state))
	if old := c.calendar; c.calendar.include(e.at) {
		c.redraw(&old)
	}
	if !e.http2 {
		c.count(at, e.at, counts{http1: 1})
		switch e.what {
		case fetched:
			c.fetched(a, e.at)
		case failed:
			c.urls.failed(a, e.at, e.status)
		}
		return
	}
	if e.what == refused {
		c.count(at, e.at, counts{http2: 1, refused: 1})
		if !c.urls.refused(a, e.at, e.id, at) {
			c.each(at, func(s *series) { s.beyond++ })
		}
		return
	}
	c.count(at, e.at, counts{http2: 1})
	reason := c.reason(k.text(e.reason))
	c.each(at, func(s *series) { s.served[reason]++ })
}

func (c *crawl) fetched(a page, at int64) {
	if ended, latency, place := c.urls.fetched(a, at); ended {
		c.each(place, func(s *series) { s.waits.add(latency, 1) })
	}
}

// withdraw takes everything back that a refusal did to the report.
func (c *crawl) withdraw(a page, id uint64) {
	what, ok := c.urls.withdraw(a, id)
	if !ok {
		return
	}
	c.withdrew++
	c.count(what.place, what.at, counts{http2: -1, refused: -1})
	if what.beyond {
		c.each(what.place, func(s *series) { s.beyond-- })
	}
	if what.ended {
		c.each(what.place, func(s *series) { s.waits.add(what.latency, -1) })
	}
	if what.moved {
		c.each(what.newPlace, func(s *series) { s.waits.add(what.latency, 1) })
	}
}

// count adds to all series of a place and to their curves.
func (c *crawl) count(at uint32, when int64, more counts) {
	bucket := c.calendar.bucket(when)
	c.each(at, func(s *series) {
		s.counts.add(more)
		s.curve.add(bucket, more)
	})
}

// each calls do for the series of all sites and for those of a place.
func (c *crawl) each(at uint32, do func(*series)) {
	do(&c.all)
	p := &c.places[at]
	if p.site != nil {
		do(p.site)
	}
	if p.rule != nil {
		do(p.rule)
	}
}

// redraw brings all curves to the calendar's new step.
func (c *crawl) redraw(old *calendar) {
	c.all.curve.coarsen(old, &c.calendar)
	for _, s := range c.sites {
		s.curve.coarsen(old, &c.calendar)
	}
	for _, p := range c.places[1:] {
		p.rule.curve.coarsen(old, &c.calendar)
	}
}

// place finds the index of a site and a rule. Index 0 stands for those beyond what is held.
func (c *crawl) place(site, rule, state []byte) uint32 {
	c.key = append(c.key[:0], byte(len(site)), byte(len(site)>>8), byte(len(site)>>16))
	c.key = append(append(c.key, site...), rule...)
	i, known := c.index[string(c.key)]
	if !known {
		if len(c.places) > maxPlaces || len(c.key) > maxText {
			return 0
		}
		s := c.sites[string(site)]
		if s == nil {
			s = &series{site: string(site), served: map[string]int64{}}
			c.sites[s.site] = s
		}
		i = uint32(len(c.places))
		c.places = append(c.places, place{s, &series{site: s.site, rule: string(rule), served: map[string]int64{}}})
		c.index[string(c.key)] = i
	}
	if r := c.places[i].rule; r.state != string(state) {
		r.state = string(state)
	}
	return i
}

func (c *crawl) crawler(name []byte) uint16 {
	i, known := c.crawlers[string(name)]
	if !known {
		if len(c.names) >= maxCrawlers || len(name) > maxText {
			name = []byte("other")
			if i, known = c.crawlers["other"]; known {
				return i
			}
		}
		i = uint16(len(c.names))
		c.names = append(c.names, string(name))
		c.crawlers[string(name)] = i
	}
	return i
}

func (c *crawl) reason(name []byte) string {
	known, ok := c.reasons[string(name)]
	if !ok {
		if len(c.reasons) >= maxReasons || len(name) > maxText {
			return "other"
		}
		known = string(name)
		c.reasons[known] = known
	}
	return known
}

// report fills in what the crawl is about.
func (c *crawl) report(r *Report) {
	c.urls.each(func(u *refusedURL) {
		c.each(u.place, func(s *series) {
			s.refusedURLs++
			if u.open {
				s.waitingURLs++
			}
			if u.open && u.status != 0 {
				s.failedURLs++
			}
		})
	})
	r.Step = c.calendar.step * int64(time.Hour/time.Second)
	r.Crawl = c.finish(&c.all)
	r.Log.Withdrawn = c.withdrew
	rules := map[string][]RuleCrawl{}
	for _, p := range c.places[1:] {
		rules[p.rule.site] = append(rules[p.rule.site], RuleCrawl{Rule: p.rule.rule, State: p.rule.state, Crawl: c.finish(p.rule)})
	}
	r.Sites = []SiteCrawl{}
	for name, s := range c.sites {
		slices.SortFunc(rules[name], func(a, b RuleCrawl) int { return cmp.Compare(a.Rule, b.Rule) })
		r.Sites = append(r.Sites, SiteCrawl{Site: name, Crawl: c.finish(s), Rules: rules[name]})
	}
	slices.SortFunc(r.Sites, func(a, b SiteCrawl) int { return cmp.Compare(a.Site, b.Site) })
	r.Waiting = c.urls.waiting(func(i uint16) string { return c.names[i] }, func(at uint32) string {
		if s := c.places[at].site; s != nil {
			return s.site
		}
		return ""
	})
}

func (c *crawl) finish(s *series) Crawl {
	points := []Point{}
	if c.calendar.first <= c.calendar.last {
		points = s.curve.points(&c.calendar, c.calendar.bucket(c.calendar.first), c.calendar.bucket(c.calendar.last))
	}
	for reason, n := range s.served {
		if n == 0 {
			delete(s.served, reason)
		}
	}
	return Crawl{HTTP2: s.counts.http2, HTTP1: s.counts.http1, Refused: s.counts.refused, Served: s.served,
		RefusedURLs: s.refusedURLs, FetchedURLs: s.refusedURLs - s.waitingURLs, WaitingURLs: s.waitingURLs, FailedURLs: s.failedURLs, Beyond: s.beyond,
		ComeBacks: s.waits.count, P50: s.waits.seconds(50), P95: s.waits.seconds(95), Curve: points}
}

// instant is a time in nanoseconds since 1970 as the report has it.
func instant(at int64) time.Time { return time.Unix(0, at).UTC() }
