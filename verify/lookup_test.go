package verify

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// confirmCase is a little internet and the verdict it makes.
type confirmCase struct {
	name    string
	zone    string
	lazy    bool
	addr    string // googlebotAddr if empty
	crawler string // googlebot if empty
	verdict Verdict
	cause   string
	ptr     string
}

func TestConfirm(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format+"\n", i, i+1)
		}
		return b.String()
	}
	cases := []confirmCase{
		{name: "genuine", zone: googlebotZone, verdict: Genuine, ptr: googlebotName},
		{
			name:    "genuine, mapped into IPv6",
			zone:    googlebotZone,
			addr:    "::ffff:66.249.66.1",
			verdict: Genuine,
			ptr:     googlebotName,
		},
		{
			name:    "genuine over IPv6",
			addr:    "2001:4860:4801:10::1",
			verdict: Genuine,
			ptr:     "crawl-2001-4860-4801-10--1.googlebot.com",
			zone: `
			1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.1.0.8.4.0.6.8.4.1.0.0.2.ip6.arpa. 300 PTR crawl-2001-4860-4801-10--1.googlebot.com.
			crawl-2001-4860-4801-10--1.googlebot.com. 300 AAAA 2001:4860:4801:10::1`,
		},
		{
			name:    "genuine over IPv6, with a zone",
			addr:    "2001:4860:4801:10::1%eth0",
			verdict: Genuine,
			ptr:     "crawl-2001-4860-4801-10--1.googlebot.com",
			zone: `
			1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.1.0.8.4.0.6.8.4.1.0.0.2.ip6.arpa. 300 PTR crawl-2001-4860-4801-10--1.googlebot.com.
			crawl-2001-4860-4801-10--1.googlebot.com. 300 AAAA 2001:4860:4801:10::1`,
		},
		{
			name:    "genuine, geo",
			addr:    "35.247.243.240",
			verdict: Genuine,
			ptr:     "geo-crawl-35-247-243-240.geo.googlebot.com",
			zone: `
			240.243.247.35.in-addr.arpa. 300 PTR geo-crawl-35-247-243-240.geo.googlebot.com.
			geo-crawl-35-247-243-240.geo.googlebot.com. 300 A 35.247.243.240`,
		},
		{name: "upper case", verdict: Genuine, ptr: googlebotName, zone: `
			1.66.249.66.IN-ADDR.ARPA. 300 PTR CRAWL-66-249-66-1.GOOGLEBOT.COM.
			Crawl-66-249-66-1.googlebot.com. 300 A 66.249.66.1`},
		{name: "one of several forward addresses", verdict: Genuine, ptr: googlebotName, zone: googlebotZone + `
			crawl-66-249-66-1.googlebot.com. 300 A 66.249.66.2
			crawl-66-249-66-1.googlebot.com. 300 A 66.249.66.3`},
		{
			name:    "a googlebot that says it is adsbot",
			zone:    googlebotZone,
			crawler: "adsbot-google",
			verdict: Genuine,
			ptr:     googlebotName,
		},
		{
			name:    "a googlebot that says it is AdSense",
			zone:    googlebotZone,
			crawler: "mediapartners-google",
			verdict: Genuine,
			ptr:     googlebotName,
		},
		{
			name:    "a googlebot that says it is another special-case crawler",
			zone:    googlebotZone,
			crawler: "apis-google",
			verdict: Impostor,
			ptr:     googlebotName,
		},
		{
			name:    "an adsbot",
			crawler: "adsbot-google",
			addr:    "66.249.90.77",
			verdict: Genuine,
			ptr:     "rate-limited-proxy-66-249-90-77.google.com",
			zone: `
			77.90.249.66.in-addr.arpa. 300 PTR rate-limited-proxy-66-249-90-77.google.com.
			rate-limited-proxy-66-249-90-77.google.com. 300 A 66.249.90.77`,
		},
		{
			name:    "an adsbot that says it is googlebot",
			addr:    "66.249.90.77",
			verdict: Impostor,
			ptr:     "rate-limited-proxy-66-249-90-77.google.com",
			zone: `
			77.90.249.66.in-addr.arpa. 300 PTR rate-limited-proxy-66-249-90-77.google.com.
			rate-limited-proxy-66-249-90-77.google.com. 300 A 66.249.90.77`,
		},

		{name: "no PTR, NXDOMAIN", zone: ``, verdict: Impostor},
		{name: "no PTR, no data", zone: `1.66.249.66.in-addr.arpa. 300 TXT "x"`, verdict: Impostor},
		{
			name:    "PTR without forward, 95.216.227.158",
			addr:    "95.216.227.158",
			verdict: Impostor,
			ptr:     "crawl-95-216-227-158.googlebot.com",
			zone: `
			158.227.216.95.in-addr.arpa. 300 PTR crawl-95-216-227-158.googlebot.com.`,
		},
		{
			name:    "forward is another address, 91.208.197.96",
			addr:    "91.208.197.96",
			verdict: Impostor,
			ptr:     "crawl-66-249-66-66.googlebot.com",
			zone: `
			96.197.208.91.in-addr.arpa. 300 PTR crawl-66-249-66-66.googlebot.com.
			crawl-66-249-66-66.googlebot.com. 300 A 66.249.66.66`,
		},
		{name: "no usable PTR, 185.66.14.133", addr: "185.66.14.133", verdict: Impostor, ptr: "localhost", zone: `
			133.14.66.185.in-addr.arpa. 300 PTR localhost.`},
		{
			name:    "forward and reverse are the attacker's",
			addr:    "1.2.3.4",
			verdict: Impostor,
			ptr:     "crawl-1-2-3-4.fakegooglebot.com",
			zone: `
			4.3.2.1.in-addr.arpa. 300 PTR crawl-1-2-3-4.fakegooglebot.com.
			crawl-1-2-3-4.fakegooglebot.com. 300 A 1.2.3.4`,
		},
		{
			name:    "one name is trusted, another resolves back",
			addr:    "1.2.3.4",
			verdict: Impostor,
			ptr:     "crawl-66-249-66-1.googlebot.com",
			zone: googlebotZone + `
			4.3.2.1.in-addr.arpa. 300 PTR crawl-66-249-66-1.googlebot.com.
			4.3.2.1.in-addr.arpa. 300 PTR host.evil.example.
			host.evil.example.    300 A   1.2.3.4`,
		},
		{name: "the trusted name is the second", verdict: Genuine, ptr: googlebotName, zone: `
			1.66.249.66.in-addr.arpa. 300 PTR host.example.` + googlebotZone},
		{name: "rented from the cloud", addr: "1.2.3.4", verdict: Impostor, ptr: "4.3.2.1.bc.googleusercontent.com", zone: `
			4.3.2.1.in-addr.arpa. 300 PTR 4.3.2.1.bc.googleusercontent.com.
			4.3.2.1.bc.googleusercontent.com. 300 A 1.2.3.4`},
		{name: "bytes that are no name's", addr: "1.2.3.4", verdict: Impostor, zone: `
			4.3.2.1.in-addr.arpa. 300 PTR crawl-1\.evil\000.googlebot.com.
			4.3.2.1.in-addr.arpa. 300 PTR <script>.googlebot.com.`},
		{
			name:    "an IPv6 address in the forward zone of an IPv4 client",
			addr:    "1.2.3.4",
			verdict: Impostor,
			ptr:     googlebotName,
			zone: `
			4.3.2.1.in-addr.arpa. 300 PTR crawl-66-249-66-1.googlebot.com.
			crawl-66-249-66-1.googlebot.com. 300 AAAA ::ffff:1.2.3.4`,
		},
		{name: "200 PTR names, the trusted one last", verdict: Impostor, ptr: "host-0.example", zone: many(200, `
			1.66.249.66.in-addr.arpa. 300 PTR host-%d.example. ; %d`) + googlebotZone},
		{name: "200 PTR names, the trusted one first", verdict: Genuine, ptr: googlebotName, zone: googlebotZone + many(200, `
			1.66.249.66.in-addr.arpa. 300 PTR host-%d.example. ; %d`)},

		{name: "alias, RFC 2317", verdict: Genuine, ptr: googlebotName, zone: `
			1.66.249.66.in-addr.arpa.      300 CNAME 1.0/27.66.249.66.in-addr.arpa.
			1.0/27.66.249.66.in-addr.arpa. 300 PTR   crawl-66-249-66-1.googlebot.com.
			crawl-66-249-66-1.googlebot.com. 300 A   66.249.66.1`},
		{name: "alias to be asked for", lazy: true, verdict: Genuine, ptr: googlebotName, zone: `
			1.66.249.66.in-addr.arpa.      300 CNAME 1.0/27.66.249.66.in-addr.arpa.
			1.0/27.66.249.66.in-addr.arpa. 300 PTR   crawl-66-249-66-1.googlebot.com.
			crawl-66-249-66-1.googlebot.com. 300 CNAME a.example.
			a.example. 300 A   66.249.66.1`},
		{name: "alias to nowhere", verdict: Impostor, zone: `
			1.66.249.66.in-addr.arpa.      300 CNAME 1.0/27.66.249.66.in-addr.arpa.`},
		{
			name:    "eight aliases",
			lazy:    true,
			verdict: Genuine,
			ptr:     googlebotName,
			zone: "1.66.249.66.in-addr.arpa. 300 CNAME a0.example.\n" + many(7, "a%d.example. 300 CNAME a%d.example.") +
				"a7.example. 300 PTR " + googlebotName + ".\n" + googlebotName + ". 300 A 66.249.66.1",
		},
		{name: "nine aliases", verdict: Unknown, cause: CauseLoop, zone: "1.66.249.66.in-addr.arpa. 300 CNAME a0.example.\n" +
			many(8, "a%d.example. 300 CNAME a%d.example.") +
			"a8.example. 300 PTR " + googlebotName + ".\n" + googlebotName + ". 300 A 66.249.66.1"},
		{
			name:    "an alias of itself",
			verdict: Unknown,
			cause:   CauseLoop,
			zone:    `1.66.249.66.in-addr.arpa. 300 CNAME 1.66.249.66.in-addr.arpa.`,
		},
		{name: "a loop of forward aliases", lazy: true, verdict: Unknown, cause: CauseLoop, ptr: googlebotName, zone: `
			1.66.249.66.in-addr.arpa. 300 PTR crawl-66-249-66-1.googlebot.com.
			crawl-66-249-66-1.googlebot.com. 300 CNAME a.example.
			a.example. 300 CNAME crawl-66-249-66-1.googlebot.com.`},

		{
			name:    "a filter answers 0.0.0.0",
			verdict: Unknown,
			cause:   CauseFiltered,
			ptr:     googlebotName,
			zone:    googlebotZone + "\nfault crawl-66-249-66-1.googlebot.com. null",
		},
		{name: "a filter answers ::", addr: "2001:4860:4801:10::1", verdict: Unknown, cause: CauseFiltered,
			ptr: "crawl-2001-4860-4801-10--1.googlebot.com", zone: googlebotZone6 + "\nfault crawl-2001-4860-4801-10--1.googlebot.com. null"},
		{name: "a captive portal answers its own address", verdict: Unknown, cause: CauseFiltered, ptr: googlebotName, zone: `
			1.66.249.66.in-addr.arpa. 300 PTR crawl-66-249-66-1.googlebot.com.
			crawl-66-249-66-1.googlebot.com. 300 A 192.168.8.1`},
		{name: "a private address that does not lead back", addr: "10.0.0.7", verdict: Impostor, ptr: googlebotName, zone: `
			7.0.0.10.in-addr.arpa. 300 PTR crawl-66-249-66-1.googlebot.com.
			crawl-66-249-66-1.googlebot.com. 300 A 10.0.0.8`},
		{name: "DNS64 makes addresses of a name that has none", addr: "2001:4860:4801:10::1", verdict: Impostor,
			ptr: "crawl-2001-4860-4801-10--1.googlebot.com", zone: `
			1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.1.0.8.4.0.6.8.4.1.0.0.2.ip6.arpa. 300 PTR crawl-2001-4860-4801-10--1.googlebot.com.
			crawl-2001-4860-4801-10--1.googlebot.com. 300 AAAA 64:ff9b::42f9:4201`},

		{
			name:    "trouble with an untrusted name changes nothing",
			addr:    "1.2.3.4",
			verdict: Impostor,
			ptr:     "host.example",
			zone: `
			4.3.2.1.in-addr.arpa. 300 PTR host.example.
			fault host.example. servfail`,
		},
		{name: "trouble with one trusted name, another proves", verdict: Genuine, ptr: googlebotName, zone: `
			1.66.249.66.in-addr.arpa. 300 PTR crawl-1.googlebot.com.
			fault crawl-1.googlebot.com. servfail` + googlebotZone},
		{
			name:    "trouble with one trusted name, another is elsewhere",
			verdict: Unknown,
			cause:   CauseServfail,
			ptr:     "crawl-1.googlebot.com",
			zone: `
			1.66.249.66.in-addr.arpa. 300 PTR crawl-1.googlebot.com.
			1.66.249.66.in-addr.arpa. 300 PTR crawl-2.googlebot.com.
			fault crawl-1.googlebot.com. servfail
			crawl-2.googlebot.com. 300 A 66.249.66.2`,
		},
		{
			name:    "trouble with a name that only adsbot trusts",
			verdict: Impostor,
			ptr:     "rate-limited-proxy-1.google.com",
			zone: `
			1.66.249.66.in-addr.arpa. 300 PTR rate-limited-proxy-1.google.com.
			fault rate-limited-proxy-1.google.com. servfail`,
		},
		{
			name:    "trouble with a name that adsbot trusts",
			crawler: "adsbot-google",
			verdict: Unknown,
			cause:   CauseServfail,
			ptr:     "rate-limited-proxy-1.google.com",
			zone: `
			1.66.249.66.in-addr.arpa. 300 PTR rate-limited-proxy-1.google.com.
			fault rate-limited-proxy-1.google.com. servfail`,
		},
		{
			name:    "forward SERVFAIL",
			verdict: Unknown,
			cause:   CauseServfail,
			ptr:     googlebotName,
			zone:    googlebotZone + "\nfault crawl-66-249-66-1.googlebot.com. servfail",
		},
		{
			name:    "forward answers for another name",
			verdict: Unknown,
			cause:   CauseGarbage,
			ptr:     googlebotName,
			zone:    googlebotZone + "\nfault crawl-66-249-66-1.googlebot.com. othername",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkConfirm(t, c) })
	}
}

