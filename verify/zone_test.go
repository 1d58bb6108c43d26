package verify

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

// zone is a recursive server's view of a little internet, with faults by name. Its zero value knows no name.
type zone struct {
	mu      sync.Mutex
	records map[string][]dns.RR
	faults  map[string]string     // by lower-case name, "*" for every name
	asked   map[string]int        // "name type" to count
	tcp     string                // "" answers, "closed", "silent"
	drop    func() bool           // if not nil, says which questions over UDP are lost
	lazy    bool                  // aliases are not followed inside an answer
	gate    chan struct{}         // if not nil, an answer waits for a receive
	delay   time.Duration         // of every answer
	heard   func(question string) // if not nil, told of every "name type"
}

// newZone parses records in zone file form, one a line; a line "fault NAME KIND" adds a fault.
func newZone(t testing.TB, text string) *zone {
	t.Helper()
	z := &zone{}
	z.set(t, text)
	return z
}

func (z *zone) set(t testing.TB, text string) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records, z.faults = map[string][]dns.RR{}, map[string]string{}
	if z.asked == nil {
		z.asked = map[string]int{}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if fields := strings.Fields(line); fields[0] == "fault" {
			z.faults[fields[1]] = fields[2]
			continue
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("zone line %q: %v", line, err)
		}
		name := strings.ToLower(rr.Header().Name)
		z.records[name] = append(z.records[name], rr)
	}
}

// trouble adds a fault of every name; "" ends it.
func (z *zone) trouble(fault string, delay time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.faults["*"], z.delay = fault, delay
}

func (z *zone) count(question string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[question]
}

func (z *zone) total() (n int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, c := range z.asked {
		n += c
	}
	return n
}

// reply returns the bytes to answer with; nil is silence.
func (z *zone) reply(req *dns.Msg, network string) []byte {
	z.mu.Lock()
	gate, delay := z.gate, z.delay
	q := req.Question[0]
	name := strings.ToLower(q.Name)
	z.asked[name+" "+dns.TypeToString[q.Qtype]]++
	if z.heard != nil {
		z.heard(name + " " + dns.TypeToString[q.Qtype])
	}
	fault := z.faults[name]
	if fault == "" {
		fault = z.faults["*"]
	}
	m := new(dns.Msg)
	m.SetReply(req)
	m.RecursionAvailable = true
	z.fill(m, name, q.Qtype)
	z.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if delay > 0 {
		time.Sleep(delay)
	}
	return spoil(m, fault, network, req.IsEdns0() != nil)
}

func (z *zone) fill(m *dns.Msg, name string, qtype uint16) {
	owner := m.Question[0].Name
	for hop := 0; hop < 20; hop++ {
		rrs, ok := z.records[name]
		if !ok && hop == 0 || !ok && !z.lazy {
			m.Rcode = dns.RcodeNameError
			m.Ns = []dns.RR{authority(name)}
			return
		}
		var alias *dns.CNAME
		for _, rr := range rrs {
			c, isAlias := rr.(*dns.CNAME)
			if rr.Header().Rrtype != qtype && !isAlias {
				continue
			}
			rr = dns.Copy(rr)
			if hop == 0 {
				rr.Header().Name = owner
			}
			m.Answer = append(m.Answer, rr)
			if isAlias {
				alias = c
			}
		}
		if alias == nil && len(m.Answer) == hop {
			m.Ns = []dns.RR{authority(name)}
		}
		if alias == nil || z.lazy {
			return
		}
		name = strings.ToLower(alias.Target)
	}
}

// authority is the SOA record of the zone that a name is in: all but its first label.
func authority(name string) dns.RR {
	labels := dns.SplitDomainName(name)
	zone := dns.Fqdn(strings.Join(labels[min(1, len(labels)-1):], "."))
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
		Ns:  "ns.example.", Mbox: "host.example.", Minttl: 60,
	}
}

