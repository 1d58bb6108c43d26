package verify

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gate421/verify/verifytest"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

// zone is a DNS server with faults by name; see spoil for what they are.
type zone struct {
	*verifytest.Server

	mu      sync.Mutex
	faults  map[string]string     // by lower-case name, "*" for every name
	tcp     string                // of the connections in memory: "" answers, "closed", "silent"
	drop    func() bool           // if not nil, says which queries over UDP are lost
	lazy    bool                  // aliases are not followed inside a response
	gate    chan struct{}         // if not nil, a response waits for a receive
	delay   time.Duration         // of every response
	onQuery func(question string) // if not nil, called with every "name type", under mu
}

// newZone parses records in zone file form, one a line; a line "fault NAME KIND" adds a fault.
func newZone(text string) *zone {
	z := &zone{Server: verifytest.New("")}
	z.set(text)
	z.SetFault(z.respond)
	return z
}

// set replaces all records and faults.
func (z *zone) set(text string) {
	faults, records := map[string]string{}, &strings.Builder{}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "fault" {
			faults[strings.ToLower(fields[1])] = fields[2]
		} else {
			records.WriteString(line)
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.faults = faults
	z.SetZone(records.String())
}

// fail adds a fault of every name, and a delay; "" ends the fault.
func (z *zone) fail(fault string, delay time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.faults["*"], z.delay = fault, delay
}

// count returns how often "name type" was asked for.
func (z *zone) count(question string) int {
	name, recordType, _ := strings.Cut(question, " ")
	return z.Queries(name, recordType)
}

func (z *zone) total() int { return z.Queries("", "") }

// respond is the Fault of a zone.
func (z *zone) respond(network string, query, reply []byte) []byte {
	q, m := new(dns.Msg), new(dns.Msg)
	if err := q.Unpack(query); err != nil {
		panic(err)
	}
	if err := m.Unpack(reply); err != nil {
		panic(err)
	}
	name := strings.ToLower(q.Question[0].Name)
	z.mu.Lock()
	if z.onQuery != nil {
		z.onQuery(name + " " + dns.TypeToString[q.Question[0].Qtype])
	}
	fault := cmp.Or(z.faults[name], z.faults["*"])
	gate, delay, tcp := z.gate, z.delay, z.tcp
	if alias := m.Answer; z.lazy && len(alias) > 0 && alias[0].Header().Rrtype == dns.TypeCNAME {
		m.Rcode, m.Answer, m.Ns = dns.RcodeSuccess, alias[:1], nil
	}
	z.mu.Unlock()
	if gate != nil {
		<-gate
	}
	time.Sleep(delay)
	if network == "udp" && z.drop != nil && z.drop() || network == "tcp" && tcp == "silent" {
		return nil
	}
	if fault != "" {
		m.Extra = nil
	}
	return spoil(m, fault, network, q.IsEdns0() != nil)
}

// serve answers on a port of 127.0.0.1, UDP and TCP, until the test ends.
func (z *zone) serve(t testing.TB) (address string) {
	t.Helper()
	for range 20 {
		if err := z.Listen("127.0.0.1:0"); err == nil {
			t.Cleanup(z.Close)
			return z.Addr()
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return ""
}

// dial connects to the zone without a socket, for tests in which time is not real and for many cases.
func (z *zone) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if network == "tcp" && z.tcp == "closed" {
		return nil, syscall.ECONNREFUSED
	}
	return z.Dial(ctx, network, address)
}

// inMemory is a Resolver that asks z without sockets.
func (z *zone) inMemory() *Resolver {
	return &Resolver{Servers: []string{"192.0.2.53:53"}, Dial: z.dial}
}

// TestMain fails if goroutines are left at the end.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// checkLeaks fails the test if goroutines are left when everything else is cleaned up. It must come first, and the test
// must not be parallel.
func checkLeaks(t *testing.T) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(ignore); err != nil {
			t.Error(err)
		}
	})
}

const (
	googlebotAddr = "66.249.66.1"
	googlebotName = "crawl-66-249-66-1.googlebot.com"
	googlebotPTR  = "1.66.249.66.in-addr.arpa."
	googlebotZone = `
		1.66.249.66.in-addr.arpa.        3600 IN PTR crawl-66-249-66-1.googlebot.com.
		crawl-66-249-66-1.googlebot.com. 1800 IN A   66.249.66.1`
)

func reverseOf(t testing.TB, addr netip.Addr) string {
	t.Helper()
	name, err := dns.ReverseAddr(addr.Unmap().String())
	if err != nil {
		t.Fatal(err)
	}
	return name
}
