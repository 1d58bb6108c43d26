package render

import (
	"fmt"
	"math"
	"strings"
	"time"

	"gate421/gate/report/analysis"
	"gate421/gate/report/logs"

	"pgregory.net/rapid"
)

func at(day, hour, minute int) time.Time {
	return time.Date(2026, 7, day, hour, minute, 0, 0, time.UTC)
}

// madeUpCurve is a month of crawling: HTTP/2 until refusing starts, then less and less of it.
func madeUpCurve(scale float64, from, days int, refuseFrom time.Time) []analysis.Point {
	var out []analysis.Point
	for h := range days * 24 {
		t := at(from, h, 0)
		day := 1 + .45*math.Sin(float64(h)*2*math.Pi/24) + .3*math.Sin(float64(h)*.7)
		p := analysis.Point{Time: t, HTTP2: int64(scale * day * .8), HTTP1: int64(scale * day * .25)}
		if since := t.Sub(refuseFrom).Hours(); since >= 0 {
			fade := math.Exp(-since / 60)
			p.HTTP2, p.HTTP1 = int64(scale*day*.8*fade), int64(scale*day*(.25+.7*(1-fade)))
			p.Refused = p.HTTP2
		}
		out = append(out, p)
	}
	return out
}

func addUp(c *analysis.Crawl) {
	for _, p := range c.Curve {
		c.HTTP2, c.HTTP1, c.Refused = c.HTTP2+p.HTTP2, c.HTTP1+p.HTTP1, c.Refused+p.Refused
	}
}

