package gate

import (
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"gate421/gate/policy"
)

// A site may be an address, which stands in brackets where it is of IPv6 (RFC 3986 section 3.2.2).
func TestRedirectToAnAddress(t *testing.T) {
	rules, err := policy.New([]policy.Spec{{Hosts: []string{"2001:db8::1", "192.0.2.1"}, State: policy.Observe}})
	if err != nil {
		t.Fatal(err)
	}
	live := &atomic.Pointer[Live]{}
	live.Store(&Live{Policy: rules})
	for _, test := range []struct{ host, port, want string }{
		{"[2001:db8::1]", "", "https://[2001:db8::1]/a"},
		{"[2001:db8::1]:80", "8443", "https://[2001:db8::1]:8443/a"},
		{"192.0.2.1", "8443", "https://192.0.2.1:8443/a"},
	} {
		r := httptest.NewRequest("GET", "/a", nil)
		r.Host = test.host
		w := httptest.NewRecorder()
		(&Redirect{Live: live, Port: test.port}).ServeHTTP(w, r)
		if got := w.Header().Get("Location"); got != test.want {
			t.Errorf("%s: %q, want %q", test.host, got, test.want)
		}
	}
}
