package render

import (
	"math"
	"strconv"
	"strings"
	"time"

	"gate421/gate/report/analysis"
)

// layout is the size of a drawing and where its two panels lie, in the drawing's units: the share above, the requests
// below.
type layout struct {
	width, height, left, right int
	shareTop, shareBottom      int
	barsTop, barsBottom        int
	steps                      int // at most
	labels                     int // under the time axis, at most
}

func wideLayout() layout   { return layout{960, 340, 52, 12, 56, 132, 176, 308, 120, 8} }
func narrowLayout() layout { return layout{380, 330, 40, 8, 56, 120, 164, 300, 45, 3} }
func cardLayout() layout   { return layout{460, 200, 40, 8, 44, 84, 118, 174, 62, 4} }

// drawing is a chart that the page's template writes as SVG: all of its texts and numbers, and no markup.
type drawing struct {
	ID, Title, Description string
	Class, Step            string
	Width, Height, Top     int // Top is where it begins
	Left, Right            int // of the panels
	ShareTitle, BarsTitle  int // base lines
	ShareTop, Bottom       int
	Refused, Served, HTTP1 string // outlines of the bars
	Share                  string // of the line
	Dots                   []spot // of the line where it has no neighbour
	Times, Shares, Counts  []tick
	Marks                  []mark
}

type spot struct{ X, Y string }

// tick is a label of an axis, with its line of the grid.
type tick struct {
	spot
	Line   string // coordinate of the line of the grid
	Text   string
	Anchor string
}

// mark is a moment that could bend the curve: one change, or several that are too close to be told apart.
type mark struct {
	X, Text             string
	Bad                 bool
	Wide, Start, Middle string // of the label
}

// coordinate writes a number of the drawing, the same on every machine.
func coordinate(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	text := strconv.FormatFloat(math.Round(f*10)/10, 'f', 1, 64)
	return strings.TrimSuffix(text, ".0")
}

// draw makes a drawing of a curve. Changes are numbered from 1, and only those marked are drawn.
func (l layout) draw(line timeline, curve []analysis.Point, changes []analysis.Change,
	marked func(analysis.Change) bool) drawing {
	d := drawing{Width: l.width, Height: l.height, Left: l.left, Right: l.width - l.right, ShareTitle: l.shareTop - 9,
		BarsTitle: l.barsTop - 9, ShareTop: l.shareTop, Bottom: l.barsBottom}
	points := line.resample(curve)
	if len(points) == 0 {
		return d
	}
	d.Step = line.stepWords()
	most := int64(1)
	for _, p := range points {
		most = max(most, plus(p.HTTP2, p.HTTP1))
	}
	top, ticks := niceScale(float64(most))
	l.bars(&d, points, top)
	l.line(&d, points)
	for _, t := range ticks {
		y := l.y(t/top, l.barsTop, l.barsBottom)
		d.Counts = append(d.Counts, tick{spot{coordinate(float64(l.left - 7)), coordinate(y + 4)}, coordinate(y),
			roundText(t), "end"})
	}
	for _, t := range []float64{0, .5, 1} {
		y := l.y(t, l.shareTop, l.shareBottom)
		d.Shares = append(d.Shares, tick{spot{coordinate(float64(l.left - 7)), coordinate(y + 4)}, coordinate(y),
			coordinate(t*100) + " %", "end"})
	}
	l.times(&d, line)
	l.marks(&d, line, changes, marked)
	return d
}

func (l layout) y(part float64, top, bottom int) float64 {
	return float64(bottom) - min(max(part, 0), 1)*float64(bottom-top)
}

// slot is the width of a step.
func (l layout) slot(steps int) float64 { return float64(l.width-l.left-l.right) / float64(steps) }

// bars stacks the parts: refused at the bottom, then served over HTTP/2, then HTTP/1.1.
func (l layout) bars(d *drawing, points []analysis.Point, top float64) {
	slot := l.slot(len(points))
	width := min(slot*.8, 44)
	var paths [3]strings.Builder
	for i, p := range points {
		refused := min(max(p.Refused, 0), max(p.HTTP2, 0))
		x, base := float64(l.left)+slot*float64(i)+(slot-width)/2, 0.0
		for part, n := range []int64{refused, p.HTTP2 - refused, p.HTTP1} {
			if n <= 0 {
				continue
			}
			y0, y1 := l.y(base/top, l.barsTop, l.barsBottom), l.y((base+float64(n))/top, l.barsTop, l.barsBottom)
			if y0-y1 < .8 {
				y1 = y0 - .8 // a little is more than nothing
			}
			paths[part].WriteString("M" + coordinate(x) + " " + coordinate(y0) + "V" + coordinate(y1) + "H" +
				coordinate(x+width) + "V" + coordinate(y0) + "Z")
			base += float64(n)
		}
	}
	d.Refused, d.Served, d.HTTP1 = paths[0].String(), paths[1].String(), paths[2].String()
}