// sample is a report as a site owner gets it after a month: two sites, one of which refuses since the 10th.
func sample() *analysis.Report {
	shop := analysis.SiteCrawl{Site: "shop.example", Crawl: analysis.Crawl{Curve: madeUpCurve(40, 1, 30, at(10, 9, 30)),
		RefusedURLs: 430, FetchedURLs: 412, WaitingURLs: 18, ComeBacks: 1204, P50: 184, P95: 7421}}
	addUp(&shop.Crawl)
	shop.Served = map[string]int64{"observed": shop.HTTP2 - shop.Refused}
	rule := analysis.RuleCrawl{Rule: "http2_crawl", State: "refuse", Crawl: shop.Crawl}
	downloads := analysis.RuleCrawl{Rule: "/downloads/", State: "allow",
		Crawl: analysis.Crawl{Curve: madeUpCurve(6, 4, 26, at(60, 0, 0))}}
	addUp(&downloads.Crawl)
	downloads.Served = map[string]int64{"allowed": downloads.HTTP2}
	shop.Rules = []analysis.RuleCrawl{downloads, rule}
	blog := analysis.SiteCrawl{Site: "blog.example", Crawl: analysis.Crawl{Curve: madeUpCurve(9, 1, 30, at(60, 0, 0))}}
	addUp(&blog.Crawl)
	blog.Served = map[string]int64{"observed": blog.HTTP2}
	blog.Rules = []analysis.RuleCrawl{{Rule: "http2_crawl", State: "observe", Crawl: blog.Crawl}}

	r := &analysis.Report{
		V: 1, From: at(1, 0, 0), Until: at(30, 23, 52), Step: 3600, Sites: []analysis.SiteCrawl{blog, shop},
		Log: logs.Stats{Files: []string{"decisions.jsonl.1.zst", "decisions.jsonl"}, Bytes: 48_215_904, Lines: 128_417,
			Records: 127_988, Broken: 1, Boots: 3, Gaps: 1, Lost: 212, Withdrawn: 2},
		Crawl: analysis.Crawl{RefusedURLs: 430, FetchedURLs: 412, WaitingURLs: 18, ComeBacks: 1204, P50: 184, P95: 7421,
			Served: map[string]int64{"observed": shop.Served["observed"] + blog.HTTP2, "allowed": downloads.HTTP2}},
		Impostors: []analysis.Network{
			{Network: "91.208.197.0/24", Crawler: "googlebot", Requests: 1310, HTTP2: 1204,
				PTR: "crawl-66-249-66-66.googlebot.com", First: at(2, 3, 4), Last: at(30, 22, 1)},
			{Network: "95.216.227.0/24", Crawler: "googlebot", Requests: 87, HTTP2: 87,
				PTR: "crawl-95-216-227-158.googlebot.com", First: at(11, 9, 9), Last: at(12, 4, 30)},
			{Network: "2001:db8:4c::/48", Crawler: "googlebot", Requests: 12, First: at(20, 1, 0), Last: at(20, 1, 2)},
		},
		Unknown: []analysis.Cause{
			{Cause: "timeout", Requests: 31, HTTP2: 28},
			{Cause: "servfail", Requests: 9, HTTP2: 9},
			{Cause: "budget", Requests: 2},
		},
		Changes: []analysis.Change{
			{Time: at(1, 8, 0), Event: "rule", Site: "shop.example", Rule: "http2_crawl", To: "observe", By: "reload"},
			{Time: at(4, 13, 15), Event: "rule", Site: "shop.example", Rule: "/downloads/", To: "allow",
				By: "rules set"},
			{Time: at(10, 9, 30), Event: "rule", Site: "shop.example", Rule: "http2_crawl", From: "observe",
				To: "refuse", By: "rules set"},
			{Time: at(16, 22, 41), Event: "guard", Site: "shop.example", What: "tripped"},
			{Time: at(17, 7, 5), Event: "guard", Site: "shop.example", What: "resumed", By: "rules resume"},
		},
	}
	for i := range r.Sites[0].Curve {
		a, b := r.Sites[0].Curve[i], shop.Curve[i]
		r.Crawl.Curve = append(r.Crawl.Curve, analysis.Point{Time: a.Time, HTTP2: a.HTTP2 + b.HTTP2, HTTP1: a.HTTP1 +
			b.HTTP1, Refused: a.Refused + b.Refused})
	}
	addUp(&r.Crawl)
	paths := []string{"/",
		"/shop/kitchen/pans/cast-iron-skillet-26cm-with-lid-and-two-handles?colour=black&utm_source=newsletter" +
			"&utm_campaign=summer", "/shop/garden/hose?page=2", "/imprint", "/%E5%95%86%E5%93%81/42",
		"/商品/フライパン/鋳鉄製スキレット/26センチ/蓋付き/黒色/送料無料", "/a\x1b[31mred\u202etxt.exe"}
	for i := range 18 {
		first := at(24, 21, 0).Add(time.Duration(i*i) * 25 * time.Minute)
		r.Waiting = append(r.Waiting, analysis.RefusedURL{Crawler: "googlebot", Site: "shop.example",
			Host: "shop.example",
			Path: paths[i%len(paths)], First: first, Last: first.Add(time.Hour), Refusals: int64(1 + i%4)})
	}
	return r
}

// large has more of everything than a page shows.
func large() *analysis.Report {
	r := &analysis.Report{From: at(1, 0, 0), Until: at(30, 0, 0), Step: 300,
		Log: logs.Stats{Lines: 1 << 40, Files: make([]string, 1200)}}
	for i := range 10_000 {
		r.Crawl.Curve = append(r.Crawl.Curve, analysis.Point{Time: at(1, 0, 5*i), HTTP2: int64(i) * 1e9,
			HTTP1: int64(10_000-i) * 1e9, Refused: int64(i) * 5e8})
	}
	addUp(&r.Crawl)
	r.Crawl.RefusedURLs, r.Crawl.FetchedURLs, r.Crawl.WaitingURLs = 1e9, 1e9-5000, 5000
	for i := range 200 {
		s := analysis.SiteCrawl{Site: fmt.Sprintf("shop-%03d.example", i),
			Crawl: analysis.Crawl{Curve: madeUpCurve(float64(i+1)*10, 1, 8, at(2+i%6, 0, 0))}}
		addUp(&s.Crawl)
		for j := range 20 {
			s.Rules = append(s.Rules, analysis.RuleCrawl{Rule: fmt.Sprintf("/folder-%d/", j), State: "refuse",
				Crawl: s.Crawl})
		}
		r.Sites = append(r.Sites, s)
	}
	for i := range 5000 {
		r.Waiting = append(r.Waiting, analysis.RefusedURL{Crawler: "googlebot", Site: "shop-000.example",
			Host: "shop-000.example", Path: fmt.Sprintf("/%04d/%s", i, strings.Repeat("long/", i%400)),
			First: at(1, 0, i), Last: at(2, 0, i), Refusals: 1e6, FailedAt: at(2, 0, i), FailedStatus: 502})
		r.Changes = append(r.Changes, analysis.Change{Time: at(1, 0, i*8), Event: "rule", Site: "shop-000.example",
			Rule: "http2_crawl", From: "refuse", To: "observe"})
		r.Impostors = append(r.Impostors, analysis.Network{Network: fmt.Sprintf("10.%d.%d.0/24", i/256, i%256),
			Crawler: "googlebot", Requests: 9e15, HTTP2: 9e15, First: at(1, 0, 0), Last: at(2, 0, 0)})
	}
	return r
}

