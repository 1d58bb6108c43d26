package server

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"gate421/gate/admin"
	"gate421/gate/audit"
	"gate421/gate/front"
)

// onLimit logs that a limit on connections is being enforced, and reports it to the operator, each limit once an hour
// at most: the clients whose connections are closed may be visitors, and they get no message.
func (g *Gateway) onLimit(n front.LimitNotice) {
	what := "continues"
	switch {
	case n.Began:
		what = "began"
	case n.Ended:
		what = "ended"
	}
	fields := audit.Fields{"limit": n.Limit, "what": what, "times": n.Times, "since": n.Since}
	n.Client = g.loggable(n.Client)
	if n.Client.IsValid() {
		fields["network"] = n.Client.String()
	}
	g.log.Event("limit", fields)
	if n.Began && g.limitNotices.due(n.Limit, time.Now()) {
		title, cure := g.limitWords(n)
		g.printf("%s", title)
		g.printf("hint: %s", cure)
	}
}

// loggable truncates a network as log.client_ip demands.
func (g *Gateway) loggable(client netip.Prefix) netip.Prefix { return g.privacy().Network(client) }

// privacy is that of the configuration in use.
func (g *Gateway) privacy() audit.Privacy {
	if p := g.privacySettings.Load(); p != nil {
		return *p
	}
	return audit.Privacy{}
}

// limitWords say what is going on, and what the operator can do about it.
func (g *Gateway) limitWords(n front.LimitNotice) (title, cure string) {
	limits := g.frontLimits
	who := strings.TrimSuffix(n.Client.String(), "/32")
	const listed = "if it is a load balancer or a proxy of yours, list it: under listen.proxy_protocol if it sends " +
		"the PROXY protocol, under listen.trusted_proxies if it is an HTTP proxy"
	switch n.Limit {
	case "address":
		return fmt.Sprintf("%s has %d connections with requests under way or just opened, as many as one address may have "+
				"(limits.connections_per_address): its next ones are closed", who, limits.ConnectionsPerAddress),
			listed + "; if many visitors share that address, raise limits.connections_per_address"
	case "requests":
		return fmt.Sprintf("%s has %d requests under way at your sites' own servers, as many as one address may have "+
				"(limits.requests_per_address): more wait for up to %v and then get 503",
				who, limits.RequestsPerAddress, limits.HeaderTime),
			listed + "; if many visitors share that address, raise limits.requests_per_address"
	case "network":
		return fmt.Sprintf("the network %s has half of all connections (limits.connections: %d), "+
				"all with requests under way or just opened: its next ones are closed", who, limits.Connections),
			"if load balancers or proxies of yours are there, list them under listen.proxy_protocol or " +
				"listen.trusted_proxies; else raise limits.connections"
	case "files":
		return fmt.Sprintf("this process may open no more than %d files, and all are open: "+
				"a connection could not be accepted", openFiles()),
			"raise the limit: LimitNOFILE= in the systemd unit, ulimit -n in a shell"
	case "proxy_protocol":
		return fmt.Sprintf("%s is listed under listen.proxy_protocol, and a connection from there "+
				"did not begin with a PROXY header: such are closed", who),
			"turn the PROXY protocol on where that balancer is configured, or take it off the list"
	}
	return fmt.Sprintf("all %d connections are taken (limits.connections): idle ones make way for new ones, "+
			"and where none is idle new ones wait", limits.Connections),
		"if that is your visitors, raise limits.connections"
}

// enforced are the limits that are being enforced now.
func (g *Gateway) enforced() []admin.Enforced {
	var out []admin.Enforced
	for _, n := range g.front.Load().Enforced() {
		n.Client = g.loggable(n.Client)
		title, cure := g.limitWords(n)
		out = append(out, admin.Enforced{
			Title: strings.ToUpper(title[:1]) + title[1:], Text: strings.ToUpper(cure[:1]) + cure[1:] + ".",
		})
	}
	return out
}