// line draws the share, with gaps where there was no crawl.
func (l layout) line(d *drawing, points []analysis.Point) {
	slot := l.slot(len(points))
	var path strings.Builder
	drawn := func(i int) bool {
		if i < 0 || i >= len(points) {
			return false
		}
		_, any := share(points[i])
		return any
	}
	for i, p := range points {
		share, any := share(p)
		if !any {
			continue
		}
		at := spot{coordinate(float64(l.left) + slot*(float64(i)+.5)),
			coordinate(l.y(share, l.shareTop, l.shareBottom))}
		switch {
		case drawn(i - 1):
			path.WriteString("L" + at.X + " " + at.Y)
		case drawn(i + 1):
			path.WriteString("M" + at.X + " " + at.Y)
		default:
			d.Dots = append(d.Dots, at)
		}
	}
	d.Share = path.String()
}

// times labels every so many steps: at midnight where steps are shorter than a day and labels are further apart.
func (l layout) times(d *drawing, line timeline) {
	slot := l.slot(line.steps)
	first, every := line.labelled(l.labels)
	for i := first; i < line.steps; i += every {
		text := line.label(i)
		if day := 24 * time.Hour; every > 1 && line.step < day && line.step*time.Duration(every)%day == 0 {
			text = line.at(i).Format("2 Jan")
		}
		x, anchor := float64(l.left)+slot*(float64(i)+.5), "middle"
		half := float64(len(text)) * 3.4
		switch {
		case x-half < float64(l.left)-12:
			x, anchor = float64(l.left), "start"
		case x+half > float64(l.width):
			x, anchor = float64(l.width-l.right), "end"
		}
		d.Times = append(d.Times, tick{spot{coordinate(x), strconv.Itoa(l.barsBottom + 20)}, "", text, anchor})
	}
}

// marks draws the changes, and joins those whose labels would touch: 3–5 are all three, 3…5 are some of them.
func (l layout) marks(d *drawing, line timeline, changes []analysis.Change, marked func(analysis.Change) bool) {
	type group struct {
		x               float64
		from, to, count int
		bad             bool
	}
	var groups []group
	gap := float64(16 + 7*(1+2*len(strconv.Itoa(len(changes)))))
	for i, c := range changes {
		if !marked(c) {
			continue
		}
		part := float64(c.Time.Sub(line.start)) / float64(line.span())
		x := float64(l.left) + min(max(part, 0), 1)*float64(l.width-l.left-l.right)
		if len(groups) == 0 || x-groups[len(groups)-1].x >= gap {
			groups = append(groups, group{x: x, from: i + 1})
		}
		g := &groups[len(groups)-1]
		g.to, g.count, g.bad = i+1, g.count+1, g.bad || c.Event == "guard" && c.What == "tripped"
	}
	for _, g := range groups {
		text := strconv.Itoa(g.from)
		switch {
		case g.count > 1 && g.count == g.to-g.from+1:
			text += "–" + strconv.Itoa(g.to)
		case g.count > 1:
			text += "…" + strconv.Itoa(g.to)
		}
		wide := float64(12 + 7*len([]rune(text)))
		start := min(max(g.x-wide/2, 0), float64(l.width)-wide)
		d.Marks = append(d.Marks, mark{coordinate(g.x), text, g.bad, coordinate(wide), coordinate(start),
			coordinate(start + wide/2)})
	}
	if len(d.Marks) == 0 {
		d.Top = l.shareTop - 24
		d.Height -= d.Top
	}
}

// niceScale is the end of an axis for numbers up to most, and its labels: round numbers.
func niceScale(most float64) (float64, []float64) {
	size := math.Pow(10, math.Floor(math.Log10(most)))
	for _, n := range []float64{1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10} {
		if top := math.Round(n * size); top >= most {
			if top < 10 && math.Mod(top, 2) != 0 {
				return top, []float64{0, top}
			}
			return top, []float64{0, top / 2, top}
		}
	}
	return most, []float64{0, most}
}

// sparkDrawing is the share alone, small enough for a cell of a table.
func sparkDrawing(line timeline, curve []analysis.Point) drawing {
	l := layout{width: 132, height: 28, left: 2, right: 2, shareTop: 3, shareBottom: 25}
	d := drawing{Width: l.width, Height: l.height, Left: l.left, Right: l.width - l.right, Bottom: l.shareBottom}
	if points := line.resample(curve); len(points) > 0 {
		l.line(&d, points)
	}
	return d
}

// describe says a curve in words, for those who do not see it.
func describe(points []analysis.Point) string {
	var first, last *analysis.Point
	for i := range points {
		if _, any := share(points[i]); any {
			if first == nil {
				first = &points[i]
			}
			last = &points[i]
		}
	}
	if first == nil {
		return "No crawl request."
	}
	of := func(p *analysis.Point) string { return shareText(p.HTTP2, plus(p.HTTP2, p.HTTP1)) }
	return "HTTP/2 share " + of(first) + " at the beginning, " + of(last) + " at the end."
}
