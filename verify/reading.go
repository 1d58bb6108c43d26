package verify

import (
	"slices"
	"time"

	"github.com/miekg/dns"
)

// reading is what a response says about a question, its aliases followed as far as the response leads.
type reading struct {
	kind    readingKind
	records []dns.RR      // of the type asked for; readingRecords only
	ttl     time.Duration // the least of records and of the aliases that led there
	end     string        // the name at which the aliases end
	aliases int           // that led there
	server  string        // that responded
	cause   string        // readingNothing only: a Cause constant
	detail  string        // with cause, in few words
}

// readingKind is what kind of an answer a response is.
type readingKind uint8

const (
	// readingNothing: it says nothing about the name.
	readingNothing readingKind = iota
	// readingRecords: it has records of the type asked for.
	readingRecords
	// readingAlias: it has aliases, and the name at their end is to be asked for.
	readingAlias
	// readingNo: there is no such name or it has no such records, and the record of the zone's authority proves that
	// the response speaks of that zone (RFC 2308 sections 2.1 and 2.2, types 1 and 2).
	readingNo
	// readingWeakNo: NXDOMAIN without an SOA record. It is no referral (RFC 2308 section 2.1) and must not be
	// remembered as others are (section 5). Some caches and stub resolvers leave the record out; so do filters.
	readingWeakNo
)

// no reports whether the reading says that there are no such records.
func (r *reading) no() bool { return r.kind == readingNo || r.kind == readingWeakNo }

// read says what m, a response to the question, means. Nothing but NOERROR and NXDOMAIN says anything about the name,
// and these only if the rest of the response agrees: RFC 2308 has rules for telling "no" from a referral, and a
// response that contradicts itself is none.
func read(m *dns.Msg, name string, qtype uint16) reading {
	r := reading{ttl: genuineMost, end: name}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	case dns.RcodeServerFailure:
		return r.nothing(CauseServfail, "")
	case dns.RcodeRefused:
		return r.nothing(CauseRefused, "")
	case dns.RcodeFormatError:
		return r.nothing(CauseFormErr, "")
	case dns.RcodeNotImplemented:
		return r.nothing(CauseNotImp, "")
	case dns.RcodeBadVers:
		return r.nothing(CauseFormErr, "BADVERS")
	default:
		return r.nothing(CauseGarbage, dns.RcodeToString[m.Rcode])
	}
	if len(m.Question) != 1 {
		return r.nothing(CauseGarbage, "no question")
	}
	for {
		found, alias := pick(m.Answer, r.end, qtype)
		for _, rr := range found {
			r.ttl = min(r.ttl, ttlOf(rr))
		}
		if len(found) > 0 {
			if m.Rcode == dns.RcodeNameError {
				return r.nothing(CauseGarbage, "NXDOMAIN with records")
			}
			r.kind, r.records = readingRecords, found
			return r
		}
		if alias == nil {
			break
		}
		if r.aliases++; r.aliases > mostAliases {
			return r.nothing(CauseLoop, "")
		}
		r.ttl = min(r.ttl, ttlOf(alias))
		r.end = alias.Target
	}
	return r.without(m)
}

// without says what a response means in which the aliases end and no records are.
func (r reading) without(m *dns.Msg) reading {
	if slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return !leads(rr) }) || len(m.Answer) > 0 && r.aliases == 0 {
		return r.nothing(CauseGarbage, "records of other names")
	}
	referral, zones, ours := false, 0, false
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *dns.SOA:
			zones++
			// The root is above every name, so its record says little; no crawler's name is missing there.
			ours = ours || rr.Hdr.Name != "." && dns.IsSubDomain(rr.Hdr.Name, r.end)
		case *dns.NS:
			referral = true
		}
	}
	unaware := !m.Authoritative && !m.RecursionAvailable
	switch {
	case ours:
		r.kind = readingNo
	case zones > 0:
		return r.nothing(CauseIndefinite, "SOA of another zone")
	case r.aliases > 0 && m.Rcode == dns.RcodeSuccess:
		r.kind = readingAlias
	case unaware:
		return r.nothing(CauseLame, "")
	case m.Rcode == dns.RcodeNameError:
		r.kind = readingWeakNo
	case referral:
		return r.nothing(CauseLame, "referral")
	default:
		return r.nothing(CauseIndefinite, "NOERROR without records or SOA")
	}
	return r
}

func (r reading) nothing(cause, detail string) reading {
	r.kind, r.cause, r.detail = readingNothing, cause, detail
	return r
}

// leads reports whether a record belongs to a chain of aliases and not to its end.
func leads(rr dns.RR) bool {
	switch rr.Header().Rrtype {
	case dns.TypeCNAME, dns.TypeDNAME, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
		return true
	}
	return false
}

// pick returns the records of name and type, or else the alias of name.
func pick(rrs []dns.RR, name string, qtype uint16) (found []dns.RR, alias *dns.CNAME) {
	for _, rr := range rrs {
		h := rr.Header()
		if h.Class != dns.ClassINET || !sameName(h.Name, name) {
			continue
		}
		if h.Rrtype == qtype {
			found = append(found, rr)
		} else if cname, ok := rr.(*dns.CNAME); ok && alias == nil {
			alias = cname
		}
	}
	return found, alias
}

// ttlOf reads a time to live; one with the top bit set is zero (RFC 2181 section 8).
func ttlOf(rr dns.RR) time.Duration {
	if ttl := rr.Header().Ttl; ttl < 1<<31 {
		return time.Duration(ttl) * time.Second
	}
	return 0
}
