package analysis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"gate421/gate/report/logs"
)

// reference answers a question the slow and obvious way: everything in memory, encoding/json, two passes. It does not
// know damage, and no bounds but the time's.
type reference struct {
	q     logs.Query
	lines []refLine
	log   logs.Stats
}

type refLine struct {
	source int
	at     time.Time
	m      map[string]any
}

func (l refLine) str(name string) string { s, _ := l.m[name].(string); return s }

func (l refLine) num(name string) (uint64, bool) {
	n, ok := l.m[name].(json.Number)
	if !ok {
		return 0, false
	}
	u, err := strconv.ParseUint(string(n), 10, 64)
	return u, err == nil
}

// refParse says of a line what it is: "broken", "foreign", "" for one of the log's.
func refParse(text []byte) (l refLine, one bool, verdict string) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if !json.Valid(text) || d.Decode(&l.m) != nil || l.m == nil {
		if at := strings.Index(string(text), `{"v":`); at > 0 && json.Valid(text[at:]) {
			return refParse(text[at:])
		}
		if text[0] == '{' || text[len(text)-1] == '}' || strings.ContainsAny(string(text), "\x00") ||
			strings.Contains(string(text), `{"v":`) {
			return l, false, "broken"
		}
		return l, false, "text"
	}
	if _, there := l.m["v"]; !there {
		for _, name := range []string{"MESSAGE", "log"} {
			if inner := strings.TrimRight(l.str(name), "\r\n"); strings.Contains(inner, `"`) &&
				json.Valid([]byte(inner)) && inner[0] == '{' {
				return refParse([]byte(inner))
			}
		}
	}
	v, ok := l.m["v"].(json.Number)
	_, event := l.m["event"].(string)
	at, err := time.Parse(time.RFC3339Nano, l.str("time"))
	if l.at = at.UTC(); !ok || !event || err != nil || len(l.str("time")) > 64 || l.at.Year() < 1970 ||
		l.at.Year() > 2199 {
		return l, false, "foreign"
	}
	f, _ := strconv.ParseFloat(string(v), 64)
	return l, f == 1, ""
}

func newReference(q logs.Query, sources []string) *reference {
	r := &reference{q: q}
	read := map[string]map[uint64]bool{}      // the numbers of a boot that came
	explained := map[string]map[uint64]bool{} // those that gap lines tell of
	for i, text := range sources {
		r.log.Files = append(r.log.Files, fmt.Sprint(i))
		r.log.Bytes += int64(len(text))
		parts := strings.Split(text, "\n")
		for n, part := range parts {
			part = strings.TrimSuffix(part, "\r")
			if part == "" {
				continue
			}
			l, one, verdict := refParse([]byte(part))
			if (verdict == "broken" || verdict == "text") && n == len(parts)-1 {
				continue
			}
			r.log.Lines++
			switch {
			case verdict == "broken":
				r.log.Broken++
				continue
			case verdict != "":
				r.log.Foreign++
				continue
			}
			seq, ok := l.num("seq")
			if name := l.str("boot"); name != "" && ok {
				if read[name] == nil {
					read[name], explained[name] = map[uint64]bool{}, map[uint64]bool{}
				}
				if read[name][seq] {
					r.log.Repeated++
					continue
				}
				read[name][seq] = true
				if l.str("event") == "gap" {
					lost, _ := l.num("lost")
					leftOut, _ := l.num("left_out")
					removed, _ := l.num("removed")
					unsynced, _ := l.num("unsynced")
					r.log.Unsynced += int64(unsynced)
					if lost > 0 || leftOut+removed+unsynced == 0 {
						r.log.Gaps++
					}
					r.log.Lost += int64(lost)
					r.log.LeftOut += int64(leftOut)
					r.log.Removed += int64(removed)
					before := lost + leftOut
					if removed > 0 {
						before += removed - 1 // the last has the line's own number
					}
					for n := seq - min(before, seq); n < seq; n++ {
						explained[name][n] = true
					}
				}
			}
			if !one {
				r.log.OtherVersions++
			}
			l.source = i
			r.lines = append(r.lines, l)
		}
	}
	for name, numbers := range read {
		maps.Copy(numbers, explained[name])
		sorted := slices.Sorted(maps.Keys(numbers))
		r.log.Missing += int64(sorted[len(sorted)-1] - sorted[0] + 1 - uint64(len(sorted)))
	}
	r.log.Boots = int64(len(read))
	slices.SortStableFunc(r.lines, func(a, b refLine) int { return a.at.Compare(b.at) })
	return r
}

