package render

import (
	"math"
	"strings"

	"gate421/gate/report/analysis"
)

// How many steps and notes of changes a text chart has at most.
const (
	chartRows  = 31
	chartNotes = 4 // between two rows; further ones are counted
)

// chart draws the crawl over time, a row a step, and writes changes between the rows, where they happened.
func (p *printer) chart(r report) {
	line := r.extent().timeline(chartRows)
	points := line.resample(r.Crawl.Curve)
	most, labels, counts := int64(0), 0, columnsIn("HTTP/2")
	for i, q := range points {
		most = max(most, plus(q.HTTP2, q.HTTP1))
		labels = max(labels, columnsIn(line.label(i)))
		counts = max(counts, columnsIn(numberText(q.HTTP2)))
	}
	room := max(4, p.width-tableIndent-labels-counts-3*tableGap-len("share"))
	pad := func(text string, width int) string { return strings.Repeat(" ", max(0, width-columnsIn(text))) + text }
	p.line(styled{strings.Repeat(" ", tableIndent+labels+tableGap+room+tableGap) + pad("HTTP/2", counts) + "  share",
		styleDim})
	at := 0
	for i, q := range points {
		if i == 0 {
			at = p.notes(r, at, func(c analysis.Change) bool { return c.Time.Before(line.start) })
		}
		label := line.label(i)
		runs := []styled{{"  " + label + strings.Repeat(" ", labels-columnsIn(label)+tableGap), styleDim}}
		refused, served, http1 := bar(q, most, room)
		runs = append(runs, styled{strings.Repeat("█", refused), styleWarn},
			styled{strings.Repeat("▒", served), styleHTTP2}, styled{strings.Repeat("░", http1), styleHTTP1},
			styled{strings.Repeat(" ", room-refused-served-http1+tableGap), styleNone},
			styled{pad(numberText(q.HTTP2), counts), styleNone},
			styled{"  " + pad(shareText(q.HTTP2, plus(q.HTTP2, q.HTTP1)), 5), styleBold})
		p.line(runs...)
		at = p.notes(r, at, func(c analysis.Change) bool { return line.index(c.Time) <= i })
	}
	p.line()
	p.line(styled{"  █", styleWarn}, styled{" HTTP/2, refused   ", styleDim}, styled{"▒", styleHTTP2},
		styled{" HTTP/2, served   ", styleDim}, styled{"░", styleHTTP1}, styled{" HTTP/1.1", styleDim})
	p.paragraph(tableIndent, styleDim, "A row is "+article(line.stepWords())+"; its time is the beginning, in UTC. "+
		"The longest bar stands for "+countText(most, "request", "requests")+".")
}

func article(unit string) string {
	switch {
	case unit == "hour":
		return "an hour"
	case unit[0] >= '0' && unit[0] <= '9':
		return unit
	}
	return "a " + unit
}

// notes writes the changes from index at on that belong here, and returns where it stopped.
func (p *printer) notes(r report, at int, here func(analysis.Change) bool) int {
	end := at
	for end < len(r.Changes) && here(r.Changes[end]) {
		end++
	}
	for i := at; i < end; i++ {
		if i == at+chartNotes && end > i+1 {
			p.line(styled{"  ▲ and " + countText(int64(end-i), "more change", "more changes"), styleBold})
			break
		}
		c := r.Changes[i]
		s := styleBold
		if c.Event == "guard" && c.What == "tripped" {
			s = styleBad
		}
		p.line(styled{"  ▲ " + c.Time.UTC().Format("2 Jan 15:04") + "  " + c.Site + "  " + changeWords(c), s})
	}
	return end
}

// bar shares a row's columns among its parts. A part that is not 0 has at least one column, as long as there is one.
func bar(q analysis.Point, most int64, room int) (refused, served, http1 int) {
	all := plus(q.HTTP2, q.HTTP1)
	if most <= 0 || all == 0 {
		return 0, 0, 0
	}
	cells := func(n int64) int {
		if n <= 0 {
			return 0
		}
		return max(1, int(math.Round(float64(n)/float64(most)*float64(room))))
	}
	total := cells(all)
	refusals := min(max(q.Refused, 0), max(q.HTTP2, 0))
	refused, served, http1 = cells(refusals), cells(q.HTTP2-refusals), cells(q.HTTP1)
	for refused+served+http1 > min(max(total, 1), room) {
		switch largest := max(refused, served, http1); {
		case largest == http1:
			http1--
		case largest == served:
			served--
		default:
			refused--
		}
	}
	return refused, served, http1
}

// sparkline is the HTTP/2 share over time, a character a step: from ▁, none, to █, all; a dot where there was no crawl.
func sparkline(points []analysis.Point) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	var out strings.Builder
	for _, q := range points {
		share, any := share(q)
		if !any {
			out.WriteRune('·')
			continue
		}
		out.WriteRune(levels[int(math.Round(share*float64(len(levels)-1)))])
	}
	return out.String()
}
