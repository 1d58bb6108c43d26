//go:build peers

package peers

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// strangers is a network of which every /64 has one client.
var strangers = netip.MustParsePrefix("2001:db8::/32")

// stranger is the client with number i.
func stranger(i int) string {
	a := strangers.Addr().As16()
	binary.BigEndian.PutUint32(a[4:], uint32(i))
	a[15] = 1
	return netip.AddrFrom16(a).String()
}

// lookups counts what reaches a DNS server: the questions for reverse names. Each name is looked up once, so a second
// question for it is a retry of the same lookup.
type lookups struct {
	takes time.Duration // that a question waits for its answer

	mu            sync.Mutex
	known         map[string]bool
	now, most     int // questions that wait
	starts        []time.Time
	retries       int
	sockets, open int // the gateway's sockets that lead to the server: how often counted, and how many at most
}

// treat is the treatment of a zone.
func (l *lookups) treat(query, answer []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 || m.Questions[0].Type != dnsmessage.TypePTR {
		return answer
	}
	name := strings.ToLower(m.Questions[0].Name.String())
	l.mu.Lock()
	if l.known[name] {
		l.retries++
	} else {
		l.starts = append(l.starts, time.Now())
	}
	l.known[name] = true
	l.now++
	l.most = max(l.most, l.now)
	l.mu.Unlock()
	time.Sleep(l.takes)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	return answer
}

// look counts the sockets of the namespace that are connected to the server: a lookup has one at a time. The server
// cannot know of a question that it still has before it that whoever asked has given up.
func (l *lookups) look(t *testing.T, z *zone) {
	server := fmt.Sprintf(" 0100007F:%04X ", netip.MustParseAddrPort(z.address()).Port())
	n := strings.Count(string(read(t, "/proc/net/udp")), server) - 1 // its own
	l.sockets++
	l.open = max(l.open, n)
}

