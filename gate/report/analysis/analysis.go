// Package analysis answers one question: what does the decision log prove?
//
// [Examine] takes the records that package logs reads and says what became of the crawl: how much of it came over
// HTTP/2, what was refused, which of the refused URLs the crawler then fetched over HTTP/1.x, who pretended to be a
// crawler. The [Report] is a plain value with a documented JSON form; package render shows it to people.
//
// Whatever strangers can put into a log takes bounded memory here: beyond the bounds it is counted together, and the
// report says so.
package analysis

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gate421/gate/report/logs"
)

// maxChanges is how many changes of rules a report holds. Later ones are left out.
const maxChanges = 100_000

// Examine reads logs to their end, answers the reader's query about them and closes them. No record is fatal: what
// cannot be used is counted in [Report.Log]. The only errors are those of ctx; the report is nil then.
//
// A refusal that a later record of the same request withdraws is counted nowhere but in Log's Records and Withdrawn.
func Examine(ctx context.Context, r *logs.Reader) (*Report, error) {
	return examine(ctx, r, maxURLs)
}

// examine tracks up to so many refused URLs.
func examine(ctx context.Context, r *logs.Reader, urls int) (*Report, error) {
	x := &examiner{crawl: newCrawl(urls), claims: newClaims()}
	for record, err := range r.CrawlerRecords(ctx) {
		if err != nil {
			return nil, err
		}
		if e, ok := newEvent(record); ok {
			x.add(&e)
		}
	}
	return x.report(&r.Query, r.Stats()), nil
}

// examiner puts the report together.
type examiner struct {
	crawl   *crawl
	claims  *claims
	changes []Change
}

func (e *examiner) add(ev *event) {
	if ev.kind != changed && ev.kind != withdrawn {
		e.claims.addClaim(ev)
	}
	switch ev.kind {
	case impostor:
		e.claims.addImpostor(ev)
	case unknown:
		e.claims.addUnknown(ev)
	case changed:
		if len(e.changes) < maxChanges {
			e.changes = append(e.changes, newChange(ev))
		}
	default:
		e.crawl.add(ev)
	}
}

func newChange(e *event) Change {
	text := func(f logs.Field) string { return string(e.Text(f)) }
	c := Change{Time: e.Time(), Event: "rule", Site: text(logs.FieldSite), Rule: text(logs.FieldRule),
		From: text(logs.FieldFrom), To: text(logs.FieldTo), What: text(logs.FieldWhat), By: text(logs.FieldBy)}
	if e.Kind() == logs.GuardEvent {
		c.Event, c.Crawler = "guard", text(logs.FieldCrawler)
	}
	return c
}

func (e *examiner) report(q *logs.Query, stats *logs.Stats) *Report {
	r := &Report{V: 1, From: stats.Earliest, Until: stats.Latest, Log: *stats}
	r.Scope = Scope{Since: utc(q.Since), Until: utc(q.Until), Site: q.Site, Path: q.Path}
	e.crawl.addTo(r)
	e.claims.addTo(r)
	r.Private.Claims -= r.Log.Withdrawn
	r.Changes = append([]Change{}, e.changes...)
	slices.SortStableFunc(r.Changes, func(a, b Change) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return r
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
