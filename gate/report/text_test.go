package report

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"gate421/gate/visible"

	"pgregory.net/rapid"
)

func text(t interface{ Fatal(...any) }, r *Report, o TextOptions) string {
	var out bytes.Buffer
	if err := r.Text(&out, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Each golden file is what an owner reads, to the last space.
func TestTextGolden(t *testing.T) {
	tests := []struct {
		name   string
		report *Report
		o      TextOptions
	}{
		{"month_80", sample(), TextOptions{}},
		{"month_60", sample(), TextOptions{Width: 60, Rows: 5}},
		{"month_120", sample(), TextOptions{Width: 120}},
		{"month_colour", sample(), TextOptions{Colour: true, Rows: 5}},
		{"empty", &Report{}, TextOptions{}},
	}
	for _, test := range tests {
		want, err := os.ReadFile("testdata/" + test.name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, test.report, test.o); got != string(want) {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", test.name, got, want)
		}
	}
}

// checkText holds what is true of every report as text.
func checkText(t interface{ Errorf(string, ...any) }, got string, o TextOptions) {
	if o.Colour {
		got = regexp.MustCompile("\x1b\\[(0|1|2|34|36|1;3[123])m").ReplaceAllString(got, "")
	}
	for _, line := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
		if n := columnsIn(line); n > max(o.Width, leastWidth) {
			t.Errorf("%d columns: %q", n, line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("space at the end: %q", line)
		}
		checkSafe(t, line)
	}
}

// checkSafe holds that a text shows what it is, and does nothing.
func checkSafe(t interface{ Errorf(string, ...any) }, s string) {
	if !utf8.ValidString(s) {
		t.Errorf("no UTF-8: %q", s)
	}
	for _, c := range s {
		if c < ' ' || c >= 0x7f && c < 0xa0 || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c) {
			t.Errorf("%U in %q", c, s)
		}
	}
}

func TestAnyReportIsSafeAndFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyReport(t)
		o := TextOptions{Width: rapid.IntRange(leastWidth, 140).Draw(t, "width"), Colour: rapid.Bool().Draw(t, "colour"), Rows: rapid.IntRange(1, 30).Draw(t, "rows")}
		got := text(t, r, o)
		checkText(t, got, o)
		if got != text(t, r, o) {
			t.Errorf("not the same twice")
		}
		checkPage(t, htmlPage(t, r))
	})
}

func FuzzHostileText(f *testing.F) {
	for _, s := range hostile() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := tainted(s)
		for _, o := range []TextOptions{{Width: 40}, {Width: 80, Colour: true}} {
			checkText(t, text(t, r, o), o)
		}
		checkPage(t, htmlPage(t, r))
		if p := visible.Text(s); visible.Text(p) != p {
			t.Errorf("what is visible is changed again: %q, %q", p, visible.Text(p))
		}
	})
}

// hostile are texts that try to be more than text.
func hostile() []string {
	return []string{
		"\x1b[31mred\x1b[0m", "\x1b]0;title\a", "\u009b31m", "a\r\nb\tc\x00", "\u202etxt.exe\u2066", "\u2028\u2029\ufeff", "\xff\xfe\xc3", "\u0301\u0301a\u0301\u0301\u0301\u0301\u0301\u0301",
		"</style><script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "</title></svg><a href=http://evil.example>", "{{.}}{{template \"x\"}}", "'`${7*7}`-->", "商品/フライパン", "👩‍👩‍👧‍👦🏽", "javascript:alert(1)",
		"url(http://evil.example)", strings.Repeat("a", 5000), strings.Repeat("ﷺ", 300), "", " ", "   x   ",
	}
}

// tainted is a report whose every text is s.
func tainted(s string) *Report {
	c := Crawl{HTTP2: 3, HTTP1: 2, Refused: 1, Served: map[string]int64{s: 2}, RefusedURLs: 1, WaitingURLs: 1, Curve: []Point{{at(1, 0, 0), 3, 2, 1}}}
	return &Report{
		From: at(1, 0, 0), Until: at(2, 0, 0), Asked: Asked{Site: s, Path: s}, Step: 3600, Log: Reading{Lines: 5, Files: []string{s}}, Crawl: c,
		Sites:   []SiteCrawl{{Site: s, Crawl: c, Rules: []RuleCrawl{{Rule: s, State: s, Crawl: c}}}},
		Waiting: []Refused{{s, s, s, s, at(1, 0, 0), at(1, 0, 0), 1, at(1, 0, 0), 503}}, Private: Private{10, 10, s}, Impostors: []Network{{s, s, 1, 1, s, at(1, 0, 0), at(1, 0, 0)}}, Unknown: []Cause{{s, 1, 1}},
		Changes: []Change{{Time: at(1, 1, 0), Event: s, Site: s, Rule: s, From: s, To: s, What: s, By: s}, {Time: at(1, 2, 0), Event: "guard", Site: s, What: "tripped", By: s}},
	}
}

