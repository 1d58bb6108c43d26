//go:build peers

package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// trail is a gateway whose log is put to the test, and clients that remember every answer they got. No two requests
// have the same path, so that a line can be found for each answer.
type trail struct {
	*gateway

	next    atomic.Int64
	mu      sync.Mutex
	answers map[string]int // status by path, of answers that came whole
}

// layTrail starts the gateway in the test's own namespace, with a log under a name of the test's choice.
func layTrail(t *testing.T, log string, more ...string) *trail {
	t.Helper()
	g := serve(t, setup{listen: "127.0.0.1:8443", log: log, logging: more, resolver: googleZone(t).address(), wait: "10s", sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse, paths: {/kept/: allow}}
`, shop, onePage(t))})
	return &trail{gateway: g, answers: map[string]int{}}
}

// crowd visits until ctx ends or every visitor has been answered so many times; 0 is for ever. Half of the visitors are
// Googlebot, half are browsers, half come over HTTP/2. It returns when the last answer is complete.
func (tr *trail) crowd(ctx context.Context, t *testing.T, times int) {
	trusted := tr.trusted(t)
	var group sync.WaitGroup
	for i := range 12 {
		from, agent, proto := googlebot4, googlebotAgent, "HTTP/2.0"
		if i%2 == 0 {
			from, agent = "127.0.0.1", browserAgent
		}
		if i%4 < 2 {
			proto = "HTTP/1.1"
		}
		group.Go(func() {
			v := tr.visitor(trusted, from, agent, proto)
			defer v.leave()
			for n := 0; ctx.Err() == nil && (times == 0 || n < times); {
				path := fmt.Sprintf("/%d", tr.next.Add(1))
				if status, _, err := v.get(context.WithoutCancel(ctx), path); err == nil {
					n++
					tr.mu.Lock()
					tr.answers[path] = status
					tr.mu.Unlock()
				}
			}
		})
	}
	group.Wait()
}

// trailBooks are what a log says in all. Of a request that was refused and then served for want of a line, the last
// line counts.
type trailBooks struct {
	decisions map[string]record // by path
	twice     []string          // paths with two lines that both count
	torn      int               // lines that are no JSON object
	lost      int               // by gap lines
	gaps      int
	holes     int // numbers that miss in seq, beyond what gap lines say
}

func openBooks(t *testing.T, logs ...[]byte) trailBooks {
	t.Helper()
	b := trailBooks{decisions: map[string]record{}}
	requests, seqs := map[string]string{}, map[string]uint64{}
	for line := range bytes.Lines(bytes.Join(logs, nil)) {
		var r struct {
			record
			Request string `json:"request_id"`
			Boot    string `json:"boot"`
			Seq     uint64 `json:"seq"`
			Lost    uint64 `json:"lost"`
		}
		if err := json.Unmarshal(line, &r); err != nil || line[len(line)-1] != '\n' {
			b.torn++
			continue
		}
		if r.Event == "gap" {
			b.gaps++
			b.lost += int(r.Lost)
		}
		b.holes += int(r.Seq - seqs[r.Boot] - r.Lost - 1)
		seqs[r.Boot] = r.Seq
		if r.Event != "decision" {
			continue
		}
		if _, again := b.decisions[r.Path]; again && (requests[r.Path] != r.Request || r.Reason != "log_unavailable") {
			b.twice = append(b.twice, r.Path)
		}
		b.decisions[r.Path], requests[r.Path] = r.record, r.Request
	}
	return b
}

// check compares what the clients got with what the log says, and returns how many served answers have no line.
func (tr *trail) check(t *testing.T, b trailBooks) (missing int) {
	t.Helper()
	refusals, served, wrong := 0, 0, 0
	for path, status := range tr.answers {
		r, written := b.decisions[path]
		switch {
		case status == 421 && written && refused(r):
			refusals++
		case status == 421:
			wrong++
			t.Errorf("%s was answered 421 and the log says %+v", path, r)
		case status == 200 && !written:
			missing++
		case status == 200 && r.Action == "serve":
			served++
		default:
			wrong++
			t.Errorf("%s was answered %d and the log says %+v", path, status, r)
		}
		if wrong > 10 {
			t.Fatal("and so on")
		}
	}
	if refusals == 0 || served == 0 {
		t.Errorf("%d refusals and %d served: too quiet to prove anything", refusals, served)
	}
	if len(b.twice) > 0 {
		t.Errorf("%d requests have more than one line: %v", len(b.twice), b.twice[:min(len(b.twice), 5)])
	}
	if b.holes != 0 {
		t.Errorf("%d numbers miss in seq", b.holes)
	}
	spared := count(values(b.decisions), func(r record) bool { return r.Reason == "log_unavailable" })
	t.Logf("%d answers: %d of 421, each with its line; %d served with their line, %d of these for want of one; %d served without; %d gap lines tell of %d lost; %d torn lines",
		len(tr.answers), refusals, served, spared, missing, b.gaps, b.lost, b.torn)
	return missing
}

func values(index map[string]record) []record {
	all := make([]record, 0, len(index))
	for _, r := range index {
		all = append(all, r)
	}
	return all
}

// times is how often a test does what it does: the number in an environment variable, or a smaller one.
func times(t *testing.T, variable string, standard int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number", variable, text)
	}
	return n
}
