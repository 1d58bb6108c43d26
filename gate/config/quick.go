package config

import (
	"fmt"
	"slices"
)

// QuickSetup is a whole configuration from a few flags. What is empty has the default of gate421.yaml.
type QuickSetup struct {
	Hosts      []string // --host, at least one; all of them are one site
	Origin     string   // --origin, required
	Email      string   // --email
	HTTP2Crawl string   // --http2-crawl; "": refuse, as nobody starts gate421 by hand to allow what happens without it
	State      string   // --state
}

// Quick makes a configuration from flags, with the same defaults and checks as a file has. The error is Problems, whose
// messages name the flags.
func Quick(q QuickSetup, crawlers []string) (*Config, error) {
	r := &reader{crawlers: crawlers}
	if len(q.Hosts) == 0 {
		r.problemAt(0, 0, "write --host example.com, the name that visitors use", "--host is missing")
	}
	if q.Origin == "" {
		r.problemAt(0, 0, "say where the site's own server is: --origin http://127.0.0.1:3000", "--origin is missing")
	}
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	if q.HTTP2Crawl == "" {
		q.HTTP2Crawl = "refuse"
	}
	c := r.config(q.root())
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	c.Version = Version(fmt.Appendf(nil, "%q", []any{q.Hosts, q.Origin, q.Email, q.HTTP2Crawl, q.State}))
	return c, nil
}

// root is the tree that a file with the same content has, labelled with the flags.
func (q QuickSetup) root() *node {
	hosts := &node{kind: list, label: "--host"}
	for _, host := range q.Hosts {
		hosts.items = append(hosts.items, &node{text: host})
	}
	site := branch("hosts", hosts, "origin", flag("--origin", q.Origin), "http2_crawl",
		flag("--http2-crawl", q.HTTP2Crawl))
	root := branch("sites", &node{kind: list, items: []*node{site}})
	if q.Email != "" {
		root.entries = append(
			root.entries,
			branch("certificates", branch("email", flag("--email", q.Email))).entries...)
	}
	if q.State != "" {
		root.entries = append(root.entries, branch("state", flag("--state", q.State)).entries...)
	}
	return root
}

func flag(name, value string) *node { return &node{text: value, label: name} }

// branch makes a mapping of keys and nodes in turns.
func branch(pairs ...any) *node {
	n := &node{kind: mapping}
	for pair := range slices.Chunk(pairs, 2) {
		n.entries = append(n.entries, entry{&node{text: pair[0].(string)}, pair[1].(*node)})
	}
	return n
}
