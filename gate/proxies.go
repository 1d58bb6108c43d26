package gate

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the HTTP proxies in front of the gate, a CDN's for the most part, and the headers in which they say whom
// they speak for. It is immutable. A nil one believes nobody.
type Proxies struct {
	trusted  []netip.Prefix
	address  string // canonical names; "": it is not said
	protocol string
}

// NewProxies trusts peers in these networks, and nobody else. address and protocol name the headers, "" for none.
func NewProxies(trusted []netip.Prefix, address, protocol string) *Proxies {
	return &Proxies{trusted, http.CanonicalHeaderKey(address), http.CanonicalHeaderKey(protocol)}
}

// Trusts says whether a peer is one of the proxies.
func (p *Proxies) Trusts(peer netip.Addr) bool {
	if p == nil {
		return false
	}
	for _, network := range p.trusted {
		if network.Contains(peer) {
			return true
		}
	}
	return false
}

// client is who asks, and how, as far as that is known.
type client struct {
	peer    netip.Addr // who has connected
	ip      netip.Addr // the zero Addr where there is none: its verdict is unknown
	proto   string     // what it speaks, to us or to the proxy; "": the proxy does not say
	major   int        // of its version of HTTP; 0: not known
	proxied bool
}

// client finds out who asks. The headers of a peer that is not a proxy are not looked at.
func (p *Proxies) client(r *http.Request) client {
	peer := clientIP(r.RemoteAddr)
	if !p.Trusts(peer) {
		return client{peer: peer, ip: peer, proto: r.Proto, major: r.ProtoMajor}
	}
	c := client{peer: peer, ip: p.hop(r.Header, p.address, peer, nil), proxied: true}
	if said := r.Header[p.protocol]; p.protocol != "" && len(said) == 1 {
		c.proto, c.major = protocol(said[0])
	}
	return c
}

// hop is the client's address out of the header: from the right, each proxy added whom it heard, so that the first one
// that is no proxy of ours is the client, and what stands further left is what that client made up. Where all are
// proxies it is the leftmost. One that cannot be read leaves the peer's address. hops, if not nil, gets the addresses
// that were read up to it.
func (p *Proxies) hop(header http.Header, name string, peer netip.Addr, hops *[]netip.Addr) netip.Addr {
	lines := header[name]
	if name == "" {
		return peer
	}
	last := peer
	for i := len(lines) - 1; i >= 0; i-- { // lines of one name are one list
		for rest, more := lines[i], true; more; {
			comma := strings.LastIndexByte(rest, ',')
			ip, ok := hopIP(rest[comma+1:])
			if !ok {
				if hops != nil {
					*hops = nil
				}
				return peer
			}
			if hops != nil {
				*hops = append(*hops, ip)
			}
			if last = ip; !p.Trusts(ip) {
				return ip
			}
			rest, more = rest[:max(comma, 0)], comma >= 0
		}
	}
	return last
}

// hopIP reads an address, with or without a port: 192.0.2.1, 192.0.2.1:4711, 2001:db8::1, [2001:db8::1],
// [2001:db8::1]:4711.
func hopIP(text string) (netip.Addr, bool) {
	text = strings.Trim(text, " \t")
	ip, err := netip.ParseAddr(text)
	if err != nil && len(text) > 1 && text[0] == '[' && text[len(text)-1] == ']' {
		ip, err = netip.ParseAddr(text[1 : len(text)-1])
		if ip.Is4() {
			return netip.Addr{}, false
		}
	}
	if err != nil {
		var pair netip.AddrPort
		pair, err = netip.ParseAddrPort(text)
		ip = pair.Addr()
	}
	if err != nil || ip.Zone() != "" || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.Addr{}, false
	}
	return ip.Unmap(), true
}

// protocol reads what a proxy says that the client speaks, and returns it as the log has it: "2", "2.0", "HTTP/2", "h2"
// and their like. What is no version of HTTP that is known to be in use is not known: "", 0.
func protocol(said string) (proto string, major int) {
	said = strings.ToLower(strings.Trim(said, " \t"))
	version, _ := strings.CutPrefix(said, "http/")
	switch version {
	case "1.0":
		return "HTTP/1.0", 1
	case "1", "1.1":
		return "HTTP/1.1", 1
	case "2", "2.0", "h2":
		return "HTTP/2.0", 2
	case "3", "3.0", "h3":
		return "HTTP/3.0", 3
	}
	return "", 0
}