func (r *reference) timely(l refLine) bool {
	return (r.q.Since.IsZero() || !l.at.Before(r.q.Since)) && (r.q.Until.IsZero() || l.at.Before(r.q.Until))
}

// fits says whether a line that is a decision, a rule's or the guard's is asked for, apart from its time.
func (r *reference) fits(l refLine) bool {
	return (r.q.Site == "" || l.str("site") == r.q.Site) &&
		(l.str("event") != "decision" || r.q.Match == nil || r.q.Match(l.str("path")))
}

type refKey struct{ site, rule string }

type refSeries struct {
	Crawl
	state    string
	points   []refLine
	refused  map[int]bool
	waits    []float64
	followed map[refPage]bool
}

type refPage struct{ crawler, host, path string }

type refWait struct {
	open        bool
	first, last time.Time
	n           int64
	site, rule  string
	came        time.Time
	status      int
}

func isHTTP2(l refLine) bool { return strings.HasPrefix(l.str("proto"), "HTTP/2") }

func isRefusal(l refLine) bool {
	return isHTTP2(l) && l.str("action") == "refuse" && l.str("reason") == "refused"
}

func (r *reference) report() *Report {
	out := &Report{V: 1, Scope: Scope{Since: utc(r.q.Since), Until: utc(r.q.Until), Site: r.q.Site, Path: r.q.Path},
		Sites: []SiteCrawl{}, Waiting: []RefusedURL{}, Impostors: []Network{}, Unknown: []Cause{}, Changes: []Change{}}
	back := map[string]bool{} // requests whose refusal is taken back
	for _, l := range r.lines {
		if l.str("event") == "decision" && l.str("reason") == "log_unavailable" && l.str("verdict") == "genuine" &&
			l.str("request_id") != "" {
			back[l.str("boot")+" "+l.str("request_id")] = true
		}
	}
	series := map[refKey]*refSeries{}
	get := func(k refKey) *refSeries {
		if series[k] == nil {
			series[k] = &refSeries{Crawl: Crawl{Served: map[string]int64{}, Curve: []Point{}}, refused: map[int]bool{},
				followed: map[refPage]bool{}}
		}
		return series[k]
	}
	all := refKey{"all", "sites"}
	get(all)
	waits := map[refPage]*refWait{}
	networks, causes := map[string]*Network{}, map[string]*Cause{}
	var span []time.Time
	for _, l := range r.lines {
		if !r.fits(l) || !r.timely(l) {
			continue
		}
		if e := l.str("event"); e == "rule" || e == "guard" &&
			(l.str("what") == "tripped" || l.str("what") == "resumed") {
			out.Changes = append(out.Changes, Change{Time: l.at, Event: e, Site: l.str("site"), Rule: l.str("rule"),
				From: l.str("from"), To: l.str("to"), What: l.str("what"),
				Crawler: map[bool]string{true: l.str("crawler")}[e == "guard"], By: l.str("by")})
		}
		if l.str("event") != "decision" {
			continue
		}
		r.log.Records++
		if out.From.IsZero() || l.at.Before(out.From) {
			out.From = l.at
		}
		if l.at.After(out.Until) {
			out.Until = l.at
		}
		switch l.str("verdict") {
		case "impostor":
			refImpostor(networks, l)
			refPrivate(&out.Private, l)
		case "unknown":
			if l.str("claim") != "" {
				refUnknown(causes, l)
				refPrivate(&out.Private, l)
			}
		}
		if l.str("claim") == "" || l.str("verdict") != "genuine" || isHTTP2(l) && l.str("action") == "reject" ||
			!isHTTP2(l) && !strings.HasPrefix(l.str("proto"), "HTTP/1") {
			continue
		}
		span = append(span, l.at)
		out.Private.Claims++
		keys := []refKey{all, {l.str("site"), ""}, {l.str("site"), "rule " + l.str("rule")}}
		get(keys[2]).state = l.str("state")
		p := refPage{l.str("claim"), l.str("host"), l.str("path")}
		if isRefusal(l) && back[l.str("boot")+" "+l.str("request_id")] {
			r.log.Withdrawn++
			out.Private.Claims--
			for _, k := range keys {
				get(k)
			}
			continue
		}
		for _, k := range keys {
			s := get(k)
			s.points = append(s.points, l)
			switch {
			case !isHTTP2(l):
				s.HTTP1++
			case isRefusal(l):
				s.HTTP2++
				s.Refused++
				s.refused[len(s.points)-1] = true
			default:
				s.HTTP2++
				s.Served[l.str("reason")]++
			}
		}
		w := waits[p]
		status, _ := l.num("status")
		switch {
		case isRefusal(l):
			if w == nil || !w.open {
				w = &refWait{open: true, first: l.at}
				waits[p] = w
			}
			w.n++
			w.last, w.site, w.rule = l.at, l.str("site"), l.str("rule")
		case !isHTTP2(l) && l.str("action") == "serve" && status > 0 && status < 500 && w != nil && w.open &&
			!l.at.Before(w.last):
			w.open = false
			for _, k := range []refKey{all, {w.site, ""}, {w.site, "rule " + w.rule}} {
				get(k).waits = append(get(k).waits, l.at.Sub(w.first).Seconds())
			}
		case !isHTTP2(l) && l.str("action") == "serve" && status >= 500 && w != nil && w.open && !l.at.Before(w.first):
			w.came, w.status = l.at, int(status)
		}
	}
	for p, w := range waits {
		for _, k := range []refKey{all, {w.site, ""}, {w.site, "rule " + w.rule}} {
			get(k).RefusedURLs++
			if w.open {
				get(k).WaitingURLs++
				if w.status != 0 {
					get(k).FailedURLs++
				}
			} else {
				get(k).FetchedURLs++
			}
		}
		if w.open {
			out.Waiting = append(out.Waiting, RefusedURL{p.crawler, w.site, p.host, p.path, w.first, w.last, w.n,
				w.came, w.status})
		}
	}
	slices.SortFunc(out.Waiting, func(a, b RefusedURL) int {
		if c := a.First.Compare(b.First); c != 0 {
			return c
		}
		return strings.Compare(a.Host+"\x00"+a.Path+"\x00"+a.Crawler, b.Host+"\x00"+b.Path+"\x00"+b.Crawler)
	})
	refSort(out, networks, causes)
	r.log.Damaged = []string{}
	out.Log = r.log
	refCurves(out, series, all, span)
	return out
}

