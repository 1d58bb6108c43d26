package render

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gate421/gate/report/analysis"
	"gate421/gate/visible"
)

//go:embed report.html
var reportPage string

//go:embed report.css
var reportStyle string

// Bounds of the page. What goes beyond is counted there and listed in the JSON form.
const (
	pageRows  = 1000 // of a list
	pageCards = 24   // sites with a chart of their own
	pageRules = 12   // of a card
	pagePath  = 240  // columns of a path
	pageNotes = 12   // changes right under the curve
)

// HTML writes a report as one page that needs nothing else: no script, no request, no link to anywhere. The same report
// gives the same bytes.
func HTML(w io.Writer, r *analysis.Report) error {
	page, err := template.New("report").Parse(reportPage)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := page.Execute(&out, report{r}.page()); err != nil {
		return err
	}
	_, err = w.Write(out.Bytes())
	return err
}

// pageView is what the template shows: finished texts.
type pageView struct {
	Style         template.CSS
	Policy        string
	Scope         []string
	Headline      headline
	Mark          string
	Notices       []headline
	Figures       []figureView
	Split         []splitView
	Charts        []drawing
	All           stepsView
	Marks         []changeView
	MoreMarks     string
	Sites         []siteView
	Others        []siteView
	MoreSites     string
	Refused       bool
	Waiting       []waitingView
	Failed        bool // one of them has Got
	MoreWaiting   string
	Read          bool
	Impostors     []networkView
	MoreImpostors string
	Unknown       []causeView
	MoreUnknown   string
	Changes       []changeView
	MoreChanges   string
	Whole         bool
	Log           []string
	Files         []string
	MoreFiles     string
}

type (
	figureView struct{ Label, Value, Words, Kind string }
	splitView  struct{ Name, Code, Count, Share, Words, Class string }
	stepsView  struct {
		Name, Step string
		Table      []stepView
	}
	stepView    struct{ Time, Stamp, HTTP2, Refused, HTTP1, Share string }
	changeView  struct{ Number, Time, Stamp, Site, What, By, Kind string }
	waitingView struct{ URL, Crawler, First, Stamp, Age, Refusals, Kind, Got, GotStamp string }
	networkView struct{ Network, Crawler, PTR, Requests, HTTP2, First, Last string }
	causeView   struct{ Cause, Words, Requests, HTTP2 string }
)

func (r report) page() pageView {
	hash := sha256.Sum256([]byte(reportStyle))
	h := r.headline()
	v := pageView{
		Style: template.CSS(reportStyle),
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
			"'; base-uri 'none'; form-action 'none'",
		Scope:    plainAll(r.scopeWords()),
		Headline: shown(h), Mark: h.kindWords(),
		Refused: r.Crawl.Refused > 0 || len(r.Waiting) > 0,
		Read:    r.Log.Lines > 0 || requests(&r.Crawl) > 0,
		Whole:   whole(&r.Log), Log: logWords(&r.Log),
	}
	for _, n := range r.notices() {
		v.Notices = append(v.Notices, shown(n))
	}
	if requests(&r.Crawl) > 0 {
		v.Figures, v.Split = r.figures(), r.split()
	}
	v.Changes, v.MoreChanges = r.changeViews()
	e := r.extent()
	r.addCurve(&v, e)
	r.addSites(&v, e)
	r.addLists(&v)
	files := r.Log.Files
	v.Files, v.MoreFiles = plainAll(files[:min(pageRows, len(files))]),
		moreText(int64(len(files)-pageRows), "more file", "more files")
	return v
}

func shown(h headline) headline { return headline{h.Kind, visible.Text(h.Title), visible.Text(h.Text)} }

func plainAll(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = visible.Text(t)
	}
	return out
}

// moreText ends a list of which n entries are not shown; "" where all are.
func moreText(n int64, one, many string) string {
	if n <= 0 {
		return ""
	}
	return "and " + countText(n, one, many)
}

func (r report) figures() []figureView {
	c := &r.Crawl
	out := []figureView{
		{"HTTP/2 crawl requests", numberText(c.HTTP2),
			shareText(c.HTTP2, requests(c)) + " of all verified crawling", ""},
		{"refused", numberText(c.Refused), shareText(c.Refused, c.HTTP2) + " of those over HTTP/2", ""},
	}
	if c.RefusedURLs > 0 {
		waiting, kind := "every refused URL came back", ""
		if c.WaitingURLs > 0 {
			waiting, kind = "index risk: see the list", kindWarn
		}
		out = append(out,
			figureView{"URLs fetched afterwards", numberText(c.FetchedURLs),
				"of " + countText(c.RefusedURLs, "refused URL", "refused URLs"), ""},
			figureView{"URLs not fetched since", numberText(c.WaitingURLs), waiting, kind})
	}
	if c.ComeBacks > 0 {
		out = append(out, figureView{"time to come back", secondsText(c.P50),
			"half of them; 95 % within " + secondsText(c.P95), ""})
	}
	return out
}