// deny makes m say that there is nothing, and no more.
func deny(m *dns.Msg, rcode int) { m.Rcode, m.Answer, m.Ns = rcode, nil, nil }

// quirk reads "edns:EFFECT", "mixed:EFFECT" and "udp:EFFECT" and says whether that is what the question is.
func quirk(text, name, network string, edns bool) (applies bool, effect string) {
	when, effect, ok := strings.Cut(text, ":")
	if !ok {
		panic(fmt.Sprintf("zone: no fault %q", text))
	}
	switch when {
	case "edns":
		return edns, effect
	case "mixed":
		return name != strings.ToLower(name), effect
	case "plain":
		return name == strings.ToLower(name), effect
	}
	return network == when, effect
}

func spoil(m *dns.Msg, fault, network string, edns bool) []byte {
	switch fault {
	case "", "none":
	case "silent":
		return nil
	case "servfail-header", "refused-header", "formerr-header", "notimp-header", "nxdomain-header", "noerror-header":
		name, _, _ := strings.Cut(fault, "-")
		m.Rcode, m.Question, m.Answer, m.Ns = dns.StringToRcode[strings.ToUpper(name)], nil, nil, nil
	case "formerr-part", "servfail-part":
		name, _, _ := strings.Cut(fault, "-")
		m.Rcode, m.Answer, m.Ns = dns.StringToRcode[strings.ToUpper(name)], nil, nil
		wire, err := m.Pack()
		if err != nil {
			panic(err)
		}
		return wire[:20]
	case "badvers":
		m.Answer, m.Ns = nil, nil
		m.SetEdns0(udpSize, false)
		m.Rcode = dns.RcodeBadVers
	case "formerr":
		deny(m, dns.RcodeFormatError)
	case "notauth":
		deny(m, dns.RcodeNotAuth)
	case "servfail":
		m.Rcode, m.Answer = dns.RcodeServerFailure, nil
	case "refused":
		m.Rcode, m.Answer = dns.RcodeRefused, nil
	case "notimp":
		m.Rcode, m.Answer = dns.RcodeNotImplemented, nil
	case "formerr-edns":
		if edns {
			m.Rcode, m.Answer = dns.RcodeFormatError, nil
		}
	case "bare":
		deny(m, dns.RcodeSuccess)
	case "nosoa":
		deny(m, dns.RcodeNameError)
	case "othersoa":
		deny(m, dns.RcodeNameError)
		m.Ns = []dns.RR{authority("filter.example.")}
	case "othersoa-nodata":
		deny(m, dns.RcodeSuccess)
		m.Ns = []dns.RR{authority("filter.example.")}
	case "rootsoa":
		deny(m, dns.RcodeNameError)
		m.Ns = []dns.RR{authority("filter.")}
		m.Ns[0].Header().Name = "."
	case "nxdomain":
		deny(m, dns.RcodeNameError)
		m.Ns = []dns.RR{authority(m.Question[0].Name)}
	case "nodata":
		deny(m, dns.RcodeSuccess)
		m.Ns = []dns.RR{authority(m.Question[0].Name)}
	case "nxdomain-answers":
		m.Rcode = dns.RcodeNameError
	case "nxdomain-answers-soa":
		m.Rcode = dns.RcodeNameError
		m.Ns = []dns.RR{authority(m.Question[0].Name)}
	case "null":
		null(m)
	case "referral":
		m.Rcode, m.Answer, m.Ns = dns.RcodeSuccess, nil, nil
		m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "ns.example."}}
	case "lame":
		deny(m, dns.RcodeSuccess)
		m.RecursionAvailable = false
	case "lame-nxdomain":
		deny(m, dns.RcodeNameError)
		m.RecursionAvailable = false
	case "wrongid":
		m.Id++
	case "wrongquestion":
		m.Question[0].Name = "other.example."
	case "wrongtype":
		m.Question[0].Qtype = dns.TypeTXT
	case "noquestion":
		m.Question = nil
	case "notresponse":
		m.Response = false
	case "othername":
		for _, rr := range m.Answer {
			rr.Header().Name = "other.example."
		}
	case "foldcase":
		m.Question[0].Name = strings.ToLower(m.Question[0].Name)
	case "garbage":
		return []byte("this is no DNS message, though it is long enough to have a header")
	case "short":
		return []byte{1, 2, 3}
	case "truncated-udp", "truncated":
		if network == "udp" || fault == "truncated" {
			m.Truncated, m.Answer = true, nil
		}
	default:
		for part := range strings.SplitSeq(fault, "+") {
			if applies, effect := quirk(part, m.Question[0].Name, network, edns); applies {
				return spoil(m, effect, network, edns)
			}
		}
	}
	if network == "udp" {
		m.Truncate(udpSize)
	}
	wire, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return wire
}

