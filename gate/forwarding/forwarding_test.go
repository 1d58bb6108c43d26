package forwarding

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Forwarded-For": true, "X-Forwarded-Anything": true, "X-Forwarded": true, "Forwarded": true, "X-Real-Ip": true,
		"Cf-Connecting-Ip": true, "True-Client-Ip": true, "Proxy": true,
		"X_Real_IP": true, "X-Real_Ip": true, "X~Real~Ip": true, "X.Real.Ip": true, "X!real'IP": true, "x_forwarded_for": true, "X-Forwarded.For": true, "x|forwarded`proto": true,
		"CF_Connecting_IP": true, "Cf.Connecting.Ip": true, "Client_Ip": true, "X_Forwarded": true,
		"Via": false, "Host": false, "X-Real": false, "X-Real-Ips": false, "Xrealip": false, "X-Realip": false,
		"X-Forward-For": false, "Proxy-Connection": false, "Proxys": false,
		"Cf-Ray": false, "Cf-Ipcountry": false, "X-Request-Id": false, "Cloudfront-Viewer-Http-Version": false, "X": false,
		"": false,
	} {
		if got := Name(Fold(http.CanonicalHeaderKey(name))); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestFieldsOfStrangers(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host, r.RemoteAddr = "shop.example", "[2001:db8::1]:4711"
	r.Header = http.Header{"X-Forwarded-Host": {"evil.example"}, "X-Real-Ip": {"1.2.3.4"}}
	var room Buffer
	want := []Field{{"X-Forwarded-Host", "shop.example"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-For",
		"2001:db8::1"}, {"X-Real-Ip", "2001:db8::1"}}
	if got := Of(r, &room); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if n := testing.AllocsPerRun(100, func() { Of(r, &room) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFieldsOfProxies(t *testing.T) {
	said := &Said{For: "1.2.3.4, 10.0.0.1", Host: "shop.example", Proto: "http", Port: "8080", RealIP: "1.2.3.4",
		Client: Field{"Cf-Connecting-Ip", "1.2.3.4"}}
	var room Buffer
	got := Of(said.With(httptest.NewRequest("GET", "/", nil)), &room)
	want := []Field{{"X-Forwarded-For", "1.2.3.4, 10.0.0.1"}, {"X-Forwarded-Host", "shop.example"},
		{"X-Forwarded-Proto", "http"}, {"X-Forwarded-Port", "8080"},
		{"X-Real-Ip", "1.2.3.4"}, {"Cf-Connecting-Ip", "1.2.3.4"}}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := Of((&Said{RealIP: "1.2.3.4"}).With(httptest.NewRequest("GET", "/", nil)), &room); !slices.Equal(got,
		[]Field{{"X-Real-Ip", "1.2.3.4"}}) {
		t.Errorf("%v", got)
	}
}

func TestWhatProxiesSay(t *testing.T) {
	for _, test := range []struct {
		read func(http.Header) string
		name string
		said []string
		want string
	}{
		{Host, "X-Forwarded-Host", []string{"shop.example:8443"}, "shop.example:8443"},
		{Host, "X-Forwarded-Host", []string{"a.example, b.example"}, ""},
		{Host, "X-Forwarded-Host", []string{"a.example", "b.example"}, ""},
		{Host, "X-Forwarded-Host", []string{"<script>"}, ""},
		{Host, "X-Forwarded-Host", nil, ""},
		{Proto, "X-Forwarded-Proto", []string{"HTTP"}, "http"},
		{Proto, "X-Forwarded-Proto", []string{"https"}, "https"},
		{Proto, "X-Forwarded-Proto", []string{"https, http"}, ""},
		{Proto, "X-Forwarded-Proto", []string{"gopher"}, ""},
		{Proto, "X-Forwarded-Proto", []string{"https", "https"}, ""},
		{Port, "X-Forwarded-Port", []string{"443"}, "443"},
		{Port, "X-Forwarded-Port", []string{"0"}, ""},
		{Port, "X-Forwarded-Port", []string{"65536"}, ""},
		{Port, "X-Forwarded-Port", []string{"x"}, ""},
		{Port, "X-Forwarded-Port", []string{"1", "2"}, ""},
	} {
		if got := test.read(http.Header{test.name: test.said}); got != test.want {
			t.Errorf("%s %q: %q", test.name, test.said, got)
		}
	}
}