func refImpostor(networks map[string]*Network, l refLine) {
	name := ""
	if ip, err := netip.ParseAddr(l.str("client_ip")); err == nil {
		bits := 48
		if ip = ip.Unmap().WithZone(""); ip.Is4() {
			bits = 24
		}
		p, _ := ip.Prefix(bits)
		name = p.String()
	}
	n := networks[name]
	if n == nil {
		n = &Network{Network: name, First: l.at}
		networks[name] = n
	}
	n.Requests++
	if isHTTP2(l) {
		n.HTTP2++
	}
	n.Crawler, n.Last = l.str("claim"), l.at
	if l.str("ptr") != "" {
		n.PTR = l.str("ptr")
	}
}

func refPrivate(p *PrivateClaims, l refLine) {
	p.Claims++
	if ip := l.str("client_ip"); strings.HasPrefix(ip, "10.") || strings.HasPrefix(ip, "fd00:") {
		p.Requests++
		p.Network = map[string]string{"1": "10.1.2.0/24", "f": "fd00:1:2::/48"}[ip[:1]]
	}
}

func refUnknown(causes map[string]*Cause, l refLine) {
	name := l.str("verdict_cause")
	if name == "" {
		name = "unspecified"
	}
	if causes[name] == nil {
		causes[name] = &Cause{Cause: name}
	}
	causes[name].Requests++
	if isHTTP2(l) {
		causes[name].HTTP2++
	}
}

