package render

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"gate421/gate/report/analysis"
	"gate421/gate/report/logs"
	"gate421/gate/visible"

	"pgregory.net/rapid"
)

func text(t interface{ Fatal(...any) }, r *analysis.Report, o TextOptions) string {
	var out bytes.Buffer
	if err := Text(&out, r, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Each golden file is what an owner reads, to the last space.
func TestTextGolden(t *testing.T) {
	tests := []struct {
		name   string
		report *analysis.Report
		o      TextOptions
	}{
		{"month_80", sample(), TextOptions{}},
		{"month_60", sample(), TextOptions{Width: 60, Rows: 5}},
		{"month_120", sample(), TextOptions{Width: 120}},
		{"month_colour", sample(), TextOptions{Colour: true, Rows: 5}},
		{"empty", &analysis.Report{}, TextOptions{}},
	}
	for _, test := range tests {
		want, err := os.ReadFile("testdata/" + test.name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, test.report, test.o); got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, want)
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
			t.Errorf("got %d columns, want no more than %d: %q", n, max(o.Width, leastWidth), line)
		}
		if strings.HasSuffix(line, " ") {
			t.Errorf("got spaces at the end, want none: %q", line)
		}
		checkSafe(t, line)
	}
}

// checkSafe holds that a text shows what it is, and does nothing.
func checkSafe(t interface{ Errorf(string, ...any) }, s string) {
	if !utf8.ValidString(s) {
		t.Errorf("got %q, want valid UTF-8", s)
	}
	for _, c := range s {
		if c < ' ' || c >= 0x7f && c < 0xa0 || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Zl, c) ||
			unicode.Is(unicode.Zp, c) {
			t.Errorf("got %U in %q, want printable characters", c, s)
		}
	}
}

func TestAnyReportIsSafeAndFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyReport(t)
		o := TextOptions{Width: rapid.IntRange(leastWidth, 140).Draw(t, "width"),
			Colour: rapid.Bool().Draw(t, "colour"), Rows: rapid.IntRange(1, 30).Draw(t, "rows")}
		got := text(t, r, o)
		checkText(t, got, o)
		if got != text(t, r, o) {
			t.Errorf("got another text the second time, want the same")
		}
		checkPage(t, htmlPage(t, r))
	})
}

func FuzzHostileText(f *testing.F) {
	for _, s := range hostileTexts() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := tainted(s)
		for _, o := range []TextOptions{{Width: 40}, {Width: 80, Colour: true}} {
			checkText(t, text(t, r, o), o)
		}
		checkPage(t, htmlPage(t, r))
		if p := visible.Text(s); visible.Text(p) != p {
			t.Errorf("visible.Text(%q): got %q, want it unchanged", p, visible.Text(p))
		}
	})
}

// A crawler that came back to an error is not one that did not come: both renderings say what it got.
func TestFailedURLs(t *testing.T) {
	r := &analysis.Report{
		From: at(1, 0, 1), Until: at(1, 0, 4), Log: logs.Stats{Lines: 4},
		Crawl: analysis.Crawl{HTTP2: 2, HTTP1: 2, Refused: 2, RefusedURLs: 2, WaitingURLs: 2, FailedURLs: 1},
		Waiting: []analysis.RefusedURL{
			{Crawler: "googlebot", Site: "a.test", Host: "a.test", Path: "/a", First: at(1, 0, 1), Last: at(1, 0, 1),
				Refusals: 1, FailedAt: at(1, 0, 4), FailedStatus: 503},
			{Crawler: "googlebot", Site: "a.test", Host: "a.test", Path: "/b", First: at(1, 0, 2), Last: at(1, 0, 2),
				Refusals: 1},
		},
	}
	got := strings.Join(strings.Fields(text(t, r, TextOptions{Width: 120})), " ")
	for _, want := range []string{"The crawler did come over HTTP/1.1 for 1 of 2 URLs, and your server answered with " +
		"an error", "Came and got", "503, 1 Jul 2026 00:04"} {
		if !strings.Contains(got, want) {
			t.Errorf("got a text without %q:\n%s", want, got)
		}
	}
	page := string(htmlPage(t, r))
	for _, want := range []string{"Came and got", "503, 1 Jul 2026 00:04"} {
		if !strings.Contains(page, want) {
			t.Errorf("got a page without %q:\n%s", want, page)
		}
	}
}
