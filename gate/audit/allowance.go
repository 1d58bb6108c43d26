package audit

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// What a network (/24 or /48) may cost in log. Lines of proved crawlers and events are never counted.
//
// Its lines may have 2 MiB a second, which is 4,000 to 5,000 ordinary ones, and 32 MiB at once. What goes beyond is
// left out, and a gap line says how much. An address of this machine or of a private network is no single visitor's: a
// balancer or a proxy may stand there, and so it has no bound. The line of a request whose client did not wait for its
// answer counts eight times: resets cost their sender next to nothing.
//
// Values that are longer than brief ones are paid for by who sends them. Over HTTP/2 a value that was sent once can be
// repeated for a byte; what a connection has not brought is taken from an allowance of 16 KiB a second and 256 KiB at
// once, and once that is used up, such values are written cut to their brief bounds.
const (
	lineRate, lineBurst = 2 << 20, 32 << 20
	longRate, longBurst = 16 << 10, 256 << 10
	goneWeight          = 8
)

// bounds are those of values that strangers choose, in bytes.
type bounds struct {
	method, name, path, agent int
	encoded                   bool // of what is written, not of the value: a byte may take three
}

func fullBounds() bounds {
	return bounds{method: maxWord, name: maxName, path: maxPath, agent: maxAgent}
}
func briefBounds() bounds { return bounds{method: 16, name: 64, path: 200, agent: 200, encoded: true} }

// Excess is how many bytes a record's line has beyond the brief bounds of its values, escapes included: what the client
// has to have paid for, see Unpaid. Most records have none.
func (r *Record) Excess() int {
	full, brief := fullBounds(), briefBounds()
	return beyond(r.Method, brief.method, full.method) + beyond(r.Host, brief.name, full.name) +
		beyond(r.SNI, brief.name, full.name) + beyond(r.Path, brief.path, full.path) +
		beyond(r.Agent, brief.agent, full.agent)
}

func beyond(value string, brief, full int) int {
	if len(value) <= brief/3 {
		return 0
	}
	n := min(len(value), full)
	for i := range n {
		if c := value[i]; c >= 0x80 || c < 0x20 || c == '"' || c == '\\' {
			n += 2
		}
	}
	return max(n-brief, 0)
}

// proved says that the client is the crawler it claims to be: nobody else can have such a line written.
func (r *Record) proved() bool { return r.Verdict == "genuine" }

// allowances are those of all networks. Networks share a fixed number of places, by a hash that nobody outside knows.
type allowances struct {
	seed  maphash.Seed
	began time.Time
	lines [4096]allowance
	longs [4096]allowance
}

func newAllowances() *allowances { return &allowances{seed: maphash.MakeSeed(), began: time.Now()} }

// line takes a line's bytes, and says whether they are there.
func (a *allowances) line(ip netip.Addr, at time.Time, bytes int) bool {
	return many(ip) || a.lines[a.place(ip)].take(at.Sub(a.began), bytes, lineRate, lineBurst)
}

// long takes the bytes of long values.
func (a *allowances) long(ip netip.Addr, at time.Time, bytes int) bool {
	return many(ip) || a.longs[a.place(ip)].take(at.Sub(a.began), bytes, longRate, longBurst)
}

// many says whether an address may stand for many visitors: of this machine, of a private network, or shared by a
// carrier's customers (RFC 6598).
func many(ip netip.Addr) bool {
	ip = ip.Unmap()
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10)
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || shared.Contains(ip)
}

func (a *allowances) place(ip netip.Addr) uint64 {
	bytes, known := ip.As16(), 6
	if ip.Is4() || ip.Is4In6() {
		known = 15 // ::ffff:a.b.c
	}
	return maphash.Bytes(a.seed, bytes[:known]) % uint64(len(a.lines))
}

// allowance is when, in nanoseconds, all that has been taken would have been paid off.
type allowance struct{ until atomic.Int64 }

func (a *allowance) take(now time.Duration, bytes, rate, burst int) bool {
	cost, most := nanoseconds(bytes, rate), nanoseconds(burst, rate)
	for {
		before := a.until.Load()
		start := max(before, int64(now))
		if start-int64(now) > most { // a clock was set back
			start = int64(now)
		}
		if start+cost-int64(now) > most {
			return false
		}
		if a.until.CompareAndSwap(before, start+cost) {
			return true
		}
	}
}

// nanoseconds is how long a rate takes for so many bytes.
func nanoseconds(bytes, rate int) int64 { return int64(bytes) * int64(time.Second) / int64(rate) }
