package front

import (
	"net"
	"net/netip"
	"testing"
)

// A connection that is closed while its balancer has not said yet whose it is counts for nobody.
func TestEdgeIntroducedWhenClosed(t *testing.T) {
	y := (&Server{}).yard(Limits{}.withDefaults())
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := &conn{Conn: ours, yard: y, counts: y.counts, extra: true, accepted: func(netip.Addr) { t.Error("it was let in") }}
	c.Close()
	if c.arrive(netip.MustParseAddr("192.0.2.7")) || len(y.open) > 0 {
		t.Errorf("open: %v", y.open)
	}
}
