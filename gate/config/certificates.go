package config

import (
	"net/mail"
	"net/url"
	"slices"
)

func (r *reader) certificates(n, root *node, c *Certificates) {
	values := map[string]*node{}
	if n != nil {
		values = r.section(n, "certificates")
	}
	*c = Certificates{
		Source:      r.word(values, "certificates", "source"),
		CAs:         []CA{{Directory: key("certificates", "ca").Default}},
		UnknownHost: r.word(values, "certificates", "unknown_host"),
	}
	email, ca, dns, storage, files := values["email"], values["ca"], values["dns"], values["storage"], values["files"]
	if email != nil {
		c.Email = r.email(email)
	}
	if ca != nil {
		c.CAs = r.authorities(ca)
	}
	if dns != nil && dns.kind != null {
		c.DNS = r.dns(dns)
	}
	if storage != nil {
		c.Storage = r.storage(storage)
	}
	if files != nil {
		c.Files = r.pairs(files)
	}
	r.sourceFits(c, values, n, root)
}

// sourceFits looks at what goes with a source and what does not.
func (r *reader) sourceFits(c *Certificates, values map[string]*node, n, root *node) {
	email, ca, files := values["email"], values["ca"], values["files"]
	switch {
	case c.Source == "files" && files == nil:
		r.problem(values["source"], "list them: files: [{cert: /path/to/fullchain.pem, key: /path/to/privkey.pem}]",
			"certificates.files is missing")
	case c.Source == "files" && files.kind == list && len(files.items) == 0:
		r.problem(files, "list them: [{cert: /path/to/fullchain.pem, key: /path/to/privkey.pem}]",
			"certificates.files: is empty")
	case c.Source != "files" && c.Source != "" && files != nil && len(files.items) > 0:
		r.problem(files, "write source: files to use them, or leave files out",
			"certificates.files: not used with source: %s", c.Source)
	}
	switch {
	case c.Source == "acme" && c.Email == "":
		name := "certificates.email"
		if root.line == 0 {
			name = "--email"
		}
		r.note(first(email, values["source"], n, root),
			"give an address that someone reads: the certificate authority has no other way to reach you",
			"%s is missing", name)
	case c.Source != "acme" && c.Source != "":
		for _, n := range []*node{email, ca, values["dns"], values["storage"]} {
			if n != nil && (n.text != "" && n.kind == text || n.kind == mapping || n.kind == list) {
				r.note(n, "it counts with source: acme only", "%s: has no effect with source: %s", n.label, c.Source)
			}
		}
	}
	if i := slices.IndexFunc(c.CAs, func(ca CA) bool { return ca.Directory == "letsencrypt-staging" }); c.Source == "acme" &&
		i >= 0 {
		r.note(ca, "right for trying out; for visitors leave the key out",
			"certificates.ca: no browser trusts the certificates of %s", c.CAs[i].Directory)
	}
}

// first returns the first node there is.
func first(nodes ...*node) *node {
	return nodes[slices.IndexFunc(nodes, func(n *node) bool { return n != nil })]
}

func (r *reader) email(n *node) string {
	s, ok := r.text(n, "you@example.com")
	if !ok || s == "" {
		return ""
	}
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		r.problem(n, "write it as you@example.com", "%s: %s is not an e-mail address", n.label, quote(s))
	}
	return s
}

// authorities reads one authority or a list of them.
func (r *reader) authorities(n *node) []CA {
	if n.kind != list {
		return []CA{r.authority(n)}
	}
	items, _ := r.list(n, "")
	if len(items) == 0 {
		r.problem(n, "leave the key out for Let's Encrypt", "%s: is empty", n.label)
	}
	var list []CA
	for _, item := range items {
		ca := r.authority(item)
		if ca.Directory != "" &&
			slices.ContainsFunc(list, func(before CA) bool { return before.Directory == ca.Directory }) {
			r.problem(item, "keep one of them", "%s: %s is listed twice", item.label, quote(ca.Directory))
		}
		list = append(list, ca)
	}
	return list
}

