package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gate421/gate/admin"
	"gate421/gate/audit"
	"gate421/gate/config"
	"gate421/verify"
)

// resolverHint is the cure where the DNS proves nobody.
const resolverHint = "until it can, nobody is refused; " +
	"point verify.resolver to a DNS server that answers reverse lookups"

// resolverWords say what a probe found of the resolver of a configuration, and whether it is as it should be.
func resolverWords(resolver string, c verify.Condition) (words string, well bool) {
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
	if c.Result.Server == resolver { // which is said already
		why = strings.Replace(why, " "+resolver, "", 1)
	}
	return fmt.Sprintf("%s cannot prove that %s is Googlebot: %s", name, address, why), false
}

// inspectResolver asks about an address that has belonged to Googlebot for twenty years.
func inspectResolver(ctx context.Context, c *config.Config) found {
	resolver, err := verify.ParseResolver(c.Verify.Resolver)
	if err != nil {
		return found{what: err.Error(), bad: true, hint: "name a DNS server by address: verify: {resolver: 192.0.2.53:53}"}
	}
	v := &verify.Verifier{Resolver: resolver}
	defer v.Close()
	words, well := resolverWords(c.Verify.Resolver, v.Condition(ctx))
	if well {
		return found{what: words}
	}
	return found{what: words, bad: true, hint: resolverHint}
}

// watchResolver tries the DNS at the start and whenever there is reason to, until ctx ends; what it returns is closed
// then.
func (g *gateway) watchResolver(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.health.Run(ctx)
	}()
	return ended
}

// heardCondition says once when the DNS stops proving anybody, and once when it goes on. That it works at the start is
// only in the log.
func (g *gateway) heardCondition(c verify.Condition) {
	fields := audit.Fields{
		"what": "probe", "servers": c.Servers, "working": c.Working, "address": verify.ProbeAddr().String(),
	}
	if !c.Working {
		fields["cause"] = c.Why()
	}
	g.log.Event("resolver", fields)
	words, well := resolverWords(g.config.Verify.Resolver, c)
	switch said := g.unproved.Swap(!well); {
	case !well && !said:
		g.say("%s", words)
		g.say("hint: %s", resolverHint)
	case well && said:
		g.say("%s", words)
	}
}

// heardServers says when the system asks other DNS servers than before.
func (g *gateway) heardServers(e verify.ServersEvent) {
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
		g.say("resolver system: %v; asking %s", e.Err, servers)
		g.say("hint: name a DNS server there, or in verify.resolver")
	case e.Before != nil:
		g.say("resolver system: the DNS servers are now %s; until now %s", servers, strings.Join(e.Before, ", "))
	}
}

// verification is how verification is, in the words of the admin page.
func (g *gateway) verification() admin.Verification {
	c := g.health.Condition()
	if c == nil {
		return admin.Verification{}
	}
	return admin.Verification{Working: c.Working, Servers: c.Servers, Why: c.Why(), Since: c.Since, At: c.At}
}
