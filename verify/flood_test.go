package verify

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// mostMemory is what the package promises to stay under.
const mostMemory = 64 << 20

// heap is what is reachable now.
func heap() int64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// numbered is the address with number i of as many IPv6 networks.
func numbered(i int) netip.Addr {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint32(a[4:], uint32(i))
	return netip.AddrFrom16(a)
}

// TestFlood: FLOOD (50,000 without that variable in the environment) addresses, each of a network of its own, say
// within 100 seconds that they are Googlebot, while Googlebot crawls from addresses that have to be looked up again
// meanwhile.
func TestFlood(t *testing.T) {
	n := 50_000
	if s := os.Getenv("FLOOD"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	const ticks = 10_000 // of 10 ms
	var crawlers []netip.Addr
	text := &strings.Builder{}
	for i := range 8 {
		addr := fmt.Sprintf("66.249.66.%d", i+1)
		fmt.Fprintf(text,
			"%d.66.249.66.in-addr.arpa. 60 PTR crawl-66-249-66-%d.googlebot.com.\ncrawl-66-249-66-%d.googlebot.com. 60 A %s\n",
			i+1, i+1, i+1, addr)
		crawlers = append(crawlers, netip.MustParseAddr(addr))
	}
	before := heap()
	inBubble(t, text.String(), func(t *testing.T, z *zone, v *Verifier) {
		z.delay = 200 * time.Millisecond
		var genuine atomic.Int64
		flying := &crowd{}
		dial := v.Resolver.Dial
		v.Resolver.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			flying.add(1)
			return &countedConn{Conn: conn, open: flying}, err
		}
		var lookups []time.Time
		queries := map[string]int{}
		z.onQuery = func(question string) {
			queries[question]++
			confirms := queries[question]%2 == 0 && !strings.Contains(question, ".66.249.66.") // that there is no such name
			if strings.HasSuffix(question, " PTR") && !confirms {
				lookups = append(lookups, time.Now())
			}
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		outcomes := map[string]int{}
		asked, slowest := 0, time.Duration(0)
		for tick := range ticks {
			for i := tick * n / ticks; i < (tick+1)*n/ticks; i++ {
				all.Go(func() {
					r := v.Identify(t.Context(), "googlebot", numbered(i))
					mu.Lock()
					defer mu.Unlock()
					outcomes[r.Verdict.String()+" "+r.Cause]++
				})
			}
			all.Go(func() {
				start := time.Now()
				r := v.Identify(t.Context(), "googlebot", crawlers[tick%len(crawlers)])
				if r.Verdict == Genuine {
					genuine.Add(1)
				} else {
					t.Errorf("Googlebot is %s, cause %q; want genuine", r.Verdict, r.Cause)
				}
				mu.Lock()
				defer mu.Unlock()
				asked++
				slowest = max(slowest, time.Since(start))
			})
			time.Sleep(10 * time.Millisecond)
		}
		all.Wait()
		time.Sleep(5 * time.Second) // the queue empties
		synctest.Wait()
		grown := heap() - before
		perSecond := 0
		for i, first := 0, 0; i < len(lookups); i++ {
			for lookups[i].Sub(lookups[first]) >= time.Second {
				first++
			}
			perSecond = max(perSecond, i-first+1)
		}
		t.Logf("%d addresses: %v; %d lookups, at most %d at a time and %d within a second",
			n, outcomes, len(lookups), flying.most, perSecond)
		t.Logf("Googlebot asked %d times, genuine %d times, waited at most %v; %.1f MiB more",
			asked, genuine.Load(), slowest, float64(grown)/(1<<20))
		if flying.most > 64 || perSecond > 200 {
			t.Errorf("got %d lookups at a time and %d a second, want at most 64 and 200", flying.most, perSecond)
		}
		if genuine.Load() != ticks || outcomes["genuine "] != 0 {
			t.Errorf("got %d genuine verdicts for Googlebot, %d for others; want %d, 0",
				genuine.Load(), outcomes["genuine "], ticks)
		}
		if slowest > time.Second {
			t.Errorf("Googlebot waited %v, want at most 1 s", slowest)
		}
		if grown > mostMemory {
			t.Errorf("got %d bytes more, want at most %d", grown, mostMemory)
		}
		runtime.KeepAlive(v)
	})
}

// crowd counts who is there, and how many were at most.
type crowd struct {
	mu        sync.Mutex
	now, most int
}

func (c *crowd) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.most = max(c.most, c.now)
}

type countedConn struct {
	net.Conn
	open   *crowd
	closed atomic.Bool
}

func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.open.add(-1)
	}
	return c.Conn.Close()
}

// TestMemoryBound fills both caches with the largest entries there can be.
func TestMemoryBound(t *testing.T) {
	before := heap()
	v := &Verifier{}
	defer v.Close()
	v.start()
	name := func(i int, rest string) string {
		label := fmt.Sprintf("geo-crawl-%053d", i) // as long as a label gets
		return label + rest + strings.Repeat("x", maxCachedName-len(label)-len(rest))
	}
	for i := range maxCached {
		proof := &finding{name: name(i, ".geo.googlebot.com"), second: name(i, ".google.com"), provenByName: 1, genuine: 3}
		v.cache.put(numbered(i), &report{finding: proof, ttl: maxGenuineTTL})
		v.cache.put(numbered(i+1<<20), &report{finding: &finding{name: name(i, ".example")}, ttl: impostorTTL})
	}
	v.cache.proven.CleanUp()
	v.cache.others.CleanUp()
	grown := heap() - before
	proven, others := v.cache.proven.EstimatedSize(), v.cache.others.EstimatedSize()
	t.Logf("%d proofs and %d others in %.1f MiB", proven, others, float64(grown)/(1<<20))
	if proven < maxCached*9/10 || others < maxCached*9/10 {
		t.Errorf("got %d proofs and %d others cached, want nearly %d of each", proven, others, maxCached)
	}
	if grown > mostMemory {
		t.Errorf("got %d MiB more, want at most %d", grown>>20, mostMemory>>20)
	}
	runtime.KeepAlive(v)
}

// TestSlowFloodIsCached: strangers who come no faster than the budget are answered from memory for ten minutes
// each.
func TestSlowFloodIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newZone("")
		v := &Verifier{Resolver: z.inMemory(), Wait: time.Second}
		defer v.Close()
		for i := range 1000 {
			want(t, v.Identify(t.Context(), "googlebot", numbered(i)), Impostor, SourceDNS, "")
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(9 * time.Minute)
		for i := range 1000 {
			want(t, v.Identify(t.Context(), "googlebot", numbered(i)), Impostor, SourceCache, "")
		}
	})
}
