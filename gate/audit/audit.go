// Package audit answers one question: what was done, and can it be proved afterwards?
//
// A [Record] is one request and everything that led to its decision. The [Log] turns records into lines, one JSON
// object a line, and keeps its word about them:
//
//   - a refusal's line is in the file before [Log.Refusal] returns nil; until then nobody has been refused;
//   - a served request's line never makes the request wait: it goes into a bounded queue, and what does not fit is counted
//     and told by one gap line as soon as the file takes lines again;
//   - boot and seq are in every line. seq grows by one with every line that was accepted, so a missing number is a lost
//     line, or that of a refusal which was given up; a gap line says how many served requests' lines were lost, left out or
//     removed by age;
//   - nobody can wash others' lines away. What a network may cost is bounded, and what goes beyond is left out and counted;
//     a quarter of the queue is for lines of proved crawlers and events alone; and those are kept when files are removed by
//     their age;
//   - a refusal that was given up while its line was under way may leave that line behind. The request was served, and a
//     later line with the same request_id, log_unavailable, says so and counts;
//   - trouble with the file is never trouble for a request: [Log.Ready] turns false, and the gate serves.
//
// The schema is version 1. Every line has v, time (UTC), boot, seq and event; empty fields are left out. Values come
// from strangers: each is cut to its bound, invalid UTF-8 is replaced, control characters are escaped, so that one
// request is one line and one valid JSON object.
package audit

import (
	"net/netip"
	"strings"
	"time"
)

// Record is one request's line, event "decision". Text fields hold exactly what the log shows; "" is left out. Its
// zero-valued fields cost nothing in the file. Whatever a stranger may have a hand in is made safe on its way into the
// file. Proto, ALPN, Claim, the verdict's and the decision's words, RequestID and Config are the gateway's own,
// printable ASCII without quote or backslash, and are not looked at again.
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
	VerdictCause  string // of an unknown verdict: a word, the DNS server, more words: "unreachable 192.0.2.53:53 connection refused"
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
	OriginError  string // why the origin's answer is missing or incomplete: refused, timeout, reset, client_gone, client_slow, client_busy, …

	RequestID string
	Config    string // the version of the rules that decided

	// What follows is not in the line: it says how much of one the client has paid for.
	Gone   bool // it did not wait for the end of its answer
	Unpaid bool // it has not sent as many bytes as Excess says
}

// Bounds of values that strangers choose, in bytes.
const (
	maxAgent = 512
	maxPath  = 2048
	maxName  = 255 // host, SNI, reverse name: the longest name DNS knows
	maxWord  = 64  // method, protocol names
)

// Cut returns a copy that can wait: what strangers chose is no longer than the log shows it, and shares no memory with
// the request it came from, whose header would be held with it. A value that was cut keeps one byte over its bound, so
// that the line still says so.
func (r *Record) Cut() Record {
	short := *r
	full := fullBounds()
	for _, text := range []struct {
		value *string
		bound int
	}{
		{&short.Host, full.name}, {&short.Method, full.method}, {&short.Path, full.path}, {&short.Proto, full.method},
		{&short.ALPN, full.method}, {&short.SNI, full.name}, {&short.Agent, full.agent}, {&short.PTR, full.name},
		{&short.Origin, full.name}, {&short.OriginError, full.method},
	} {
		*text.value = strings.Clone((*text.value)[:min(len(*text.value), text.bound+1)])
	}
	return short
}

// Size is about how much memory a record that was Cut takes, in bytes.
func (r *Record) Size() int64 {
	const fixed = 700 // the Record itself, and what belongs to who holds it
	texts := len(r.Host) + len(r.Method) + len(r.Path) + len(r.SNI) +
		len(r.Agent) + len(r.PTR) + len(r.Origin) + len(r.OriginError)
	return int64(fixed + texts)
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
