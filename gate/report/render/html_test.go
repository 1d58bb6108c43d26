package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gate421/gate/report/analysis"

	"golang.org/x/net/html"
)

func htmlPage(t interface{ Fatal(...any) }, r *analysis.Report) []byte {
	var out bytes.Buffer
	if err := HTML(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// checkPage holds what is true of every report as a page.
func checkPage(t interface{ Errorf(string, ...any) }, b []byte) {
	doc, err := html.Parse(bytes.NewReader(b))
	if err != nil {
		t.Errorf("parse: got %v, want no error", err)
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
		if slices.Contains([]string{"script", "link", "img", "a", "iframe", "object", "embed", "base", "form", "use",
			"image", "foreignObject"}, n.Data) {
			t.Errorf("got an element %s, want none", n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case slices.Contains([]string{"src", "href", "xlink:href", "action", "style", "srcset"}, a.Key),
				strings.HasPrefix(a.Key, "on"):
				t.Errorf("got %s with %s=%q, want no such attribute", n.Data, a.Key, a.Val)
			case a.Key == "d" && strings.Trim(a.Val, "MLHVZ0123456789. -") != "", strings.Contains(a.Val, "NaN"):
				t.Errorf("got %s with %s=%q, want no such attribute", n.Data, a.Key, a.Val)
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("got two of the id %q, want one", a.Val)
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
			t.Errorf("got a reference to the id %q, want an element with it", id)
		}
	}
	if seen["h1"] != 1 || seen["style"] != 1 || seen["title"] < 1 {
		t.Errorf("got %d h1, %d style, %d title; want 1, 1 and one or more", seen["h1"], seen["style"], seen["title"])
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
		if first := n.FirstChild.NextSibling; first == nil || first.Data != "caption" ||
			strings.TrimSpace(words(first)) == "" {
			t.Errorf("got a table without a caption, want one with")
		}
	case "th":
		if attribute("scope") == "" {
			t.Errorf("got the heading %q without a scope, want one with", words(n))
		}
	case "svg":
		first := n.FirstChild
		if first.Type == html.TextNode {
			first = first.NextSibling
		}
		if first.Data != "title" || words(first) == "" || attribute("role") != "img" {
			t.Errorf("got a drawing without a title or a role, want both")
		}
	case "meta":
		sum := sha256.Sum256([]byte(reportStyle))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; base-uri 'none'; form-action 'none'"
		if got := attribute("content"); attribute("http-equiv") != "" && got != want {
			t.Errorf("policy: got %q, want %q", got, want)
		}
	case "style":
		if words(n) != reportStyle {
			t.Errorf("got a style other than report.css, want that of the policy")
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
				t.Errorf("got elements left open: %v, want none", open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); string(name) != "meta" {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("got </%s> in %v, want the end of the last", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestPage(t *testing.T) {
	tests := map[string]*analysis.Report{"month": sample(), "empty": {}, "large": large()}
	for i, s := range hostileTexts() {
		tests[fmt.Sprint("hostile ", i)] = tainted(s)
	}
	for name, r := range tests {
		t.Run(name, func(t *testing.T) {
			b := htmlPage(t, r)
			checkPage(t, b)
			wellFormed(t, b)
			if !bytes.Equal(b, htmlPage(t, r)) {
				t.Error("got another page the second time, want the same")
			}
		})
	}
	if strings.Contains(reportStyle, "url(") || strings.Contains(reportStyle, "@import") {
		t.Error("got a style that refers to something outside, want none")
	}
}

func TestLargeIsBounded(t *testing.T) {
	r := large()
	b := htmlPage(t, r)
	if len(b) > 8<<20 {
		t.Errorf("got a page of %d bytes, want no more than %d", len(b), 8<<20)
	}
	for _, want := range []string{"and 4,000 more: ", "and 4,000 more networks", "4,000 earlier changes",
		"and 8 more rules", "and 200 more files"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("got a page without %q", want)
		}
	}
	o := TextOptions{Width: 80}
	got := text(t, r, o)
	checkText(t, got, o)
	for _, want := range []string{"and 4,980 more: ", "and 199 more sites", "The latest 20 of 5,000:",
		"and 4,980 more networks"} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("got a text without %q:\n%s", want, got)
		}
	}
}
