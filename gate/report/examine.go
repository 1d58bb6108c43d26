package report

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"
)

// maxChanges is how many changes of rules a report holds. Later ones are left out.
const maxChanges = 100_000

// Examine reads logs to their end and answers the question about them. Several sources are the logs of several gateways, or
// of one in pieces: their lines are put in the order of their time, and the order within each is kept. It closes the
// sources. What it holds does not depend on the number of lines, and no line is ever fatal: what cannot be used is counted
// in [Report.Log]. The only errors are those of ctx; the report is nil then.
//
// Lines of times before 1970 or from 2200 on count as foreign. A refusal that a later line of the same request takes back is
// counted nowhere but in Records and Withdrawn.
func Examine(ctx context.Context, q Question, sources []*Source) (*Report, error) {
	return examine(ctx, &reading{question: &q, filter: newFilter(&q, Choice{})}, sources)
}

func examine(ctx context.Context, r *reading, sources []*Source) (*Report, error) {
	q := r.question
	x := &examiner{crawl: newCrawl(q.URLs), claims: newClaims(), earliest: math.MaxInt64, latest: math.MinInt64}
	x.log = newTally(&x.report.Log)
	if err := r.run(ctx, sources, x); err != nil {
		return nil, err
	}
	r.boots.report(&x.report.Log)
	r.sites.report(&x.report.Log)
	return x.finish(q), nil
}

// examiner puts the report together.
type examiner struct {
	report           Report
	log              *tally
	crawl            *crawl
	claims           *claims
	changes          []Change
	earliest, latest int64
}

func (x *examiner) began(source int, c *chunk) {
	x.log.chunk(source, c)
	x.earliest, x.latest = min(x.earliest, c.earliest), max(x.latest, c.latest)
}

func (x *examiner) event(c *chunk, e *event) error {
	if e.what != changed && e.what != withdrawn {
		x.claims.count(c, e)
	}
	switch e.what {
	case posed:
		x.claims.impostor(c, e)
	case unproved:
		x.claims.unknown(c, e)
	case changed:
		if len(x.changes) < maxChanges {
			x.changes = append(x.changes, c.changes[e.change])
		}
	default:
		x.crawl.event(c, e)
	}
	return nil
}

func (x *examiner) finish(q *Question) *Report {
	r := &x.report
	r.V = 1
	if x.earliest <= x.latest {
		r.From, r.Until = instant(x.earliest), instant(x.latest)
	}
	r.Asked = Asked{Since: utc(q.Since), Until: utc(q.Until), Site: q.Site, Path: q.Path}
	x.crawl.report(r)
	x.claims.report(r)
	r.Private.Claims -= r.Log.Withdrawn
	r.Changes = append([]Change{}, x.changes...)
	slices.SortStableFunc(r.Changes, func(a, b Change) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return r
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// Select hands the lines that fit the question and the choice to each, in the order of their time, without their end and
// without what a journal or a shipper has put around them. A line that was delivered twice comes once. A line is valid until
// each returns; an error of each ends the reading and is returned. It closes the sources. The Reading says what was read; it
// is never nil.
func Select(ctx context.Context, q Question, c Choice, sources []*Source, each func(line []byte) error) (*Reading, error) {
	s := &selection{each: each}
	s.log = newTally(&s.reading)
	r := &reading{question: &q, filter: newFilter(&q, c), selects: true}
	err := r.run(ctx, sources, s)
	r.boots.report(&s.reading)
	r.sites.report(&s.reading)
	return &s.reading, err
}

type selection struct {
	each    func([]byte) error
	reading Reading
	log     *tally
}

func (s *selection) began(source int, c *chunk) { s.log.chunk(source, c) }

func (s *selection) event(c *chunk, e *event) error { return s.each(c.text(e.site)) }

// tally counts what is read.
type tally struct {
	to   *Reading
	file []string // that is read, by source
}

func newTally(to *Reading) *tally {
	to.Files, to.Damaged = []string{}, []string{}
	return &tally{to: to}
}

func (t *tally) chunk(source int, c *chunk) {
	for len(t.file) <= source {
		t.file = append(t.file, "")
	}
	if c.part != nil {
		t.file[source] = c.part.name
		t.to.Files = append(t.to.Files, c.part.name)
	}
	if c.damage != "" {
		t.to.Damaged = append(t.to.Damaged, t.file[source]+": "+c.damage)
	}
	t.to.Bytes += c.bytes
	t.to.Lines += c.lines
	t.to.Records += c.records
	t.to.Broken += c.broken
	t.to.Foreign += c.foreign
	t.to.Other += c.other
	t.to.Repeated += c.repeated
}
