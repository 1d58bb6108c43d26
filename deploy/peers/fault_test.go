//go:build peers

package peers

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameservers are the DNS of one gateway, and the files that it finds in /etc.
type nameservers struct {
	first, second *zone // second is asked only where there is a fault of it
	address       string
	hosts         string // the path of the hosts file
	through       []string
}

// fault is a row of the matrix.
type fault struct {
	name       string
	second     bool // there is a second server
	harmless   bool // nobody's verdict is unknown
	begin, end func(t *testing.T, n *nameservers)
}

func faults() []fault {
	as := func(name string, how treatment) fault {
		return fault{name: name, begin: func(_ *testing.T, n *nameservers) { n.first.treat(how) }, end: func(_ *testing.T, n *nameservers) { n.first.treat(nil) }}
	}
	servfail := code(dnsmessage.RCodeServerFailure)
	return []fault{
		as("SERVFAIL", servfail),
		as("REFUSED", code(dnsmessage.RCodeRefused)),
		as("no answer", func(_, _ []byte) []byte { return nil }),
		as("TC without TCP", change(func(m *dnsmessage.Message) { m.Truncated, m.Answers = true, nil })),
		as("garbage", func(_, answer []byte) []byte { rand.Read(answer); return answer }),
		as("wrong id", change(func(m *dnsmessage.Message) { m.ID++ })),
		as("wrong question", change(func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("other.example.") })),
		as("2 s slow", func(_, answer []byte) []byte { time.Sleep(2 * time.Second); return answer }),
		{name: "flapping", begin: func(_ *testing.T, n *nameservers) { n.first.treat(flap(func(_, _ []byte) []byte { return nil })) },
			end: func(_ *testing.T, n *nameservers) { n.first.treat(nil) }},
		{name: "dead at start", begin: func(_ *testing.T, n *nameservers) { n.first.stop() },
			end: func(t *testing.T, n *nameservers) { n.first.listen(t, n.address) }},
		{name: "poisoned hosts", harmless: true, begin: func(t *testing.T, n *nameservers) { write(t, n.hosts, poison()) },
			end: func(t *testing.T, n *nameservers) { write(t, n.hosts, nil) }},
		{name: "lame second", second: true, begin: func(_ *testing.T, n *nameservers) { n.first.treat(flap(servfail)); n.second.treat(change(lame)) },
			end: func(_ *testing.T, n *nameservers) { n.first.treat(nil); n.second.treat(nil) }},
	}
}

// change treats an answer as a message.
func change(how func(m *dnsmessage.Message)) treatment {
	return func(_, answer []byte) []byte {
		var m dnsmessage.Message
		if m.Unpack(answer) != nil {
			return nil
		}
		how(&m)
		packed, _ := m.Pack()
		return packed
	}
}

func code(c dnsmessage.RCode) treatment {
	return change(func(m *dnsmessage.Message) { m.RCode, m.Answers = c, nil })
}

// lame is what a server says that does not know and does not ask.
func lame(m *dnsmessage.Message) { m.RCode, m.Answers, m.RecursionAvailable = 0, nil, false }

// flap is well every other 700 ms, beginning with the trouble.
func flap(how treatment) treatment {
	began := time.Now()
	return func(query, answer []byte) []byte {
		if time.Since(began)/(700*time.Millisecond)%2 == 1 {
			return answer
		}
		return how(query, answer)
	}
}

// The cells of a row: each has a genuine crawler and an impostor of its own, whose reverse name leads to the crawler.
var cells = []struct{ moment, genuine, impostor string }{
	{"cold", "66.249.66.10", "127.0.2.10"},
	{"warm", "66.249.66.11", "127.0.2.11"},
	{"expired", "66.249.66.12", "127.0.2.12"},
	{"crawl", "66.249.66.13", "127.0.2.13"},
	{"crawl", googlebot6, "127.0.2.14"}, // they join while the fault lasts
}

