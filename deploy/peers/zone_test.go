//go:build peers

package peers

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"gate421/verify/verifytest"
)

// zone is a DNS server over UDP. What is not in its records does not exist.
type zone struct {
	*verifytest.Server
	records string
}

// treatment says what is sent instead of a reply; nil: nothing. It has a goroutine of its own and may take its time.
type treatment func(query, reply []byte) []byte

// treat makes the zone treat its replies from now on; nil: it gives them as they are.
func (z *zone) treat(how treatment) {
	if how == nil {
		z.SetFault(nil)
		return
	}
	z.SetFault(func(_ string, query, reply []byte) []byte { return how(query, reply) })
}

// startZone serves the names on 127.0.0.1. An address's name leads back to it, unless leads says elsewhere.
func startZone(t *testing.T, names map[string]string, leads map[string]string) *zone {
	t.Helper()
	z := newZone(names, leads, 300)
	z.listen(t, "127.0.0.1:0")
	t.Cleanup(z.stop)
	return z
}

// newZone makes a zone whose records live for ttl seconds.
func newZone(names map[string]string, leads map[string]string, ttl int) *zone {
	var records strings.Builder
	add := func(name, address string) {
		addr, kind := netip.MustParseAddr(address), "AAAA"
		if addr.Is4() {
			kind = "A"
		}
		fmt.Fprintf(&records, "%s. %d IN %s %s\n", name, ttl, kind, addr)
	}
	for address, name := range names {
		fmt.Fprintf(&records, "%s %d IN PTR %s.\n", verifytest.ReverseName(netip.MustParseAddr(address)), ttl, name)
		if _, elsewhere := leads[name]; !elsewhere {
			add(name, address)
		}
	}
	for name, address := range leads {
		if address != "" {
			add(name, address)
		}
	}
	return &zone{records: records.String()}
}

// listen serves at an address, until stop.
func (z *zone) listen(t *testing.T, address string) {
	t.Helper()
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	z.Server = verifytest.New(z.records)
	z.ServePacket(socket)
}

func (z *zone) address() string { return z.Addr() }

// stop closes the socket: who asks from now on is told that nobody listens.
func (z *zone) stop() { z.Close() }