func refSort(out *Report, networks map[string]*Network, causes map[string]*Cause) {
	for _, n := range networks {
		out.Impostors = append(out.Impostors, *n)
	}
	slices.SortFunc(out.Impostors, func(a, b Network) int {
		key := func(n Network) string {
			return fmt.Sprint(n.Network == "", " ", fmt.Sprintf("%020d", math.MaxInt64-n.Requests), " ", n.Network)
		}
		return strings.Compare(key(a), key(b))
	})
	for _, c := range causes {
		out.Unknown = append(out.Unknown, *c)
	}
	slices.SortFunc(out.Unknown, func(a, b Cause) int {
		key := func(c Cause) string { return fmt.Sprintf("%020d %s", math.MaxInt64-c.Requests, c.Cause) }
		return strings.Compare(key(a), key(b))
	})
}

// refBegin is the beginning of the step that a time is in.
func refBegin(at time.Time, step int64) time.Time {
	switch day := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC); step {
	case 3600:
		return at.Truncate(time.Hour)
	case 86400:
		return day
	default:
		for day.Weekday() != time.Monday || day.Sub(time.Date(1969, 12, 29, 0, 0, 0, 0,
			time.UTC))%(time.Duration(step)*time.Second) != 0 {
			day = day.AddDate(0, 0, -1)
		}
		return day
	}
}

func refCurves(out *Report, series map[refKey]*refSeries, all refKey, span []time.Time) {
	out.Step = 3600
	var first, last time.Time
	if len(span) > 0 {
		first, last = slices.MinFunc(span, time.Time.Compare), slices.MaxFunc(span, time.Time.Compare)
		if last.Sub(first) > 72*time.Hour {
			out.Step = 86400
		}
		for last.Sub(first) > 120*24*time.Hour && (out.Step < 7*86400 ||
			last.Sub(first) > 512*time.Duration(out.Step)*time.Second) {
			out.Step = max(7*86400, 2*out.Step/(7*86400)*7*86400)
		}
	}
	finish := func(s *refSeries) Crawl {
		if len(span) > 0 {
			for at := refBegin(first, out.Step); !at.After(last); at = at.Add(time.Duration(out.Step) * time.Second) {
				s.Curve = append(s.Curve, Point{Time: at})
			}
		}
		for i, l := range s.points {
			at := slices.IndexFunc(s.Curve, func(p Point) bool { return p.Time.Equal(refBegin(l.at, out.Step)) })
			if p := &s.Curve[at]; isHTTP2(l) {
				p.HTTP2++
				if s.refused[i] {
					p.Refused++
				}
			} else {
				p.HTTP1++
			}
		}
		slices.Sort(s.waits)
		s.ComeBacks = int64(len(s.waits))
		if n := len(s.waits); n > 0 {
			s.P50, s.P95 = s.waits[(n*50+99)/100-1], s.waits[(n*95+99)/100-1]
		}
		return s.Crawl
	}
	out.Crawl = finish(series[all])
	delete(series, all)
	for k, s := range series {
		if k.rule != "" {
			continue
		}
		site := SiteCrawl{Site: k.site, Crawl: finish(s)}
		for rk, rs := range series {
			if rule, ok := strings.CutPrefix(rk.rule, "rule "); ok && rk.site == k.site {
				site.Rules = append(site.Rules, RuleCrawl{Rule: rule, State: rs.state, Crawl: finish(rs)})
			}
		}
		slices.SortFunc(site.Rules, func(a, b RuleCrawl) int { return strings.Compare(a.Rule, b.Rule) })
		out.Sites = append(out.Sites, site)
	}
	slices.SortFunc(out.Sites, func(a, b SiteCrawl) int { return strings.Compare(a.Site, b.Site) })
}
