package verify

import (
	"slices"
	"time"

	"github.com/miekg/dns"
)

// answer is what a response says about a question, its aliases followed as far as the response leads.
type answer struct {
	kind      answerKind
	records   []dns.RR      // of the type asked for; answerRecords only
	ttl       time.Duration // the least of the records and of the aliases before them
	finalName string        // at the end of the aliases
	aliases   int           // before finalName
	server    string        // that sent the response
	cause     string        // answerNone only: a Cause constant
	detail    string        // with cause, in a few words
}

// answerKind tells what an answer is. The zero value is none.
type answerKind uint8

const (
	// answerNone: the response says nothing about the name.
	answerNone answerKind = iota
	// answerRecords: there are records of the type asked for.
	answerRecords
	// answerAlias: there are aliases, and finalName has to be asked for.
	answerAlias
	// answerNegative: there is no such name or it has no such records, and the SOA record proves that the response
	// speaks of that zone (RFC 2308 sections 2.1 and 2.2, types 1 and 2).
	answerNegative
	// answerWeakNegative: NXDOMAIN without an SOA record. It is no referral (RFC 2308 section 2.1) and must not be
	// cached as others are (section 5). Some caches and stub resolvers leave the record out; so do filters.
	answerWeakNegative
)

// negative reports whether the answer is that there are no such records.
func (a *answer) negative() bool { return a.kind == answerNegative || a.kind == answerWeakNegative }

// parseAnswer says what m, a response to the question, means. Only NOERROR and NXDOMAIN say anything about the name,
// and only if the rest of the response agrees: RFC 2308 tells how a negative answer differs from a referral, and a
// response that contradicts itself is no answer.
func parseAnswer(m *dns.Msg, name string, qtype uint16) answer {
	a := answer{ttl: maxGenuineTTL, finalName: name}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	case dns.RcodeServerFailure:
		return a.none(CauseServfail, "")
	case dns.RcodeRefused:
		return a.none(CauseRefused, "")
	case dns.RcodeFormatError:
		return a.none(CauseFormErr, "")
	case dns.RcodeNotImplemented:
		return a.none(CauseNotImp, "")
	case dns.RcodeBadVers:
		return a.none(CauseFormErr, "BADVERS")
	default:
		return a.none(CauseGarbage, dns.RcodeToString[m.Rcode])
	}
	if len(m.Question) != 1 {
		return a.none(CauseGarbage, "no question")
	}
	for {
		found, alias := selectRecords(m.Answer, a.finalName, qtype)
		for _, rr := range found {
			a.ttl = min(a.ttl, ttlOf(rr))
		}
		if len(found) > 0 {
			if m.Rcode == dns.RcodeNameError {
				return a.none(CauseGarbage, "NXDOMAIN with records")
			}
			a.kind, a.records = answerRecords, found
			return a
		}
		if alias == nil {
			break
		}
		if a.aliases++; a.aliases > maxAliases {
			return a.none(CauseLoop, "")
		}
		a.ttl = min(a.ttl, ttlOf(alias))
		a.finalName = alias.Target
	}
	return a.withoutRecords(m)
}

// withoutRecords says what a response means in which there are no records at the end of the aliases.
func (a answer) withoutRecords(m *dns.Msg) answer {
	foreign := func(rr dns.RR) bool { return !inAliasChain(rr) }
	if slices.ContainsFunc(m.Answer, foreign) || len(m.Answer) > 0 && a.aliases == 0 {
		return a.none(CauseGarbage, "records of other names")
	}
	referral, zones, ours := false, 0, false
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *dns.SOA:
			zones++
			// The root is above every name, so its record proves little; no crawler's name is missing there.
			ours = ours || rr.Hdr.Name != "." && dns.IsSubDomain(rr.Hdr.Name, a.finalName)
		case *dns.NS:
			referral = true
		}
	}
	lame := !m.Authoritative && !m.RecursionAvailable
	switch {
	case ours:
		a.kind = answerNegative
	case zones > 0:
		return a.none(CauseIndefinite, "SOA of another zone")
	case a.aliases > 0 && m.Rcode == dns.RcodeSuccess:
		a.kind = answerAlias
	case lame:
		return a.none(CauseLame, "")
	case m.Rcode == dns.RcodeNameError:
		a.kind = answerWeakNegative
	case referral:
		return a.none(CauseLame, "referral")
	default:
		return a.none(CauseIndefinite, "NOERROR without records or SOA")
	}
	return a
}

func (a answer) none(cause, detail string) answer {
	a.kind, a.cause, a.detail = answerNone, cause, detail
	return a
}

// inAliasChain reports whether a record may stand in a chain of aliases, before the records at its end.
func inAliasChain(rr dns.RR) bool {
	switch rr.Header().Rrtype {
	case dns.TypeCNAME, dns.TypeDNAME, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3:
		return true
	}
	return false
}

// selectRecords returns the records of name and qtype, or else the alias of name.
func selectRecords(rrs []dns.RR, name string, qtype uint16) (found []dns.RR, alias *dns.CNAME) {
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

// ttlOf returns a record's time to live; one with the top bit set is zero (RFC 2181 section 8).
func ttlOf(rr dns.RR) time.Duration {
	if ttl := rr.Header().Ttl; ttl < 1<<31 {
		return time.Duration(ttl) * time.Second
	}
	return 0
}
