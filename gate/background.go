package gate

import (
	"sync/atomic"

	"gate421/gate/audit"
	"gate421/verify"
)

// mostWaiting bounds the records that wait for their verdicts while the DNS is silent, in bytes.
const mostWaiting = 64 << 20

// finishAfterVerdict writes the record of a claim that was served without a question asked: over HTTP/1.x, or where the
// rule allows HTTP/2. Who it was is found out now, and nobody waits. What is kept of the request until then is the
// record alone, as long as the log shows it. Beyond mostWaiting the line is written at once, without a verdict. Either
// way the guard hears of a genuine one over HTTP/1.x.
func (h *Handler) finishAfterVerdict(x *exchange) {
	record, site, claim, back := x.record.Cut(), x.record.Site, x.facts.Claim, x.client.major == 1
	rule := x.facts.Site.Rule(x.facts.Path)
	record.Rule, record.State = rule.Pattern, rule.State.String()
	held, size := new(atomic.Pointer[audit.Record]), record.Size()
	held.Store(&record)
	end := func(v verify.Result) {
		if r := held.Swap(nil); r != nil {
			h.waiting.Add(-size)
			recordVerdict(r, v)
			h.write(r)
		}
	}
	full := h.waiting.Add(size) > mostWaiting
	h.Verifier.IdentifyAsync(claim, record.ClientIP, func(v verify.Result) {
		if back && v.Verdict == verify.Genuine && h.Guard != nil {
			h.Guard.CameBack(site, claim)
		}
		end(v)
	})
	if full {
		end(verify.Result{Cause: verify.CauseBudget})
	}
}
