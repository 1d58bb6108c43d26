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

// rawServer responds to queries of one type with arbitrary bytes, and to all others as its zone does.
type rawServer struct {
	zone  *zone
	qtype uint16
	wire  []byte
	echo  bool // the bytes follow the id and the question of the query
}

func (s *rawServer) dial(_ context.Context, network, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close() // silence is the subject of other tests
		conn := &dns.Conn{Conn: server}
		query, err := conn.ReadMsg()
		if err != nil {
			return
		}
		answer := s.wire
		switch {
		case query.Question[0].Qtype != s.qtype:
			answer = s.zone.exchange(query, network)
		case s.echo:
			answer = s.dress(query)
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

// dress puts the id and the question of query in front of s.wire, of which the first 8 bytes are flags and counts.
func (s *rawServer) dress(query *dns.Msg) []byte {
	question := &dns.Msg{MsgHdr: dns.MsgHdr{Id: query.Id}, Question: query.Question}
	packed, err := question.Pack()
	if err != nil || len(s.wire) < 8 {
		return s.wire
	}
	answer := append(packed[:2:2], s.wire[:8]...)
	answer[2] |= 0x80           // a response
	answer[2] &^= 0x78          // to a query
	answer[4], answer[5] = 0, 1 // with one question
	answer = append(answer, 0, 0)
	return append(append(answer[:12], packed[12:]...), s.wire[8:]...)
}

// FuzzResponse: whatever bytes a server sends for reverse names, they do not make an address genuine that the forward
// zone does not give to a trusted name; and whatever it sends for addresses, only the very address does. Nothing
// crashes, hangs, or outlives its lookup.
func FuzzResponse(f *testing.F) {
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
	aliasOfItself := "\x81\x80\x00\x01\x00\x01\x00\x00\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x05\x00\x02\xc0\x0c"
	f.Add([]byte(aliasOfItself), true)
	f.Add(record(googlebotPTR+" 300 PTR "+googlebotName+"."), true)
	f.Add(record(googlebotPTR+" 300 PTR crawl-66-249-66-66.googlebot.com.", googlebotPTR+" 300 PTR host.evil.example."),
		true)
	f.Add(record(googlebotPTR+" 300 CNAME a.example.", "a.example. 4294967295 PTR crawl-1.googlebot.com."), true)
	f.Add(record(googlebotPTR+" 300 A 66.249.66.1", googlebotPTR+" 300 AAAA ::ffff:66.249.66.1"), true)
	pointers := bytes.Repeat([]byte("\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x05\x00\x02\xc0\x0c"), 4600)
	f.Add(append([]byte("\x81\x80\x00\x01\x12\x00\x00\x00"), pointers...), true)

	const forward = `
		crawl-66-249-66-66.googlebot.com. 300 A 66.249.66.66
		crawl-1.googlebot.com. 300 A 10.0.0.1
		host.evil.example. 300 A 66.249.66.1`
	addr := netip.MustParseAddr(googlebotAddr)
	crawlers := Catalogue()
	untrusted, genuine := newZone(forward), newZone(googlebotZone)
	f.Fuzz(func(t *testing.T, wire []byte, echo bool) {
		confirm := func(s *rawServer) *report {
			s.wire, s.echo = wire, echo
			one := lookup{resolver: &Resolver{Servers: []string{"192.0.2.53:53"}, Dial: s.dial}}
			start := time.Now()
			found := one.confirm(context.Background(), crawlers, addr)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v, want at most 5 s", took)
			}
			if (found.failure == nil) != (found.failed == 0) || len(found.names) > maxNames || len(found.name) > maxCachedName ||
				safe(found.name, "") != "" {
				t.Errorf("got %+v, want a failure only with failed crawlers, and a printable name", found)
			}
			return found
		}
		// A zone that gives the address to no trusted name.
		if found := confirm(&rawServer{zone: untrusted, qtype: dns.TypePTR}); found.genuine != 0 {
			t.Errorf("got genuine by %q, want no proof", found.name)
		}
		// A reverse zone that is in order, and addresses that are not.
		found := confirm(&rawServer{zone: genuine, qtype: dns.TypeA})
		if found.genuine != 0 && !bytes.Contains(wire, addr.AsSlice()) {
			t.Errorf("got genuine by %q, want none without the address in the answer", found.name)
		}
	})
}

// TestResponsesThatUnfold: 64 KiB of pointers to one long name are as many records as fit, and cost little.
func TestResponsesThatUnfold(t *testing.T) {
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
		t.Fatalf("got %v, want a message with %d records", ok, maxRecords)
	}
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 2<<20 {
		t.Errorf("got %d bytes allocated, want at most %d", cost, 2<<20)
	} else {
		t.Logf("%d bytes cost %d", len(wire), cost)
	}
}

// TestRawServerProves: the server of FuzzResponse can prove Googlebot, so that the fuzzer reaches all of the parser.
func TestRawServerProves(t *testing.T) {
	rdata := "\x11crawl-66-249-66-1\x09googlebot\x03com\x00"
	wire := "\x81\x80\x00\x01\x00\x01\x00\x00" +
		"\xc0\x0c\x00\x0c\x00\x01\x00\x00\x01\x2c\x00" + string(rune(len(rdata))) + rdata
	s := &rawServer{zone: newZone(googlebotZone), qtype: dns.TypePTR, wire: []byte(wire), echo: true}
	v := &Verifier{Resolver: &Resolver{Servers: []string{"192.0.2.53:53"}, Dial: s.dial}}
	defer v.Close()
	if got := v.Lookup(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)); got.Verdict != Genuine {
		t.Errorf("got %+v, want genuine", got)
	}
}

// TestRawServerLeaksNothing: lookups that end with any bytes leave no goroutine.
func TestRawServerLeaksNothing(t *testing.T) {
	checkLeaks(t)
	for i := range 200 {
		s := &rawServer{
			zone:  newZone(googlebotZone),
			qtype: []uint16{dns.TypePTR, dns.TypeA}[i%2],
			wire:  bytes.Repeat([]byte{byte(i)}, i*30),
			echo:  i%3 > 0,
		}
		v := &Verifier{Resolver: &Resolver{Servers: []string{"192.0.2.53:53"}, Dial: s.dial}, Wait: time.Second}
		if got := v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)); got.Verdict == Genuine {
			t.Errorf("server %d: got %+v, want any verdict but genuine", i, got)
		}
		v.Close()
	}
}