// anyReport is not one that a log can give: any numbers, any times, any texts.
func anyReport(t *rapid.T) *Report {
	word := rapid.OneOf(rapid.SampledFrom(hostile()), rapid.String())
	count := rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, math.MaxInt64))
	day := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 9).Draw(t, "none") == 0 {
			return time.Time{}
		}
		return time.Unix(rapid.OneOf(rapid.Int64Range(1.78e9, 1.785e9), rapid.Int64Range(0, 2e11)).Draw(t, "time"), 0)
	})
	crawl := rapid.Custom(func(t *rapid.T) Crawl {
		return Crawl{
			HTTP2: count.Draw(t, "2"), HTTP1: count.Draw(t, "1"), Refused: count.Draw(t, "r"), Served: rapid.MapOfN(word, count, 0, 3).Draw(t, "served"),
			RefusedURLs: count.Draw(t, "u"), FetchedURLs: count.Draw(t, "f"), WaitingURLs: count.Draw(t, "w"), Beyond: count.Draw(t, "b"), ComeBacks: count.Draw(t, "c"),
			P50: rapid.Float64().Draw(t, "p50"), P95: rapid.Float64().Draw(t, "p95"),
			Curve: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Point {
				return Point{day.Draw(t, "t"), count.Draw(t, "2"), count.Draw(t, "1"), count.Draw(t, "r")}
			}), 0, 8).Draw(t, "curve"),
		}
	})
	r := &Report{From: day.Draw(t, "from"), Until: day.Draw(t, "until"), Asked: Asked{day.Draw(t, "since"), day.Draw(t, "before"), word.Draw(t, "site"), word.Draw(t, "path")}, Step: count.Draw(t, "step"), Crawl: crawl.Draw(t, "crawl")}
	r.Log = Reading{Files: rapid.SliceOfN(word, 0, 3).Draw(t, "files"), Damaged: rapid.SliceOfN(word, 0, 3).Draw(t, "damaged")}
	for _, n := range []*int64{&r.Log.Bytes, &r.Log.Lines, &r.Log.Records, &r.Log.Broken, &r.Log.Foreign, &r.Log.Repeated, &r.Log.Other, &r.Log.Boots,
		&r.Log.Gaps, &r.Log.Lost, &r.Log.LeftOut, &r.Log.Removed, &r.Log.Unsynced, &r.Log.Missing, &r.Log.Withdrawn} {
		*n = count.Draw(t, "log")
	}
	for range rapid.IntRange(0, 3).Draw(t, "sites") {
		s := SiteCrawl{Site: word.Draw(t, "site"), Crawl: crawl.Draw(t, "crawl")}
		for range rapid.IntRange(0, 3).Draw(t, "rules") {
			s.Rules = append(s.Rules, RuleCrawl{word.Draw(t, "rule"), word.Draw(t, "state"), crawl.Draw(t, "crawl")})
		}
		r.Sites = append(r.Sites, s)
	}
	for range rapid.IntRange(0, 4).Draw(t, "entries") {
		r.Waiting = append(r.Waiting, Refused{word.Draw(t, "c"), word.Draw(t, "s"), word.Draw(t, "h"), word.Draw(t, "p"), day.Draw(t, "f"), day.Draw(t, "l"), count.Draw(t, "n"), day.Draw(t, "came"), rapid.IntRange(0, 599).Draw(t, "status")})
		r.Impostors = append(r.Impostors, Network{word.Draw(t, "n"), word.Draw(t, "c"), count.Draw(t, "r"), count.Draw(t, "2"), word.Draw(t, "p"), day.Draw(t, "f"), day.Draw(t, "l")})
		r.Unknown = append(r.Unknown, Cause{word.Draw(t, "cause"), count.Draw(t, "r"), count.Draw(t, "2")})
		r.Changes = append(r.Changes, Change{day.Draw(t, "t"), rapid.SampledFrom([]string{"rule", "guard"}).Draw(t, "e"), word.Draw(t, "s"), word.Draw(t, "r"), word.Draw(t, "f"), word.Draw(t, "t"), rapid.SampledFrom([]string{"tripped", "resumed", "\x1b"}).Draw(t, "w"), word.Draw(t, "crawler"), word.Draw(t, "b")})
	}
	return r
}

