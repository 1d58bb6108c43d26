package render

import (
	"bufio"
	"cmp"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gate421/gate/report/analysis"
)

// TextOptions say how [Text] looks.
type TextOptions struct {
	Width  int  // in columns; 0: 80. Less than 40 counts as 40
	Colour bool // with the colour sequences of a terminal (SGR)
	Rows   int  // of the longest lists; 0: 20
}

const leastWidth = 40

// Text writes a report for a reader at a terminal, the headline first. No line is wider than asked for, and what
// strangers chose reaches the terminal as printable characters only.
func Text(w io.Writer, r *analysis.Report, o TextOptions) error {
	if o.Width <= 0 {
		o.Width = 80
	}
	if o.Rows <= 0 {
		o.Rows = 20
	}
	p := &printer{out: bufio.NewWriter(w), width: max(o.Width, leastWidth), colour: o.Colour}
	report{r}.text(p, o.Rows)
	return p.out.Flush()
}

func (r report) text(p *printer, rows int) {
	r.textHead(p)
	if requests(&r.Crawl) > 0 {
		r.textRequests(p)
	}
	if r.extent().timeline(chartRows).steps > 0 {
		p.section("HTTP/2 share of verified crawling over time")
		p.chart(r)
		r.textSites(p, rows)
	}
	if r.Crawl.Refused > 0 || len(r.Waiting) > 0 {
		r.textWaiting(p, rows)
	}
	if r.Log.Lines > 0 {
		r.textImpostors(p, rows)
		r.textUnknown(p, rows)
		r.textChanges(p, rows)
	}
	p.section("Log")
	for _, sentence := range logWords(&r.Log) {
		p.paragraph(tableIndent, styleNone, sentence)
	}
}

func (r report) textHead(p *printer) {
	p.line(styled{"gate421 audit report", styleBold})
	for _, line := range r.scopeWords() {
		p.paragraph(0, styleDim, line)
	}
	for _, h := range append([]headline{r.headline()}, r.notices()...) {
		s := map[string]style{kindGood: styleGood, kindNone: styleBold, kindWarn: styleWarn, kindBad: styleBad}[h.Kind]
		p.line()
		mark := h.kindWords() + ": "
		if h.Kind == kindNone {
			mark = ""
		}
		p.paragraph(0, s, mark+h.Title+".")
		p.paragraph(0, styleNone, h.Text)
	}
}

// scopeWords says what the report is about.
func (r report) scopeWords() []string {
	var out []string
	if !r.From.IsZero() && !r.Until.IsZero() {
		out = append(out, minuteText(r.From)+" to "+minuteText(r.Until)+" UTC ("+spanText(r.Until.Sub(r.From))+")")
	}
	var asked []string
	if r.Scope.Site != "" {
		asked = append(asked, "the site "+r.Scope.Site)
	}
	if r.Scope.Path != "" {
		asked = append(asked, "paths that match "+r.Scope.Path)
	}
	if !r.Scope.Since.IsZero() {
		asked = append(asked, "records since "+minuteText(r.Scope.Since)+" UTC")
	}
	if !r.Scope.Until.IsZero() {
		asked = append(asked, "records before "+minuteText(r.Scope.Until)+" UTC")
	}
	if len(asked) > 0 {
		out = append(out, "Only "+strings.Join(asked, ", ")+".")
	}
	return out
}

// reasons are those of crawl requests that were served over HTTP/2, most requests first.
func reasons(c *analysis.Crawl) []string {
	names := slices.Sorted(maps.Keys(c.Served))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(c.Served[b], c.Served[a]) })
	return names
}