// perSecond is how many started within any second, at most.
func (l *lookups) perSecond() int {
	most, first := 0, 0
	for i, start := range l.starts {
		for start.Sub(l.starts[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// resident is what a process holds of the memory, in bytes.
func (p *process) resident(t *testing.T) int64 {
	t.Helper()
	for line := range strings.Lines(string(read(t, fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)))) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("%s has no resident memory", p.name)
	return 0
}

// crowd is many strangers' visits, and what those felt who visit meanwhile.
type crowd struct {
	statuses map[string]int // how often, by protocol and status or error
	browser  []time.Duration
	most     int64 // memory that the gateway held, in bytes
	took     time.Duration
	genuine  map[int]int // statuses of the real Googlebot, if it came
}

func (c *crowd) percentile(p float64) time.Duration {
	slices.Sort(c.browser)
	return c.browser[int(p*float64(len(c.browser)-1))]
}

// crowd lets n strangers come from number first on, 64 at a time, each on a connection of its own and with one request,
// every eighth one over HTTP/2: of those many wait for a verdict. A browser on a connection of its own, and Googlebot
// if it crawls, come all the while.
func (g *gateway) crowd(t *testing.T, first, n int, agent string, crawls bool, watch func()) *crowd {
	t.Helper()
	trusted := g.trusted(t)
	c := &crowd{statuses: map[string]int{}, genuine: map[int]int{}}
	var mu sync.Mutex
	var visits, others sync.WaitGroup
	next, over, began := make(chan int), make(chan struct{}), time.Now()
	// meanwhile does something again and again.
	meanwhile := func(pause time.Duration, do func(i int)) {
		others.Go(func() {
			for i := 0; ; i++ {
				do(i)
				select {
				case <-over:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	for range 64 {
		visits.Go(func() {
			for i := range next {
				proto := "HTTP/1.1"
				if i%8 == 0 {
					proto = "HTTP/2.0"
				}
				v := g.visitor(trusted, stranger(i), agent, proto)
				status, took, err := v.get(t.Context(), fmt.Sprintf("/stranger/%d", i))
				v.leave()
				said := fmt.Sprintf("%s: %d", proto, status)
				if err != nil {
					said = fmt.Sprintf("%s: no answer", proto)
					t.Errorf("a stranger over %s after %v: %v", proto, took, err)
				}
				mu.Lock()
				c.statuses[said]++
				mu.Unlock()
			}
		})
	}
	browser := g.visitor(trusted, "127.0.0.1", browserAgent, "HTTP/2.0")
	defer browser.leave()
	meanwhile(5*time.Millisecond, func(i int) {
		status, took, err := browser.get(t.Context(), fmt.Sprintf("/browser/%d/%d", first, i))
		if status != 200 || err != nil {
			t.Errorf("the browser: status %d, error %v", status, err)
		}
		c.browser = append(c.browser, took)
	})
	meanwhile(50*time.Millisecond, func(int) { c.most = max(c.most, g.resident(t)) })
	meanwhile(10*time.Millisecond, func(int) { watch() })
	if crawls {
		meanwhile(50*time.Millisecond, func(i int) {
			v := g.visitor(trusted, googlebot6, googlebotAgent, "HTTP/2.0")
			defer v.leave()
			status, _, err := v.get(t.Context(), fmt.Sprintf("/googlebot/%d", i))
			if err != nil {
				t.Errorf("Googlebot: %v", err)
			}
			c.genuine[status]++
		})
	}
	for i := range n {
		next <- first + i
	}
	close(next)
	visits.Wait()
	close(over)
	others.Wait()
	c.took = time.Since(began)
	return c
}

// A flood of claims, FLOOD_SOCKETS of them (2,000 without that variable in the environment), each from a network of its
// own, while Googlebot crawls: it is always refused, nobody else is, the DNS sees no more than the budget, memory stays
// bounded. What a browser feels is compared with as many connections of other browsers; it is reported and not
// required.
func TestFloodOfClaims(t *testing.T) {
	if !inside(t) {
		return
	}
	const mostGrowth = 128 << 20
	n := 2000
	if s := os.Getenv("FLOOD_SOCKETS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	output(t, tool(t, "ip", fromIproute), "-6", "route", "add", "local", strangers.String(), "dev", "lo")
	z, seen := googleZone(t), &lookups{takes: 300 * time.Millisecond, known: map[string]bool{}}
	z.treat(seen.treat)
	g := serveShop(t, z, "1s", "")

	quiet := g.crowd(t, 1<<24, n, browserAgent, false, func() {})
	before := g.resident(t)
	flood := g.crowd(t, 0, n, googlebotAgent, true, func() { seen.look(t, z) })
	records := g.finish(t)
	z.stop()

	verdicts, real := map[string]int{}, map[string]int{}
	for _, r := range records {
		switch {
		case r.ClientIP == googlebot6:
			real[r.Verdict+" "+r.Reason]++
			if r.Verdict != "genuine" || r.Reason != "refused" && r.Reason != "log_unavailable" {
				t.Errorf("the real Googlebot: %+v", r)
			}
		case r.Agent == googlebotAgent:
			verdicts[strings.TrimSpace(r.Verdict+" "+r.VerdictCause)]++
			if r.Verdict == "genuine" || r.Action != "serve" || r.Status != 200 || r.Verdict == "unknown" && r.VerdictCause == "" {
				t.Errorf("a claim: %+v", r)
			}
		case !served(r):
			t.Errorf("a browser: %+v", r)
		}
	}
	t.Logf("%d browsers in %v: %v; then %d claims in %v: %v, verdicts %v", n, quiet.took.Round(time.Millisecond), quiet.statuses, n, flood.took.Round(time.Millisecond), flood.statuses, verdicts)
	t.Logf("the real Googlebot: by status %v, records %v", flood.genuine, real)
	t.Logf("the DNS saw %d lookups and %d retries, at most %d questions at a time and %d lookups within a second; the gateway had at most %d open (looked %d times)",
		len(seen.starts), seen.retries, seen.most, seen.perSecond(), seen.open, seen.sockets)
	t.Logf("resident memory %.1f MiB before the flood, at most %.1f MiB in it", float64(before)/(1<<20), float64(flood.most)/(1<<20))
	for _, p := range []float64{0.5, 0.9, 0.99} {
		t.Logf("a browser's p%.0f: %v among browsers, %v in the flood", 100*p, quiet.percentile(p).Round(10*time.Microsecond), flood.percentile(p).Round(10*time.Microsecond))
	}
	for _, c := range []*crowd{quiet, flood} {
		if over2 := (n + 7) / 8; c.statuses["HTTP/2.0: 200"] != over2 || c.statuses["HTTP/1.1: 200"] != n-over2 {
			t.Errorf("not every stranger was served: %v", c.statuses)
		}
	}
	crawled := 0
	for _, times := range real {
		crawled += times
	}
	if crawled == 0 || flood.genuine[421] < crawled/2 || flood.genuine[421]+flood.genuine[200] != crawled || flood.genuine[200] != real["genuine log_unavailable"] {
		t.Errorf("the real Googlebot got %v, on record is %v", flood.genuine, real)
	}
	// Each of 64 lookups at a time has three attempts of its own, whose sockets stay open for a late answer, and 32
	// more are for all.
	if seen.open > 64*3+32 || seen.most > 64 && seen.retries == 0 || seen.perSecond() > 200 {
		t.Error("the DNS saw more than the budget")
	}
	if flood.most-before > mostGrowth {
		t.Errorf("memory grew by more than %d MiB", mostGrowth>>20)
	}
}
