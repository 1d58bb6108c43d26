package report

import (
	"bytes"
	"math"
	"net/netip"
	"time"
)

// Question is what a report or a selection is about. The zero value asks for everything.
type Question struct {
	Since, Until time.Time // Since inclusive, Until exclusive; zero: unbounded
	Site         string    // a site's name; "": all
	Path         string    // the pattern as typed, only for the report's Asked
	// Match says whether a path with its query is asked for. It is called by several goroutines. nil: all are.
	Match func(path string) bool

	URLs    int // the most refused URLs that are followed; 0: 1,000,000
	Workers int // that parse; 0: GOMAXPROCS
	// Progress is told how far the reading is, at most ten times a second, by the goroutine that reads. nil: nobody is told.
	Progress func(Progress)
}

// Progress is how far a reading is.
type Progress struct {
	Read  int64 // bytes of the files as they are, compressed or not
	Total int64 // bytes of all files together; 0: not known
	Lines int64
}

// Choice narrows a selection of records down; what is empty allows everything.
type Choice struct {
	RequestID string
	Reason    string
	Crawler   string       // that is claimed
	Client    netip.Prefix // the invalid one: all
	Events    bool         // lines that are no decisions too, unless one of the above or a path is asked for
}

// filter is a Question and a Choice as the workers use them.
type filter struct {
	since, until int64 // nanoseconds since 1970
	site         string
	match        func(string) bool
	choice       Choice
}

func newFilter(q *Question, c Choice) *filter {
	f := &filter{since: math.MinInt64, until: math.MaxInt64, site: q.Site, match: q.Match, choice: c}
	if !q.Since.IsZero() {
		f.since = bound(q.Since)
	}
	if !q.Until.IsZero() {
		f.until = bound(q.Until)
	}
	return f
}

// bound is a time in nanoseconds since 1970, as far as they can say it.
func bound(t time.Time) int64 {
	switch year := t.UTC().Year(); {
	case year < firstYear:
		return math.MinInt64
	case year > lastYear:
		return math.MaxInt64
	}
	return t.UnixNano()
}

func (f *filter) time(at int64) bool { return at >= f.since && at < f.until }

func (f *filter) ofSite(l *line, scratch *[]byte) bool {
	if f.site == "" {
		return true
	}
	return f.equal(l, memberSite, f.site, scratch)
}

func (f *filter) equal(l *line, m member, want string, scratch *[]byte) bool {
	var got []byte
	got, *scratch = l.decoded(m, (*scratch)[:0])
	return string(got) == want
}

func (f *filter) ofPath(l *line, scratch *[]byte) bool {
	if f.match == nil {
		return true
	}
	var path []byte
	path, *scratch = l.decoded(memberPath, (*scratch)[:0])
	return f.match(string(path))
}

// chosen says whether a decision is of the choice.
func (f *filter) chosen(l *line, scratch *[]byte) bool {
	c := &f.choice
	if c.RequestID != "" && !f.equal(l, memberRequestID, c.RequestID, scratch) ||
		c.Reason != "" && !f.equal(l, memberReason, c.Reason, scratch) ||
		c.Crawler != "" && !f.equal(l, memberClaim, c.Crawler, scratch) {
		return false
	}
	if !c.Client.IsValid() {
		return true
	}
	var client []byte
	client, *scratch = l.decoded(memberClientIP, (*scratch)[:0])
	ip, ok := address(client)
	return ok && c.Client.Contains(ip)
}

// events says whether lines that are no decisions are wanted.
func (f *filter) events() bool {
	c := &f.choice
	return c.Events && c.RequestID == "" && c.Reason == "" && c.Crawler == "" && !c.Client.IsValid() && f.match == nil
}

func address(text []byte) (netip.Addr, bool) {
	if len(text) > 64 {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(string(text))
	return ip.Unmap().WithZone(""), err == nil
}

// lineOf cuts the first line off text, without its end; whole says whether it had one.
func lineOf(text []byte) (line, rest []byte, whole bool) {
	line, rest, whole = bytes.Cut(text, []byte{'\n'})
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest, whole
}
