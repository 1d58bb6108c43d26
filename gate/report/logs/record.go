package logs

import (
	"net/netip"
	"time"
)

// Kind is what a record tells of.
type Kind uint8

// The kinds of records.
const (
	Decision   Kind = iota + 1 // on a request
	RuleChange                 // event rule
	GuardEvent                 // event guard
)

// Record is one line of a log. It and its texts are valid until the next one is asked for. A record of a selection has
// its time and its line, and nothing else.
type Record struct {
	*entry
	chunk *chunk
}

// entry is a record in its chunk, without its texts.
type entry struct {
	at      int64  // nanoseconds since 1970
	request uint64 // see Record.Request
	kind    Kind
	outside bool
	status  uint16
	line    span // of a selection
	texts   [keptFields]span
}

// span is a piece of a chunk's text: of data, or of unescaped where the highest bit of start is set.
type span struct{ start, length uint32 }

const inUnescaped = 1 << 31

// At is the time of the record in nanoseconds since 1970.
func (r Record) At() int64 { return r.at }

// Time is the time of the record, UTC.
func (r Record) Time() time.Time { return instant(r.at) }

// Kind is what the record tells of.
func (r Record) Kind() Kind { return r.kind }

// Text is a field's text; empty if the record has none.
func (r Record) Text(f Field) []byte { return r.chunk.text(r.texts[f]) }

// Is says whether a field's text is want.
func (r Record) Is(f Field, want string) bool { return string(r.Text(f)) == want }

// Status is the status of the response, 0 if it is not known.
func (r Record) Status() int { return int(r.status) }

// Request identifies the request of a decision among all boots, within one reading; 0: it has no request_id.
func (r Record) Request() uint64 { return r.request }

// Withdraws says whether a decision withdraws an earlier refusal of the same request: it was served, because the log
// could not keep the refusal's line.
func (r Record) Withdraws() bool { return r.request != 0 && r.Is(FieldReason, logUnavailable) }

// Outside says that a decision is not of the time asked for: it is here only because it withdraws an earlier refusal.
func (r Record) Outside() bool { return r.outside }

// Client is the address of the client, unmapped and without zone; ok is false if there is none.
func (r Record) Client() (ip netip.Addr, ok bool) { return parseAddr(r.Text(FieldClientIP)) }

// Line is the line of the log of a record of a selection, without its end and without what a journal or a shipper has
// put around it.
func (r Record) Line() []byte { return r.chunk.text(r.line) }

// logUnavailable is the reason of a request that was served because the log could not keep the line of its refusal.
const logUnavailable = "log_unavailable"

// text is what a span holds. It is valid as long as the chunk.
func (c *chunk) text(s span) []byte {
	if s.start&inUnescaped != 0 {
		start := s.start &^ inUnescaped
		return c.unescaped[start : start+s.length]
	}
	return c.data[s.start : s.start+s.length]
}

// instant is a time in nanoseconds since 1970 as a time.Time, UTC.
func instant(at int64) time.Time { return time.Unix(0, at).UTC() }