// faultNames are the reverse names of all cells.
func faultNames() (names, leads map[string]string) {
	names, leads = map[string]string{}, map[string]string{}
	for _, c := range cells {
		name := "crawl-" + strings.NewReplacer(".", "-", ":", "-").Replace(c.genuine) + ".googlebot.com"
		names[c.genuine], names[c.impostor], leads[name] = name, name, c.genuine
	}
	return names, leads
}

// poison is a hosts file in which crawlers and impostors have changed their names.
func poison() []byte {
	var b []byte
	for i, c := range cells {
		b = fmt.Appendf(b, "%s host-%d.evil.example\n%s crawl-66-249-66-%d.googlebot.com\n", c.genuine, i, c.impostor, 100+i)
	}
	return b
}

// serveNames starts the DNS servers of row i, port 53 each, and writes the files that name them. The gateway of that
// row sees these files in /etc, in a mount namespace of its own.
func serveNames(t *testing.T, i int, second bool) *nameservers {
	t.Helper()
	dir := folder(t)
	names, leads := faultNames()
	n := &nameservers{address: fmt.Sprintf("127.1.%d.1:53", i), hosts: write(t, dir+"/hosts", nil)}
	config := fmt.Sprintf("nameserver 127.1.%d.1\n", i)
	begin := func(address string) *zone {
		z := newZone(names, leads, 1) // the gateway keeps a proof for a minute at least
		z.listen(t, address)
		t.Cleanup(z.stop)
		return z
	}
	n.first = begin(n.address)
	if second {
		n.second = begin(fmt.Sprintf("127.1.%d.2:53", i))
		config += fmt.Sprintf("nameserver 127.1.%d.2\n", i)
	}
	n.through = []string{tool(t, "unshare", fromUtilLinux), "--mount", "sh", "-ec", `mount --bind "$1" /etc/hosts; mount --bind "$2" /etc/resolv.conf; shift 2; exec "$@"`,
		"sh", n.hosts, write(t, dir+"/resolv.conf", []byte(config))}
	return n
}

// Fault matrix: each fault of the DNS at each moment, between the real program and its clients. While it lasts nobody
// gets a wrong verdict, no request fails or waits for longer than it may, no impostor and nobody over HTTP/1.1 gets
// 421; five seconds after its end every verdict is right again.
//
// A row is one gateway. It starts while the fault lasts, and that is the cold moment. A minute later the fault comes
// back: for the proof that is over by then, the one that was made just before, and the crawl that is under way. A
// definite no lives for ten minutes and is not waited for here; package verify does so with a clock of its own.
func TestFaultMatrix(t *testing.T) {
	if !inside(t) {
		return
	}
	origin := onePage(t)
	rows := faults()
	table := make([]string, len(rows))
	var right, late atomic.Int64
	t.Run("faults", func(t *testing.T) {
		for i, f := range rows {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				n := serveNames(t, i, f.second)
				f.begin(t, n)
				r := newRow(t, serve(t, setup{listen: ":0", resolver: "system", wait: faultWait.String(), through: n.through, sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse}
`, shop, origin)}))
				r.play(t, f, n)
				r.judge(t, f)
				line := fmt.Sprintf("%-16s", f.name)
				for _, m := range []string{"cold", "warm", "expired", "crawl"} {
					if len(r.wrong[m]) == 0 {
						right.Add(1)
					}
					if r.well[m] > wellWithin {
						late.Add(1)
					}
					line += r.summary(m)
				}
				table[i] = line
			})
		}
	})
	t.Logf("%d of %d cells are right, %d of them well later than %v after the fault. Verdicts genuine (stale of them), impostor, unknown over both protocols while the fault lasted, longest answer, genuine again after its end:\n%-16s%-38s%-38s%-38s%s\n%s",
		right.Load(), 4*len(rows), late.Load(), wellWithin, "", "cold", "warm", "expired", "during a crawl", strings.Join(table, "\n"))
	if right.Load() != int64(4*len(rows)) {
		t.Error("not all cells are right")
	}
}

func isImpostor(address string) bool { return netip.MustParseAddr(address).IsLoopback() }