func (r report) split() []splitView {
	c := &r.Crawl
	out := []splitView{
		{"Over HTTP/2", "", numberText(c.HTTP2), shareText(c.HTTP2, requests(c)), "", "whole"},
		{"Refused", "", numberText(c.Refused), shareText(c.Refused, requests(c)),
			"Answered 421: come back over HTTP/1.1.", "part"},
	}
	for _, reason := range reasons(c) {
		words := servedWords(reason)
		out = append(out, splitView{"Served", visible.Text(reason), numberText(c.Served[reason]),
			shareText(c.Served[reason], requests(c)), strings.ToUpper(words[:1]) + words[1:] + ".", "part"})
	}
	return append(out, splitView{"Over HTTP/1.1", "", numberText(c.HTTP1), shareText(c.HTTP1, requests(c)),
		"Always served.", "whole"})
}

func (r report) addCurve(v *pageView, e extent) {
	all := func(analysis.Change) bool { return true }
	for i, l := range []layout{wideLayout(), narrowLayout()} {
		line := e.timeline(l.steps)
		if line.steps == 0 {
			return
		}
		d := l.draw(line, r.Crawl.Curve, r.Changes, all)
		d.ID, d.Class = "all-"+strconv.Itoa(i), []string{"wide", "narrow"}[i]
		d.Title = "Verified crawling of all sites by HTTP version"
		d.Description = describe(line.resample(r.Crawl.Curve))
		v.Charts = append(v.Charts, d)
		if i == 0 {
			v.All = stepsView{"All sites", line.stepWords(), line.table(r.Crawl.Curve)}
		}
	}
	v.Marks = v.Changes
	if len(v.Marks) > pageNotes || len(r.Changes) > len(v.Changes) {
		v.Marks, v.MoreMarks = nil, countText(int64(len(r.Changes)), "change is", "changes are")+
			" listed below under their numbers."
	}
}

// table is the numbers behind a chart.
func (t timeline) table(curve []analysis.Point) []stepView {
	out := make([]stepView, 0, t.steps)
	for i, p := range t.resample(curve) {
		out = append(out, stepView{t.label(i), stamp(p.Time), numberText(p.HTTP2), numberText(p.Refused),
			numberText(p.HTTP1), shareText(p.HTTP2, plus(p.HTTP2, p.HTTP1))})
	}
	return out
}

// stamp is a time for a datetime attribute.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// changeViews are the latest changes, numbered from the first of all.
func (r report) changeViews() ([]changeView, string) {
	from := max(0, len(r.Changes)-pageRows)
	var out []changeView
	for i, c := range r.Changes[from:] {
		kind := ""
		if c.Event == "guard" {
			if kind = kindWarn; c.What == "tripped" {
				kind = kindBad
			}
		}
		out = append(out, changeView{strconv.Itoa(from + i + 1), minuteText(c.Time), stamp(c.Time),
			visible.Text(c.Site), visible.Text(changeWords(c)), visible.Text(c.By), kind})
	}
	return out, moreText(int64(from), "earlier change", "earlier changes")
}

func (r report) addLists(v *pageView) {
	for _, u := range r.Waiting[:min(pageRows, len(r.Waiting))] {
		kind := ""
		if r.age(u.First) >= overdueAfter {
			kind = kindWarn
		}
		w := waitingView{URL: visible.Text(u.Host) + cutMiddle(visible.Text(u.Path), pagePath),
			Crawler: visible.Text(u.Crawler), First: minuteText(u.First), Stamp: stamp(u.First),
			Age: spanText(r.age(u.First)), Refusals: numberText(u.Refusals), Kind: kind}
		if u.FailedStatus != 0 {
			w.Got, w.GotStamp, v.Failed = failureText(&u), stamp(u.FailedAt), true
		}
		v.Waiting = append(v.Waiting, w)
	}
	v.MoreWaiting = moreText(max(r.Crawl.WaitingURLs, int64(len(r.Waiting)))-int64(len(v.Waiting)), "more", "more")
	for _, n := range r.Impostors[:min(pageRows, len(r.Impostors))] {
		v.Impostors = append(v.Impostors, networkView{visible.Text(networkName(&n)), visible.Text(n.Crawler),
			visible.Text(n.PTR), numberText(n.Requests), numberText(n.HTTP2), minuteText(n.First), minuteText(n.Last)})
	}
	v.MoreImpostors = moreText(int64(len(r.Impostors)-len(v.Impostors)), "more network", "more networks")
	for _, u := range r.Unknown[:min(pageRows, len(r.Unknown))] {
		words := causeWords(u.Cause)
		v.Unknown = append(v.Unknown, causeView{visible.Text(u.Cause), strings.ToUpper(words[:1]) + words[1:] + ".",
			numberText(u.Requests), numberText(u.HTTP2)})
	}
	v.MoreUnknown = moreText(int64(len(r.Unknown)-len(v.Unknown)), "more cause", "more causes")
}