func TestHeadlines(t *testing.T) {
	refused := func(change func(*Crawl)) *Report {
		r := &Report{Until: at(7, 0, 0), Log: Reading{Lines: 9}, Crawl: Crawl{HTTP2: 500, HTTP1: 20, Refused: 500, RefusedURLs: 430, WaitingURLs: 430}, Waiting: []Refused{{First: at(1, 0, 0)}}}
		change(&r.Crawl)
		return r
	}
	fresh := refused(func(*Crawl) {})
	fresh.Waiting[0].First = at(6, 22, 0)
	tests := []struct {
		report      *Report
		kind, title string
		text        string // part of it
	}{
		{&Report{}, kindNone, "There is nothing to report", "No log line"},
		{&Report{Log: Reading{Lines: 1}}, kindNone, "No verified crawler came", "in this part of the log"},
		{&Report{Log: Reading{Lines: 1}, Unknown: []Cause{{"timeout", 5, 5}}}, kindWarn, "No verified crawler came", "5 claims could be neither"},
		{&Report{Crawl: Crawl{HTTP1: 9}}, kindGood, "All verified crawling came over HTTP/1.1", "nothing had to be refused"},
		{&Report{Crawl: Crawl{HTTP2: 1234, Served: map[string]int64{"observed": 1234}}}, kindNone, "Nothing was refused, only observed", "All 1,234 crawl requests over HTTP/2 would have been refused"},
		{&Report{Crawl: Crawl{HTTP2: 3, Served: map[string]int64{"observed": 1, "allowed": 2}}}, kindNone, "Nothing was refused", "1 of 3 crawl requests over HTTP/2 were observed"},
		{&Report{Crawl: Crawl{HTTP2: 3, Served: map[string]int64{"guard": 3}}}, kindWarn, "Nothing was refused", "although a rule says refuse"},
		{&Report{Crawl: Crawl{HTTP2: 3, Served: map[string]int64{"allowed": 3}}}, kindNone, "Nothing was refused", "as the rules say"},
		{&Report{Crawl: Crawl{HTTP2: 3, Refused: 3, Beyond: 3}}, kindWarn, "3 crawl requests were refused", "none of them could be followed"},
		{refused(func(*Crawl) {}), kindBad, "None of 430 refused URLs has been fetched over HTTP/1.1 since", "The oldest refusal is 6 days old. Pages that answer 421"},
		{fresh, kindWarn, "None of 430 refused URLs has been fetched over HTTP/1.1 since", "It is early"},
		{refused(func(c *Crawl) { c.FetchedURLs, c.WaitingURLs, c.ComeBacks, c.P50, c.P95 = 412, 18, 412, 180, 7200 }), kindWarn, "412 of 430 refused URLs were fetched over HTTP/1.1 afterwards", "Half of the fetches came within 3 min, 95 % within 2 h. 18 URLs have not been fetched since: the oldest refusal is 6 days old."},
		{refused(func(c *Crawl) { c.FetchedURLs, c.WaitingURLs = 30, 400 }), kindBad, "30 of 430 refused URLs were fetched over HTTP/1.1 afterwards", "400 URLs have not"},
		{refused(func(c *Crawl) { c.FetchedURLs, c.WaitingURLs = 430, 0 }), kindGood, "All 430 refused URLs were fetched over HTTP/1.1 afterwards", ""},
	}
	for _, test := range tests {
		if h := test.report.headline(); h.Kind != test.kind || h.Title != test.title || !strings.Contains(h.Text, test.text) {
			t.Errorf("got %+v, want %s, %q, %q", h, test.kind, test.title, test.text)
		}
	}
}

func TestNotices(t *testing.T) {
	r := sample()
	if n := r.notices(); len(n) != 1 || n[0].Title != "The log is not whole" {
		t.Errorf("%+v", n)
	}
	r.Changes, r.Log = r.Changes[:4], Reading{}
	if n := r.notices(); len(n) != 1 || n[0].Kind != kindBad || n[0].Title != "The guard has stopped refusing every crawler on shop.example" {
		t.Errorf("%+v", n)
	}
}

func TestNumbersInWords(t *testing.T) {
	tests := []struct{ got, want string }{
		{numberText(0), "0"}, {numberText(999), "999"}, {numberText(1234567), "1,234,567"}, {numberText(math.MinInt64), "-9,223,372,036,854,775,808"},
		{shareText(0, 0), "–"}, {shareText(0, 9), "0 %"}, {shareText(1, 1000), "<1 %"}, {shareText(999, 1000), ">99 %"}, {shareText(7, 7), "100 %"}, {shareText(math.MaxInt64, math.MaxInt64), "100 %"},
		{spanText(-1), "0 s"}, {spanText(200 * time.Second), "3 min 20 s"}, {spanText(2 * time.Hour), "2 h"}, {spanText(31 * time.Hour), "1 day 7 h"}, {spanText(6*24*time.Hour + 1), "6 days"},
		{secondsText(.4), "less than 1 s"}, {secondsText(59.9), "1 min"}, {secondsText(math.NaN()), "0 s"}, {secondsText(math.Inf(1)), "106,751 days"},
		{sizeText(1), "1 byte"}, {sizeText(48_215_904), "48.2 MB"}, {sizeText(math.MaxInt64), "9.22 EB"}, {sizeText(999_999), "1.00 MB"},
		{roundText(1500), "1.5k"}, {roundText(0), "0"},
		{visible.Text("a\x1b\u202e\xff\u0301"), `a\x1b\u202e\xff` + "\u0301"}, {cutMiddle("0123456789", 6), "012…89"}, {cutMiddle("商品商品商品", 6), "商…品"}, {cutEnd("商品", 3), "商…"},
		{strings.Join(wrapText("a bb ccc dddddddd", 5), "|"), "a bb|ccc|ddddd|ddd"}, {fmt.Sprint(columnsIn("商a\u0301")), "3"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
