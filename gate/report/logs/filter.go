package logs

import (
	"math"
	"net/netip"
	"time"
)

// Choice narrows a selection of records down; what is empty allows everything.
type Choice struct {
	RequestID string
	Reason    string
	Crawler   string       // that is claimed
	Client    netip.Prefix // the invalid one: all
	Events    bool         // also lines that are no decisions, unless one of the above or a path is asked for
}

// filter is a Query and a Choice as the workers use them.
type filter struct {
	since, until int64 // nanoseconds since 1970
	site         string
	match        func(string) bool
	choice       Choice
}

func newFilter(q *Query, c Choice) *filter {
	f := &filter{since: math.MinInt64, until: math.MaxInt64, site: q.Site, match: q.Match, choice: c}
	if !q.Since.IsZero() {
		f.since = nanoseconds(q.Since)
	}
	if !q.Until.IsZero() {
		f.until = nanoseconds(q.Until)
	}
	return f
}

// nanoseconds is a time in nanoseconds since 1970; what they cannot hold is the smallest or the largest number.
func nanoseconds(t time.Time) int64 {
	switch year := t.UTC().Year(); {
	case year < firstYear:
		return math.MinInt64
	case year > lastYear:
		return math.MaxInt64
	}
	return t.UnixNano()
}

func (f *filter) matchesTime(at int64) bool { return at >= f.since && at < f.until }

func (f *filter) matchesSite(l *line, scratch *[]byte) bool {
	return f.site == "" || f.equal(l, FieldSite, f.site, scratch)
}

func (f *filter) equal(l *line, field Field, want string, scratch *[]byte) bool {
	var got []byte
	got, *scratch = l.decoded(field, (*scratch)[:0])
	return string(got) == want
}

func (f *filter) matchesPath(l *line, scratch *[]byte) bool {
	if f.match == nil {
		return true
	}
	var path []byte
	path, *scratch = l.decoded(FieldPath, (*scratch)[:0])
	return f.match(string(path))
}

// matchesChoice says whether a decision is of the choice.
func (f *filter) matchesChoice(l *line, scratch *[]byte) bool {
	c := &f.choice
	if c.RequestID != "" && !f.equal(l, fieldRequestID, c.RequestID, scratch) ||
		c.Reason != "" && !f.equal(l, FieldReason, c.Reason, scratch) ||
		c.Crawler != "" && !f.equal(l, FieldClaim, c.Crawler, scratch) {
		return false
	}
	if !c.Client.IsValid() {
		return true
	}
	var client []byte
	client, *scratch = l.decoded(FieldClientIP, (*scratch)[:0])
	ip, ok := parseAddr(client)
	return ok && c.Client.Contains(ip)
}

// matchesEvents says whether lines that are no decisions are asked for.
func (f *filter) matchesEvents() bool {
	c := &f.choice
	return c.Events && c.RequestID == "" && c.Reason == "" && c.Crawler == "" && !c.Client.IsValid() && f.match == nil
}

// selects says whether a selection holds a line of this time.
func (f *filter) selects(l *line, at int64, scratch *[]byte) bool {
	if !f.matchesTime(at) || !f.matchesSite(l, scratch) {
		return false
	}
	if !l.is(fieldEvent, "decision") {
		return f.matchesEvents()
	}
	return f.matchesPath(l, scratch) && f.matchesChoice(l, scratch)
}

// parseAddr reads an address as clients have it: unmapped and without zone.
func parseAddr(text []byte) (netip.Addr, bool) {
	if len(text) > 64 {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(string(text))
	return ip.Unmap().WithZone(""), err == nil
}
