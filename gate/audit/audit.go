// Package audit answers one question: what was done, and can it be proved afterwards?
//
// A [Record] is one request and everything that led to its decision. The [Log] turns records into lines, one JSON object a
// line, and keeps its word about them:
//
//   - a refusal's line is in the file before [Log.Refusal] returns nil; until then nobody has been refused;
//   - a served request's line never makes the request wait: it goes into a bounded queue, and what does not fit is counted
//     and told by one gap line as soon as the file takes lines again;
//   - boot and seq are in every line. seq grows by one with every line that was accepted, so a missing number is a lost
//     line, or that of a refusal which was given up; a gap line says how many served requests' lines were lost;
//   - a refusal that was given up while its line was under way may leave that line behind. The request was served, and a
//     later line with the same request_id, log_unavailable, says so and counts;
//   - trouble with the file is never trouble for a request: [Log.Ready] turns false, and the gate serves.
//
// The schema is version 1. Every line has v, time (UTC), boot, seq and event; empty fields are left out. Values come from
// strangers: each is cut to its bound, invalid UTF-8 is replaced, control characters are escaped, so that one request is
// one line and one valid JSON object.
package audit

import (
	"net/netip"
	"strings"
	"time"
)

// Record is one request's line, event "decision". Text fields hold exactly what the log shows; "" is left out. Its
// zero-valued fields cost nothing in the file. Whatever a stranger may have a hand in is made safe on its way into the file.
// Proto, ALPN, Claim, the verdict's and the decision's words, RequestID and Config are the gateway's own, printable ASCII
// without quote or backslash, and are not looked at again.
type Record struct {
	Time time.Time // when the answer was complete; zero: when the line is written

	Site   string // the site's first host
	Host   string // the request's host, as decided on: lower case, without port
	Method string
	Path   string // path and query as they stood in the request; cut at 2 KiB
	Proto  string // what the client spoke: HTTP/1.0, HTTP/1.1 or HTTP/2.0; behind a CDN also HTTP/3.0, or "": not known
	ALPN   string
	SNI    string

	ClientIP netip.Addr
	Agent    string // User-Agent, cut at 512 bytes

	Claim         string // the crawler that the agent claims to be
	Verdict       string // genuine, impostor, unknown; "" where there was no claim
	VerdictSource string // cache, dns, …
	VerdictCause  string // of an unknown verdict: timeout, servfail, wait, …
	PTR           string // the reverse name that was looked at
	Verify        time.Duration

	Rule   string // the pattern that matched, or http2_crawl
	State  string
	Action string
	Reason string
	Would  string

	Status       int   // 0: the connection ended before a status was sent
	BytesOut     int64 // of the body, as handed to the protocol
	Took         time.Duration
	Origin       string // the origin's address as configured
	OriginStatus int    // 0: it never answered
	OriginTook   time.Duration
	OriginError  string // why the origin's answer is missing or incomplete: refused, timeout, reset, client_gone, client_slow, …

	RequestID string
	Config    string // the version of the rules that decided
}

// Bounds of values that strangers choose, in bytes.
const (
	maxAgent = 512
	maxPath  = 2048
	maxName  = 255 // host, SNI, reverse name: the longest name DNS knows
	maxWord  = 64  // method, protocol names
)

// Cut returns a copy that can wait: what strangers chose is no longer than the log shows it, and shares no memory with the
// request it came from. A value that was cut keeps one byte over its bound, so that the line still says so.
func (r *Record) Cut() Record {
	short := *r
	short.Path = strings.Clone(r.Path[:min(len(r.Path), maxPath+1)])
	short.Agent = strings.Clone(r.Agent[:min(len(r.Agent), maxAgent+1)])
	return short
}

// Scope says which requests get a line.
type Scope uint8

// The scopes; whatever the gate itself answers with 421 gets its line in each.
const (
	ScopeAll      Scope = iota
	ScopeCrawlers       // only requests that claim to be a crawler
)

// Fields are the members of a line that is not a decision, by name. Values are strings, numbers, booleans or slices of
// strings; keys are written in sorted order.
type Fields map[string]any

// truncate hides the client in its network, /24 or /48.
func truncate(ip netip.Addr) netip.Addr {
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	if p, err := ip.Prefix(bits); err == nil {
		return p.Addr()
	}
	return ip
}
