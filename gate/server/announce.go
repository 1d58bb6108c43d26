package server

import (
	"net"
	"strings"

	"gate421/gate/hint"
	"gate421/gate/policy"
)

// Announce writes to stderr what is served and where, so that the person who started it knows what to do next.
func (g *Gateway) Announce() {
	g.printf("serving https on %s", g.httpsListener.Addr())
	if g.httpListener != nil {
		g.printf("serving http on %s: redirects to https and answers the certificate authority", g.httpListener.Addr())
	}
	if g.adminListener != nil {
		g.printf("page, metrics and health on http://%s/", browserAddress(g.adminListener.Addr()))
	}
	for _, site := range g.live.Load().Policy.Sites() {
		g.printf("site %s: %s", strings.Join(site.Hosts, ", "), describe(site))
	}
	if root := g.certs.Load().Root(); root != "" {
		g.printf("certificates are from the local authority; clients must trust %s", root)
		g.printf("hint: gate421 trust --state %s says how", hint.ShellWord(g.config.State))
	}
}

// describe says in a few words what a crawler gets on a site.
func describe(site *policy.Site) string {
	words := map[policy.State]string{
		policy.Refuse:  "a verified crawler gets 421 over HTTP/2",
		policy.Observe: "nothing is refused; the log says what would be (http2_crawl: observe)",
		policy.Allow:   "crawlers are welcome over HTTP/2 (http2_crawl: allow)",
	}[site.State]
	if site.Mixed() {
		words += ", with exceptions by path"
	}
	return words
}

// browserAddress is an address that a person can open: loopback where the listener is on all addresses.
func browserAddress(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}

// HTTPS is the address that sites are served on.
func (g *Gateway) HTTPS() net.Addr { return g.httpsListener.Addr() }

// Admin is the address of the admin page; nil where it is off.
func (g *Gateway) Admin() net.Addr {
	if g.adminListener == nil {
		return nil
	}
	return g.adminListener.Addr()
}

// Root is the file with the local authority's certificate; "" where certificates come from elsewhere.
func (g *Gateway) Root() string { return g.certs.Load().Root() }
