package server

import (
	"net"
	"strings"

	"gate421/gate/hint"
	"gate421/gate/policy"
)

// Announce says on stderr what is served, so that a person who started it knows what to do next.
func (g *Gateway) Announce() {
	g.say("serving https on %s", g.secure.Addr())
	if g.plain != nil {
		g.say("serving http on %s: redirects to https and answers the certificate authority", g.plain.Addr())
	}
	if g.page != nil {
		g.say("page, metrics and health on http://%s/", browsable(g.page.Addr()))
	}
	for _, site := range g.live.Load().Policy.Sites() {
		g.say("site %s: %s", strings.Join(site.Hosts, ", "), inWords(site))
	}
	if root := g.certs.Load().Root(); root != "" {
		g.say("certificates are from the local authority; clients must trust %s", root)
		g.say("hint: gate421 trust --state %s says how", hint.ShellWord(g.config.State))
	}
}

func inWords(site *policy.Site) string {
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

// browsable is an address that a person can open: the loopback address where it listens on all.
func browsable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}

// HTTPS is the address that sites are served on.
func (g *Gateway) HTTPS() net.Addr { return g.secure.Addr() }

// Admin is the address of the admin page; nil where it is off.
func (g *Gateway) Admin() net.Addr {
	if g.page == nil {
		return nil
	}
	return g.page.Addr()
}

// Root is the file with the local authority's certificate; "" where certificates come from elsewhere.
func (g *Gateway) Root() string { return g.certs.Load().Root() }
