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
	x := &examiner{crawl: newCrawl(q.URLs), claims: newClaims(), boots: newBoots(), earliest: math.MaxInt64, latest: math.MinInt64}
	x.report.Log.Files, x.report.Log.Damaged = []string{}, []string{}
	if err := r.run(ctx, sources, x); err != nil {
		return nil, err
	}
	return x.finish(q), nil
}

// examiner puts the report together.
type examiner struct {
	report           Report
	crawl            *crawl
	claims           *claims
	boots            *boots
	changes          []Change
	file             []string // that is read, by source
	earliest, latest int64
}

func (x *examiner) began(source int, c *chunk) {
	log := &x.report.Log
	for len(x.file) <= source {
		x.file = append(x.file, "")
	}
	if c.part != nil {
		x.file[source] = c.part.name
		log.Files = append(log.Files, c.part.name)
	}
	if c.damage != "" {
		log.Damaged = append(log.Damaged, x.file[source]+": "+c.damage)
	}
	log.Bytes += c.bytes
	log.Lines += c.lines
	log.Records += c.records
	log.Broken += c.broken
	log.Foreign += c.foreign
	log.Other += c.other
	x.earliest, x.latest = min(x.earliest, c.earliest), max(x.latest, c.latest)
	x.boots.chunk(source, c)
}

func (x *examiner) event(c *chunk, e *event) error {
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
	x.boots.report(r)
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

// Select hands the lines that fit the question and the choice to each, in the order of their time, as they stand in the
// logs but without their end. A line is valid until each returns; an error of each ends the reading and is returned. It
// closes the sources. Damaged names the files that could not be read to their end, and why.
func Select(ctx context.Context, q Question, c Choice, sources []*Source, each func(line []byte) error) (damaged []string, err error) {
	s := &selection{each: each}
	r := &reading{question: &q, filter: newFilter(&q, c), selects: true}
	err = r.run(ctx, sources, s)
	return s.damaged, err
}

type selection struct {
	each    func([]byte) error
	file    map[int]string
	damaged []string
}

func (s *selection) began(source int, c *chunk) {
	if c.part != nil {
		if s.file == nil {
			s.file = map[int]string{}
		}
		s.file[source] = c.part.name
	}
	if c.damage != "" {
		s.damaged = append(s.damaged, s.file[source]+": "+c.damage)
	}
}

func (s *selection) event(c *chunk, e *event) error { return s.each(c.text(e.site)) }