func (r report) textRequests(p *printer) {
	p.section("Requests of verified crawlers")
	c := &r.Crawl
	all := requests(c)
	rows := [][]styled{
		{{"over HTTP/2", styleBold}, {numberText(c.HTTP2), styleBold}, {shareText(c.HTTP2, all), styleBold}, {"", 0}},
		{{"  refused", 0}, {numberText(c.Refused), 0}, {"", 0}, {"answered 421: come back over HTTP/1.1", styleDim}},
	}
	for _, reason := range reasons(c) {
		rows = append(rows, []styled{{"  served: " + reason, 0}, {numberText(c.Served[reason]), 0}, {"", 0},
			{servedWords(reason), styleDim}})
	}
	rows = append(rows, []styled{{"over HTTP/1.1", styleBold}, {numberText(c.HTTP1), styleBold},
		{shareText(c.HTTP1, all), styleBold}, {"", 0}})
	p.table([]column{{}, {right: true}, {right: true}, {fold: true}}, rows)
}

// busiest returns the indices of the sites, most crawl requests first, then in their order.
func (r report) busiest() []int {
	order := make([]int, len(r.Sites))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(requests(&r.Sites[b].Crawl), requests(&r.Sites[a].Crawl))
	})
	return order
}

func (r report) textSites(p *printer, most int) {
	steps := 24
	if p.width < 72 {
		steps = 10
	}
	line := r.extent().timeline(steps)
	p.section("By site and rule")
	var rows [][]styled
	row := func(name string, c *analysis.Crawl, s style) {
		waiting := styleNone
		if c.WaitingURLs > 0 {
			waiting = styleWarn
		}
		rows = append(rows, []styled{{name, s}, {sparkline(line.resample(c.Curve)), styleHTTP2},
			{shareText(c.HTTP2, requests(c)), 0}, {numberText(requests(c)), 0},
			{numberText(c.HTTP2), 0}, {numberText(c.Refused), 0}, {numberText(c.WaitingURLs), waiting}})
	}
	left := 0
	for n, i := range r.busiest() {
		s := &r.Sites[i]
		if len(rows) >= most {
			left = len(r.Sites) - n
			break
		}
		row(s.Site, &s.Crawl, styleBold)
		for j := range s.Rules {
			if len(rows) >= most && j < len(s.Rules)-1 {
				more := "  and " + countText(int64(len(s.Rules)-j), "more rule", "more rules")
				rows = append(rows, []styled{{more, styleDim}, {}, {}, {}, {}, {}, {}})
				break
			}
			row("  "+s.Rules[j].Rule+" ("+s.Rules[j].State+")", &s.Rules[j].Crawl, styleNone)
		}
	}
	p.table([]column{{title: "Site, rule", flex: true}, {title: "HTTP/2"}, {title: "share", right: true},
		{title: "Requests", right: true, dropOrder: 1}, {title: "HTTP/2", right: true, dropOrder: 2},
		{title: "Refused", right: true}, {title: "Waiting", right: true}}, rows)
	p.more(int64(left), "more site", "more sites")
	p.paragraph(tableIndent, styleDim, "The curve is the HTTP/2 share: ▁ none to █ all, · no crawl."+
		" Waiting: URLs refused and not fetched since.")
}

// more ends a list of which n entries are not shown.
func (p *printer) more(n int64, one, many string) {
	if n > 0 {
		p.paragraph(tableIndent, styleDim, "and "+countText(n, one, many)+
			": gate421 audit report --format json lists all")
	}
}

func (r report) textWaiting(p *printer, most int) {
	p.section("URLs refused and not fetched since")
	if len(r.Waiting) == 0 {
		p.paragraph(tableIndent, styleNone, "None. Every refused URL that was followed has been fetched over HTTP/1.1.")
		return
	}
	p.paragraph(tableIndent, styleDim, "Google may drop these from its index. "+
		" The oldest first; age is before the end of this report.")
	shown := r.Waiting[:min(most, len(r.Waiting))]
	columns := []column{{title: "Age", right: true}, {title: "Refused", right: true}, {title: "Crawler", dropOrder: 1},
		{title: "URL", flex: true}}
	failed := slices.ContainsFunc(shown, func(u analysis.RefusedURL) bool { return u.FailedStatus != 0 })
	if failed {
		columns = append(columns, column{title: "Came and got"})
	}
	var rows [][]styled
	for _, u := range shown {
		s := styleNone
		if r.age(u.First) >= overdueAfter {
			s = styleWarn
		}
		row := []styled{{spanText(r.age(u.First)), s}, {numberText(u.Refusals), 0}, {u.Crawler, 0},
			{u.Host + u.Path, 0}}
		if failed {
			row = append(row, styled{failureText(&u), styleBad})
		}
		rows = append(rows, row)
	}
	p.table(columns, rows)
	p.more(max(r.Crawl.WaitingURLs, int64(len(r.Waiting)))-int64(len(rows)), "more", "more")
}