// hostileTexts try to be more than text.
func hostileTexts() []string {
	return []string{
		"\x1b[31mred\x1b[0m", "\x1b]0;title\a", "\u009b31m", "a\r\nb\tc\x00", "\u202etxt.exe\u2066",
		"\u2028\u2029\ufeff",
		"\xff\xfe\xc3", "\u0301\u0301a\u0301\u0301\u0301\u0301\u0301\u0301",
		"</style><script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "</title></svg><a " +
			"href=http://evil.example>",
		"{{.}}{{template \"x\"}}", "'`${7*7}`-->", "商品/フライパン", "👩‍👩‍👧‍👦🏽", "javascript:alert(1)",
		"url(http://evil.example)", strings.Repeat("a", 5000), strings.Repeat("ﷺ", 300), "", " ", "   x   ",
	}
}

// tainted is a report whose every text is s.
func tainted(s string) *analysis.Report {
	first := at(1, 0, 0)
	c := analysis.Crawl{HTTP2: 3, HTTP1: 2, Refused: 1, Served: map[string]int64{s: 2}, RefusedURLs: 1, WaitingURLs: 1,
		Curve: []analysis.Point{{Time: first, HTTP2: 3, HTTP1: 2, Refused: 1}}}
	return &analysis.Report{
		From: first, Until: at(2, 0, 0), Scope: analysis.Scope{Site: s, Path: s}, Step: 3600,
		Log: logs.Stats{Lines: 5, Files: []string{s}}, Crawl: c,
		Sites: []analysis.SiteCrawl{{Site: s, Crawl: c, Rules: []analysis.RuleCrawl{{Rule: s, State: s, Crawl: c}}}},
		Waiting: []analysis.RefusedURL{{Crawler: s, Site: s, Host: s, Path: s, First: first, Last: first, Refusals: 1,
			FailedAt: first, FailedStatus: 503}},
		Private: analysis.PrivateClaims{Claims: 10, Requests: 10, Network: s},
		Impostors: []analysis.Network{{Network: s, Crawler: s, Requests: 1, HTTP2: 1, PTR: s, First: first,
			Last: first}},
		Unknown: []analysis.Cause{{Cause: s, Requests: 1, HTTP2: 1}},
		Changes: []analysis.Change{{Time: at(1, 1, 0), Event: s, Site: s, Rule: s, From: s, To: s, What: s, By: s},
			{Time: at(1, 2, 0), Event: "guard", Site: s, What: "tripped", By: s}},
	}
}

