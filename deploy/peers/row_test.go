//go:build peers

package peers

import (
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	faultWait   = time.Second      // what the gateway may wait for a verdict
	faultMargin = 10 * time.Second // for a busy machine: an answer that comes later than with it hangs
	faultLasts  = 4 * time.Second  // longer than trouble is remembered
	wellWithin  = 5 * time.Second  // of the fault's end everybody's verdict is right; later is reported, and wrong after the margin
	proofLasts  = time.Minute      // a proof whose records live for less
)

// row is a gateway and what its clients saw. Requests have paths of their own, /moment/phase/number; the phases are
// before, fault, recovery and after.
type row struct {
	*gateway
	trusted *x509.CertPool

	mu      sync.Mutex
	sent    map[string]int            // statuses by path; 0: it failed
	wrong   map[string][]string       // by moment
	well    map[string]time.Duration  // by moment: from the fault's end until the genuine ones were refused
	slowest map[string]time.Duration  // by moment: the longest answer while the fault lasted
	seen    map[string]map[string]int // by moment: verdicts while the fault lasted
}

func newRow(t *testing.T, g *gateway) *row {
	return &row{gateway: g, trusted: g.trusted(t), sent: map[string]int{}, wrong: map[string][]string{},
		well: map[string]time.Duration{}, slowest: map[string]time.Duration{}, seen: map[string]map[string]int{}}
}

func (r *row) complain(moment, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong[moment] = append(r.wrong[moment], fmt.Sprintf(format, args...))
}

// ask lets the client visit over one protocol on a new connection, and returns the status.
func (r *row) ask(t *testing.T, moment, phase, from, proto string) int {
	r.mu.Lock()
	path := fmt.Sprintf("/%s/%s/%d", moment, phase, len(r.sent))
	r.sent[path] = 0
	r.mu.Unlock()
	v := r.visitor(r.trusted, from, googlebotAgent, proto)
	defer v.leave()
	status, took, err := v.get(t.Context(), path)
	if err != nil || status != 200 && status != 421 || took > faultWait+faultMargin {
		r.complain(moment, "%s from %s over %s: status %d after %v, error %v", path, from, proto, status, took, err)
	}
	if status == 421 && (proto == "HTTP/1.1" || isImpostor(from)) {
		r.complain(moment, "%s from %s over %s: 421", path, from, proto)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[path] = status
	if phase == "fault" {
		r.slowest[moment] = max(r.slowest[moment], took)
	}
	return status
}

// round lets clients visit over both protocols at once, and reports whether all genuine ones among them were refused
// over HTTP/2.
func (r *row) round(t *testing.T, moment, phase string, clients ...string) bool {
	var all sync.WaitGroup
	refused := make([]bool, len(clients))
	for i, from := range clients {
		all.Go(func() { refused[i] = r.ask(t, moment, phase, from, "HTTP/2.0") == 421 || isImpostor(from) })
		all.Go(func() { r.ask(t, moment, phase, from, "HTTP/1.1") })
	}
	all.Wait()
	for _, ok := range refused {
		if !ok {
			return false
		}
	}
	return true
}

// rounds lasts until then.
func (r *row) rounds(t *testing.T, until time.Time, moment, phase string, clients ...string) {
	for time.Now().Before(until) {
		r.round(t, moment, phase, clients...)
		time.Sleep(250 * time.Millisecond)
	}
}

// prove makes the clients known before a fault.
func (r *row) prove(t *testing.T, moment string, clients ...string) {
	for limit := time.Now().Add(patience); !r.round(t, moment, "before", clients...); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%s: %s are not proven", moment, clients)
		}
	}
}

