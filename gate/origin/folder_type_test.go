package origin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fill writes a file of a folder.
func fill(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A text that is written in something else is not said to be UTF-8.
func TestFolderCharset(t *testing.T) {
	const latin, utf8 = "Gr\xfc\xdfe", "Grüße"
	filler := strings.Repeat("x", lookedAt-1)
	root, url := site(t)
	g := open(t, Config{Servers: []string{url}}, false)
	for _, test := range []struct{ name, text, want string }{
		{"plain.html", "<p>Hello", "text/html; charset=utf-8"},
		{"utf8.html", "<p>" + utf8, "text/html; charset=utf-8"},
		{"said.html", "<!doctype html><META CharSet=\"UTF-8\"><p>" + utf8, "text/html; charset=utf-8"},
		{"utf8-old.html", "<meta http-equiv='Content-Type' content='text/html; charset=utf-8'>" + utf8, "text/html; charset=utf-8"},
		{"latin.html", "<p>" + latin, "text/html"},
		{"latin-said.html", "<html><head>\n<meta charset=iso-8859-1><p>" + latin, "text/html"},
		{"latin-ascii.html", "<meta charset='windows-1252'><p>Hello", "text/html"},
		{"latin-old.html", "<meta http-equiv=\"Content-Type\" content=\"text/html; charset=ISO-8859-15\">", "text/html"},
		{"japanese.html", "<meta charset = \"Shift_JIS\" />", "text/html"},
		{"escaped.html", "<meta charset=iso-2022-jp>\x1b$B", "text/html"},
		{"comment.html", "<!-- <meta charset=iso-8859-1> --><p>" + utf8, "text/html; charset=utf-8"},
		{"open-comment.html", "<!-- <meta charset=iso-8859-1>", "text/html; charset=utf-8"},
		{"words.html", "<p>charset=iso-8859-1<meta name=\"charset\" content=x>", "text/html; charset=utf-8"},
		{"declaration.html", "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><html>", "text/html"},
		{"bom.html", "\xef\xbb\xbf<meta charset=iso-8859-1>", "text/html; charset=utf-8"},
		{"utf16.html", "\xff\xfe<\x00p\x00>\x00", "text/html"},
		{"utf16-big.html", "\xfe\xff\x00<\x00p\x00>", "text/html"},
		{"utf16-bare.html", "<\x00p\x00>\x00", "text/html"},
		{"page", "<!doctype html><meta charset=iso-8859-1>", "text/html"},
		{"page8", "<!doctype html><p>" + utf8, "text/html; charset=utf-8"},

		{"plain.txt", "Hello", "text/plain; charset=utf-8"},
		{"utf8.txt", utf8, "text/plain; charset=utf-8"},
		{"latin.txt", latin, "text/plain"},
		{"cut.txt", filler + "ü", "text/plain; charset=utf-8"},
		{"cut4.txt", filler[2:] + "\U0001f600", "text/plain; charset=utf-8"},
		{"cut-latin.txt", filler[1:] + "\xfcx", "text/plain"},
		{"words.txt", "<meta charset=iso-8859-1>", "text/plain; charset=utf-8"},
		{"empty.txt", "", "text/plain; charset=utf-8"},

		{"plain.css", "p{}", "text/css; charset=utf-8"},
		{"latin.css", "@charset \"iso-8859-1\"; p{}", "text/css"},
		{"utf8.css", "@charset \"utf-8\"; p{}", "text/css; charset=utf-8"},
		{"late.css", "p{} @charset \"iso-8859-1\";", "text/css; charset=utf-8"},
		{"utf8.js", "a=\"" + utf8 + "\"", "text/javascript; charset=utf-8"},
		{"latin.js", "a=\"" + latin + "\"", "text/javascript"},
	} {
		fill(t, root, test.name, test.text)
		for _, method := range []string{"GET", "HEAD"} {
			answer := g.do(t, g.request(t, method, "/"+test.name, nil))
			if got := answer.Header.Get("Content-Type"); got != test.want {
				t.Errorf("%s %s: %q, want %q", method, test.name, got, test.want)
			}
			receive(t, g.outcomes)
			if body := content(t, answer); method == "GET" && body != test.text {
				t.Errorf("%s: %q", test.name, body)
			}
		}
	}
	for name, text := range map[string]string{
		"latin.xml": "<?xml version='1.0' encoding='ISO-8859-1'?><a>" + latin + "</a>", "latin.svg": "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><svg/>",
		"a.json": "{}", "a.png": "\x89PNG",
	} {
		fill(t, root, name, text)
		if got := g.get(t, "/"+name).Header.Get("Content-Type"); got == "" || strings.Contains(got, "charset") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
