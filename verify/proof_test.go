package verify

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// TestGenuineOnlyOnProof draws little internets, in which everything that is wrong with zones and servers goes wrong,
// and compares each verdict with the zone itself: genuine if and only if there is a proof to be had, impostor only if
// nothing failed that could have been one.
func TestGenuineOnlyOnProof(t *testing.T) {
	addrs := []string{"66.249.66.1", "66.249.66.2", "192.0.2.1", "2001:4860:4801:10::1", "2001:db8::1"}
	names := []string{
		"crawl-1.googlebot.com.", "crawl-2.googlebot.com.", "CRAWL-3.GoogleBot.com.", "geo-crawl-1.geo.googlebot.com.",
		"crawl-1.fakegooglebot.com.", "crawl-1.googlebot.com.evil.example.", "googlebot.com.", "host.example.",
		"rate-limited-proxy-1.google.com.", `crawl-\000.googlebot.com.`,
	}
	faults := []string{
		"",
		"",
		"",
		"servfail",
		"refused",
		"referral",
		"notimp",
		"truncated",
		"truncated-udp",
		"othername",
		"foldcase",
	}
	crawlers := []string{"googlebot", "googleother", "apis-google"}

	rapid.Check(t, func(t *rapid.T) {
		text := &strings.Builder{}
		records, broken := map[string][]dns.RR{}, map[string]string{}
		addr := netip.MustParseAddr(rapid.SampledFrom(addrs).Draw(t, "addr"))
		reverse, err := dns.ReverseAddr(addr.String())
		if err != nil {
			t.Fatal(err)
		}
		add := func(line string) {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.ToLower(rr.Header().Name)
			records[name] = append(records[name], rr)
			text.WriteString(line + "\n")
		}
		pointers := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 8, rapid.ID[string]).Draw(t, "pointers")
		for _, name := range pointers {
			add(reverse + " 300 PTR " + name)
		}
		broken[reverse] = rapid.SampledFrom(faults).Draw(t, "fault of the reverse zone")
		holds := map[string]bool{}
		for _, name := range names {
			some := rapid.SliceOfNDistinct(rapid.SampledFrom(addrs), 0, 3, rapid.ID[string])
			for _, a := range some.Draw(t, "addresses of "+name) {
				kind := "AAAA"
				if netip.MustParseAddr(a).Is4() {
					kind = "A"
				}
				add(name + " 300 " + kind + " " + a)
				holds[name] = holds[name] || a == addr.String()
			}
			broken[strings.ToLower(name)] = rapid.SampledFrom(faults).Draw(t, "fault of "+name)
		}

		z := newZone(text.String())
		z.faults = broken
		v := &Verifier{Resolver: z.inMemory()}
		defer v.Close()
		for _, c := range Catalogue() {
			if c.Name != crawlers[0] && c.Name != crawlers[1] && c.Name != crawlers[2] {
				continue
			}
			proof, doubt := false, hurts(broken[reverse], len(pointers) > 0)
			for _, name := range pointers {
				if doubt || !c.Trusts(name) {
					continue
				}
				fault := broken[strings.ToLower(name)]
				if !hurts(fault, hasKind(records[strings.ToLower(name)], addr)) && holds[name] {
					proof = true
				}
			}
			for _, name := range pointers {
				doubt = doubt ||
					c.Trusts(name) && hurts(broken[strings.ToLower(name)], hasKind(records[strings.ToLower(name)], addr))
			}
			want := Impostor
			switch {
			case proof:
				want = Genuine
			case doubt:
				want = Unknown
			}
			got := v.Lookup(context.Background(), c.Name, addr)
			if got.Verdict != want {
				t.Fatalf("%s is %s, cause %q, ptr %q; want %s", c.Name, got.Verdict, got.Cause, got.PTR, want)
			}
			if (got.Cause != "") != (got.Verdict == Unknown) {
				t.Fatalf("got %s with cause %q, want a cause with unknown only", got.Verdict, got.Cause)
			}
		}
	})
}

// hurts says whether a fault keeps the answer from us; answers are the records that would have been in it.
func hurts(fault string, answers bool) bool {
	switch fault {
	case "", "truncated-udp", "foldcase":
		return false
	case "othername":
		return answers
	}
	return true
}

func hasKind(rrs []dns.RR, addr netip.Addr) bool {
	for _, rr := range rrs {
		if t := rr.Header().Rrtype; t == dns.TypeA && addr.Is4() || t == dns.TypeAAAA && addr.Is6() {
			return true
		}
	}
	return false
}

// TestProofsOutliveFloods: however many impostors come, what was proven stays, and memory is bounded.
func TestProofsOutliveFloods(t *testing.T) {
	z := newZone(googlebotZone)
	v := &Verifier{Resolver: z.inMemory()}
	defer v.Close()
	addr := netip.MustParseAddr(googlebotAddr)
	done := make(chan Result)
	v.IdentifyAsync("googlebot", addr, func(r Result) { done <- r })
	want(t, <-done, Genuine, SourceDNS, "")
	for i := range uint32(maxCached + 20_000) {
		var a [16]byte
		copy(a[:], "\x20\x01\x0d\xb8")
		binary.BigEndian.PutUint32(a[4:], i)
		v.cache.put(netip.AddrFrom16(a), &report{finding: &finding{}, ttl: impostorTTL})
	}
	got, _ := v.Peek("googlebot", addr)
	want(t, got, Genuine, SourceCache, "")
	v.cache.others.CleanUp()
	if n := v.cache.others.EstimatedSize(); n > maxCached || n < maxCached/2 {
		t.Errorf("%d impostors are remembered, want at most %d", n, maxCached)
	}
}
