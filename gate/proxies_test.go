package gate

import (
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"gate421/gate/policy"
	"gate421/verify"

	"pgregory.net/rapid"
)

func cdn() *Proxies {
	return NewProxies(
		[]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:cd::/48")},
		"x-forwarded-for",
		"x-http-version",
	)
}

// from is a request from a peer with these lines of the two headers.
func from(peer string, forwarded, version []string) *http.Request {
	r := request(1, "example.com", "/", crawlerAgent)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(peer), 4711).String()
	r.Header["X-Forwarded-For"], r.Header["X-Http-Version"] = forwarded, version
	return r
}

func TestClientBehindProxies(t *testing.T) {
	for _, test := range []struct {
		about     string
		peer      string
		forwarded []string
		want      string
	}{
		{"one hop", "198.51.100.1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"IPv6", "198.51.100.1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 proxy", "2001:db8:cd::1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"with ports", "198.51.100.1", []string{"192.0.2.7:4711"}, "192.0.2.7"},
		{"in brackets", "198.51.100.1", []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"in brackets, with a port", "198.51.100.1", []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"mapped", "198.51.100.1", []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		{"what the client made up", "198.51.100.1", []string{"66.249.66.1, 192.0.2.7"}, "192.0.2.7"},
		{"what the client made up is nonsense", "198.51.100.1", []string{"<script>,,, 192.0.2.7"}, "192.0.2.7"},
		{"two proxies", "198.51.100.1", []string{"66.249.66.1, 192.0.2.7, 198.51.100.2"}, "192.0.2.7"},
		{"two lines", "198.51.100.1", []string{"66.249.66.1, 192.0.2.7", "198.51.100.2,198.51.100.3"}, "192.0.2.7"},
		{"two lines, the last one says", "198.51.100.1", []string{"66.249.66.1", "192.0.2.7"}, "192.0.2.7"},
		{"all are proxies", "198.51.100.1", []string{"198.51.100.9, 198.51.100.2"}, "198.51.100.9"},
		{"spaces and tabs", "198.51.100.1", []string{"66.249.66.1 ,\t192.0.2.7 "}, "192.0.2.7"},
		{"no header", "198.51.100.1", nil, "198.51.100.1"},
		{"an empty one", "198.51.100.1", []string{""}, "198.51.100.1"},
		{"unknown", "198.51.100.1", []string{"unknown"}, "198.51.100.1"},
		{"nonsense", "198.51.100.1", []string{"192.0.2.7, 300.1.1.1"}, "198.51.100.1"},
		{"nonsense before a proxy", "198.51.100.1", []string{"192.0.2.7, x, 198.51.100.2"}, "198.51.100.1"},
		{"a name", "198.51.100.1", []string{"crawl-66-249-66-1.googlebot.com"}, "198.51.100.1"},
		{"a zone", "198.51.100.1", []string{"fe80::1%eth0"}, "198.51.100.1"},
		{"nobody", "198.51.100.1", []string{"0.0.0.0"}, "198.51.100.1"},
		{"IPv4 in brackets", "198.51.100.1", []string{"[192.0.2.7]"}, "198.51.100.1"},
		{"a stranger", "192.0.2.99", []string{"192.0.2.7"}, "192.0.2.99"},
		{"a stranger who names a proxy", "192.0.2.99", []string{"66.249.66.1, 198.51.100.1"}, "192.0.2.99"},
	} {
		if got := cdn().client(from(test.peer, test.forwarded, nil)).ip; got != netip.MustParseAddr(test.want) {
			t.Errorf("%s: the client is %s, want %s", test.about, got, test.want)
		}
	}
	for about, p := range map[string]*Proxies{"nobody is trusted": nil, "no header is named": NewProxies(cdn().trusted, "", "")} {
		if got := p.client(from("198.51.100.1", []string{"192.0.2.7"}, []string{"2"})); got.ip != netip.MustParseAddr("198.51.100.1") ||
			got.major > 1 {
			t.Errorf("%s: %+v", about, got)
		}
	}
}

func TestProtocolBehindProxies(t *testing.T) {
	for want, words := range map[string][]string{
		"HTTP/2.0": {"2", "2.0", "HTTP/2", "HTTP/2.0", "http/2.0", "h2", "H2", " h2\t"},
		"HTTP/1.1": {"1", "1.1", "HTTP/1.1", "http/1.1"},
		"HTTP/1.0": {"1.0", "HTTP/1.0"},
		"HTTP/3.0": {"3", "3.0", "HTTP/3", "HTTP/3.0", "h3"},
		"":         {"", "22", "h22", "2,2", "h2, h2", "HTTP/2.0.0", "HTTPS/2", "spdy/3.1", "http/", "two", "4", "0.9", "h2c", "２"},
	} {
		for _, word := range words {
			if got := cdn().client(from("198.51.100.1", nil, []string{word})); got.proto != want {
				t.Errorf("%q is %q, want %q", word, got.proto, want)
			}
			if got := cdn().client(from("192.0.2.99", nil, []string{word})); got.proto != "HTTP/1.1" || got.major != 1 {
				t.Errorf("%q changes a stranger's protocol to %q", word, got.proto)
			}
		}
	}
	for _, lines := range [][]string{nil, {"2", "2"}, {"1.1", "2"}} {
		if got := cdn().client(from("198.51.100.1", nil, lines)); got.proto != "" || got.major != 0 {
			t.Errorf("%q: %+v", lines, got)
		}
	}
}

// Behind a CDN the decision is about what the crawler speaks to it, whatever it speaks to us.
func TestDecisionsBehindProxies(t *testing.T) {
	for _, test := range []struct {
		ours, theirs string
		host         string
		status       int
		reason       string
		proto        string
		back         int
	}{
		{"1", "2", "example.com", 421, "refused", "HTTP/2.0", 0},
		{"2", "2", "example.com", 421, "refused", "HTTP/2.0", 0},
		{"2", "1.1", "example.com", 200, "http1", "HTTP/1.1", 1},
		{"1", "1.1", "example.com", 200, "http1", "HTTP/1.1", 1},
		{"2", "3", "example.com", 200, "http1", "HTTP/3.0", 0},
		{"2", "?", "example.com", 200, "http1", "", 0},
		{"2", "", "example.com", 200, "http1", "", 0},
		{"1", "", "example.com", 200, "http1", "", 0},
		{"2", "2", "other.example", 404, "unknown_host", "HTTP/2.0", 0},
	} {
		seen := ""
		f := setup(t, policy.Refuse, fine)
		f.handler.Proxies = cdn()
		f.handler.Covers = func(*http.Request, string) bool { return false }
		r := request(int(test.ours[0]-'0'), test.host, "/", crawlerAgent)
		r.RemoteAddr = "198.51.100.1:4711"
		r.Header.Set("X-Forwarded-For", "1.2.3.4, 66.249.66.1")
		if test.theirs != "" {
			r.Header.Set("X-HTTP-Version", test.theirs)
		}
		w, records := f.do(r)
		seen = r.RemoteAddr
		if w.Code != test.status || len(records) != 1 || records[0].Reason != test.reason ||
			records[0].Proto != test.proto ||
			f.guard.back != test.back {
			t.Errorf("%s, %s: %d %+v, %d come-backs", test.ours, test.theirs, w.Code, records, f.guard.back)
		}
		if records[0].ClientIP.String() != "66.249.66.1" || seen != "66.249.66.1:0" {
			t.Errorf("the record's client is %s, the origin's %s", records[0].ClientIP, seen)
		}
		if w.Header().Get("Connection") != "" {
			t.Error("a refusal ends the proxy's connection")
		}
	}
}

// headers are what somebody might send to be taken for somebody else.
func headers(rt *rapid.T) http.Header {
	h := http.Header{}
	values := rapid.SampledFrom(
		[]string{
			"66.249.66.1",
			"198.51.100.1",
			"66.249.66.1, 198.51.100.1",
			"for=66.249.66.1",
			"2",
			"h2",
			"HTTP/1.1",
			"3",
			"garbage",
			"",
			"::1",
			"[2001:db8:cd::1]:1",
		},
	)
	for _, name := range []string{"X-Forwarded-For", "X-Http-Version", "Forwarded", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "X-Forwarded-Proto", "Via"} {
		if lines := rapid.SliceOfN(values, 0, 3).Draw(rt, name); len(lines) > 0 {
			h[name] = lines
		}
	}
	return h
}

// No header from a peer that is not trusted changes the client's address or the decision.
func TestHeadersOfStrangersChangeNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		proto := rapid.IntRange(1, 2).Draw(rt, "proto")
		verdict := rapid.SampledFrom([]verify.Verdict{verify.Genuine, verify.Impostor, verify.Unknown}).
			Draw(rt, "verdict")
		extra := headers(rt)
		outcome := func(p *Proxies, extra http.Header) any {
			f := setup(t, policy.Refuse, fine)
			f.oracle.result.Verdict = verdict
			f.handler.Proxies = p
			r := request(proto, "example.com", "/", crawlerAgent)
			r.RemoteAddr = "192.0.2.99:1"
			for name, lines := range extra {
				r.Header[name] = lines
			}
			w, records := f.do(r)
			return []any{w.Code, records, f.guard, r.RemoteAddr}
		}
		if with, without := outcome(cdn(), extra), outcome(nil, nil); !reflect.DeepEqual(with, without) {
			rt.Fatalf("%v: %v, without them %v", extra, with, without)
		}
	})
}

