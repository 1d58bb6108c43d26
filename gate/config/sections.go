package config

import (
	"path/filepath"
	"slices"
)

// config reads the whole file.
func (r *reader) config(root *node) *Config {
	top := r.section(root, "")
	if top == nil {
		return nil
	}
	c := &Config{Admin: key("", "admin").Default, State: key("", "state").Default, Crawlers: []string{"googlebot"}}
	listening := r.listen(top["listen"], top["admin"], c)
	if n := top["state"]; n != nil {
		c.State = r.folder(n)
	}
	r.certificates(top["certificates"], root, &c.Certificates)
	if n := top["crawlers"]; n != nil {
		c.Crawlers = r.crawlerNames(n)
	}
	r.verify(top["verify"], &c.Verify)
	r.log(top["log"], &c.Log)
	r.limits(top["limits"], &c.Limits)
	if n := top["sites"]; n != nil {
		c.Sites = r.sites(n, c.Certificates, listening)
	} else {
		r.problem(root, leastFile, "sites is missing")
	}
	slices.SortStableFunc(r.notes, byPosition)
	c.notes = r.notes
	return c
}

// listen reads the addresses and returns those that are on.
func (r *reader) listen(n, admin *node, c *Config) []listenAddress {
	c.Listen = Listen{HTTPS: key("listen", "https").Default, HTTP: key("listen", "http").Default}
	values := map[string]*node{}
	if n != nil {
		values = r.section(n, "listen")
	}
	r.proxies(values, &c.Listen)
	var listening []listenAddress
	for _, a := range []struct {
		name   string
		node   *node
		target *string
	}{
		{"listen.https", values["https"], &c.Listen.HTTPS},
		{"listen.http", values["http"], &c.Listen.HTTP},
		{"admin", admin, &c.Admin},
	} {
		d, ok := r.listenAddress(a.node, a.name, a.target)
		if !ok {
			continue
		}
		for _, other := range listening {
			if !d.overlaps(other) {
				continue
			}
			at, holder := d, other
			if at.node == nil {
				at, holder = other, d
			}
			standard := ""
			if holder.node == nil {
				standard = ", the default"
			}
			r.problem(at.node, "give each its own port", "%s: %q is taken by %s (%q%s)", at.name, at.address,
				holder.name, holder.address, standard)
			break
		}
		listening = append(listening, d)
	}
	return listening
}

// listenAddress reads one address. It returns false when that is off or wrong.
func (r *reader) listenAddress(n *node, name string, target *string) (listenAddress, bool) {
	standard := *target
	if n != nil {
		example := `"` + *target + `"`
		switch {
		case n.kind == number:
			r.wrongType(n, "an address with a port", `write ":`+n.text+`"`)
			return listenAddress{}, false
		case n.kind == boolean && name != "listen.https":
			r.wrongType(n, "an address with a port", `write "" to turn it off; leave the key out for `+example)
			return listenAddress{}, false
		}
		address, ok := r.text(n, example)
		if !ok {
			return listenAddress{}, false
		}
		if address == "" && name == "listen.https" {
			r.problem(n, "leave the key out for "+example, "%s: cannot be turned off: it is what gate421 is for",
				n.label)
			return listenAddress{}, false
		}
		*target = address
	}
	if *target == "" {
		return listenAddress{}, false
	}
	d, f := parseListenAddress(*target, standard)
	if f != nil {
		r.problem(n, f.hint, "%s: %s: %s", n.label, quote(*target), f.message)
		return listenAddress{}, false
	}
	d.name, d.node, d.address = name, n, *target
	if name == "admin" && n != nil && !d.host.IsLoopback() {
		r.note(
			n,
			`the page is meant for this machine: write "127.0.0.1:`+d.portText()+`" and reach it through SSH or a proxy that asks for a password`,
			"%s: %q can be reached from other machines",
			n.label,
			*target,
		)
	}
	return d, true
}

func (r *reader) folder(n *node) string {
	dir, ok := r.filled(n, "/var/lib/gate421")
	if ok && !filepath.IsAbs(dir) {
		r.problem(n, "write the whole path, from the / on", "%s: %s is not an absolute path", n.label, quote(dir))
	}
	return filepath.Clean(dir)
}

func (r *reader) crawlerNames(n *node) []string {
	items, ok := r.list(n, "[googlebot]")
	if ok && len(items) == 0 {
		r.problem(n, "name at least one; to refuse nobody, write http2_crawl: allow or observe",
			"crawlers: is empty, so that nothing would ever be refused")
	}
	var names []string
	for _, item := range items {
		name, ok := r.filled(item, "googlebot")
		switch {
		case !ok:
		case slices.Contains(names, name):
			r.problem(item, "keep one of them", "crawlers: %s is listed twice", quote(name))
		case !slices.Contains(r.crawlers, name):
			r.problem(item, CrawlerHint(name, r.crawlers), "crawlers: no crawler is known as %s", quote(name))
		default:
			names = append(names, name)
		}
	}
	return names
}

func (r *reader) verify(n *node, v *Verify) {
	values := map[string]*node{}
	if n != nil {
		values = r.section(n, "verify")
	}
	*v = Verify{
		Resolver: key("verify", "resolver").Default,
		Wait:     r.durationOf(values, "verify", "wait"),
		Ranges:   r.word(values, "verify", "ranges"),
	}
	if n := values["resolver"]; n != nil {
		if s, ok := r.filled(n, "system, 192.0.2.53:53 or tls://192.0.2.53:853#dns.example"); ok {
			resolver, f := parseResolver(s)
			if f != nil {
				r.problem(n, f.hint, "%s: %s: %s", n.label, quote(s), f.message)
			}
			v.Resolver = resolver
		}
	}
}
