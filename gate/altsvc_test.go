package gate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gate421/gate/policy"
)

// Another service is not told of behind the body either.
func TestAltSvcBehindTheBody(t *testing.T) {
	for name, announced := range map[string]bool{"announced": true, "not announced": false} {
		t.Run(name, func(t *testing.T) {
			f := setup(t, policy.Refuse, func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
				key := http.TrailerPrefix + "Alt-Svc"
				if announced {
					w.Header().Set("Trailer", "Alt-Svc, X-Sum")
					key = "Alt-Svc"
				}
				w.WriteHeader(200)
				io.WriteString(w, "hello")
				http.NewResponseController(w).Flush()
				w.Header().Set(key, `h3=":443"`)
				w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
				return 200, time.Millisecond, nil
			})
			for _, over2 := range []bool{false, true} {
				s := httptest.NewUnstartedServer(f.handler)
				s.EnableHTTP2 = over2
				s.StartTLS()
				defer s.Close()
				r, _ := http.NewRequest("GET", s.URL, nil)
				r.Host = "example.com"
				answer, err := s.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.Trailer.Get("Alt-Svc") != "" || answer.Trailer.Get("X-Sum") != "1" {
					t.Errorf("%s: %v", answer.Proto, answer.Trailer)
				}
			}
		})
	}
}

// Where only some paths are refused another service carries the crawler past the gate all the same: it stands for the
// whole host.
func TestAltSvcOfAMixedSite(t *testing.T) {
	f := setup(t, policy.Allow, func(w http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
		w.Header().Set("Alt-Svc", `h3=":443"`)
		return fine(w, r)
	}, policy.Rule{Pattern: "/shop/", State: policy.Refuse})
	for _, path := range []string{"/", "/shop/"} {
		if w, _ := f.do(request(2, "example.com", path, "curl/8")); w.Header().Get("Alt-Svc") != "" {
			t.Errorf("%s: Alt-Svc %q", path, w.Header().Get("Alt-Svc"))
		}
	}
}
