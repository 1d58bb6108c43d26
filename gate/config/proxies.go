package config

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies reads who stands between the clients and the listeners.
func (r *reader) proxies(values map[string]*node, l *Listen) {
	l.ProxyProtocol = r.networks(values["proxy_protocol"])
	l.TrustedProxies = r.networks(values["trusted_proxies"])
	l.ClientIPHeader = r.header(values["client_ip_header"])
	l.ClientProtocolHeader = r.header(values["client_protocol_header"])
	trusted, ip, protocol := values["trusted_proxies"], values["client_ip_header"], values["client_protocol_header"]
	for _, n := range []*node{ip, protocol} {
		if n != nil && n.text != "" && (trusted == nil || trusted.kind == list && len(trusted.items) == 0) {
			r.problem(n, "list them: trusted_proxies: [192.0.2.0/24], or leave the header out",
				"%s: believed from trusted_proxies only, and there are none", n.label)
		}
	}
	if len(l.TrustedProxies) == 0 {
		return
	}
	if ip != nil && protocol != nil && ip.text != "" && strings.EqualFold(ip.text, protocol.text) {
		r.problem(protocol, "they are two headers, such as X-Forwarded-For and CloudFront-Viewer-Http-Version",
			"%s: is the client_ip_header, too", protocol.label)
	}
	if ip == nil || ip.text == "" {
		r.note(
			trusted,
			"name the header that they say it in, such as client_ip_header: X-Forwarded-For",
			"%s: without client_ip_header every client has the proxy's address, so that nobody is verified and nobody refused",
			trusted.label,
		)
	}
	if protocol == nil || protocol.text == "" {
		r.note(
			trusted,
			"name the header that they say it in, such as client_protocol_header: CloudFront-Viewer-Http-Version",
			"%s: without client_protocol_header nobody knows whether a crawler came over HTTP/2, so that nobody behind them is refused",
			trusted.label,
		)
	}
}

// networks reads a list of networks; nil is none.
func (r *reader) networks(n *node) []netip.Prefix {
	if n == nil {
		return nil
	}
	items, _ := r.list(n, "[192.0.2.0/24]")
	var networks []netip.Prefix
	for _, item := range items {
		s, ok := r.filled(item, "192.0.2.0/24")
		if !ok {
			continue
		}
		network, f := parseNetwork(s)
		switch {
		case f != nil:
			r.problem(item, f.hint, "%s: %s %s", n.label, quote(s), f.message)
			continue
		case slices.Contains(networks, network):
			r.problem(item, "keep one of them", "%s: %s is listed twice", n.label, quote(s))
			continue
		case network.Bits() == 0:
			r.note(item, "list the networks of the proxies and nothing else",
				"%s: %s is everybody: any client can then say that it is any other", n.label, quote(s))
		}
		networks = append(networks, network)
	}
	return networks
}

// parseNetwork reads "address/bits", or an address for itself alone.
func parseNetwork(s string) (netip.Prefix, *fault) {
	if address, err := netip.ParseAddr(s); err == nil {
		if address.Zone() != "" {
			return netip.Prefix{}, faultf("leave out the zone", "has a zone")
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, faultf("write an address and its bits, such as 192.0.2.0/24 or 2001:db8::/32",
			"is not a network")
	case network.Addr().Is4In6():
		return netip.Prefix{}, faultf("write it as IPv4, such as 192.0.2.0/24", "is IPv4 written as IPv6")
	case network != network.Masked():
		return netip.Prefix{}, faultf(
			"write "+network.Masked().
				String()+
				" for the whole network, or "+network.Addr().
				String()+
				" for the one address",
			"has bits beyond its mask",
		)
	}
	return network, nil
}

// header reads the name of a header; nil and "" are none.
func (r *reader) header(n *node) string {
	if n == nil {
		return ""
	}
	s, ok := r.text(n, "X-Forwarded-For")
	if !ok || s == "" {
		return ""
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~" // RFC 9110 section 5.6.2
	switch {
	case strings.Trim(s, letters) != "":
		r.problem(n, "write the name alone, such as X-Forwarded-For", "%s: %s is not the name of a header", n.label,
			quote(s))
	case strings.EqualFold(s, "Forwarded"):
		r.problem(n, "let the proxies send X-Forwarded-For or another header that has nothing but addresses",
			"%s: Forwarded (RFC 7239) has more than an address and is not read", n.label)
	case strings.EqualFold(s, "Host"), strings.EqualFold(s, "User-Agent"), strings.EqualFold(s, "Connection"):
		r.problem(n, "write the header in which the proxies say it", "%s: %s says something else", n.label, quote(s))
	}
	return http.CanonicalHeaderKey(s)
}
