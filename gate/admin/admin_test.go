package admin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gate421/gate/audit"
	"gate421/gate/policy"
)

// noon is the time at which the tests look at the page.
func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func sites(t testing.TB) func() *policy.Policy {
	t.Helper()
	p, err := policy.New([]policy.Spec{
		{Hosts: []string{"example.com", "www.example.com"}, State: policy.Refuse},
		{
			Hosts: []string{"shop.example.com"},
			State: policy.Refuse,
			Paths: []policy.Rule{{Pattern: "/downloads/", State: policy.Allow}},
		},
		{Hosts: []string{"*.example.org"}, State: policy.Observe},
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() *policy.Policy { return p }
}

// example is an Admin of three sites on which nothing has happened. change may be nil.
func example(t testing.TB, change func(*Config)) *Admin {
	t.Helper()
	c := Config{
		Policy:  sites(t),
		Now:     noon,
		Version: func() string { return "3f2a9c01d4be" },
		Product: "gate421 1.2.3 (go1.26.9)",
	}
	if change != nil {
		change(&c)
	}
	return New(c)
}

func refusal() *audit.Record {
	return &audit.Record{
		Site: "example.com", Host: "www.example.com", Method: "GET", Path: "/a?b=c", Proto: "HTTP/2.0",
		ClientIP: netip.MustParseAddr("66.249.66.1"), Agent: "Mozilla/5.0 (compatible; Googlebot/2.1)", Claim: "googlebot",
		Verdict: "genuine", VerdictSource: "cache", PTR: "crawl-66-249-66-1.googlebot.com",
		Rule: "http2_crawl", State: "refuse", Action: "refuse", Reason: "refused", Status: 421,
	}
}

// get asks the way a browser on this machine does.
func get(t testing.TB, a *Admin, target string) *http.Response {
	t.Helper()
	return ask(a, httptest.NewRequest("GET", "http://localhost:9421"+target, nil))
}

func ask(a *Admin, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(text.String(), "\r\n\r\n")
	return after
}

func TestAnswersToItsNamesOnly(t *testing.T) {
	a := example(t, func(c *Config) { c.Hosts = []string{"Gate.Internal."} })
	accept := []string{
		"localhost", "localhost:9421", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.0.0.1:9421", "10.0.0.7:80", "[::1]",
		"[::1]:9421", "[2001:db8::7]:9421", "gate.internal", "gate.internal:9421", "GATE.internal.:9421", "",
	}
	reject := []string{
		"example.com", "evil.example", "evil.example:9421", "localhost.evil.example", "127.0.0.1.evil.example", "evil.localhost",
		"localhost:", "localhost:evil", "localhost:99999", "localhost:-1", "::1", "[::1", "::1]", "[localhost]", "[127.0.0.1]",
		"[evil.example]:80", "0x7f.1", "2130706433", "127.1", "gate.internal.evil.example", "evil@localhost", "localhost evil",
		".", ":", ":9421", "[]", "[]:80", "notgate.internal",
	}
	for _, host := range accept {
		r := httptest.NewRequest("GET", "/health", nil)
		if r.Host = host; ask(a, r).StatusCode != http.StatusOK {
			t.Errorf("host %q: turned away", host)
		}
	}
	for _, host := range reject {
		for _, path := range []string{"/", "/health", "/metrics", "/style.css", "/nothing"} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			if got := ask(a, r); got.StatusCode != http.StatusForbidden ||
				strings.Contains(body(t, got), "example.com") {
				t.Errorf("host %q: %s answers %d", host, path, got.StatusCode)
			}
		}
	}
}

func TestMethodsAndPaths(t *testing.T) {
	a := example(t, nil)
	for _, path := range []string{"/", "/health", "/livez", "/readyz", "/metrics", "/style.css"} {
		for _, test := range []struct {
			method string
			status int
		}{
			{"GET", 200}, {"HEAD", 200},
			{"POST", 405}, {"PUT", 405}, {"DELETE", 405}, {"PATCH", 405}, {"OPTIONS", 405}, {"TRACE", 405}, {"BREW", 405},
		} {
			r := httptest.NewRequest(test.method, "http://127.0.0.1:9421"+path, nil)
			if got := ask(a, r); got.StatusCode != test.status {
				t.Errorf("%s %s: %d, want %d", test.method, path, got.StatusCode, test.status)
			}
		}
	}
	for _, path := range []string{"/index.html", "/health/", "/metrics/x", "/style.css.map", "/favicon.ico", "/page.html", "/debug/pprof/"} {
		if got := get(t, a, path); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, got.StatusCode)
		}
	}
}

