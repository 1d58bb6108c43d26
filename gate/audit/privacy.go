package audit

import (
	"net/netip"
	"strings"
)

// Privacy says what of clients that claim no crawler is kept and shown, in the log and wherever else requests are
// shown. The zero value keeps everything. Crawlers, and whoever claims to be one, are never hidden: their addresses are
// the proof.
type Privacy struct {
	Truncate bool // their addresses appear as their network, /24 or /48
	NoQuery  bool // their paths appear without the query
}

// Client is the client's address as it may be kept and shown.
func (p Privacy) Client(r *Record) netip.Addr {
	if p.Truncate && r.Claim == "" {
		return network(r.ClientIP).Addr()
	}
	return r.ClientIP
}

// Path is the path as it may be kept and shown.
func (p Privacy) Path(r *Record) string {
	if p.NoQuery && r.Claim == "" {
		path, _, _ := strings.Cut(r.Path, "?")
		return path
	}
	return r.Path
}

// Network is an address or a network, of nobody who is known to claim a crawler, as it may be kept and shown.
func (p Privacy) Network(client netip.Prefix) netip.Prefix {
	if wide := network(client.Addr()); p.Truncate && wide.IsValid() && client.Bits() > wide.Bits() {
		return wide
	}
	return client
}

// network is that of an address, /24 or /48; the zero Prefix for the zero Addr.
func network(ip netip.Addr) netip.Prefix {
	bits := 48
	if ip = ip.Unmap(); ip.Is4() {
		bits = 24
	}
	prefix, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