// The laws behind a proxy that lets its clients' headers through: only a crawler that was proved, over what the proxy
// says is HTTP/2, is refused.
func TestLawsBehindProxies(t *testing.T) {
	refused := 0
	rapid.Check(t, func(rt *rapid.T) {
		f := setup(t, policy.Refuse, fine)
		f.handler.Proxies = cdn()
		f.oracle.result.Verdict = rapid.SampledFrom([]verify.Verdict{verify.Genuine, verify.Genuine, verify.Impostor, verify.Unknown}).
			Draw(rt, "verdict")
		r := request(rapid.IntRange(1, 2).Draw(rt, "proto"), "example.com",
			rapid.SampledFrom([]string{"/", "/robots.txt"}).Draw(rt, "path"), crawlerAgent)
		r.RemoteAddr = "198.51.100.1:1"
		for name, lines := range headers(rt) {
			r.Header[name] = lines
		}
		if rapid.Bool().Draw(rt, "calm") { // chance alone brings too few refusals
			f.oracle.result.Verdict, r.URL.Path, r.RequestURI = verify.Genuine, "/", "/"
			r.Header["X-Http-Version"] = []string{rapid.SampledFrom([]string{"2", "h2", "1.1"}).Draw(rt, "said")}
		}
		says2 := len(r.Header["X-Http-Version"]) == 1 && strings.Contains("2 h2", r.Header["X-Http-Version"][0]) &&
			r.Header["X-Http-Version"][0] != ""
		w, records := f.do(r)
		if len(records) != 1 {
			rt.Fatalf("%d records", len(records))
		}
		if w.Code != 421 {
			return
		}
		refused++
		if f.oracle.result.Verdict != verify.Genuine || !says2 || r.URL.Path == "/robots.txt" ||
			records[0].Proto != "HTTP/2.0" ||
			f.log.refusals != 1 {
			rt.Fatalf("refused: %+v", records[0])
		}
	})
	if refused == 0 {
		t.Fatal("nothing was refused: the property says nothing")
	}
}

