package analysis

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"gate421/gate/report/logs"
)

// Bounds of what strangers can make a report hold.
const (
	maxNetworks = 100_000
	maxCauses   = 100
)

// claims counts requests of clients that claim to be a crawler and were not proved to be one: impostors by network, and
// those whose claim could be neither proved nor disproved, by cause. One goroutine uses it.
type claims struct {
	networks      map[netip.Prefix]*Network // the invalid prefix stands for all that have no entry of their own
	causes        map[string]*Cause
	private       PrivateClaims
	latestPrivate netip.Prefix
}

func newClaims() *claims {
	return &claims{networks: map[netip.Prefix]*Network{}, causes: map[string]*Cause{}}
}

// networkOf is the /24 or /48 of the client of an event; the invalid one if it has no address.
func networkOf(e *event) netip.Prefix {
	ip, ok := e.Client()
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

// addClaim counts a claim, proved or not.
func (c *claims) addClaim(e *event) {
	c.private.Claims++
	if e.kind != impostor && e.kind != unknown {
		return
	}
	if p := networkOf(e); isPrivate(p.Addr()) {
		c.private.Requests++
		if c.latestPrivate != p {
			c.latestPrivate, c.private.Network = p, p.String()
		}
	}
}

// isPrivate says whether nobody on the internet has an address.
func isPrivate(ip netip.Addr) bool {
	shared := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) // RFC 6598
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || shared.Contains(ip)
}

func (c *claims) addImpostor(e *event) {
	p := networkOf(e)
	n := c.networks[p]
	if n == nil {
		if len(c.networks) >= maxNetworks {
			p = netip.Prefix{}
		}
		if n = c.networks[p]; n == nil {
			n = &Network{First: instant(e.At()), Last: instant(e.At())}
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
	setText(&n.Crawler, e.Text(logs.FieldClaim))
	if ptr := e.Text(logs.FieldPTR); len(ptr) > 0 {
		setText(&n.PTR, ptr)
	}
	if at := instant(e.At()); at.Before(n.First) {
		n.First = at
	} else if at.After(n.Last) {
		n.Last = at
	}
}

// setText sets a text, and copies only one that differs.
func setText(to *string, text []byte) {
	if *to != string(text) {
		*to = string(text[:min(len(text), maxText)])
	}
}

func (c *claims) addUnknown(e *event) {
	name := e.Text(logs.FieldCause)
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

func (c *claims) addTo(r *Report) {
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
