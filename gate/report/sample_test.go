package report

import (
	"math"
	"time"
)

func at(day, hour, minute int) time.Time {
	return time.Date(2026, 7, day, hour, minute, 0, 0, time.UTC)
}

// madeUpCurve is a month of crawling: HTTP/2 until refusing starts, then less and less of it.
func madeUpCurve(scale float64, from, days int, refuseFrom time.Time) []Point {
	var out []Point
	for h := range days * 24 {
		t := at(from, h, 0)
		day := 1 + .45*math.Sin(float64(h)*2*math.Pi/24) + .3*math.Sin(float64(h)*.7)
		p := Point{Time: t, HTTP2: int64(scale * day * .8), HTTP1: int64(scale * day * .25)}
		if since := t.Sub(refuseFrom).Hours(); since >= 0 {
			fade := math.Exp(-since / 60)
			p.HTTP2, p.HTTP1 = int64(scale*day*.8*fade), int64(scale*day*(.25+.7*(1-fade)))
			p.Refused = p.HTTP2
		}
		out = append(out, p)
	}
	return out
}

func addUp(c *Crawl) {
	for _, p := range c.Curve {
		c.HTTP2, c.HTTP1, c.Refused = c.HTTP2+p.HTTP2, c.HTTP1+p.HTTP1, c.Refused+p.Refused
	}
}

// sample is a report as a site owner gets it after a month: two sites, one of which refuses since the 10th.
func sample() *Report {
	shop := SiteCrawl{Site: "shop.example", Crawl: Crawl{Curve: madeUpCurve(40, 1, 30, at(10, 9, 30)), RefusedURLs: 430, FetchedURLs: 412, WaitingURLs: 18, ComeBacks: 1204, P50: 184, P95: 7421}}
	addUp(&shop.Crawl)
	shop.Served = map[string]int64{"observed": shop.HTTP2 - shop.Refused}
	rule := RuleCrawl{Rule: "http2_crawl", State: "refuse", Crawl: shop.Crawl}
	downloads := RuleCrawl{Rule: "/downloads/", State: "allow", Crawl: Crawl{Curve: madeUpCurve(6, 4, 26, at(60, 0, 0))}}
	addUp(&downloads.Crawl)
	downloads.Served = map[string]int64{"allowed": downloads.HTTP2}
	shop.Rules = []RuleCrawl{downloads, rule}
	blog := SiteCrawl{Site: "blog.example", Crawl: Crawl{Curve: madeUpCurve(9, 1, 30, at(60, 0, 0))}}
	addUp(&blog.Crawl)
	blog.Served = map[string]int64{"observed": blog.HTTP2}
	blog.Rules = []RuleCrawl{{Rule: "http2_crawl", State: "observe", Crawl: blog.Crawl}}

	r := &Report{
		V: 1, From: at(1, 0, 0), Until: at(30, 23, 52), Step: 3600, Sites: []SiteCrawl{blog, shop},
		Log: Reading{Files: []string{"decisions.jsonl.1.zst", "decisions.jsonl"}, Bytes: 48_215_904, Lines: 128_417, Records: 127_988, Broken: 1, Boots: 3, Gaps: 1, Lost: 212, Withdrawn: 2},
		Crawl: Crawl{RefusedURLs: 430, FetchedURLs: 412, WaitingURLs: 18, ComeBacks: 1204, P50: 184, P95: 7421,
			Served: map[string]int64{"observed": shop.Served["observed"] + blog.HTTP2, "allowed": downloads.HTTP2}},
		Impostors: []Network{
			{"91.208.197.0/24", "googlebot", 1310, 1204, "crawl-66-249-66-66.googlebot.com", at(2, 3, 4), at(30, 22, 1)},
			{"95.216.227.0/24", "googlebot", 87, 87, "crawl-95-216-227-158.googlebot.com", at(11, 9, 9), at(12, 4, 30)},
			{"2001:db8:4c::/48", "googlebot", 12, 0, "", at(20, 1, 0), at(20, 1, 2)},
		},
		Unknown: []Cause{{"timeout", 31, 28}, {"servfail", 9, 9}, {"budget", 2, 0}},
		Changes: []Change{
			{Time: at(1, 8, 0), Event: "rule", Site: "shop.example", Rule: "http2_crawl", To: "observe", By: "reload"},
			{Time: at(4, 13, 15), Event: "rule", Site: "shop.example", Rule: "/downloads/", To: "allow", By: "rules set"},
			{Time: at(10, 9, 30), Event: "rule", Site: "shop.example", Rule: "http2_crawl", From: "observe", To: "refuse", By: "rules set"},
			{Time: at(16, 22, 41), Event: "guard", Site: "shop.example", What: "tripped"},
			{Time: at(17, 7, 5), Event: "guard", Site: "shop.example", What: "resumed", By: "rules resume"},
		},
	}
	for i := range r.Sites[0].Curve {
		a, b := r.Sites[0].Curve[i], shop.Curve[i]
		r.Crawl.Curve = append(r.Crawl.Curve, Point{a.Time, a.HTTP2 + b.HTTP2, a.HTTP1 + b.HTTP1, a.Refused + b.Refused})
	}
	addUp(&r.Crawl)
	paths := []string{"/", "/shop/kitchen/pans/cast-iron-skillet-26cm-with-lid-and-two-handles?colour=black&utm_source=newsletter&utm_campaign=summer", "/shop/garden/hose?page=2",
		"/imprint", "/%E5%95%86%E5%93%81/42", "/商品/フライパン/鋳鉄製スキレット/26センチ/蓋付き/黒色/送料無料", "/a\x1b[31mred\u202etxt.exe"}
	for i := range 18 {
		first := at(24, 21, 0).Add(time.Duration(i*i) * 25 * time.Minute)
		r.Waiting = append(r.Waiting, Refused{"googlebot", "shop.example", "shop.example", paths[i%len(paths)], first, first.Add(time.Hour), int64(1 + i%4), time.Time{}, 0})
	}
	return r
}
