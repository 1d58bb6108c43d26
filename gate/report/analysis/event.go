package analysis

import (
	"bytes"

	"gate421/gate/report/logs"
)

// eventKind is what a record means to the report.
type eventKind uint8

const (
	crawled   eventKind = iota // a verified crawler's request
	refused                    // one that was refused
	fetched                    // one over HTTP/1.x that gave the crawler the page
	failed                     // one over HTTP/1.x that gave it an error of the server instead
	impostor                   // an impostor's request
	unknown                    // a request whose claim could be neither proved nor disproved
	changed                    // a change of a rule, or of the guard
	withdrawn                  // withdraws a refusal, and is not of the time asked for itself
)

// event is a record and what it means.
type event struct {
	logs.Record
	kind  eventKind
	http2 bool
}

// newEvent finds out what a record means to the report; ok is false if it means nothing.
func newEvent(r logs.Record) (e event, ok bool) {
	e.Record = r
	switch r.Kind() {
	case logs.RuleChange:
		e.kind = changed
		return e, true
	case logs.GuardEvent:
		e.kind = changed
		return e, r.Is(logs.FieldWhat, "tripped") || r.Is(logs.FieldWhat, "resumed")
	}
	ok = e.decision()
	if r.Outside() {
		e.kind = withdrawn
	}
	return e, ok
}

// decision sets the kind of a decision; false: it means nothing.
func (e *event) decision() bool {
	proto, claims := e.Text(logs.FieldProto), len(e.Text(logs.FieldClaim)) > 0
	e.http2 = bytes.HasPrefix(proto, []byte("HTTP/2"))
	switch {
	case e.Is(logs.FieldVerdict, "impostor"):
		e.kind = impostor
		return true
	case e.Is(logs.FieldVerdict, "unknown"):
		e.kind = unknown
		return claims
	case !claims || !e.Is(logs.FieldVerdict, "genuine"):
		return false
	case e.http2 && e.Is(logs.FieldAction, "reject"):
		return false
	case !e.http2 && !bytes.HasPrefix(proto, []byte("HTTP/1")):
		return false // HTTP/3 to a CDN, or not known: neither refused nor a come-back
	case e.http2 && e.Is(logs.FieldAction, "refuse") && e.Is(logs.FieldReason, "refused"):
		e.kind = refused
	case !e.http2 && e.Is(logs.FieldAction, "serve"):
		switch status := e.Status(); {
		case status == 0: // nobody knows what the crawler got
		case status < 500:
			e.kind = fetched
		default:
			e.kind = failed
		}
	}
	return true
}