// siteView is a site's card, or its line in the table of those without one.
type siteView struct {
	ID, Name              string
	HTTP2, HTTP1, Share   string
	Refused, Waiting, P50 string
	Risk                  bool
	Chart, Spark          drawing
	Rules                 []ruleView
	MoreRules, Step       string
	Table                 []stepView
	Shares                []sharesView
}

// sharesView is the HTTP/2 share of several rules over time: the numbers behind their small charts.
type sharesView struct {
	Time, Stamp string
	Shares      []string
}

type ruleView struct {
	Rule, State                       string
	Spark                             drawing
	Share, Requests, Refused, Waiting string
}

func (r report) addSites(v *pageView, e extent) {
	order := r.busiest()
	for n, i := range order[:min(len(order), pageCards+pageRows)] {
		s := r.siteView(&r.Sites[i], n, e)
		if n < pageCards {
			v.Sites = append(v.Sites, s)
		} else {
			v.Others = append(v.Others, s)
		}
	}
	v.MoreSites = moreText(int64(len(order)-pageCards-pageRows), "more site", "more sites")
}

// siteView shows the n-th site: with a chart and its rules if it gets a card.
func (r report) siteView(s *analysis.SiteCrawl, n int, e extent) siteView {
	v := siteView{
		ID: "site-" + strconv.Itoa(n), Name: visible.Text(s.Site), HTTP2: numberText(s.HTTP2),
		HTTP1: numberText(s.HTTP1), Share: shareText(s.HTTP2, requests(&s.Crawl)),
		Refused: numberText(s.Crawl.Refused), Waiting: numberText(s.WaitingURLs), Risk: s.WaitingURLs > 0,
	}
	if s.ComeBacks > 0 {
		v.P50 = secondsText(s.P50)
	}
	small := e.timeline(60)
	if n >= pageCards {
		v.Spark = spark(small, &s.Crawl)
		return v
	}
	l := cardLayout()
	line := e.timeline(l.steps)
	v.Chart = l.draw(line, s.Curve, r.Changes, func(c analysis.Change) bool { return c.Site == s.Site })
	v.Chart.ID, v.Chart.Title, v.Chart.Description = v.ID+"-chart", "Verified crawling of "+v.Name,
		describe(line.resample(s.Curve))
	v.Step, v.Table = line.stepWords(), line.table(s.Curve)
	rules := slices.Clone(s.Rules)
	slices.SortStableFunc(rules, func(a, b analysis.RuleCrawl) int {
		return cmp.Compare(requests(&b.Crawl), requests(&a.Crawl))
	})
	for _, step := range v.Table {
		v.Shares = append(v.Shares, sharesView{Time: step.Time, Stamp: step.Stamp})
	}
	for i := range rules[:min(pageRules, len(rules))] {
		rule := &rules[i]
		v.Rules = append(v.Rules, ruleView{cutMiddle(visible.Text(rule.Rule), 80), visible.Text(rule.State),
			spark(small, &rule.Crawl), shareText(rule.HTTP2, requests(&rule.Crawl)),
			numberText(requests(&rule.Crawl)), numberText(rule.Crawl.Refused), numberText(rule.WaitingURLs)})
		for j, p := range line.resample(rule.Curve) {
			v.Shares[j].Shares = append(v.Shares[j].Shares, shareText(p.HTTP2, plus(p.HTTP2, p.HTTP1)))
		}
	}
	v.MoreRules = moreText(int64(len(rules)-len(v.Rules)), "more rule", "more rules")
	return v
}

func spark(line timeline, c *analysis.Crawl) drawing {
	d := sparkDrawing(line, c.Curve)
	d.Title = describe(line.resample(c.Curve))
	return d
}
