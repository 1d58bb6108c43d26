package gate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gate421/gate/forwarding"
	"gate421/gate/policy"
)

// What the origin is told of the client, by whom the request came from, and by what the configuration says of the
// proxies' headers.
func TestOriginIsToldWhoAsks(t *testing.T) {
	const cdn, stranger = "198.51.100.1", "203.0.113.9"
	for _, test := range []struct {
		name              string
		address, protocol string // as configured
		peer              string
		sent              string // fields
		told              string // fields
		kept              string // names of the header that are left
	}{
		{"a stranger", "X-Forwarded-For", "X-Http-Version", stranger,
			"X-Forwarded-For: 1.2.3.4|X-Forwarded-Host: evil|X-Real-Ip: 1.2.3.4|X-Http-Version: 2|X_http_version: 2|X-A: 1",
			"X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Forwarded-For: 203.0.113.9|X-Real-Ip: 203.0.113.9", "X-A"},
		{"a stranger, a header of the owner's", "X-My-Client", "", stranger, "X-My-Client: 1.2.3.4|X_my_client: 1.2.3.4|X.my-Client: 1|X-A: 1",
			"X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Forwarded-For: 203.0.113.9|X-Real-Ip: 203.0.113.9", "X-A"},
		{"a proxy that says nothing", "X-Forwarded-For", "", cdn, "X-A: 1",
			"X-Forwarded-For: 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 198.51.100.1", "X-A"},
		{"a proxy", "X-Forwarded-For", "X-Http-Version", cdn,
			"X-Forwarded-For: 9.9.9.9, 192.0.2.7|X-Forwarded-Host: shop.example|X-Forwarded-Proto: http|X-Forwarded-Port: 80|X-Real-Ip: 9.9.9.9|X-Http-Version: 2|X_http_version: 1",
			"X-Forwarded-For: 192.0.2.7, 198.51.100.1|X-Forwarded-Host: shop.example|X-Forwarded-Proto: http|X-Forwarded-Port: 80|X-Real-Ip: 192.0.2.7", "X-Http-Version"},
		{"two proxies", "X-Forwarded-For", "", cdn, "X-Forwarded-For: 9.9.9.9|X-Forwarded-For: 192.0.2.7:4711, 198.51.100.2",
			"X-Forwarded-For: 192.0.2.7, 198.51.100.2, 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 192.0.2.7", ""},
		{"a proxy's garbage", "X-Forwarded-For", "", cdn, "X-Forwarded-For: 9.9.9.9, unknown|X-Forwarded-Host: a b|X-Forwarded-Proto: x|X-Forwarded-Port: y",
			"X-Forwarded-For: 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 198.51.100.1", ""},
		{"a CDN with a header of its own", "Cf-Connecting-Ip", "", cdn, "Cf-Connecting-Ip: 192.0.2.7|X-Forwarded-For: 9.9.9.9|X-Real-Ip: 9.9.9.9|Cf_connecting_ip: 9.9.9.9",
			"X-Forwarded-For: 192.0.2.7, 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 192.0.2.7|Cf-Connecting-Ip: 192.0.2.7", ""},
		{"the same twice", "Cf-Connecting-Ip", "", cdn, "Cf-Connecting-Ip: 9.9.9.9|Cf-Connecting-Ip: 192.0.2.7",
			"X-Forwarded-For: 192.0.2.7, 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 192.0.2.7|Cf-Connecting-Ip: 192.0.2.7", ""},
		{"the same with garbage", "Cf-Connecting-Ip", "", cdn, "Cf-Connecting-Ip: x",
			"X-Forwarded-For: 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 198.51.100.1", ""},
		{"a header of the owner's", "X-My-Client", "", cdn, "X-My-Client: [2001:db8::1]:80|X_my_client: 9.9.9.9",
			"X-Forwarded-For: 2001:db8::1, 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 2001:db8::1|X-My-Client: [2001:db8::1]:80", ""},
		{"X-Real-IP names the client", "X-Real-Ip", "", cdn, "X-Real-Ip: 192.0.2.7|X-Forwarded-For: 9.9.9.9",
			"X-Forwarded-For: 192.0.2.7, 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 192.0.2.7", ""},
		{"no header names the client", "", "", cdn, "X-Real-Ip: 192.0.2.8|X-Forwarded-For: 9.9.9.9, 192.0.2.7",
			"X-Forwarded-For: 192.0.2.7, 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 192.0.2.8", ""},
		{"no header names the client, and garbage does not", "", "", cdn, "X-Real-Ip: x",
			"X-Forwarded-For: 198.51.100.1|X-Forwarded-Host: example.com|X-Forwarded-Proto: https|X-Real-Ip: 198.51.100.1", ""},
	} {
		var told, kept []string
		f := setup(t, policy.Refuse, func(_ http.ResponseWriter, r *http.Request) (int, time.Duration, error) {
			var room forwarding.Buffer
			for _, field := range forwarding.Of(r, &room) {
				told = append(told, field.Name+": "+field.Value)
			}
			for name := range r.Header {
				if !forwarding.Name(forwarding.Fold(name)) && name != "User-Agent" {
					kept = append(kept, name)
				}
			}
			return 200, 0, nil
		})
		f.handler.Proxies = NewProxies([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, test.address,
			test.protocol)
		r := request(1, "example.com", "/", "")
		r.RemoteAddr = test.peer + ":4711"
		for line := range strings.SplitSeq(test.sent, "|") {
			name, value, _ := strings.Cut(line, ": ")
			r.Header[name] = append(r.Header[name], value)
		}
		f.handler.ServeHTTP(httptest.NewRecorder(), r)
		slices.Sort(kept)
		if got := strings.Join(told, "|"); got != test.told || fmt.Sprint(kept) != "["+test.kept+"]" {
			t.Errorf("%s:\n got %s and %v\nwant %s and [%s]", test.name, got, kept, test.told, test.kept)
		}
	}
}

// Origins tell apart whom a proxy names by their addresses, and others by the proxy's connections.
func TestConnectionsOfAProxy(t *testing.T) {
	for sent, want := range map[string]string{"192.0.2.7": "192.0.2.7:0", "x": "198.51.100.1:4711"} {
		f := setup(t, policy.Refuse, fine)
		f.handler.Proxies = NewProxies([]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, "X-Forwarded-For", "")
		r := request(1, "example.com", "/", "")
		r.RemoteAddr = "198.51.100.1:4711"
		r.Header.Set("X-Forwarded-For", sent)
		f.handler.ServeHTTP(httptest.NewRecorder(), r)
		if r.RemoteAddr != want {
			t.Errorf("%s: %s, want %s", sent, r.RemoteAddr, want)
		}
	}
}
