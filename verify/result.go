package verify

import (
	"fmt"
	"net/netip"
	"time"
)

// Verdict is what is known about a client that claims to be a crawler. The zero value is Unknown, the safe one.
type Verdict uint8

const (
	Unknown  Verdict = iota // not proven either way: treat the client as any other
	Impostor                // the DNS definitely denies the claim
	Genuine                 // proven by forward-confirmed reverse DNS
)

// String returns "unknown", "impostor" or "genuine", and "unknown" for any other value.
func (v Verdict) String() string {
	switch v {
	case Impostor:
		return "impostor"
	case Genuine:
		return "genuine"
	default:
		return "unknown"
	}
}

// The values of Result.Source. Published ranges are no source: they prove nothing.
const (
	SourceCache = "cache" // an earlier lookup
	SourceDNS   = "dns"   // a lookup that ended just now
	SourceStale = "stale" // an expired proof, because the lookup failed
)

// The values of Result.Cause. The first group are failures of the DNS; with the second there was no lookup or none
// ended.
const (
	CauseTimeout     = "timeout"     // no response in time
	CauseServfail    = "servfail"    // SERVFAIL
	CauseRefused     = "refused"     // REFUSED
	CauseFormErr     = "formerr"     // FORMERR or BADVERS, without EDNS(0) too
	CauseNotImp      = "notimp"      // NOTIMP, without EDNS(0) too
	CauseLame        = "lame"        // a referral instead of an answer
	CauseIndefinite  = "indefinite"  // neither records nor a proof that there are none (RFC 2308 section 2)
	CauseFiltered    = "filtered"    // a filter or a captive portal responded: the addresses are no public ones
	CauseGarbage     = "garbage"     // no DNS message, no response to the query, or one that contradicts itself
	CauseTruncated   = "truncated"   // truncated over TCP too, or TCP does not work
	CauseLoop        = "loop"        // more than 8 aliases
	CauseUnreachable = "unreachable" // the server cannot be reached or hung up
	CauseTLS         = "tls"         // the server did not prove its name (DNS over TLS)

	CauseBudget   = "budget"   // too many lookups are running and queued
	CauseWait     = "wait"     // the caller's context ended, or Verifier.Wait did while the lookup was queued
	CausePending  = "pending"  // a lookup is running and Verifier.Wait is 0
	CauseClosed   = "closed"   // the Verifier is closed
	CauseAddress  = "address"  // not a valid address
	CauseCrawler  = "crawler"  // no such crawler
	CauseResolver = "resolver" // no resolver
)

// MarshalText returns what String returns.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText accepts the three words of String and nothing else; after an error the verdict is Unknown.
func (v *Verdict) UnmarshalText(text []byte) error {
	for _, known := range []Verdict{Unknown, Impostor, Genuine} {
		if string(text) == known.String() {
			*v = known
			return nil
		}
	}
	*v = Unknown
	return fmt.Errorf("verdict %.40q: not one of unknown, impostor and genuine", text)
}

// Result is a verdict and what it rests on. The zero value is Unknown.
type Result struct {
	Verdict Verdict
	Source  string // one of the Source constants; "": there was no lookup, or it did not end in time
	Cause   string // why Unknown, one of the Cause constants; "" with the other verdicts
	Server  string // with Cause: the DNS server that had a part in it, host:port; "" if none had
	Detail  string // with Cause: what the server or the system said, a few words; "" if Cause says it all

	// PTR is the reverse name that proved the claim, else the first one considered, "" if there was none. It is in
	// lower case without a trailing dot, at most 96 bytes of letters, digits, hyphens and dots, so it is safe to log;
	// longer names, which no crawler has, and names with other bytes in them are skipped.
	PTR string

	Names   []string      // Lookup only: all reverse names considered; bytes that do not belong in a name are "?"
	Forward []netip.Addr  // Lookup only: the first 64 addresses that PTR resolved to; nil if it was not trusted
	Took    time.Duration // how long the lookup took, without its time in the queue; 0 from the cache
}

// Why returns the cause with its server and detail, as in "unreachable 192.0.2.53:53 connection refused"; "" without a
// cause.
func (r *Result) Why() string {
	why := r.Cause
	for _, more := range []string{r.Server, r.Detail} {
		if more != "" {
			why += " " + more
		}
	}
	return why
}

func (r *Result) setCause(f *failure) { r.Cause, r.Server, r.Detail = f.cause, f.server, f.detail }