// recover sees that the verdicts of a moment are right again after the fault has ended.
func (r *row) recover(t *testing.T, ended time.Time, moment string, clients ...string) {
	var all sync.WaitGroup
	for _, from := range clients {
		all.Go(func() {
			status := 0
			for status != 421 && time.Since(ended) < wellWithin+faultMargin {
				if status = r.ask(t, moment, "recovery", from, "HTTP/2.0"); isImpostor(from) {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.well[moment] = max(r.well[moment], time.Since(ended)-50*time.Millisecond)
		})
	}
	all.Wait()
	r.mu.Lock()
	well := r.well[moment]
	r.mu.Unlock()
	if well > wellWithin+faultMargin {
		r.complain(moment, "not well %v after the fault's end", well)
	}
	time.Sleep(time.Until(ended.Add(wellWithin)))
	r.round(t, moment, "after", clients...)
}

// play goes through all moments. The fault lasts when it begins, and has ended when it returns.
func (r *row) play(t *testing.T, f fault, n *nameservers) {
	pair := func(i int) []string { return []string{cells[i].genuine, cells[i].impostor} }
	var all sync.WaitGroup
	r.rounds(t, time.Now().Add(faultLasts), "cold", "fault", pair(0)...)
	f.end(t, n)
	ended := time.Now()
	all.Go(func() { r.recover(t, ended, "cold", pair(0)...) })
	r.prove(t, "expired", cells[2].genuine)
	over := time.Now().Add(proofLasts)
	all.Wait()

	time.Sleep(time.Until(over.Add(-faultLasts - time.Second)))
	r.prove(t, "warm", pair(1)...)
	r.prove(t, "crawl", pair(3)...)
	r.rounds(t, over.Add(-faultLasts), "crawl", "before", pair(3)...)
	f.begin(t, n)
	until := over.Add(faultLasts)
	all.Go(func() { r.rounds(t, until, "warm", "fault", pair(1)...) })
	all.Go(func() {
		r.ask(t, "expired", "fault", cells[2].impostor, "HTTP/2.0") // the trouble that is remembered is over, too, when it comes again
		time.Sleep(time.Until(over))
		r.rounds(t, until, "expired", "fault", pair(2)...)
	})
	all.Go(func() {
		r.rounds(t, over.Add(-faultLasts/2), "crawl", "fault", pair(3)...)
		r.rounds(t, until, "crawl", "fault", append(pair(3), pair(4)...)...)
	})
	all.Wait()
	f.end(t, n)
	ended = time.Now()
	for moment, clients := range map[string][]string{"warm": pair(1), "expired": pair(2), "crawl": append(pair(3), pair(4)...)} {
		all.Go(func() { r.recover(t, ended, moment, clients...) })
	}
	all.Wait()
}

// judge stops the gateway and compares its log with what the clients saw.
func (r *row) judge(t *testing.T, f fault) {
	records := map[string]record{} // the last one of a request counts: it says so if the file took a refusal's line too late
	for _, rec := range r.finish(t) {
		records[rec.Path] = rec
	}
	for path, status := range r.sent {
		rec, ok := records[path]
		part := strings.Split(path, "/")
		moment, phase := part[1], part[2]
		if !ok || rec.Status != status {
			r.complain(moment, "%s: status %d, the record: %+v", path, status, rec)
			continue
		}
		if wrong := misjudged(f, moment, phase, rec); wrong != "" {
			r.complain(moment, "%s: %s: %+v", path, wrong, rec)
		}
		if phase == "fault" {
			if r.seen[moment] == nil {
				r.seen[moment] = map[string]int{}
			}
			r.seen[moment][rec.Verdict]++
			r.seen[moment][rec.VerdictSource]++
		}
	}
	for moment, wrong := range r.wrong {
		t.Errorf("%s: %d times wrong, such as\n%s", moment, len(wrong), strings.Join(wrong[:min(len(wrong), 5)], "\n"))
	}
}

// misjudged says what is wrong with a record; "": nothing.
func misjudged(f fault, moment, phase string, rec record) string {
	right := "genuine"
	if isImpostor(rec.ClientIP) {
		right = "impostor"
	}
	newcomer := moment == "cold" || rec.ClientIP == cells[4].genuine || rec.ClientIP == cells[4].impostor || moment == "expired" && right == "impostor"
	switch {
	case rec.Claim != "googlebot":
		return "not taken for a claim"
	case rec.Verdict != right && rec.Verdict != "unknown":
		return "a wrong verdict"
	case rec.Verdict == "unknown" && rec.VerdictCause == "":
		return "unknown without a cause"
	case rec.Verdict == "unknown" && phase == "after":
		return "unknown long after the fault"
	case rec.Verdict == "unknown" && phase == "fault" && !newcomer:
		return "what was known is unknown"
	case rec.Verdict == "unknown" && phase == "fault" && f.harmless:
		return "unknown, and the DNS is well"
	case rec.Verdict == "genuine" && rec.Proto == "HTTP/2.0" && rec.Reason != "refused" && rec.Reason != "log_unavailable":
		return "not refused"
	}
	return ""
}

// summary is a cell of the table.
func (r *row) summary(moment string) string {
	seen, verdict := r.seen[moment], "ok"
	switch {
	case len(r.wrong[moment]) > 0:
		verdict = "WRONG"
	case r.well[moment] > wellWithin:
		verdict = "LATE"
	}
	return fmt.Sprintf("%-38s", fmt.Sprintf("%s %dg (%d) %di %du, %.1fs, %.1fs", verdict, seen["genuine"], seen["stale"], seen["impostor"], seen["unknown"],
		r.slowest[moment].Seconds(), r.well[moment].Seconds()))
}
