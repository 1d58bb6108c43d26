// Package verifytest has a DNS server for tests of programs that use package verify: a zone in which chosen addresses
// are crawlers, over sockets or in memory, with faults.
//
//	dns := verifytest.NewServer("")
//	defer dns.Close()
//	dns.AddGooglebot(netip.MustParseAddr("127.0.0.1"))
//	verifier := &verify.Verifier{Resolver: &verify.Resolver{Servers: []string{dns.Addr()}}, Wait: time.Second}
//
// It is meant for tests only: mistakes in a zone and ports that cannot be had panic, as in net/http/httptest.
package verifytest

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Server answers queries as a recursive DNS server does that knows one zone and nothing else: with the records of the
// zone, aliases followed, and otherwise with NXDOMAIN or NOERROR and an SOA record, which prove that there is nothing
// (RFC 2308 section 2). Names may be in any case; the zone may change at any time. Its methods are safe for concurrent
// use.
type Server struct {
	mu      sync.Mutex
	records map[string][]dns.RR // by owner name, lower case and fully qualified
	queries map[question]int
	fault   Fault
	addr    string // of the first socket
	closed  bool
	open    map[closer]struct{} // sockets, listeners and connections

	running sync.WaitGroup // added to under mu, before closed is set
}

// question is what a query asks for.
type question struct{ name, qtype string }

type closer interface{ Close() error }

// New returns a Server of a zone that does not listen yet; see SetZone for the form of zone.
func New(zone string) *Server {
	s := &Server{queries: map[question]int{}, open: map[closer]struct{}{}}
	s.SetZone(zone)
	return s
}

// NewServer returns a Server that listens on 127.0.0.1 over UDP and TCP. The caller should call Close.
func NewServer(zone string) *Server {
	s := New(zone)
	var err error
	for range 20 { // the port may be taken over TCP
		if err = s.Listen("127.0.0.1:0"); err == nil {
			return s
		}
	}
	panic(fmt.Sprintf("verifytest: %v", err))
}

// SetZone replaces all records. zone has one record a line in the form of RFC 1035 section 5.1, as in
//
//	1.66.249.66.in-addr.arpa.        300 IN PTR crawl-66-249-66-1.googlebot.com.
//	crawl-66-249-66-1.googlebot.com. 300 IN A   66.249.66.1
func (s *Server) SetZone(zone string) {
	records := map[string][]dns.RR{}
	for line := range strings.Lines(zone) {
		rr, err := dns.NewRR(strings.TrimSpace(line)) // nil for a blank line or a comment
		if err != nil {
			panic(fmt.Sprintf("verifytest: zone line %q: %v", line, err))
		}
		if rr != nil {
			name := canonical(rr.Header().Name)
			records[name] = append(records[name], rr)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
}

// AddGooglebot makes addr one of Googlebot's, and returns its name: the reverse name is one of Googlebot's and resolves
// back to addr.
func (s *Server) AddGooglebot(addr netip.Addr) (name string) {
	addr = addr.Unmap().WithZone("")
	name = "crawl-" + strings.NewReplacer(".", "-", ":", "-").Replace(addr.String()) + ".googlebot.com"
	s.SetPTR(addr, name)
	s.SetAddrs(name, addr)
	return name
}

// SetPTR gives addr these reverse names and no others.
func (s *Server) SetPTR(addr netip.Addr, names ...string) {
	var records []dns.RR
	owner := ReverseName(addr)
	for _, name := range names {
		records = append(records, &dns.PTR{Hdr: header(owner, dns.TypePTR), Ptr: dns.Fqdn(name)})
	}
	s.set(owner, records)
}

// SetAddrs gives name these addresses and no other records.
func (s *Server) SetAddrs(name string, addrs ...netip.Addr) {
	var records []dns.RR
	owner := canonical(name)
	for _, addr := range addrs {
		if addr.Is4() {
			records = append(records, &dns.A{Hdr: header(owner, dns.TypeA), A: addr.AsSlice()})
		} else {
			records = append(records, &dns.AAAA{Hdr: header(owner, dns.TypeAAAA), AAAA: addr.AsSlice()})
		}
	}
	s.set(owner, records)
}

func (s *Server) set(owner string, records []dns.RR) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.records, owner); len(records) > 0 {
		s.records[owner] = records
	}
}

// Queries returns how many queries came for name and recordType, as in Queries("1.66.249.66.in-addr.arpa", "PTR"),
// whatever became of them. An empty name or recordType stands for all.
func (s *Server) Queries(name, recordType string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for q, count := range s.queries {
		if (name == "" || q.name == canonical(name)) && (recordType == "" || q.qtype == recordType) {
			n += count
		}
	}
	return n
}

// ReverseName returns the name that the PTR records of addr belong to, fully qualified (RFC 1035 section 3.5, RFC 3596
// section 2.5).
func ReverseName(addr netip.Addr) string {
	name, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		panic(fmt.Sprintf("verifytest: %v", err))
	}
	return name
}

// reply is the zone's reply to a query; nil for what is no query.
func (s *Server) reply(query *dns.Msg) *dns.Msg {
	if query.Response || len(query.Question) != 1 {
		return nil
	}
	asked := query.Question[0]
	m := new(dns.Msg).SetReply(query)
	m.RecursionAvailable = true
	if opt := query.IsEdns0(); opt != nil {
		m.SetEdns0(opt.UDPSize(), false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := canonical(asked.Name)
	s.queries[question{name, dns.TypeToString[asked.Qtype]}]++
	const maxAliases = 20 // a loop ends, too
	for range maxAliases {
		alias := ""
		for _, rr := range s.records[name] {
			cname, isAlias := rr.(*dns.CNAME)
			if rr.Header().Rrtype != asked.Qtype && !isAlias {
				continue
			}
			if isAlias && rr.Header().Rrtype != asked.Qtype {
				alias = canonical(cname.Target)
			}
			rr = dns.Copy(rr)
			if name == canonical(asked.Name) {
				rr.Header().Name = asked.Name // in the case it was asked for
			}
			m.Answer = append(m.Answer, rr)
		}
		if alias == "" {
			break
		}
		name = alias
	}
	if n := len(m.Answer); n == 0 || m.Answer[n-1].Header().Rrtype != asked.Qtype {
		m.Ns = []dns.RR{soa(name)}
		if len(s.records[name]) == 0 {
			m.Rcode = dns.RcodeNameError
		}
	}
	return m
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

func header(owner string, qtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: qtype, Class: dns.ClassINET, Ttl: 300}
}

// soa is the SOA record of the zone that a name is in: all but its first label.
func soa(name string) dns.RR {
	labels := dns.SplitDomainName(name)
	zone := dns.Fqdn(strings.Join(labels[min(1, len(labels)):], "."))
	if zone == "." {
		zone = name
	}
	return &dns.SOA{Hdr: header(zone, dns.TypeSOA), Ns: "ns." + zone, Mbox: "hostmaster." + zone, Minttl: 60}
}
