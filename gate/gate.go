// Package gate answers one question for every request: serve it or send the crawler away, and is it on record?
//
// It stands between the server (package front) and the origin. [Handler] gathers the facts of a request, asks package
// policy for the decision, refuses or serves, and writes exactly one record, also when the origin dies in the middle of
// a body, the client goes away or a handler panics. Nothing flows back: neither the origin nor the log nor anyone who
// watches can change a decision.
//
// Four laws hold whatever the configuration says:
//
//  1. A client that is not verified is never refused.
//  2. No 421 goes out over HTTP/1.x, and /robots.txt is never refused unless its own rule says so.
//  3. Trouble with verification never delays or blocks service beyond its budget.
//  4. No refusal without its line: the line is in the log before the first byte of the 421.
//
// # Who asks, and how
//
// The client is the connection's peer. Only where that is one of [Proxies] do headers count, and of them only the two
// that are configured: one for the client's address, one for the protocol that the client speaks to the proxy. A header
// from anyone else changes nothing.
//
// Behind a proxy the protocol of our own connection says nothing: a CDN may fetch over HTTP/1.1 what it was asked for
// over HTTP/2, and the other way round. The 421 is for the crawler, and the proxy passes it on to it (RFC 9110 section
// 15.5.20 lets a proxy make none of its own). So the second law, and the decision with it, are about what the crawler
// speaks to the proxy:
//
//   - it speaks HTTP/2: the request is decided as one over HTTP/2, whatever the proxy speaks to us;
//   - it speaks HTTP/1.x: served, http1. A come-back is counted as one;
//   - it speaks HTTP/3, the proxy does not say, says it twice or says something else: served, http1. It is no come-back.
//
// Without a header for the protocol nobody behind a proxy is ever refused. What concerns our own connection, and not
// the client's, is different there: a proxy is never told that a certificate does not cover a host, an unknown host is
// 404, and a refusal does not end the proxy's connection, which carries other clients' requests.
//
// In the record, client_ip and proto are the client's (no proto where the proxy does not say), alpn and sni are our own
// connection's.
package gate

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/audit"
	"gate421/gate/http1"
	"gate421/gate/policy"
	"gate421/verify"
)

// Live is what one version of the configuration says, immutable. A reload builds another and swaps it in whole, so that
// one request is decided and served by one version.
type Live struct {
	Policy  *policy.Policy
	Claims  *verify.Claims          // nil: nobody claims to be a crawler
	Origins map[*policy.Site]Origin // one for every site of Policy
	Version string                  // the record's config
}

// Origin serves what is not refused. Serve returns when the response is complete: the address, as configured, of the
// server that was asked last ("" if none was), its status (0 if it never responded), the time until its response began,
// and nil or an error whose text is one word for the record. An error that wraps http.ErrAbortHandler says that the
// response was cut off, so that the client's connection or stream has to be too. String stands for the origin where
// Serve has not returned.
type Origin interface {
	Serve(w http.ResponseWriter, r *http.Request) (server string, status int, timeToFirstByte time.Duration, err error)
	String() string
}

// Slot is what a request holds while its origin works on it.
type Slot interface{ Release() }

// Verifier says who a client is.
type Verifier interface {
	// Identify answers from what is known or waits for its budget.
	Identify(ctx context.Context, crawler string, addr netip.Addr) verify.Result
	// IdentifyAsync never blocks; it calls done exactly once, at once or from another goroutine.
	IdentifyAsync(crawler string, addr netip.Addr, done func(verify.Result))
}

// Log takes the records, and keeps none.
type Log interface {
	Ready() bool                 // would a refusal's line be taken?
	Decision(*audit.Record)      // never waits
	Refusal(*audit.Record) error // nil only when the line is in the file
	Event(string, audit.Fields)  // never waits
}

// Guard watches whether crawlers come back, by the names of site and crawler.
type Guard interface {
	Armed(site, crawler string) bool
	Refused(site, crawler string)
	CameBack(site, crawler string)
}

// Handler is the http.Handler that package front serves. All fields are set before the first request and not changed
// after.
type Handler struct {
	Live     *atomic.Pointer[Live]
	Verifier Verifier // nil: every verdict is unknown, nobody is refused
	Guard    Guard    // nil: no site is guarded
	Log      Log      // nil: nothing is recorded, nobody is refused
	Proxies  *Proxies // nil: nobody's headers are believed
	// Covers says whether the certificate of the request's connection covers a host. nil: it does.
	Covers func(r *http.Request, host string) bool
	// Paid says whether the request's connection has brought as many bytes as its line has beyond a brief one, and
	// takes them from what it has brought. nil: it has.
	Paid func(r *http.Request, bytes int) bool
	// Admit lets a request go on to its origin, or waits until it may; not ok: it may not, or its client has left. nil:
	// all go on.
	Admit func(*http.Request) (slot Slot, ok bool)
	// OnRecord sees every record after it went to the log; it must be quick, and must not keep or change the record.
	// nil: nobody watches.
	OnRecord func(*audit.Record)

	ids       ids
	exchanges sync.Pool    // of *exchange: the record is large, and nobody keeps it
	waiting   atomic.Int64 // bytes of records that wait for a verdict
}

