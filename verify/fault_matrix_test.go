package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// matrixZone has a crawler in it that the hosts file of every machine knows by another name.
const matrixZone = googlebotZone + `
	1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.1.0.8.4.0.6.8.4.1.0.0.2.ip6.arpa. 600 PTR crawl-2001-4860-4801-10--1.googlebot.com.
	crawl-2001-4860-4801-10--1.googlebot.com. 600 AAAA 2001:4860:4801:10::1
	1.0.0.127.in-addr.arpa. 900 PTR crawl-127-0-0-1.googlebot.com.
	crawl-127-0-0-1.googlebot.com. 900 A 127.0.0.1

	4.3.2.1.in-addr.arpa. 300 PTR crawl-1-2-3-4.fakegooglebot.com.
	crawl-1-2-3-4.fakegooglebot.com. 300 A 1.2.3.4
	96.197.208.91.in-addr.arpa. 300 PTR crawl-66-249-66-1.googlebot.com.
	96.197.208.91.in-addr.arpa. 300 PTR host.evil.example.
	host.evil.example. 300 A 91.208.197.96
	158.227.216.95.in-addr.arpa. 300 PTR crawl-95-216-227-158.googlebot.com.`

// crawl is a Verifier, its clients and what they should be.
type crawl struct {
	t     *testing.T
	z     *zone
	v     *Verifier
	lame  bool // the second server is lame
	dead  bool // no server can be reached
	until chan struct{}

	clients map[string]Verdict
	seen    map[Verdict]int // verdicts while the fault lasted
	wrong   []string
}

func newCrawl(t *testing.T) *crawl {
	c := &crawl{t: t, z: newZone(matrixZone), seen: map[Verdict]int{}, clients: map[string]Verdict{
		googlebotAddr: Genuine, "2001:4860:4801:10::1": Genuine, "127.0.0.1": Genuine,
		"1.2.3.4": Impostor, "91.208.197.96": Impostor, "95.216.227.158": Impostor, "2001:db8::1": Impostor,
	}}
	second := newZone("fault * lame")
	c.v = &Verifier{Wait: time.Second, Resolver: &Resolver{
		Servers: []string{"192.0.2.53:53", "192.0.2.54:53"},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			switch {
			case c.dead:
				return nil, errors.New("connection refused")
			case c.lame && strings.HasPrefix(address, "192.0.2.54"):
				return second.dial(ctx, network, address)
			}
			return c.z.dial(ctx, network, address)
		},
	}}
	return c
}

// ask asks for every client once. A verdict is wrong if it is the opposite; right reports whether all are known and
// fresh.
func (c *crawl) ask() (right bool) {
	right = true
	for addr, want := range c.clients {
		got := c.v.Identify(c.t.Context(), "googlebot", netip.MustParseAddr(addr))
		if got.Verdict != want && got.Verdict != Unknown {
			c.wrong = append(c.wrong, fmt.Sprintf("%s is %s, ptr %q", addr, got.Verdict, got.PTR))
		}
		if got.Verdict == Unknown && got.Cause == "" {
			c.wrong = append(c.wrong, addr+" is unknown without a cause")
		}
		right = right && got.Verdict == want && got.Source != SourceStale
		c.seen[got.Verdict]++
	}
	return right
}

// lasts asks for as long as that.
func (c *crawl) lasts(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
		c.ask()
		time.Sleep(100 * time.Millisecond)
	}
}

// matrixFaults are the columns: what begins and, where it is not a matter of the zone, what ends.
func matrixFaults() []struct {
	name       string
	begin, end func(c *crawl)
} {
	type column = struct {
		name       string
		begin, end func(c *crawl)
	}
	always := func(fault string) func(c *crawl) { return func(c *crawl) { c.z.fail(fault, 0) } }
	// every second the first server's luck changes
	flap := func(fault string) func(c *crawl) {
		return func(c *crawl) {
			c.until = make(chan struct{})
			go func(until chan struct{}) {
				for i := 0; ; i++ {
					c.z.fail([]string{fault, ""}[i%2], 0)
					select {
					case <-time.After(700 * time.Millisecond):
					case <-until:
						return
					}
				}
			}(c.until)
		}
	}
	steady := func(c *crawl) {
		close(c.until)
		synctest.Wait()
		c.lame = false
	}
	nothing := func(*crawl) {}
	return []column{
		{"SERVFAIL", always("servfail"), nothing},
		{"REFUSED", always("refused"), nothing},
		{"no answer", always("silent"), nothing},
		{"TC", always("truncated"), nothing},
		{"garbage", always("garbage"), nothing},
		{"wrong id", always("wrongid"), nothing},
		{"wrong question", always("wrongquestion"), nothing},
		{"2 s slow", func(c *crawl) { c.z.fail("", 2*time.Second) }, nothing},
		{"flapping", flap("silent"), steady},
		{"dead at start", func(c *crawl) { c.dead = true }, func(c *crawl) { c.dead = false }},
		{"poisoned hosts", nothing, nothing}, // of the machine: it says that 127.0.0.1 is localhost
		{"lame second", func(c *crawl) { c.lame = true; flap("servfail")(c) }, steady},
	}
}

