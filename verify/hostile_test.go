package verify

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// hostile is a server that answers the questions of one type with bytes of its own choice, and all others like its
// zone.
type hostile struct {
	zone  *zone
	qtype uint16
	wire  []byte
	echo  bool // the bytes come behind the header and the question that are asked for
}

func (h *hostile) dial(_ context.Context, network, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close() // at once: silence is another test's
		conn := &dns.Conn{Conn: server}
		query, err := conn.ReadMsg()
		if err != nil {
			return
		}
		answer := h.wire
		switch {
		case query.Question[0].Qtype != h.qtype:
			answer = h.zone.exchange(query, network)
		case h.echo:
			answer = h.dress(query)
		}
		if len(answer) > 0xffff {
			answer = answer[:0xffff]
		}
		conn.Write(answer)
	}()
	return client, nil
}

// exchange is what z responds to a query; nil: nothing.
func (z *zone) exchange(query *dns.Msg, network string) []byte {
	conn, err := z.dial(context.Background(), network, "")
	if err != nil {
		return nil
	}
	defer conn.Close()
	wire := &dns.Conn{Conn: conn}
	if wire.WriteMsg(query) != nil {
		return nil
	}
	response, err := wire.ReadMsgHeader(nil)
	if err != nil {
		return nil
	}
	return response
}

// dress puts the id and the question of query in front of h.wire, of which the first 8 bytes are flags and counts.
func (h *hostile) dress(query *dns.Msg) []byte {
	question := &dns.Msg{MsgHdr: dns.MsgHdr{Id: query.Id}, Question: query.Question}
	packed, err := question.Pack()
	if err != nil || len(h.wire) < 8 {
		return h.wire
	}
	answer := append(packed[:2:2], h.wire[:8]...)
	answer[2] |= 0x80           // a response
	answer[2] &^= 0x78          // to a query
	answer[4], answer[5] = 0, 1 // with one question
	answer = append(answer, 0, 0)
	return append(append(answer[:12], packed[12:]...), h.wire[8:]...)
}

// FuzzAnswer: whatever bytes a server sends for reverse names, they do not make an address genuine that the forward
// zone does not give to a trusted name; and whatever it sends for addresses, only the very address does. Nothing
// crashes, hangs, or outlives its lookup.
func FuzzAnswer(f *testing.F) {
	record := func(rrs ...string) []byte {
		m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, RecursionAvailable: true}, Compress: true}
		m.SetQuestion(googlebotPTR, dns.TypePTR)
		m.Response = true
		for _, text := range rrs {
			rr, err := dns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		question := len(googlebotPTR) + 1 + 4
		return append(wire[2:10:10], wire[12+question:]...)
	}
	f.Add([]byte{}, false)
	f.Add([]byte("this is no DNS message, though it is long enough to have a header"), false)
	f.Add([]byte("\x81\x80\x00\x01\xff\xff\xff\xff\xc0\x0c\x00\x0c\x00\x01"), true)
	f.Add([]byte("\x81\x80\x00\x01\x00\x01\x00\x00\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x05\x00\x02\xc0\x0c"), true) // an alias of itself
	f.Add(record(googlebotPTR+" 300 PTR "+googlebotName+"."), true)
	f.Add(record(googlebotPTR+" 300 PTR crawl-66-249-66-66.googlebot.com.", googlebotPTR+" 300 PTR host.evil.example."), true)
	f.Add(record(googlebotPTR+" 300 CNAME a.example.", "a.example. 4294967295 PTR crawl-1.googlebot.com."), true)
	f.Add(record(googlebotPTR+" 300 A 66.249.66.1", googlebotPTR+" 300 AAAA ::ffff:66.249.66.1"), true)
	f.Add(append([]byte("\x81\x80\x00\x01\x12\x00\x00\x00"), bytes.Repeat([]byte("\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x05\x00\x02\xc0\x0c"), 4600)...), true)

	const forward = `
		crawl-66-249-66-66.googlebot.com. 300 A 66.249.66.66
		crawl-1.googlebot.com. 300 A 10.0.0.1
		host.evil.example. 300 A 66.249.66.1`
	addr := netip.MustParseAddr(googlebotAddr)
	crawlers := Catalogue()
	untrusted, genuine := newZone(forward), newZone(googlebotZone)
	f.Fuzz(func(t *testing.T, wire []byte, echo bool) {
		confirm := func(h *hostile) *report {
			h.wire, h.echo = wire, echo
			one := lookup{resolver: &Resolver{Servers: []string{"192.0.2.53:53"}, Dial: h.dial}}
			start := time.Now()
			found := one.confirm(context.Background(), crawlers, addr)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if (found.failure == nil) != (found.failed == 0) || len(found.names) > maxNames || len(found.name) > maxCachedName || safe(found.name, "") != "" {
				t.Errorf("found %+v", found)
			}
			return found
		}
		// A zone that gives the address to no trusted name.
		if found := confirm(&hostile{zone: untrusted, qtype: dns.TypePTR}); found.genuine != 0 {
			t.Errorf("genuine by %q", found.name)
		}
		// A reverse zone that is in order, and addresses that are not.
		found := confirm(&hostile{zone: genuine, qtype: dns.TypeA})
		if found.genuine != 0 && !bytes.Contains(wire, addr.AsSlice()) {
			t.Errorf("genuine by %q, without the address in the answer", found.name)
		}
	})
}

