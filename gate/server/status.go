package server

import (
	"path"
	"strings"

	"gate421/gate/admin"
	"gate421/gate/origin"
	"gate421/verify"
)

// The admin page knows none of the other parts. What follows translates their numbers for it.

func (g *Gateway) certificates() []admin.Certificate {
	var out []admin.Certificate
	for _, leaf := range g.certs.Load().Leaves() {
		out = append(out, admin.Certificate{Hosts: leaf.DNSNames, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter})
	}
	return out
}

func (g *Gateway) lookups() admin.Lookups {
	s := g.verifier.Stats()
	return admin.Lookups{InFlight: s.InFlight, Queued: s.Queued, Shed: s.Shed, Results: s.Results, Took: inSeconds(s.Took)}
}

func inSeconds(h verify.Histogram) admin.Histogram {
	out := admin.Histogram{Counts: h.Counts, Sum: h.Sum.Seconds()}
	for _, bound := range h.Bounds {
		out.Bounds = append(out.Bounds, bound.Seconds())
	}
	return out
}

// rangeLists are the published address lists that are refreshed.
func (g *Gateway) rangeLists() []admin.RangeList {
	var out []admin.RangeList
	for _, list := range g.ranges.Lists() {
		out = append(out, admin.RangeList{
			Name: listName(list.URL), Prefixes: list.Prefixes, Fetched: list.Fetched, Stale: list.Stale,
		})
	}
	return out
}

// listName is the name of a published list: the last element of its URL.
func listName(url string) string { return strings.TrimSuffix(path.Base(url), ".json") }

// originStatus are the sites' own servers, in the order of the configuration.
func (g *Gateway) originStatus() []admin.Origin {
	var out []admin.Origin
	live := g.live.Load()
	for _, site := range live.Policy.Sites() {
		o, ok := live.Origins[site].(*origin.Origin)
		if !ok {
			continue
		}
		for _, s := range o.Status() {
			o := admin.Origin{
				Site: site.Name, Address: s.Address, InFlight: s.InFlight, Failures: s.Failures, OutUntil: s.OutUntil,
			}
			if s.Down {
				o.DownSince, o.Error, o.Cure = s.Since, s.Err.Error(), originCure(s.Err)
			}
			out = append(out, o)
		}
	}
	return out
}

// frontStats are zero before Serve.
func (g *Gateway) frontStats() admin.FrontStats { return admin.FrontStats(g.front.Load().Stats()) }
