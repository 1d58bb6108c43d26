package verify

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestReverseNameSets is about which of several reverse names count. The client is 66.249.66.1, which the name "g" is a
// genuine name of. In a set "name" stands for a name without addresses, "name=address" for one that has it, and "name!"
// for one whose lookup fails.
func TestReverseNameSets(t *testing.T) {
	const (
		g     = "crawl-66-249-66-1.googlebot.com=66.249.66.1"
		geo   = "geo-crawl-66-249-66-1.geo.googlebot.com=66.249.66.1"
		ads   = "rate-limited-proxy-66-249-66-1.google.com=66.249.66.1"
		other = "crawl-66-249-66-2.googlebot.com=66.249.66.2"
		mine  = "host.evil.example=66.249.66.1"
		fake  = "crawl-66-249-66-1.fakegooglebot.com=66.249.66.1"
		sub   = "crawl-1.googlebot.com.evil.example=66.249.66.1"
		cloud = "1.66.249.66.bc.googleusercontent.com=66.249.66.1"
		gae   = "66-249-66-1.gae.googleusercontent.com=66.249.66.1"
		proxy = "google-proxy-66-249-66-1.google.com=66.249.66.1"
	)
	some := func(n int) string {
		var names []string
		for i := range n {
			names = append(names, "n"+strconv.Itoa(i)+".example=66.249.66.1")
		}
		return strings.Join(names, " ")
	}
	cases := []struct {
		set            string
		googlebot, ads Verdict
	}{
		{"", Impostor, Impostor},
		{g, Genuine, Impostor},
		{geo, Genuine, Impostor},
		{ads, Impostor, Genuine},
		{g + " " + ads, Genuine, Genuine},
		{ads + " " + g, Genuine, Genuine},
		{g + " " + geo, Genuine, Impostor},
		{strings.ToUpper(g), Genuine, Impostor},
		{g + " " + strings.ToUpper(g), Genuine, Impostor},
		{mine + " " + g, Genuine, Impostor},
		{g + " " + mine, Genuine, Impostor},
		{other + " " + g, Genuine, Impostor},
		{"crawl-9.googlebot.com " + g, Genuine, Impostor},
		{"crawl-9.googlebot.com! " + g, Genuine, Impostor},
		{g + " crawl-9.googlebot.com!", Genuine, Impostor},
		{g + " rate-limited-proxy-9.google.com!", Genuine, Unknown},
		{some(7) + " " + g, Genuine, Impostor},
		{g + " " + some(200), Genuine, Impostor},
		{strings.Repeat(mine+" ", 20) + g, Genuine, Impostor}, // one name, however often

		{mine, Impostor, Impostor},
		{fake, Impostor, Impostor},
		{sub, Impostor, Impostor},
		{cloud, Impostor, Impostor},
		{gae, Impostor, Impostor},
		{proxy, Impostor, Impostor},
		{gae + " " + proxy + " " + cloud, Impostor, Impostor},
		{other, Impostor, Impostor},
		{other + " " + mine, Impostor, Impostor}, // one is trusted, another resolves back
		{mine + " " + other, Impostor, Impostor},
		{other + " " + fake, Impostor, Impostor},
		{other + " " + sub, Impostor, Impostor},
		{other + " " + ads, Impostor, Genuine},
		{"crawl-9.googlebot.com " + mine, Impostor, Impostor},
		{"crawl-9.googlebot.com crawl-8.googlebot.com " + mine, Impostor, Impostor},
		{"googlebot.com=66.249.66.1", Impostor, Impostor},
		{"www.googlebot.com=66.249.66.1 google.com=66.249.66.1", Impostor, Impostor},
		{"evil.googlebot.com=66.249.66.1", Impostor, Impostor},
		{"xn--crawl-1.googlebot.com=66.249.66.1", Impostor, Impostor},
		{`crawl-1\.googlebot.com=66.249.66.1`, Impostor, Impostor},
		{`crawl-1\000.googlebot.com=66.249.66.1`, Impostor, Impostor},
		{"host.evil.example!", Impostor, Impostor},
		{some(8) + " " + g, Impostor, Impostor}, // the ninth name is not looked at
		{some(200), Impostor, Impostor},

		{"crawl-9.googlebot.com!", Unknown, Impostor},
		{"crawl-9.googlebot.com! " + other, Unknown, Impostor},
		{other + " crawl-9.googlebot.com!", Unknown, Impostor},
		{"crawl-9.googlebot.com! " + mine, Unknown, Impostor},
		{"rate-limited-proxy-9.google.com! " + mine, Impostor, Unknown},
		{"rate-limited-proxy-9.google.com! crawl-9.googlebot.com!", Unknown, Unknown},
		{"rate-limited-proxy-9.google.com! " + ads, Impostor, Genuine},
	}
	for _, c := range cases {
		zone := &strings.Builder{}
		for _, name := range strings.Fields(c.set) {
			name, forward, _ := strings.Cut(name, "=")
			name, fails := strings.CutSuffix(name, "!")
			zone.WriteString(googlebotPTR + " 300 PTR " + name + ".\n")
			if forward != "" {
				zone.WriteString(name + ". 300 A " + forward + "\n")
			}
			if fails {
				zone.WriteString("fault " + name + ". servfail\n")
			}
		}
		v := &Verifier{Resolver: newZone(zone.String()).inMemory()}
		for crawler, want := range map[string]Verdict{"googlebot": c.googlebot, "apis-google": c.ads} {
			if got := v.Lookup(context.Background(), crawler, netip.MustParseAddr(googlebotAddr)); got.Verdict != want {
				t.Errorf("%.200s\n%s is %s, cause %q, names %q; want %s", c.set, crawler, got.Verdict, got.Cause, got.Names, want)
			}
		}
		v.Close()
	}
}

// TestLongAnswers: of many records the first 256 are read, and a message that is padded elsewhere is none.
func TestLongAnswers(t *testing.T) {
	pack := func(answers, authority int) []byte {
		m := new(dns.Msg)
		m.SetQuestion(googlebotName+".", dns.TypeA)
		m.Response, m.Compress = true, true
		for i := range answers {
			m.Answer = append(
				m.Answer,
				&dns.A{
					Hdr: dns.RR_Header{Name: googlebotName + ".", Rrtype: dns.TypeA, Class: dns.ClassINET},
					A:   []byte{10, 0, byte(i >> 8), byte(i)},
				},
			)
		}
		for range authority {
			m.Ns = append(m.Ns,
				&dns.NS{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "ns.example."})
		}
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return wire
	}
	for _, c := range []struct {
		answers, authority, want int
		ok                       bool
	}{{1, 0, 1, true}, {256, 32, 256, true}, {257, 1, 256, true}, {3000, 0, 256, true}, {1, 33, 0, false}} {
		m, ok := unpack(pack(c.answers, c.authority))
		if ok != c.ok || ok && len(m.Answer) != c.want {
			t.Errorf("%d answers, %d others: got %v, want %d records or no message (%v)", c.answers, c.authority, m, c.want,
				!c.ok)
		}
	}
	if _, ok := unpack(nil); ok {
		t.Error("no bytes: got a message, want none")
	}
}
