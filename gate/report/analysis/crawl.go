package analysis

import (
	"cmp"
	"slices"
	"time"

	"gate421/gate/report/logs"
)

// Bounds of what strangers' logs may make a report hold.
const (
	maxSiteRules = 10_000 // pairs of a site and a rule
	maxReasons   = 64
	maxCrawlers  = 1000
)

// series is what a report says about all sites, about one, or about one rule of one.
type series struct {
	site, rule, state string
	counts            counts
	served            map[string]int64
	untracked         int64
	waits             waits
	curve             curve

	refusedURLs, waitingURLs, failedURLs int64
}

// siteRule is the series that a request counts for, beside that of all sites. Both are nil for those beyond
// maxSiteRules.
type siteRule struct {
	site, rule *series
}

// crawl counts verified crawl requests and tracks what became of the refused ones. One goroutine uses it.
type crawl struct {
	all         series
	sites       map[string]*series
	siteRules   []siteRule
	index       map[string]uint32 // into siteRules, by the length of the site's name and the names of site and rule
	crawlers    map[string]uint16
	names       []string // of crawlers
	reasons     map[string]string
	calendar    calendar
	urls        *urls
	withdrawals int64
	key         []byte
}

func newCrawl(limit int) *crawl {
	return &crawl{all: series{served: map[string]int64{}}, sites: map[string]*series{}, siteRules: make([]siteRule, 1),
		index: map[string]uint32{}, crawlers: map[string]uint16{}, reasons: map[string]string{},
		calendar: newCalendar(), urls: newURLs(limit)}
}

// add counts one request of a verified crawler.
func (c *crawl) add(e *event) {
	k := urlKey{c.crawler(e.Text(logs.FieldClaim)), e.Text(logs.FieldHost), e.Text(logs.FieldPath)}
	if e.Withdraws() {
		c.withdraw(k, e.Request())
	}
	if e.kind == withdrawn {
		return
	}
	at := c.siteRule(e.Text(logs.FieldSite), e.Text(logs.FieldRule), e.Text(logs.FieldState))
	if old := c.calendar; c.calendar.extend(e.At()) {
		c.coarsenCurves(&old)
	}
	if !e.http2 {
		c.count(at, e.At(), counts{http1: 1})
		switch e.kind {
		case fetched:
			c.fetched(k, e.At())
		case failed:
			c.urls.failed(k, e.At(), uint16(e.Status()))
		}
		return
	}
	if e.kind == refused {
		c.count(at, e.At(), counts{http2: 1, refused: 1})
		if !c.urls.refused(k, e.At(), e.Request(), at) {
			c.eachSeries(at, func(s *series) { s.untracked++ })
		}
		return
	}
	c.count(at, e.At(), counts{http2: 1})
	reason := c.reason(e.Text(logs.FieldReason))
	c.eachSeries(at, func(s *series) { s.served[reason]++ })
}

func (c *crawl) fetched(k urlKey, when int64) {
	if ended, latency, at := c.urls.fetched(k, when); ended {
		c.eachSeries(at, func(s *series) { s.waits.add(latency, 1) })
	}
}

// withdraw reverts everything that a refusal did to the report.
func (c *crawl) withdraw(k urlKey, id uint64) {
	r, ok := c.urls.withdraw(k, id)
	if !ok {
		return
	}
	c.withdrawals++
	c.count(r.siteRule, r.at, counts{http2: -1, refused: -1})
	if r.untracked {
		c.eachSeries(r.siteRule, func(s *series) { s.untracked-- })
	}
	if r.ended {
		c.eachSeries(r.siteRule, func(s *series) { s.waits.add(r.latency, -1) })
	}
	if r.moved {
		c.eachSeries(r.newSiteRule, func(s *series) { s.waits.add(r.latency, 1) })
	}
}

