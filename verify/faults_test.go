package verify

import (
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

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

// spoil returns the message that is sent in place of m by a server with a fault, nil for silence. A fault is one of the
// words below, or one of them behind "edns:", "mixed:", "plain:", "udp:" or "tcp:" if it is only there for such
// queries; "+" joins two.
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
		m.Answer, m.Ns, m.Extra = nil, nil, nil
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
