package origin

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const page = "0123456789"

// site makes a folder of files, each with its own path for content, and index.html and a.txt with page.
func site(t *testing.T, names ...string) (root, url string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "site")
	write := func(name, text string) {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("index.html", page)
	write("a.txt", page)
	for _, name := range names {
		write(name, name)
	}
	return root, "file:" + filepath.ToSlash(root)
}

func TestFolderPaths(t *testing.T) {
	root, url := site(
		t,
		"sub/index.html",
		"sub/b.txt",
		"bare/c.txt",
		"evil.example/index.html",
		"with space/ü.txt",
		"odd/index.html/x.txt",
		".git/config",
		".htpasswd",
		"sub/.env",
		".well-known/x.txt",
		".well-known/.y.txt",
		"..data/x.txt",
		"a%2Fb.txt",
		"odd||^\"/index.html",
	)
	if err := os.WriteFile(filepath.Join(filepath.Dir(root), "secret.txt"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	g := open(t, Config{Servers: []string{url}}, false)
	for _, test := range []struct {
		target string
		status int
		want   string // the body, or Location
	}{
		{"/", 200, page},
		{"/?a=b", 200, page},
		{"/index.html", 200, page},
		{"/a.txt", 200, page},
		{"//a.txt", 200, page},
		{"/sub/../a.txt", 200, page},
		{"/%61.txt", 200, page},
		{"/sub/", 200, "sub/index.html"},
		{"/sub/b.txt", 200, "sub/b.txt"},
		{"/with%20space/%C3%BC.txt", 200, "with space/ü.txt"},
		{"/a%252Fb.txt", 200, "a%2Fb.txt"},
		{"/.well-known/x.txt", 200, ".well-known/x.txt"},
		{"http://shop.example/a.txt", 200, page},
		{"http://shop.example", 301, "././"},

		{"/sub", 301, "./sub/"},
		{"/sub?a=//b&c", 301, "./sub/?a=//b&c"},
		{"/with%20space", 301, "./with%20space/"},
		{"/sub%2F..%2Fodd%7c|^\"", 301, "./sub%2F..%2Fodd%7c|^\"/"},
		{"/sub?%zz", 301, "./sub/?%zz"},
		{"//evil.example", 301, "./evil.example/"},
		{"///evil.example", 301, "./evil.example/"},
		{"/sub/..", 301, "./../"},

		{"/missing", 404, ""},
		{"/a.txt/", 404, ""},
		{"/a.txt/x", 404, ""},
		{"/bare/", 404, ""}, // no index, no listing
		{"/odd/", 404, ""},
		{"/.git/config", 404, ""},
		{"/.git/", 404, ""},
		{"/.htpasswd", 404, ""},
		{"/%2ehtpasswd", 404, ""},
		{"/sub/.env", 404, ""},
		{"/.well-known/.y.txt", 404, ""},
		{"/.well-known/../.htpasswd", 404, ""},
		{"/..data/x.txt", 404, ""},
		{"/../secret.txt", 404, ""},
		{"/%2e%2e/secret.txt", 404, ""},
		{"/..%2fsecret.txt", 404, ""},
		{"/sub/..%2f..%2fsecret.txt", 404, ""},
		{"/..%5csecret.txt", 404, ""},
		{"/sub%5c..%5c..%5csecret.txt", 404, ""},
		{"/a.txt%00.html", 404, ""},
		{"/a.txt::$DATA", 404, ""},
		{"/" + strings.Repeat("x", 5000), 404, ""},
	} {
		c, r := g.dial(t)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: shop.example\r\n\r\n", test.target)
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%.50q: %v", test.target, err)
		}
		body := content(t, answer)
		switch {
		case answer.StatusCode != test.status:
			t.Errorf("%.50q: status %d, want %d", test.target, answer.StatusCode, test.status)
		case test.status == 200 && body != test.want, test.status == 301 && answer.Header.Get("Location") != test.want:
			t.Errorf("%.50q: body %q, location %q", test.target, body, answer.Header.Get("Location"))
		case test.status == 404 && body != "404: not found.\n":
			t.Errorf("%.50q: body %q", test.target, body)
		}
		if result := receive(t, g.outcomes); result.status != 0 || result.err != nil {
			t.Errorf("%.50q: outcome %+v", test.target, result)
		}
	}
}

// What a browser makes of a Location stays on the host, however the path begins.
func TestFolderRedirectStaysOnTheHost(t *testing.T) {
	_, url := site(t, "evil.example/index.html", "a/evil.example/index.html")
	g := open(t, Config{Servers: []string{url}}, false)
	for _, path := range []string{"//evil.example", "///evil.example", "/.//evil.example", "/a/..//evil.example", "/a//evil.example", "/%2Fevil.example"} {
		request := g.request(t, "GET", "", nil)
		request.URL.Opaque = path
		if strings.HasPrefix(path, "//") {
			request.URL.Opaque, request.URL.Path = "", path
		}
		answer := g.do(t, request)
		if answer.StatusCode != 301 {
			t.Errorf("%q: %s", path, answer.Status)
			continue
		}
		base, _ := request.URL.Parse("http://shop.example" + path)
		if target, err := base.Parse(answer.Header.Get("Location")); err != nil || target.Host != "shop.example" ||
			!strings.HasSuffix(target.Path, "/") {
			t.Errorf("%q leads to %v (%v)", path, target, err)
		}
	}
}

func TestFolderConditions(t *testing.T) {
	root, url := site(t)
	changed := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(root, "a.txt"), changed, changed); err != nil {
		t.Fatal(err)
	}
	const at, before = "Sat, 01 Aug 2026 12:00:00 GMT", "Fri, 31 Jul 2026 12:00:00 GMT"
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		whole := g.get(t, "/a.txt")
		tag := whole.Header.Get("Etag")
		if len(tag) < 3 || whole.Header.Get("Last-Modified") != at || whole.Header.Get("Accept-Ranges") != "bytes" ||
			whole.Header.Get("Content-Type") != "text/plain; charset=utf-8" || content(t, whole) != page {
			t.Fatalf("header %v", whole.Header)
		}
		for _, test := range []struct {
			method, sent string
			status       int
			body, within string // Content-Range
		}{
			{"GET", "X: ", 200, page, ""},
			{"HEAD", "X: ", 200, "", ""},
			{"GET", "If-None-Match: " + tag, 304, "", ""},
			{"HEAD", "If-None-Match: " + tag, 304, "", ""},
			{"GET", "If-None-Match: W/" + tag + ", \"x\"", 304, "", ""},
			{"GET", "If-None-Match: \"x\"", 200, page, ""},
			{"GET", "If-Modified-Since: " + at, 304, "", ""},
			{"GET", "If-Modified-Since: " + before, 200, page, ""},
			{"GET", "If-Modified-Since: nonsense", 200, page, ""},
			{"GET", "If-Match: \"x\"", 412, "", ""},
			{"GET", "Range: bytes=2-4", 206, "234", "bytes 2-4/10"},
			{"GET", "Range: bytes=-3", 206, "789", "bytes 7-9/10"},
			{"GET", "Range: bytes=8-", 206, "89", "bytes 8-9/10"},
			{"HEAD", "Range: bytes=8-", 206, "", "bytes 8-9/10"},
			{"GET", "Range: bytes=10-", 416, "invalid range: failed to overlap\n", "bytes */10"},
			{"GET", "Range: lines=1-2", 200, page, ""},
		} {
			answer := g.do(t, g.request(t, test.method, "/a.txt", nil, test.sent))
			if body := content(t, answer); answer.StatusCode != test.status || body != test.body ||
				answer.Header.Get("Content-Range") != test.within {
				t.Errorf("%s %s: %d %q %v", test.method, test.sent, answer.StatusCode, body, answer.Header)
			}
		}
		conditional := g.do(t, g.request(t, "GET", "/a.txt", nil, "Range: bytes=2-4", "If-Range: \"x\""))
		if content(t, conditional) != page {
			t.Error("If-Range with another tag got a part")
		}
		if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte("changed"), 0o644); err != nil {
			t.Fatal(err)
		}
		if again := g.get(t, "/a.txt", "If-None-Match: "+tag); again.StatusCode != 200 ||
			content(t, again) != "changed" {
			t.Errorf("the tag of another content gets %s", again.Status)
		}
		if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(root, "a.txt"), changed, changed); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFolderMethods(t *testing.T) {
	_, url := site(t)
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			answer := g.do(t, g.request(t, method, "/a.txt", nil))
			if answer.StatusCode != 405 || answer.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s %v", method, answer.Status, answer.Header)
			}
		}
		answer := g.do(t, g.request(t, "HEAD", "/sub/missing", nil))
		if body, _ := io.ReadAll(answer.Body); answer.StatusCode != 404 || len(body) != 0 {
			t.Errorf("HEAD: %s %q", answer.Status, body)
		}
	})
}

// What is no request is none to a folder either, whatever its files are called.
func TestFolderRefusesMalformedRequests(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"a#b", "a b"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, err := New(Config{Servers: []string{"file:" + folder}})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for target, want := range map[string]int{"/a#b": 400, "/a b": 400, "/a%23b": 200, "/a%20b": 200} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI, r.URL.Path, r.ProtoMajor = target, strings.NewReplacer("%23", "#", "%20", " ").Replace(target), 2
		w := httptest.NewRecorder()
		if _, _, _, err := o.Serve(w, r); w.Code != want || err != nil {
			t.Errorf("%q: %d, %v", target, w.Code, err)
		}
	}
}
