package gate

import (
	"net/http"
	"net/netip"
	"strings"

	"gate421/gate/forwarding"
)

// setForwarded prepares what the origin is told of the client. Headers that name the client to the gate are nobody's
// but a proxy's; what else may name it the origin's side drops in any case.
func (p *Proxies) setForwarded(r *http.Request, c client) {
	if p == nil {
		return
	}
	if p.protocol != "" || p.address != "" {
		p.dropUnproxied(r.Header, c)
	}
	if !c.proxied {
		return
	}
	said := &forwarding.Said{
		For: p.chain(r.Header, c), Host: forwarding.Host(r.Header), Proto: forwarding.Proto(r.Header),
		Port: forwarding.Port(r.Header), RealIP: c.ip.String(),
	}
	if said.Host == "" {
		said.Host = r.Host
	}
	if said.Proto == "" {
		said.Proto = "https"
	}
	switch theirs := r.Header["X-Real-Ip"]; {
	case p.address == "" && len(theirs) == 1:
		if ip, ok := hopIP(theirs[0]); ok {
			said.RealIP = ip.String()
		}
	case p.address != "" && p.address != "X-Real-Ip" && p.address != "X-Forwarded-For":
		said.Client = forwarding.Field{Name: p.address, Value: p.clientAddressField(r.Header, c)}
		delete(r.Header, p.address)
	}
	*r = *said.With(r)  // in its place: whoever reads the body puts the fields behind it there
	if c.ip != c.peer { // where the client is not named, the proxy's connections are all that tells people apart
		r.RemoteAddr = netip.AddrPortFrom(c.ip, 0).String()
	}
}

// dropUnproxied drops the configured headers that no proxy has sent, in every spelling.
func (p *Proxies) dropUnproxied(header http.Header, c client) {
	for name := range header {
		switch folded := forwarding.Fold(name); {
		case p.protocol != "" && folded == forwarding.Fold(p.protocol) && (!c.proxied || name != p.protocol):
			delete(header, name)
		case p.address != "" && folded == forwarding.Fold(p.address) && !forwarding.Name(folded):
			if !c.proxied || name != p.address {
				delete(header, name)
			}
		}
	}
}

// chain is the client's address, those of the proxies behind it, and the peer's. What the client has put before them
// is left out.
func (p *Proxies) chain(header http.Header, c client) string {
	var hops []netip.Addr
	switch p.address {
	case "", "X-Forwarded-For":
		p.hop(header, "X-Forwarded-For", c.peer, &hops)
	default:
		if c.ip != c.peer {
			hops = append(hops, c.ip)
		}
	}
	var out strings.Builder
	for i := len(hops) - 1; i >= 0; i-- {
		out.WriteString(hops[i].String())
		out.WriteString(", ")
	}
	out.WriteString(c.peer.String())
	return out.String()
}

// clientAddressField is the value of the header that names the client: as the proxy sent it where it is one address; ""
// where it is none.
func (p *Proxies) clientAddressField(header http.Header, c client) string {
	if said := header[p.address]; len(said) == 1 {
		if _, ok := hopIP(said[0]); ok {
			return said[0]
		}
	}
	if c.ip == c.peer {
		return ""
	}
	return c.ip.String()
}