// TestFaultMatrix puts each fault at each moment between clients and the DNS. A genuine crawler is never an impostor,
// an impostor never genuine; what was known stays known; 5 seconds after its end all verdicts are right and fresh.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	if hosts, err := os.ReadFile("/etc/hosts"); err != nil || !strings.Contains(string(hosts), "127.0.0.1") {
		t.Log("the hosts file of this machine does not know 127.0.0.1, so it cannot mislead")
	}
	moments := []struct {
		name  string
		fault func(c *crawl, begin func())
		known bool // nobody is unknown while the fault lasts
	}{
		{"cold", func(c *crawl, begin func()) { begin(); c.lasts(4 * time.Second) }, false},
		{"warm", func(c *crawl, begin func()) {
			c.ask()
			begin()
			c.lasts(4 * time.Second)
		}, true},
		{"expired", func(c *crawl, begin func()) {
			c.ask()
			time.Sleep(9 * time.Minute)
			begin()
			time.Sleep(25 * time.Minute)
			c.lasts(8 * time.Second)
		}, false},
		{"during a crawl", func(c *crawl, begin func()) {
			delete(c.clients, "2001:4860:4801:10::1")
			delete(c.clients, "1.2.3.4")
			c.lasts(2 * time.Second)
			begin()
			c.lasts(2 * time.Second)
			c.clients["2001:4860:4801:10::1"], c.clients["1.2.3.4"] = Genuine, Impostor // they come while it lasts
			c.lasts(6 * time.Second)
		}, false},
	}
	cells, right := 0, 0
	table := []string{fmt.Sprintf("%-16s", "")}
	for _, m := range moments {
		table[0] += fmt.Sprintf("%-30s", m.name)
	}
	for _, fault := range matrixFaults() {
		row := fmt.Sprintf("%-16s", fault.name)
		for _, m := range moments {
			cells++
			ok := t.Run(fault.name+" "+m.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCrawl(t)
					defer c.v.Close()
					m.fault(c, func() { clear(c.seen); fault.begin(c) })
					seen := fmt.Sprintf("%dg %di %du", c.seen[Genuine], c.seen[Impostor], c.seen[Unknown])
					if m.known && c.seen[Unknown] > 0 {
						t.Errorf("while the fault lasted: got %s, want nobody unknown who was known", seen)
					}
					fault.end(c)
					c.z.fail("", 0)
					ended := time.Now()
					for !c.ask() {
						time.Sleep(50 * time.Millisecond)
						if time.Since(ended) > 5*time.Second {
							t.Fatal("5 seconds after the end: got verdicts that are wrong or stale, want all right and fresh")
						}
					}
					recovered := time.Since(ended)
					time.Sleep(2 * time.Second) // answers that are on their way
					row += fmt.Sprintf("%-30s", fmt.Sprintf("%s, well in %.1fs", seen, recovered.Seconds()))
					for _, w := range c.wrong {
						t.Error(w)
					}
				})
			})
			if ok {
				right++
			}
		}
		table = append(table, row)
	}
	t.Logf("%d of %d cells are right. Verdicts genuine, impostor, unknown while the fault lasted, and recovery:\n%s",
		right, cells, strings.Join(table, "\n"))
}

// TestFaultMatrixSockets is a corner of the matrix on real sockets. How soon all is well again is for TestFaultMatrix,
// where time is exact.
func TestFaultMatrixSockets(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	defer all.Wait()
	for _, fault := range []string{"servfail", "silent", "truncated", "garbage", "wrongid", "wrongquestion"} {
		z := newZone(googlebotZone)
		z.fail(fault, 0)
		resolver := &Resolver{Servers: []string{z.serve(t)}}
		all.Go(func() {
			v := &Verifier{Resolver: resolver, Wait: 200 * time.Millisecond}
			defer v.Close()
			genuine, impostor := netip.MustParseAddr(googlebotAddr), netip.MustParseAddr("1.2.3.4")
			for range 3 {
				for _, addr := range []netip.Addr{genuine, impostor} {
					if got := v.Identify(t.Context(), "googlebot", addr); got.Verdict != Unknown {
						t.Errorf("%s: %s is %s, want unknown", fault, addr, got.Verdict)
					}
				}
			}
			z.fail("", 0)
			for ended := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				a, b := v.Identify(t.Context(), "googlebot", genuine), v.Identify(t.Context(), "googlebot", impostor)
				if a.Verdict == Genuine && b.Verdict == Impostor {
					t.Logf("%s: well in %v", fault, time.Since(ended).Round(time.Millisecond))
					return
				}
				if a.Verdict == Impostor || b.Verdict == Genuine {
					t.Errorf("%s: got %s and %s after %v, want genuine and impostor",
						fault, a.Verdict, b.Verdict, time.Since(ended))
					return
				}
			}
		})
	}
}