// anyReport is not one that a log can give: any numbers, any times, any texts.
func anyReport(t *rapid.T) *analysis.Report {
	anyText := rapid.OneOf(rapid.SampledFrom(hostileTexts()), rapid.String())
	anyCount := rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, math.MaxInt64))
	anyTime := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 9).Draw(t, "none") == 0 {
			return time.Time{}
		}
		return time.Unix(rapid.OneOf(rapid.Int64Range(1.78e9, 1.785e9), rapid.Int64Range(0, 2e11)).Draw(t, "time"), 0)
	})
	anyPoint := rapid.Custom(func(t *rapid.T) analysis.Point {
		return analysis.Point{Time: anyTime.Draw(t, "time"), HTTP2: anyCount.Draw(t, "HTTP/2"),
			HTTP1: anyCount.Draw(t, "HTTP/1"), Refused: anyCount.Draw(t, "refused")}
	})
	anyCrawl := rapid.Custom(func(t *rapid.T) analysis.Crawl {
		count := func(what string) int64 { return anyCount.Draw(t, what) }
		return analysis.Crawl{
			HTTP2: count("HTTP/2"), HTTP1: count("HTTP/1"), Refused: count("refused"),
			Served:      rapid.MapOfN(anyText, anyCount, 0, 3).Draw(t, "served"),
			RefusedURLs: count("refused URLs"), FetchedURLs: count("fetched"), WaitingURLs: count("waiting"),
			Untracked: count("untracked"), ComeBacks: count("come-backs"),
			P50: rapid.Float64().Draw(t, "p50"), P95: rapid.Float64().Draw(t, "p95"),
			Curve: rapid.SliceOfN(anyPoint, 0, 8).Draw(t, "curve"),
		}
	})
	text := func(what string) string { return anyText.Draw(t, what) }
	count := func(what string) int64 { return anyCount.Draw(t, what) }
	when := func(what string) time.Time { return anyTime.Draw(t, what) }
	r := &analysis.Report{From: when("from"), Until: when("until"), Step: count("step"),
		Crawl: anyCrawl.Draw(t, "crawl"),
		Scope: analysis.Scope{Since: when("since"), Until: when("before"), Site: text("site"), Path: text("path")}}
	r.Log = logs.Stats{Files: rapid.SliceOfN(anyText, 0, 3).Draw(t, "files"),
		Damaged: rapid.SliceOfN(anyText, 0, 3).Draw(t, "damaged")}
	for _, n := range []*int64{&r.Log.Bytes, &r.Log.Lines, &r.Log.Records, &r.Log.Broken, &r.Log.Foreign,
		&r.Log.Repeated,
		&r.Log.OtherVersions, &r.Log.Boots, &r.Log.Gaps, &r.Log.Lost, &r.Log.LeftOut, &r.Log.Removed, &r.Log.Unsynced,
		&r.Log.Missing, &r.Log.Withdrawn} {
		*n = count("log")
	}
	for range rapid.IntRange(0, 3).Draw(t, "sites") {
		s := analysis.SiteCrawl{Site: text("site"), Crawl: anyCrawl.Draw(t, "crawl")}
		for range rapid.IntRange(0, 3).Draw(t, "rules") {
			s.Rules = append(s.Rules, analysis.RuleCrawl{Rule: text("rule"), State: text("state"),
				Crawl: anyCrawl.Draw(t, "crawl")})
		}
		r.Sites = append(r.Sites, s)
	}
	for range rapid.IntRange(0, 4).Draw(t, "entries") {
		r.Waiting = append(r.Waiting, analysis.RefusedURL{Crawler: text("crawler"), Site: text("site"),
			Host: text("host"),
			Path: text("path"), First: when("first"), Last: when("last"), Refusals: count("refusals"),
			FailedAt:     when("failed at"),
			FailedStatus: rapid.IntRange(0, 599).Draw(t, "status")})
		r.Impostors = append(r.Impostors, analysis.Network{Network: text("network"), Crawler: text("crawler"),
			Requests: count("requests"), HTTP2: count("HTTP/2"), PTR: text("ptr"), First: when("first"),
			Last: when("last")})
		r.Unknown = append(r.Unknown, analysis.Cause{Cause: text("cause"), Requests: count("requests"),
			HTTP2: count("HTTP/2")})
		r.Changes = append(r.Changes, analysis.Change{Time: when("time"),
			Event: rapid.SampledFrom([]string{"rule", "guard"}).Draw(t, "event"), Site: text("site"),
			Rule: text("rule"),
			From: text("from"), To: text("to"), What: rapid.SampledFrom([]string{"tripped", "resumed", "\x1b"}).Draw(t,
				"what"),
			Crawler: text("crawler"), By: text("by")})
	}
	return r
}