// count adds to all series of siteRules[at] and to their curves.
func (c *crawl) count(at uint32, when int64, more counts) {
	bucket := c.calendar.bucket(when)
	c.eachSeries(at, func(s *series) {
		s.counts.add(more)
		s.curve.add(bucket, more)
	})
}

// eachSeries calls do for the series of all sites and for those of siteRules[at].
func (c *crawl) eachSeries(at uint32, do func(*series)) {
	do(&c.all)
	p := &c.siteRules[at]
	if p.site != nil {
		do(p.site)
	}
	if p.rule != nil {
		do(p.rule)
	}
}

// coarsenCurves brings all curves to the calendar's new step.
func (c *crawl) coarsenCurves(old *calendar) {
	c.all.curve.coarsen(old, &c.calendar)
	for _, s := range c.sites {
		s.curve.coarsen(old, &c.calendar)
	}
	for _, p := range c.siteRules[1:] {
		p.rule.curve.coarsen(old, &c.calendar)
	}
}

// siteRule is the index of a site and a rule in siteRules; 0 stands for those beyond maxSiteRules.
func (c *crawl) siteRule(site, rule, state []byte) uint32 {
	c.key = append(c.key[:0], byte(len(site)), byte(len(site)>>8), byte(len(site)>>16))
	c.key = append(append(c.key, site...), rule...)
	i, known := c.index[string(c.key)]
	if !known {
		if len(c.siteRules) > maxSiteRules || len(c.key) > maxText {
			return 0
		}
		s := c.sites[string(site)]
		if s == nil {
			s = &series{site: string(site), served: map[string]int64{}}
			c.sites[s.site] = s
		}
		i = uint32(len(c.siteRules))
		c.siteRules = append(c.siteRules, siteRule{s, &series{site: s.site, rule: string(rule),
			served: map[string]int64{}}})
		c.index[string(c.key)] = i
	}
	if r := c.siteRules[i].rule; r.state != string(state) {
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

// addTo fills in what the report says about the crawl.
func (c *crawl) addTo(r *Report) {
	c.urls.each(func(u *trackedURL) {
		c.eachSeries(u.siteRule, func(s *series) {
			s.refusedURLs++
			if u.waiting {
				s.waitingURLs++
			}
			if u.waiting && u.failedStatus != 0 {
				s.failedURLs++
			}
		})
	})
	r.Step = c.calendar.step * int64(time.Hour/time.Second)
	r.Crawl = c.summary(&c.all)
	r.Log.Withdrawn = c.withdrawals
	rules := map[string][]RuleCrawl{}
	for _, p := range c.siteRules[1:] {
		rules[p.rule.site] = append(rules[p.rule.site], RuleCrawl{Rule: p.rule.rule, State: p.rule.state,
			Crawl: c.summary(p.rule)})
	}
	r.Sites = []SiteCrawl{}
	for name, s := range c.sites {
		slices.SortFunc(rules[name], func(a, b RuleCrawl) int { return cmp.Compare(a.Rule, b.Rule) })
		r.Sites = append(r.Sites, SiteCrawl{Site: name, Crawl: c.summary(s), Rules: rules[name]})
	}
	slices.SortFunc(r.Sites, func(a, b SiteCrawl) int { return cmp.Compare(a.Site, b.Site) })
	r.Waiting = c.urls.waiting(func(i uint16) string { return c.names[i] }, func(at uint32) string {
		if s := c.siteRules[at].site; s != nil {
			return s.site
		}
		return ""
	})
}

func (c *crawl) summary(s *series) Crawl {
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
		RefusedURLs: s.refusedURLs, FetchedURLs: s.refusedURLs - s.waitingURLs, WaitingURLs: s.waitingURLs,
		FailedURLs: s.failedURLs, Untracked: s.untracked,
		ComeBacks: s.waits.count, P50: s.waits.seconds(50), P95: s.waits.seconds(95), Curve: points}
}

// instant is a time in nanoseconds since 1970 as the report has it.
func instant(at int64) time.Time { return time.Unix(0, at).UTC() }
