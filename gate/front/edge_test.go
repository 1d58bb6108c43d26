package front

import (
	"net"
	"net/netip"
	"testing"
)

// A connection that is closed while its balancer has not said yet whose it is counts for nobody.
func TestEdgeIntroducedWhenClosed(t *testing.T) {
	a := newAdmission(&Server{}, Limits{}.withDefaults())
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := &conn{Conn: ours, admission: a, counts: a.counts, accepted: func(netip.Addr) { t.Error("it was let in") }}
	a.force(c)
	c.Close()
	if c.arrive(netip.MustParseAddr("192.0.2.7")) || a.open > 0 || len(a.addresses) > 0 {
		t.Errorf("%d open, %v", a.open, a.addresses)
	}
}