// exchange is one request on its way through: what is recorded of it and what the decision needs again.
type exchange struct {
	record     audit.Record
	start      time.Time
	client     client
	facts      policy.Facts
	result     verify.Result
	identified bool
}

// ServeHTTP decides and responds. It panics with http.ErrAbortHandler where the client's stream has to be cut.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, _ := h.exchanges.Get().(*exchange)
	if x == nil {
		x = new(exchange)
	}
	h.handle(x, w, r)
	*x = exchange{}
	h.exchanges.Put(x)
}

func (h *Handler) handle(x *exchange, w http.ResponseWriter, r *http.Request) {
	x.start = time.Now()
	live := h.Live.Load()
	h.gather(x, live, r)
	// The two ways out differ in who waits for whom: a refusal's record comes before its response, every other after
	// it.
	decision := policy.Decide(x.facts, func() verify.Verdict { return h.identify(x, r.Context()) })
	if decision.Action == policy.Refuse421 {
		if h.refuse(x, decision, w, r) {
			return
		}
		x.facts.Loggable = false
		verdict := decision.Verdict
		decision = policy.Decide(x.facts, func() verify.Verdict { return verdict })
	}
	x.recordDecision(decision)
	defer h.finish(x, r)
	if decision.Action == policy.Reject {
		h.reject(x, decision, w, r)
		return
	}
	h.serve(x, live.Origins[x.facts.Site], w, r)
}

// gather collects the facts and what the record says of the request itself.
func (h *Handler) gather(x *exchange, live *Live, r *http.Request) {
	host := hostname(r.Host)
	path := http1.OriginForm(r.RequestURI)
	x.client = h.Proxies.client(r)
	h.Proxies.setForwarded(r, x.client)
	record := &x.record
	record.Host, record.Method, record.Path, record.Proto = host, r.Method, path, x.client.proto
	record.ClientIP, record.Agent, record.RequestID, record.Config = x.client.ip, r.UserAgent(), h.ids.next(), live.Version
	if r.TLS != nil {
		x.record.ALPN, x.record.SNI = r.TLS.NegotiatedProtocol, r.TLS.ServerName
	}
	x.facts = policy.Facts{
		Site:  live.Policy.Site(host),
		HTTP2: x.client.major == 2,
		Path:  path,
		Claim: live.Claims.Of(x.record.Agent),
	}
	x.record.Claim = x.facts.Claim
	if x.facts.Site == nil {
		return
	}
	x.record.Site = x.facts.Site.Name
	x.facts.Covered = !x.facts.HTTP2 || x.client.proxied || h.Covers == nil || h.Covers(r, host)
	if x.facts.Claim == "" {
		return
	}
	if x.facts.HTTP2 { // a come-back must not trip the guard that waits for it
		x.facts.Armed = h.Guard == nil || h.Guard.Armed(x.record.Site, x.facts.Claim)
		x.facts.Loggable = h.Log != nil && h.Log.Ready()
	}
}

func (h *Handler) identify(x *exchange, ctx context.Context) verify.Verdict {
	if h.Verifier == nil {
		return verify.Unknown
	}
	x.result, x.identified = h.Verifier.Identify(ctx, x.facts.Claim, x.record.ClientIP), true
	return x.result.Verdict
}

// recordDecision copies the decision into the record.
func (e *exchange) recordDecision(d policy.Decision) {
	r := &e.record
	r.Action, r.Reason = d.Action.String(), string(d.Reason)
	r.Would = ""
	if d.Would != policy.Serve {
		r.Would = d.Would.String()
	}
	if d.Rule != "" {
		r.Rule, r.State = d.Rule, d.State.String()
	}
	if e.identified {
		recordVerdict(r, e.result)
	}
}

// recordVerdict copies what verification found into the record.
func recordVerdict(r *audit.Record, v verify.Result) {
	r.Verdict, r.VerdictSource, r.VerdictCause = v.Verdict.String(), v.Source, v.Why()
	r.PTR, r.Verify = v.PTR, v.Took
}

// finish writes the record of a request that was not refused, on every way out of the handler.
func (h *Handler) finish(x *exchange, r *http.Request) {
	x.record.Time = time.Now()
	x.record.Took = x.record.Time.Sub(x.start)
	x.record.Gone = r.Context().Err() != nil
	if n := x.record.Excess(); n > 0 && h.Paid != nil {
		x.record.Unpaid = !h.Paid(r, n)
	}
	if x.identified || x.facts.Claim == "" || h.Verifier == nil || x.record.Action != policy.Serve.String() {
		h.write(&x.record)
		return
	}
	h.finishAfterVerdict(x)
}

func (h *Handler) write(r *audit.Record) {
	if h.Log != nil {
		h.Log.Decision(r)
	}
	if h.OnRecord != nil {
		h.OnRecord(r)
	}
}
