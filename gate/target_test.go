package gate

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gate421/gate/policy"
)

// The redirect to https, its record and that of a request that is served have the target byte for byte, in every form.
func TestTargetsByteForByte(t *testing.T) {
	for _, target := range []string{
		"/a%2Fb", "/a%2Fb|c", "/a%2fb^%7C", "/a\"%2F", "/%2F|{}<>\\`?%2F|\"", "//a%2Fb|", "//evil.example/a", "/?", "/a?b=%zz", "/\xc3\xa4?\xff", "/a:b@c", "/",
	} {
		for _, form := range []string{"", "http://example.com", "http://example.com:80", "HTTPS://EXAMPLE.com"} {
			f := setup(t, policy.Refuse, fine)
			r := httptest.NewRequest("GET", "/", nil)
			r.Host, r.RequestURI, r.URL = "example.com", form+target, &url.URL{Path: "/other"}
			w := httptest.NewRecorder()
			(&Redirect{Live: f.handler.Live, Log: f.log}).ServeHTTP(w, r)
			if got := w.Header().Get("Location"); w.Code != 301 || got != "https://example.com"+target {
				t.Errorf("%s%s: %d to %q", form, target, w.Code, got)
			}
			f.handler.ServeHTTP(httptest.NewRecorder(), r)
			if len(f.log.records) != 2 || f.log.records[0].Path != target || f.log.records[1].Path != target {
				t.Errorf("%s%s: recorded %+v", form, target, f.log.records)
			}
		}
	}
}

// A path that nobody can read for certain is not redirected, and on record.
func TestRedirectOfTargetsThatAreNotEscaped(t *testing.T) {
	f := setup(t, policy.Refuse, fine)
	for _, target := range []string{"/%", "/100%?x", "/%zz", "http://example.com/%2"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.RequestURI = "example.com", target
		w := httptest.NewRecorder()
		(&Redirect{Live: f.handler.Live, Log: f.log}).ServeHTTP(w, r)
		last := f.log.records[len(f.log.records)-1]
		if w.Code != 400 || last.Status != 400 || !strings.HasSuffix(target, last.Path) ||
			w.Header().Get("Location") != "" {
			t.Errorf("%s: %d, %+v", target, w.Code, last)
		}
	}
}