// FuzzRanges: whatever a list says, it is refused or in order, and holds just what it lists.
func FuzzRanges(f *testing.F) {
	f.Add([]byte(listOf(later, 3)))
	f.Add([]byte(`{"creationTime": "2026-01-14T15:45:48.000000", "prefixes": [{"ipv6Prefix": "2001:db8::/64"}, {"ipv4Prefix": "192.0.2.0/27"}]}`))
	f.Add([]byte(`{"creationTime": "2026-01-14T15:45:48", "prefixes": [{"ipv4Prefix": "0.0.0.0/0"}, {}]}`))
	f.Add([]byte(`{"creationTime": "x", "prefixes": [{"ipv6Prefix": "::ffff:1.2.3.0/120"}, {"ipv6Prefix": "fe80::%1/64"}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRanges(text)
		if err != nil {
			if r != nil || len(err.Error()) > 400 {
				t.Errorf("%v, and %v", r, err)
			}
			return
		}
		if r.Len() == 0 && r.Ignored() > 0 {
			t.Errorf("no ranges, %d entries ignored, and no error", r.Ignored())
		}
		for prefix := range r.prefixes {
			widest := widest6
			if prefix.Addr().Is4() {
				widest = widest4
			}
			if prefix != prefix.Masked() || prefix.Bits() < widest || prefix.Addr().Is4In6() {
				t.Errorf("accepted %v", prefix)
			}
			if found, ok := r.Find(prefix.Addr()); !ok || !found.Contains(prefix.Addr()) || found.Bits() < prefix.Bits() {
				t.Errorf("Find(%v) = %v, %v", prefix.Addr(), found, ok)
			}
		}
		for _, addr := range []string{"127.0.0.1", "192.0.2.1", "2001:db8::1", "::1"} {
			addr := netip.MustParseAddr(addr)
			listed := false
			for prefix := range r.prefixes {
				listed = listed || prefix.Contains(addr)
			}
			if _, ok := r.Find(addr); ok != listed {
				t.Errorf("Find(%v) says %v", addr, ok)
			}
		}
		if again := mergeRanges([]*Ranges{r, nil, r}); !again.equal(r) {
			t.Error("merged with itself it is another list")
		}
	})
}

// TestAnswersThatUnfold: 64 KiB of pointers to one long name are as many records as fit, and cost little.
func TestAnswersThatUnfold(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion(strings.Repeat(strings.Repeat(`\001`, 60)+".", 4), dns.TypePTR)
	m.Response = true
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for len(wire) < 0xff00 {
		wire = append(wire, "\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x05\x00\x02\xc0\x0c"...)
		wire[7]++
		if wire[7] == 0 {
			wire[6]++
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	answer, ok := unpack(wire)
	runtime.ReadMemStats(&after)
	if !ok || len(answer.Answer) != maxRecords {
		t.Fatalf("read %v", ok)
	}
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 2<<20 {
		t.Errorf("costs %d bytes", cost)
	} else {
		t.Logf("%d bytes cost %d", len(wire), cost)
	}
}

// TestHostileIsHeard: the harness of FuzzAnswer reaches the depths it is for. The right bytes do prove.
func TestHostileIsHeard(t *testing.T) {
	rdata := "\x11crawl-66-249-66-1\x09googlebot\x03com\x00"
	wire := "\x81\x80\x00\x01\x00\x01\x00\x00" + "\xc0\x0c\x00\x0c\x00\x01\x00\x00\x01\x2c\x00" + string(rune(len(rdata))) + rdata
	h := &hostile{zone: newZone(googlebotZone), qtype: dns.TypePTR, wire: []byte(wire), echo: true}
	v := &Verifier{Resolver: &Resolver{Servers: []string{"192.0.2.53:53"}, Dial: h.dial}}
	defer v.Close()
	if got := v.Lookup(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)); got.Verdict != Genuine {
		t.Errorf("%+v", got)
	}
}

// TestHostileLeavesNothing: lookups that hostile servers answer leave no goroutine.
func TestHostileLeavesNothing(t *testing.T) {
	checkLeaks(t)
	for i := range 200 {
		h := &hostile{zone: newZone(googlebotZone), qtype: []uint16{dns.TypePTR, dns.TypeA}[i%2], wire: bytes.Repeat([]byte{byte(i)}, i*30), echo: i%3 > 0}
		v := &Verifier{Resolver: &Resolver{Servers: []string{"192.0.2.53:53"}, Dial: h.dial}, Wait: time.Second}
		if got := v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)); got.Verdict == Genuine {
			t.Errorf("%d: %+v", i, got)
		}
		v.Close()
	}
}