// failureText says which error the crawler got for a URL over HTTP/1.x, and when; "" if it got none.
func failureText(u *analysis.RefusedURL) string {
	if u.FailedStatus == 0 {
		return ""
	}
	return strconv.Itoa(u.FailedStatus) + ", " + minuteText(u.FailedAt)
}

func (r report) textImpostors(p *printer, most int) {
	p.section("Impostors by network")
	if len(r.Impostors) == 0 {
		p.paragraph(tableIndent, styleNone, "None.")
		return
	}
	p.paragraph(tableIndent, styleDim, "They claimed to be a crawler and were not. They are served like everyone else.")
	var rows [][]styled
	for _, n := range r.Impostors[:min(most, len(r.Impostors))] {
		rows = append(rows, []styled{{networkName(&n), 0}, {numberText(n.Requests), 0}, {numberText(n.HTTP2), 0},
			{n.Crawler, 0}, {reverseName(&n), styleDim}, {minuteText(n.Last), styleDim}})
	}
	p.table([]column{{title: "Network"}, {title: "Requests", right: true}, {title: "HTTP/2", right: true, dropOrder: 2},
		{title: "Claims", dropOrder: 1},
		{title: "Reverse name", flex: true}, {title: "Last, UTC", dropOrder: 3}}, rows)
	p.more(int64(len(r.Impostors)-len(rows)), "more network", "more networks")
}

// networkName is what a network is called; the last of a very long list has no network and is all others.
func networkName(n *analysis.Network) string { return cmp.Or(n.Network, "all others") }

func reverseName(n *analysis.Network) string { return cmp.Or(n.PTR, "none") }

func (r report) textUnknown(p *printer, most int) {
	p.section("Claims that could be neither proved nor disproved")
	if len(r.Unknown) == 0 {
		p.paragraph(tableIndent, styleNone, "None.")
		return
	}
	p.paragraph(tableIndent, styleDim, "Who is not verified is served, never refused.")
	var rows [][]styled
	for _, u := range r.Unknown[:min(most, len(r.Unknown))] {
		rows = append(rows, []styled{{cmp.Or(u.Cause, "–"), 0}, {numberText(u.Requests), 0}, {numberText(u.HTTP2), 0},
			{causeWords(u.Cause), styleDim}})
	}
	p.table([]column{{title: "Cause", flex: true}, {title: "Requests", right: true}, {title: "HTTP/2", right: true},
		{title: "What happened", fold: true}}, rows)
	p.more(int64(len(r.Unknown)-len(rows)), "more cause", "more causes")
}

func (r report) textChanges(p *printer, most int) {
	p.section("Changes of rules, and the guard")
	if len(r.Changes) == 0 {
		p.paragraph(tableIndent, styleNone, "None.")
		return
	}
	left := max(0, len(r.Changes)-most)
	if left > 0 {
		p.paragraph(tableIndent, styleDim, "The latest "+numberText(int64(most))+" of "+
			numberText(int64(len(r.Changes)))+":")
	}
	var rows [][]styled
	for _, c := range r.Changes[left:] {
		s := styleNone
		if c.Event == "guard" && c.What == "tripped" {
			s = styleBad
		}
		rows = append(rows, []styled{{minuteText(c.Time), styleDim}, {c.Site, 0}, {changeWords(c), s},
			{c.By, styleDim}})
	}
	p.table([]column{{title: "Time, UTC"}, {title: "Site", flex: true}, {title: "Change", flex: true},
		{title: "By", dropOrder: 1}}, rows)
}
