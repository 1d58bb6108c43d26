package config

import (
	"net/netip"
	"slices"
)

// origins reads a site's own servers, written as one or as a list, and how they are trusted.
func (r *reader) origins(n, tls *node, hosts []string, listening []listenAddress) ([]string, OriginTLS) {
	items := []*node{n}
	if n.kind == list {
		if items = n.items; len(items) == 0 {
			r.problem(n, "write http://127.0.0.1:3000", "%s: is empty", n.label)
			return nil, r.originTLS(tls, true)
		}
	}
	var origins []string
	first := map[string]*node{}
	secure, sound := false, true
	for _, item := range items {
		item.label = n.label
		t, ok := r.origin(item, hosts, listening)
		before := first[t.origin]
		switch {
		case !ok:
			sound = false
			continue
		case before != nil:
			r.problem(item, "keep one of them", "%s: %s stands there twice, first on line %d", n.label, quote(t.origin),
				before.line)
		case t.scheme == "file" && len(items) > 1:
			r.problem(item, "write the folder alone, or servers alone", "%s: %s: a folder cannot be one of several",
				n.label, quote(item.text))
		}
		first[t.origin] = item
		secure = secure || t.secure()
		origins = append(origins, t.origin)
	}
	return origins, r.originTLS(tls, secure || !sound)
}

// origin reads one server or folder.
func (r *reader) origin(n *node, hosts []string, listening []listenAddress) (target, bool) {
	if n.kind == mapping { // brackets inside of brackets, where YAML takes the colon for a key's
		r.wrongType(n, "a text", `put it in quotes: "http://127.0.0.1:3000"`)
		return target{}, false
	}
	written, ok := r.filled(n, "http://127.0.0.1:3000")
	if !ok {
		return target{}, false
	}
	t, f := parseOrigin(written)
	if f != nil {
		r.problem(n, f.hint, "%s: %s: %s", n.label, quote(written), f.message)
		return target{}, false
	}
	if d, known := t.address(); known && t.host != "" {
		for _, own := range listening {
			if d.port == own.port && (d.host == own.host || own.host.IsUnspecified() && d.host.IsLoopback()) {
				r.problem(n,
					"let the site's own server listen on another port, such as 127.0.0.1:3000, and write that here",
					"%s: %s is gate421's own address (%s %q): requests would go round in circles", n.label,
					quote(written), own.name, own.address)
			}
		}
	}
	if slices.Contains(hosts, t.host) && !isAddress(t.host) {
		r.note(n, "write the address of the site's own server, such as http://127.0.0.1:3000",
			"%s: %s is one of the site's own hosts: if it leads to this machine, requests go round in circles", n.label,
			quote(t.host))
	}
	return t, true
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// originTLS reads how servers behind TLS are trusted; secure says whether there are any.
func (r *reader) originTLS(n *node, secure bool) OriginTLS {
	var tls OriginTLS
	if n == nil {
		return tls
	}
	before := len(r.problems)
	values := r.section(n, "origin_tls")
	skip := values["insecure_skip_verify"]
	if name := values["server_name"]; name != nil {
		tls.ServerName = r.serverName(name)
	}
	for key, path := range map[string]*string{"ca": &tls.CA, "client_cert": &tls.ClientCert, "client_key": &tls.ClientKey} {
		if values[key] != nil {
			*path, _ = r.text(values[key], `the path of a PEM file, or ""`)
		}
	}
	if skip != nil {
		tls.InsecureSkipVerify = r.boolean(skip)
	}
	switch {
	case len(r.problems) > before:
	case !secure && tls != OriginTLS{}:
		r.problem(n, "leave it out, or write an origin that begins with https://", "%s: counts for https origins only",
			n.label)
	case tls.ClientCert != "" && tls.ClientKey == "":
		r.problem(values["client_cert"], "write client_key: /path/to/privkey.pem beside it", "%s: has no client_key",
			values["client_cert"].label)
	case tls.ClientCert == "" && tls.ClientKey != "":
		r.problem(values["client_key"], "write client_cert: /path/to/fullchain.pem beside it", "%s: has no client_cert",
			values["client_key"].label)
	case tls.InsecureSkipVerify && tls.CA != "":
		r.problem(skip, "leave one of them out", "%s: with it, the ca beside it would not be looked at", skip.label)
	case tls.InsecureSkipVerify:
		r.note(skip, "name the origin's own authority with ca instead",
			"%s is on: whoever sits between here and the origin can read and change everything", skip.label)
	}
	return tls
}

func (r *reader) serverName(n *node) string {
	s, ok := r.text(n, `a name such as origin.example.com, or ""`)
	if !ok || s == "" || isAddress(s) {
		return s
	}
	ascii, f := parseName(s)
	if f != nil {
		r.problem(n, f.hint, "%s: %s: %s", n.label, quote(s), f.message)
	}
	return ascii
}