// null answers as filters do: every address is nobody's.
func null(m *dns.Msg) {
	for i, rr := range m.Answer {
		switch rr.Header().Rrtype {
		case dns.TypeA:
			m.Answer[i] = &dns.A{Hdr: *rr.Header(), A: net.IPv4zero}
		case dns.TypeAAAA:
			m.Answer[i] = &dns.AAAA{Hdr: *rr.Header(), AAAA: net.IPv6zero}
		}
	}
}

// serve answers on a port of 127.0.0.1, UDP and TCP, until the test ends.
func (z *zone) serve(t testing.TB) (address string) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil {
			udp.Close()
			continue // taken by somebody else
		}
		z.run(t, &dns.Server{PacketConn: udp})
		z.run(t, &dns.Server{Listener: tcp})
		return udp.LocalAddr().String()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return ""
}

func (z *zone) run(t testing.TB, s *dns.Server) {
	t.Helper()
	started, ended := make(chan struct{}), make(chan struct{})
	s.NotifyStartedFunc = func() { close(started) }
	s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, req *dns.Msg) {
		if wire := z.reply(req, w.RemoteAddr().Network()); wire != nil {
			w.Write(wire)
		}
	})
	go func() {
		defer close(ended)
		s.ActivateAndServe()
	}()
	<-started
	t.Cleanup(func() {
		s.Shutdown()
		<-ended
	})
}

// dial connects to the zone without a socket, for tests in which time is not real and for many cases.
func (z *zone) dial(_ context.Context, network, _ string) (net.Conn, error) {
	if network == "tcp" && z.tcp == "closed" {
		return nil, syscall.ECONNREFUSED
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		wire := &dns.Conn{Conn: server}
		for {
			req, err := wire.ReadMsg()
			if err != nil {
				return
			}
			if network == "udp" && z.drop != nil && z.drop() {
				continue
			}
			if answer := z.reply(req, network); answer != nil && (network == "udp" || z.tcp != "silent") {
				if _, err := wire.Write(answer); err != nil {
					return
				}
			}
		}
	}()
	return client, nil
}

// inMemory is a Resolver that asks z without sockets.
func (z *zone) inMemory() *Resolver {
	return &Resolver{Servers: []string{"192.0.2.53:53"}, Dial: z.dial}
}

// checkLeaks fails the test if goroutines are left when everything else is cleaned up. It must come first.
func checkLeaks(t *testing.T) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(ignore); err != nil {
			t.Error(err)
		}
	})
}

const (
	googlebotAddr = "66.249.66.1"
	googlebotName = "crawl-66-249-66-1.googlebot.com"
	googlebotPTR  = "1.66.249.66.in-addr.arpa."
	googlebotZone = `
		1.66.249.66.in-addr.arpa.        3600 IN PTR crawl-66-249-66-1.googlebot.com.
		crawl-66-249-66-1.googlebot.com. 1800 IN A   66.249.66.1`
)

func reverseOf(t testing.TB, addr netip.Addr) string {
	t.Helper()
	name, err := dns.ReverseAddr(addr.Unmap().String())
	if err != nil {
		t.Fatal(err)
	}
	return name
}