// authority reads a name, a directory URL, or a mapping that says more.
func (r *reader) authority(n *node) CA {
	var ca CA
	directory := n
	if n.kind == mapping {
		values := r.section(n, "authority")
		if directory = values["directory"]; directory == nil {
			r.problem(n, "say which authority is meant: {directory: letsencrypt, …}", "%s.directory is missing",
				n.label)
		}
		if root := values["root"]; root != nil {
			ca.Root, _ = r.filled(root, "the path of a PEM file")
		}
		if eab := values["eab"]; eab != nil {
			ca.KeyID, ca.HMACKeyFile = r.binding(eab)
		}
	}
	if directory != nil {
		ca.Directory = r.directory(directory)
	}
	if ca.Directory == "zerossl" && ca.KeyID == "" {
		r.problem(first(directory, n),
			"make one with ZeroSSL, and write ca: {directory: zerossl, eab: {key_id: …, hmac_key_file: /path/to/key}}",
			"%s: zerossl wants an account made beforehand", n.label)
	}
	return ca
}

func (r *reader) directory(n *node) string {
	const example = "letsencrypt, letsencrypt-staging, zerossl or the https address of an ACME directory"
	s, ok := r.filled(n, example)
	if !ok || slices.Contains(authorities(), s) {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		hint := ""
		if near := Nearest(s, authorities()); near != "" {
			hint = "did you mean " + near + "?"
		}
		r.problem(n, hint, "%s: must be %s, not %s", n.label, example, quote(s))
	}
	return s
}

func authorities() []string { return []string{"letsencrypt", "letsencrypt-staging", "zerossl"} }

// binding reads the account that ours is bound to. Half of one is a problem, and then it is empty.
func (r *reader) binding(n *node) (id, file string) {
	values := r.section(n, "eab")
	if values == nil {
		return "", ""
	}
	r.needs(n, values, "the authority shows both for the account: {key_id: …, hmac_key_file: /path/to/key}", "key_id",
		"hmac_key_file")
	if key := values["key_id"]; key != nil {
		id, _ = r.filled(key, "the key's ID, as the authority shows it")
	}
	if key := values["hmac_key_file"]; key != nil {
		file, _ = r.filled(key, "the path of a file that holds the key")
	}
	return id, file
}

// needs reports keys of a section that are missing.
func (r *reader) needs(n *node, values map[string]*node, hint string, keys ...string) {
	for _, key := range keys {
		if values[key] == nil {
			r.problem(n, hint, "%s is missing", n.inner(key))
		}
	}
}

// storage reads the address of a storage that several gateways share.
func (r *reader) storage(n *node) string {
	const example = `redis://192.0.2.6:6379, rediss:// for TLS, or ""`
	s, ok := r.text(n, example)
	if !ok || s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.Fragment != "" {
		r.problem(n, "write "+example, "%s: %s is not the address of a Redis server", n.label, quote(s))
		return s
	}
	if _, secret := u.User.Password(); secret {
		r.note(n, "let nobody but gate421 read this file: chmod 640", "%s: holds a password", n.label)
	}
	return s
}

func (r *reader) pairs(n *node) []Pair {
	const example = "[{cert: /path/to/fullchain.pem, key: /path/to/privkey.pem}]"
	items, _ := r.list(n, example)
	var pairs []Pair
	for _, item := range items {
		values := r.section(item, "files")
		if values == nil {
			continue
		}
		var p Pair
		for _, part := range []struct {
			key    string
			target *string
		}{{"cert", &p.Cert}, {"key", &p.Key}} {
			value := values[part.key]
			if value == nil {
				r.problem(item, "a certificate and its key go together: {cert: …, key: …}", "%s: %s is missing",
					item.label, part.key)
				continue
			}
			*part.target, _ = r.filled(value, "the path of a PEM file")
		}
		pairs = append(pairs, p)
	}
	return pairs
}
