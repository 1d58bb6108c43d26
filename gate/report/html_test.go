package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

func htmlPage(t interface{ Fatal(...any) }, r *Report) []byte {
	var out bytes.Buffer
	if err := r.HTML(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// checkPage holds what is true of every report as a page.
func checkPage(t interface{ Errorf(string, ...any) }, b []byte) {
	doc, err := html.Parse(bytes.NewReader(b))
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	seen, ids, references := map[string]int{}, map[string]bool{}, []string(nil)
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" {
			checkSafe(t, strings.ReplaceAll(n.Data, "\n", ""))
		}
		if n.Type != html.ElementNode {
			continue
		}
		seen[n.Data]++
		if slices.Contains([]string{"script", "link", "img", "a", "iframe", "object", "embed", "base", "form", "use", "image", "foreignObject"}, n.Data) {
			t.Errorf("an element %s", n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case slices.Contains([]string{"src", "href", "xlink:href", "action", "style", "srcset"}, a.Key), strings.HasPrefix(a.Key, "on"):
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			case a.Key == "d" && strings.Trim(a.Val, "MLHVZ0123456789. -") != "", strings.Contains(a.Val, "NaN"):
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("two of the id %q", a.Val)
				}
				ids[a.Val] = true
			case a.Key == "aria-labelledby":
				references = append(references, strings.Fields(a.Val)...)
			}
		}
		checkElement(t, n)
	}
	for _, id := range references {
		if !ids[id] {
			t.Errorf("nothing has the id %q", id)
		}
	}
	if seen["h1"] != 1 || seen["style"] != 1 || seen["title"] < 1 {
		t.Errorf("%d h1, %d style", seen["h1"], seen["style"])
	}
}

// checkElement looks at what an element needs to be understood without seeing it, and at the policy.
func checkElement(t interface{ Errorf(string, ...any) }, n *html.Node) {
	attribute := func(key string) string {
		for _, a := range n.Attr {
			if a.Key == key {
				return a.Val
			}
		}
		return ""
	}
	switch n.Data {
	case "table":
		if first := n.FirstChild.NextSibling; first == nil || first.Data != "caption" || strings.TrimSpace(words(first)) == "" {
			t.Errorf("a table without a caption")
		}
	case "th":
		if attribute("scope") == "" {
			t.Errorf("a heading without a scope: %q", words(n))
		}
	case "svg":
		first := n.FirstChild
		if first.Type == html.TextNode {
			first = first.NextSibling
		}
		if first.Data != "title" || words(first) == "" || attribute("role") != "img" {
			t.Errorf("a drawing without a title")
		}
	case "meta":
		sum := sha256.Sum256([]byte(reportStyle))
		if attribute("http-equiv") != "" && attribute("content") != "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; base-uri 'none'; form-action 'none'" {
			t.Errorf("policy %q", attribute("content"))
		}
	case "style":
		if words(n) != reportStyle {
			t.Errorf("the style is not the one that the policy names")
		}
	}
}

func words(n *html.Node) string {
	var out strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			out.WriteString(c.Data)
		}
	}
	return out.String()
}

// wellFormed holds that what is opened is closed, in order.
func wellFormed(t *testing.T, b []byte) {
	var open []string
	z := html.NewTokenizer(bytes.NewReader(b))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("left open: %v", open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); string(name) != "meta" {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("</%s> in %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestPage(t *testing.T) {
	tests := map[string]*Report{"month": sample(), "empty": {}, "large": large()}
	for i, s := range hostile() {
		tests[fmt.Sprint("hostile ", i)] = tainted(s)
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			b := htmlPage(t, r)
			checkPage(t, b)
			wellFormed(t, b)
			if !bytes.Equal(b, htmlPage(t, r)) {
				t.Error("not the same twice")
			}
		})
	}
	if strings.Contains(reportStyle, "url(") || strings.Contains(reportStyle, "@import") {
		t.Error("the style refers to something outside")
	}
}

// large has more of everything than a page shows.
func large() *Report {
	r := &Report{From: at(1, 0, 0), Until: at(30, 0, 0), Step: 300, Log: Reading{Lines: 1 << 40, Files: make([]string, 1200)}}
	for i := range 10_000 {
		r.Crawl.Curve = append(r.Crawl.Curve, Point{at(1, 0, 5*i), int64(i) * 1e9, int64(10_000-i) * 1e9, int64(i) * 5e8})
	}
	addUp(&r.Crawl)
	r.Crawl.RefusedURLs, r.Crawl.FetchedURLs, r.Crawl.WaitingURLs = 1e9, 1e9-5000, 5000
	for i := range 200 {
		s := SiteCrawl{Site: fmt.Sprintf("shop-%03d.example", i), Crawl: Crawl{Curve: madeUpCurve(float64(i+1)*10, 1, 8, at(2+i%6, 0, 0))}}
		addUp(&s.Crawl)
		for j := range 20 {
			s.Rules = append(s.Rules, RuleCrawl{fmt.Sprintf("/folder-%d/", j), "refuse", s.Crawl})
		}
		r.Sites = append(r.Sites, s)
	}
	for i := range 5000 {
		r.Waiting = append(r.Waiting, Refused{"googlebot", "shop-000.example", "shop-000.example", fmt.Sprintf("/%04d/%s", i, strings.Repeat("long/", i%400)), at(1, 0, i), at(2, 0, i), 1e6, at(2, 0, i), 502})
		r.Changes = append(r.Changes, Change{Time: at(1, 0, i*8), Event: "rule", Site: "shop-000.example", Rule: "http2_crawl", From: "refuse", To: "observe"})
		r.Impostors = append(r.Impostors, Network{fmt.Sprintf("10.%d.%d.0/24", i/256, i%256), "googlebot", 9e15, 9e15, "", at(1, 0, 0), at(2, 0, 0)})
	}
	return r
}

func TestLargeIsBounded(t *testing.T) {
	r := large()
	start := time.Now()
	b := htmlPage(t, r)
	if len(b) > 8<<20 {
		t.Errorf("the page has %d bytes", len(b))
	}
	for _, want := range []string{"and 4,000 more: ", "and 4,000 more networks", "4,000 earlier changes", "and 8 more rules", "and 200 more files"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("no %q", want)
		}
	}
	o := TextOptions{Width: 80}
	got := text(t, r, o)
	checkText(t, got, o)
	for _, want := range []string{"and 4,980 more: ", "and 199 more sites", "The latest 20 of 5,000:", "and 4,980 more networks"} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}