// checkConfirm runs a case over real sockets.
func checkConfirm(t *testing.T, c confirmCase) {
	checkLeaks(t)
	z := newZone(c.zone)
	z.lazy = c.lazy
	v := &Verifier{Resolver: &Resolver{Servers: []string{z.serve(t)}}}
	defer v.Close()
	addr := netip.MustParseAddr(cmp.Or(c.addr, googlebotAddr))
	got := v.Lookup(context.Background(), cmp.Or(c.crawler, "googlebot"), addr)
	if got.Verdict != c.verdict || got.Cause != c.cause || got.PTR != c.ptr || got.Source != SourceDNS {
		t.Errorf("got %s, cause %q, ptr %q, source %q; want %s, cause %q, ptr %q",
			got.Verdict, got.Cause, got.PTR, got.Source, c.verdict, c.cause, c.ptr)
	}
	if got.Verdict == Genuine && !slices.Contains(got.Forward, addr.Unmap().WithZone("")) {
		t.Errorf("genuine with the addresses %v, want %v among them", got.Forward, addr)
	}
	if len(got.Names) > 8 {
		t.Errorf("got %d names, want at most 8", len(got.Names))
	}
	for _, name := range got.Names {
		if strings.ContainsAny(name, "\x00\x1b<>\\\" ") {
			t.Errorf("got the name %q, want it printable", name)
		}
	}
}

func TestLookupDetails(t *testing.T) {
	checkLeaks(t)
	z := newZone(googlebotZone + `
		1.66.249.66.in-addr.arpa. 300 PTR odd_name\000.example.
		crawl-66-249-66-1.googlebot.com. 1800 IN A 66.249.66.9`)
	v := &Verifier{Resolver: z.inMemory()}
	defer v.Close()
	got := v.Lookup(context.Background(), "googlebot", netip.MustParseAddr(googlebotAddr))
	if got.Took <= 0 {
		t.Errorf("took %v, want more than 0 s", got.Took)
	}
	if want := []string{googlebotName, "odd_name?000.example"}; !slices.Equal(got.Names, want) {
		t.Errorf("names %q, want %q", got.Names, want)
	}
	if want := []netip.Addr{netip.MustParseAddr("66.249.66.1"), netip.MustParseAddr("66.249.66.9")}; !slices.Equal(
		got.Forward, want) {
		t.Errorf("forward %v, want %v", got.Forward, want)
	}
	if _, ok := v.Peek("googlebot", netip.MustParseAddr(googlebotAddr)); ok {
		t.Error("after Lookup the cache has the address, want it unchanged")
	}
}
