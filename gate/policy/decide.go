package policy

import "gate421/verify"

// Action is what is done with a request. The zero value serves.
type Action uint8

// The actions, in the log's words.
const (
	Serve     Action = iota
	Refuse421        // a verified crawler over HTTP/2 is sent back to HTTP/1.1
	Reject           // the host is not served here: 421 over HTTP/2, 404 over HTTP/1.x
)

// String gives the word of the log.
func (a Action) String() string {
	switch a {
	case Refuse421:
		return "refuse"
	case Reject:
		return "reject"
	}
	return "serve"
}

// Reason says why, in exactly the string of the log.
type Reason string

// The reasons, in the order in which Decide comes to them.
const (
	UnknownHost    Reason = "unknown_host"
	Misdirected    Reason = "misdirected"
	HTTP1          Reason = "http1"
	NoClaim        Reason = "no_claim"
	Allowed        Reason = "allowed"
	Impostor       Reason = "impostor"
	Unverified     Reason = "unverified"
	Guard          Reason = "guard"
	Observed       Reason = "observed"
	LogUnavailable Reason = "log_unavailable"
	Refused        Reason = "refused"
)

// Reasons lists every reason that Decide gives, in its order.
func Reasons() []Reason {
	return []Reason{
		UnknownHost,
		Misdirected,
		HTTP1,
		NoClaim,
		Allowed,
		Impostor,
		Unverified,
		Guard,
		Observed,
		LogUnavailable,
		Refused,
	}
}

// Facts is what is known of a request before anyone is asked. The zero value of each field is the one that serves.
type Facts struct {
	Site     *Site  // nil: the host is not configured
	HTTP2    bool   // the protocol is HTTP/2; false for HTTP/1.0 and 1.1
	Covered  bool   // this connection's certificate covers the host; looked at over HTTP/2 only
	Path     string // path and query as they stand in the request, percent-encoded
	Claim    string // the crawler that the User-Agent claims to be, "" for none
	Armed    bool   // the guard has not tripped on this site for this crawler, or the site has none
	Loggable bool   // the log can take a refusal's line
}

// Decision is what is done, why, and what it rests on.
type Decision struct {
	Action  Action
	Reason  Reason
	Would   Action         // Refuse421 where only observing or the guard kept the request from being refused
	Rule    string         // the pattern that matched, or SiteRule; "" where no rule was asked
	State   State          // of the rule; meaningless without Rule
	Verdict verify.Verdict // Unknown where nobody was asked
}

// Status is the HTTP status with which the gate itself answers, 0 where the origin answers.
func (d Decision) Status(http2 bool) int {
	switch {
	case d.Action == Serve:
		return 0
	case http2:
		return 421
	}
	return 404
}

// Decide answers in the order of the package comment. It calls identify at most once, and only where the verdict can
// matter; a nil identify is a verdict of unknown. Whatever identify does, it has to answer: Decide knows no time-out.
func Decide(f Facts, identify func() verify.Verdict) Decision {
	if f.Site == nil {
		return Decision{Action: Reject, Reason: UnknownHost}
	}
	if !f.HTTP2 {
		return Decision{Reason: HTTP1}
	}
	if !f.Covered {
		return Decision{Action: Reject, Reason: Misdirected}
	}
	if f.Claim == "" {
		return Decision{Reason: NoClaim}
	}
	rule := f.Site.Rule(f.Path)
	d := Decision{Rule: rule.Pattern, State: rule.State}
	if rule.State == Allow {
		d.Reason = Allowed
		return d
	}
	if identify != nil {
		d.Verdict = identify()
	}
	switch {
	case d.Verdict == verify.Impostor:
		d.Reason = Impostor
	case d.Verdict != verify.Genuine:
		d.Reason = Unverified
	case !f.Armed:
		d.Reason, d.Would = Guard, Refuse421
	case rule.State != Refuse:
		d.Reason, d.Would = Observed, Refuse421
	case !f.Loggable:
		d.Reason = LogUnavailable
	default:
		d.Action, d.Reason = Refuse421, Refused
	}
	return d
}