func TestHeadHasNoBody(t *testing.T) {
	a := example(t, nil)
	for _, path := range []string{"/", "/health", "/style.css"} {
		r := httptest.NewRequest("HEAD", "http://localhost"+path, nil)
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		if w.Body.Len() > 0 || w.Header().Get("Content-Length") == "0" {
			t.Errorf("HEAD %s: %d bytes, Content-Length %q", path, w.Body.Len(), w.Header().Get("Content-Length"))
		}
	}
}

func TestBodyIsBounded(t *testing.T) {
	r := httptest.NewRequest("GET", "http://localhost/", strings.NewReader(strings.Repeat("x", maxBody+1)))
	if got := ask(example(t, nil), r); got.StatusCode != http.StatusRequestEntityTooLarge ||
		got.Header.Get("Connection") != "close" {
		t.Errorf("a body of %d bytes: %d", maxBody+1, got.StatusCode)
	}
}

func TestEveryAnswerIsHardened(t *testing.T) {
	a := example(t, nil)
	want := map[string]string{
		"Content-Security-Policy":      "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
	}
	stranger := httptest.NewRequest("GET", "http://evil.example/", nil)
	post := httptest.NewRequest("POST", "http://localhost/", nil)
	for name, got := range map[string]*http.Response{
		"/": get(t, a, "/"), "/style.css": get(t, a, "/style.css"), "/health": get(t, a, "/health"),
		"/metrics": get(t, a, "/metrics"), "404": get(t, a, "/nothing"), "403": ask(a, stranger), "405": ask(a, post),
	} {
		for header, value := range want {
			if got.Header.Get(header) != value {
				t.Errorf("%s: %s: %q, want %q", name, header, got.Header.Get(header), value)
			}
		}
		if got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may be read from elsewhere", name)
		}
	}
}

func TestHealth(t *testing.T) {
	empty := &policy.Policy{}
	for _, test := range []struct {
		name   string
		change func(*Config)
		status int
		words  string
	}{
		{"all is well", nil, 200, "ok\n"},
		{"no policy", func(c *Config) { c.Policy = nil }, 503, "not serving: no site is live\n"},
		{"a policy without a site", func(c *Config) { c.Policy = func() *policy.Policy { return empty } }, 503, "not serving: no site is live\n"},
		{"told so", func(c *Config) { c.Serving = func() error { return errors.New("draining") } }, 503, "not serving: draining\n"},
		{"nothing to tell", func(c *Config) { c.Serving = func() error { return nil } }, 200, "ok\n"},
		{"the log takes no lines", func(c *Config) { c.LogReady = func() bool { return false } }, 200, "ok\nthe decision log takes no lines, so nobody is refused\n"},
		{"a certificate has ended", func(c *Config) {
			c.Certificates = func() []Certificate { return []Certificate{{Hosts: []string{"example.com"}, NotAfter: noon().Add(-1)}} }
		}, 200, "ok\n"},
	} {
		a := example(t, test.change)
		if !a.Asked().IsZero() {
			t.Error("somebody has asked")
		}
		for _, path := range []string{"/readyz", "/health"} {
			got := get(t, a, path)
			if words := body(t, got); got.StatusCode != test.status || words != test.words {
				t.Errorf("%s: %s: %d %q, want %d %q", test.name, path, got.StatusCode, words, test.status, test.words)
			}
		}
		if !a.Asked().Equal(noon()) {
			t.Errorf("asked at %v", a.Asked())
		}
		if live := get(t, a, "/livez"); live.StatusCode != http.StatusOK || body(t, live) != "ok\n" {
			t.Errorf("%s: not alive: %d", test.name, live.StatusCode)
		}
	}
}

func TestZeroConfig(t *testing.T) {
	a := New(Config{})
	a.OnRecord(&audit.Record{})
	a.OnRecord(refusal())
	for _, path := range []string{"/", "/metrics", "/style.css"} {
		if got := get(t, a, path); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}
