package admin

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"gate421/gate/audit"
	"gate421/gate/visible"
)

// recent remembers the latest records that were added. All its memory is taken at once: what a stranger sends, however
// much, is copied into it up to a bound. Writers wait for each other only when they come to the same slot, one whole
// round apart.
type recent struct {
	added atomic.Uint64
	slots []slot
}

// The texts that are remembered of a record.
const (
	textSite = iota
	textHost
	textMethod
	textPath
	textProto
	textAgent
	textClaim
	textVerdict
	textCause
	textPTR
	textRule
	textAction
	textReason
	textWould
	texts
)

// slot is one record as remembered. Its texts stand one behind the other in bytes.
type slot struct {
	mu     sync.Mutex
	number uint64 // how many were added up to this one; 0: never used
	at     time.Time
	client netip.Addr
	status int
	ends   [texts]int
	bytes  []byte
}

// Bounds of the texts in bytes, ellipsis not counted.
const (
	maxWord  = 32
	maxName  = 255
	maxLong  = 512
	ellipsis = "…"
	maxSlot  = 7*(maxWord+len(ellipsis)) + 4*(maxName+len(ellipsis)) + 3*(maxLong+len(ellipsis))
)

func newRecent(size int) *recent {
	q := &recent{slots: make([]slot, size)}
	for i := range q.slots {
		q.slots[i].bytes = make([]byte, 0, maxSlot)
	}
	return q
}

func (r *recent) add(record *audit.Record, privacy audit.Privacy, at time.Time) {
	number := r.added.Add(1)
	s := &r.slots[number%uint64(len(r.slots))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if number < s.number {
		return // overtaken by a whole round
	}
	s.number, s.at, s.client, s.status = number, at, privacy.Client(record), record.Status
	s.bytes = s.bytes[:0]
	s.keep(textSite, record.Site, maxName)
	s.keep(textHost, record.Host, maxName)
	s.keep(textMethod, record.Method, maxWord)
	s.keep(textPath, privacy.Path(record), maxLong)
	s.keep(textProto, record.Proto, maxWord)
	s.keep(textAgent, record.Agent, maxLong)
	s.keep(textClaim, record.Claim, maxWord)
	s.keep(textVerdict, record.Verdict, maxWord)
	s.keep(textCause, record.VerdictCause, maxName)
	s.keep(textPTR, record.PTR, maxName)
	s.keep(textRule, record.Rule, maxLong)
	s.keep(textAction, record.Action, maxWord)
	s.keep(textReason, record.Reason, maxWord)
	s.keep(textWould, record.Would, maxWord)
}

// keep copies a text, cut between characters at its bound. Texts are kept in the order of their numbers.
func (s *slot) keep(text int, value string, bound int) {
	if len(value) <= bound {
		s.bytes = append(s.bytes, value...)
	} else {
		for back := 0; back < utf8.UTFMax && !utf8.RuneStart(value[bound]); back++ {
			bound--
		}
		s.bytes = append(append(s.bytes, value[:bound]...), ellipsis...)
	}
	s.ends[text] = len(s.bytes)
}

// memory is a remembered record, fit to be shown: its texts hold nothing that cannot be seen.
type memory struct {
	number uint64
	at     time.Time
	client netip.Addr
	status int
	text   [texts]string
}

// list is what is remembered, the latest first.
func (r *recent) list() []memory {
	var out []memory
	for i := range r.slots {
		s := &r.slots[i]
		s.mu.Lock()
		m := memory{number: s.number, at: s.at, client: s.client, status: s.status}
		start := 0
		for i, end := range s.ends {
			m.text[i] = visible.Text(string(s.bytes[start:end]))
			start = end
		}
		s.mu.Unlock()
		if m.number > 0 {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b memory) int { return int(int64(b.number - a.number)) })
	return out
}
