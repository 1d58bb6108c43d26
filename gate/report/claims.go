package report

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Bounds of what strangers can make a report hold.
const (
	maxNetworks = 100_000
	maxCauses   = 100
)

// claims counts requests of clients that claim to be a crawler and were not proved to be: impostors by network, and those
// that could neither be proved nor disproved by cause. It is used by one goroutine.
type claims struct {
	networks map[netip.Prefix]*Network // the invalid prefix is all that have none of their own
	causes   map[string]*Cause
	private  Private
	latest   netip.Prefix // of private
}

func newClaims() *claims {
	return &claims{networks: map[netip.Prefix]*Network{}, causes: map[string]*Cause{}}
}

// network is the /24 or /48 of a client; the invalid one if the text is no address.
func network(client []byte) netip.Prefix {
	ip, ok := address(client)
	if !ok {
		return netip.Prefix{}
	}
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	p, _ := ip.Prefix(bits)
	return p
}

// count counts a claim, proved or not.
func (c *claims) count(k *chunk, e *event) {
	c.private.Claims++
	if e.what != posed && e.what != unproved {
		return
	}
	if p := network(k.text(e.client)); private(p.Addr()) {
		c.private.Requests++
		if c.latest != p {
			c.latest, c.private.Network = p, p.String()
		}
	}
}

// private says whether nobody on the internet has an address.
func private(ip netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || shared.Contains(ip)
}

func (c *claims) impostor(k *chunk, e *event) {
	p := network(k.text(e.client))
	n := c.networks[p]
	if n == nil {
		if len(c.networks) >= maxNetworks {
			p = netip.Prefix{}
		}
		if n = c.networks[p]; n == nil {
			n = &Network{First: instant(e.at), Last: instant(e.at)}
			if p.IsValid() {
				n.Network = p.String()
			}
			c.networks[p] = n
		}
	}
	n.Requests++
	if e.http2 {
		n.HTTP2++
	}
	update(&n.Crawler, k.text(e.claim))
	if e.ptr.length > 0 {
		update(&n.PTR, k.text(e.ptr))
	}
	if at := instant(e.at); at.Before(n.First) {
		n.First = at
	} else if at.After(n.Last) {
		n.Last = at
	}
}

// update sets a text, and copies only one that differs.
func update(to *string, text []byte) {
	if *to != string(text) {
		*to = string(text[:min(len(text), maxText)])
	}
}

func (c *claims) unknown(k *chunk, e *event) {
	name := k.text(e.cause)
	if len(name) == 0 {
		name = []byte("unspecified")
	}
	cause := c.causes[string(name)]
	if cause == nil {
		if len(c.causes) >= maxCauses || len(name) > maxText {
			name = []byte("other")
		}
		if cause = c.causes[string(name)]; cause == nil {
			cause = &Cause{Cause: string(name)}
			c.causes[cause.Cause] = cause
		}
	}
	cause.Requests++
	if e.http2 {
		cause.HTTP2++
	}
}

func (c *claims) report(r *Report) {
	r.Impostors, r.Unknown, r.Private = []Network{}, []Cause{}, c.private
	for _, n := range c.networks {
		r.Impostors = append(r.Impostors, *n)
	}
	slices.SortFunc(r.Impostors, func(a, b Network) int {
		if (a.Network == "") != (b.Network == "") {
			return -strings.Compare(a.Network, b.Network)
		}
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Network, b.Network))
	})
	for _, u := range c.causes {
		r.Unknown = append(r.Unknown, *u)
	}
	slices.SortFunc(r.Unknown, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Cause, b.Cause))
	})
}
