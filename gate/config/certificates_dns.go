package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// providerKeys are the keys that a DNS provider has for itself, those that it needs first.
func providerKeys(provider string) (needed, others []string) {
	switch provider {
	case "rfc2136":
		return []string{"server", "key_file"}, []string{"key_name", "key_algorithm", "delegated_to"}
	case "acme-dns":
		return []string{"server", "account_file"}, nil
	case "cloudflare":
		return []string{"token_file"}, []string{"delegated_to"}
	}
	return nil, nil
}

func providers() []string { return []string{"rfc2136", "acme-dns", "cloudflare"} }

// otherProviders is the hint for who is with none of them.
const otherProviders = "write rfc2136, acme-dns or cloudflare; with any other provider, let a CNAME lead _acme-challenge to a zone of one of these"

func (r *reader) dnsProvider(n *node) string {
	if n.kind == text && Nearest(n.text, providers()) == "" {
		r.problem(n, otherProviders, "%s: must be %s, not %s", n.label, oneOf(providers()), quote(n.text))
		return ""
	}
	provider, _ := r.choice(n, providers()...)
	return provider
}

func (r *reader) dns(n *node) *DNS {
	d := &DNS{}
	values := r.section(n, "dns")
	if values == nil {
		return d
	}
	d.Propagation = r.durationOf(values, "dns", "propagation")
	if provider := values["provider"]; provider != nil {
		d.Provider = r.dnsProvider(provider)
	} else {
		r.problem(n, otherProviders, "%s is missing", n.inner("provider"))
	}
	needed, others := providerKeys(d.Provider)
	if d.Provider != "" {
		r.needs(n, values, "provider: "+d.Provider+" needs "+enumerate(needed, "and"), needed...)
		known := append(append([]string{"provider", "resolvers", "propagation"}, needed...), others...)
		for _, key := range names("dns") {
			if value := values[key]; value != nil && !slices.Contains(known, key) {
				r.problem(value,
					"leave it out; provider: "+d.Provider+" has "+enumerate(append(needed, others...), "and"),
					"%s: not used with provider: %s", value.label, d.Provider)
				delete(values, key)
			}
		}
	}
	if d.Provider != "" {
		r.provider(values, d)
	}
	if resolvers := values["resolvers"]; resolvers != nil {
		d.Resolvers = r.servers(resolvers)
	}
	return d
}

// provider reads the keys that are not the same for all.
func (r *reader) provider(values map[string]*node, d *DNS) {
	for _, part := range []struct {
		key, example string
		target       *string
	}{
		{"key_name", "the key's name", &d.KeyName},
		{"key_file", "the path of a file that holds the key", &d.KeyFile},
		{"account_file", "the path of the JSON file with the account", &d.AccountFile},
		{"token_file", "the path of a file that holds the token", &d.TokenFile},
	} {
		if value := values[part.key]; value != nil {
			*part.target, _ = r.filled(value, part.example)
		}
	}
	d.KeyAlgorithm = r.word(values, "dns", "key_algorithm")
	if server := values["server"]; server != nil {
		d.Server = r.dnsServer(server, d.Provider)
	}
	if to := values["delegated_to"]; to != nil {
		if s, ok := r.text(to, `a name such as x.acme.example.net, or ""`); ok && s != "" {
			name, f := parseChallengeName(s)
			if f != nil {
				r.problem(to, f.hint, "%s: %s: %s", to.label, quote(s), f.message)
			}
			d.DelegatedTo = name
		}
	}
}

// parseChallengeName reads a DNS name that need not be a host's: its first labels may begin with an underscore.
func parseChallengeName(s string) (string, *fault) {
	rest, under := s, ""
	for strings.HasPrefix(rest, "_") {
		label, after, _ := strings.Cut(rest, ".")
		under, rest = under+strings.ToLower(label)+".", after
	}
	name, f := parseName(rest)
	return under + name, f
}

func (r *reader) dnsServer(n *node, provider string) string {
	if provider == "acme-dns" {
		s, ok := r.filled(n, "the server's address, such as https://auth.example.com")
		u, err := url.Parse(s)
		if ok &&
			(err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
			r.problem(n, "write it as https://auth.example.com", "%s: %s is not the address of an acme-dns server",
				n.label, quote(s))
		} else if ok && u.Scheme == "http" && !isHere(u.Hostname()) {
			r.note(n, "write https:// unless nobody else is on that network", "%s: the account's password goes there unencrypted", n.label)
		}
		return s
	}
	s, ok := r.filled(n, `"192.0.2.53:53"`)
	if !ok {
		return ""
	}
	server, f := parseServer(s, 53)
	if f != nil {
		r.problem(n, f.hint, "%s: %s: %s", n.label, quote(s), f.message)
	}
	return server
}

// isHere reports whether a host of a URL is this machine.
func isHere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (r *reader) servers(n *node) []string {
	items, _ := r.list(n, `["192.0.2.53:53"]`)
	var list []string
	for _, item := range items {
		if server := r.dnsServer(item, ""); server != "" {
			list = append(list, server)
		}
	}
	return list
}
