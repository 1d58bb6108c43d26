package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gate421/gate/admin"
	"gate421/gate/audit"
	"gate421/verify"
)

// ResolverHint is the cure where the DNS can verify no crawler.
const ResolverHint = "until it can, nobody is refused; " +
	"point verify.resolver to a DNS server that answers reverse lookups"

// ResolverWords describe what a probe found of the resolver of a configuration, and say whether it can verify crawlers.
func ResolverWords(resolver string, c verify.Condition) (words string, well bool) {
	name := "resolver " + resolver
	if len(c.Servers) > 0 && !slices.Contains(c.Servers, resolver) {
		name += " (" + strings.Join(c.Servers, ", ") + ")"
	}
	address := verify.ProbeAddr()
	if c.Working {
		took := c.Result.Took.Milliseconds()
		return fmt.Sprintf("%s proves that %s is Googlebot (%s, %d ms)", name, address, c.Result.PTR, took), true
	}
	why := c.Why()
	if c.Result.Server == resolver { // named already
		why = strings.Replace(why, " "+resolver, "", 1)
	}
	return fmt.Sprintf("%s cannot prove that %s is Googlebot: %s", name, address, why), false
}

// watchResolver probes the DNS at the start and whenever there is reason to, until ctx ends, and closes done then.
func (g *Gateway) watchResolver(ctx context.Context) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.health.Run(ctx)
	}()
	return ended
}

// onResolverCondition reports when the DNS can verify no crawler any more, and when it can again. That it can at the
// start is only in the log.
func (g *Gateway) onResolverCondition(c verify.Condition) {
	fields := audit.Fields{
		"what": "probe", "servers": c.Servers, "working": c.Working, "address": verify.ProbeAddr().String(),
	}
	if !c.Working {
		fields["cause"] = c.Why()
	}
	g.log.Event("resolver", fields)
	words, well := ResolverWords(g.config.Verify.Resolver, c)
	switch said := g.dnsFailing.Swap(!well); {
	case !well && !said:
		g.printf("%s", words)
		g.printf("hint: %s", ResolverHint)
	case well && said:
		g.printf("%s", words)
	}
}

// onResolverServers reports that the system names other DNS servers than before.
func (g *Gateway) onResolverServers(e verify.ServersEvent) {
	fields := audit.Fields{"what": "servers", "servers": e.Servers, "before": e.Before}
	if e.Err != nil {
		fields["error"] = e.Err.Error()
	}
	if e.Err != nil || e.Before != nil {
		g.log.Event("resolver", fields)
	}
	servers := strings.Join(e.Servers, ", ")
	switch {
	case e.Err != nil:
		g.printf("resolver system: %v; asking %s", e.Err, servers)
		g.printf("hint: name a DNS server there, or in verify.resolver")
	case e.Before != nil:
		g.printf("resolver system: the DNS servers are now %s; until now %s", servers, strings.Join(e.Before, ", "))
	}
}

// verification is the state of the resolver for the admin page; zero before the first probe.
func (g *Gateway) verification() admin.Verification {
	c := g.health.Condition()
	if c == nil {
		return admin.Verification{}
	}
	return admin.Verification{Working: c.Working, Servers: c.Servers, Why: c.Why(), Since: c.Since, At: c.At}
}