// Whatever stands to the left of what the proxy added, it is no part of the answer; and nothing makes a panic.
func FuzzHop(f *testing.F) {
	for _, seed := range []string{"", ",", "66.249.66.1", "x, y", "[::1]:80", "::ffff:1.2.3.4", "198.51.100.1", "fe80::1%eth0, 1.1.1.1", strings.Repeat("198.51.100.1,", 500), "\x00", "1.1.1.1:99999"} {
		f.Add(seed)
	}
	peer, client := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.7")
	f.Fuzz(func(t *testing.T, said string) {
		p := cdn()
		for _, lines := range [][]string{{said + ", 192.0.2.7"}, {said, "192.0.2.7"}, {said + ",192.0.2.7,198.51.100.2"}} {
			if got := p.client(from("198.51.100.1", lines, nil)).ip; got != client {
				t.Fatalf("%q: %s", lines, got)
			}
		}
		got := p.client(from("198.51.100.1", []string{said}, nil)).ip
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() || got.IsUnspecified() {
			t.Fatalf("%q: %s", said, got)
		}
		last := said[strings.LastIndexByte(said, ',')+1:]
		if ip, ok := hopIP(last); !ok && got != peer || ok && !p.Trusts(ip) && got != ip {
			t.Fatalf("%q: %s", said, got)
		}
		if got := p.client(from("192.0.2.7", []string{said}, []string{said})); got.ip != client || got.proxied ||
			got.major != 1 {
			t.Fatalf("a stranger's %q: %+v", said, got)
		}
	})
}
