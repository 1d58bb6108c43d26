package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// names are the configured hosts: nothing else has a certificate.
type names struct {
	order []string // as configured, each once
	known map[string]bool
}

// newNames checks hosts, all of them, and joins what is wrong with them.
func newNames(hosts []string) (names, error) {
	if len(hosts) == 0 {
		return names{}, errors.New("certificates: no hosts")
	}
	n := names{known: make(map[string]bool)}
	var problems []error
	for _, host := range hosts {
		if err := checkHost(host); err != nil {
			problems = append(problems, fmt.Errorf("host %q: %w", host, err))
		} else if !n.known[host] {
			n.known[host] = true
			n.order = append(n.order, host)
		}
	}
	return n, errors.Join(problems...)
}

// checkHost says why a certificate cannot have host as a name. It can have IP addresses, for "local" and "files".
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if host == "" || len(host) > 253 {
		return errors.New("want 1 to 253 characters")
	}
	if host != strings.ToLower(host) {
		return errors.New("want it in lower case")
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(host, "*."), ".") {
		if label == "" || len(label) > 63 {
			return errors.New("want labels of 1 to 63 characters between the dots")
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || strings.ContainsAny(label, "*: /") {
			return errors.New("want ASCII letters, digits and hyphens; a wildcard is \"*.\" at the start")
		}
	}
	return nil
}

// normalize is the form in which names are compared.
func normalize(name string) string {
	if name == "." {
		return name // the root is not the same as no name
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// match finds the configured host for a client's normalized name: itself, or the wildcard one label up. No name is the
// first host's.
func (n names) match(name string) (host string, ok bool) {
	if name == "" {
		return n.order[0], true
	}
	if n.known[name] && !isWildcard(name) {
		return name, true
	}
	if label, rest, found := strings.Cut(name, "."); found && label != "" && label != "*" && n.known["*."+rest] {
		return "*." + rest, true
	}
	return "", false
}

func isWildcard(host string) bool { return strings.HasPrefix(host, "*.") }

// covers reports whether leaf is valid for a configured host. A wildcard host needs that very wildcard: no list of
// names covers all that it stands for.
func covers(leaf *x509.Certificate, host string) bool {
	if !isWildcard(host) {
		return leaf.VerifyHostname(host) == nil
	}
	for _, name := range leaf.DNSNames {
		if strings.EqualFold(name, host) {
			return true
		}
	}
	return false
}

// namesOf lists the names that a certificate is valid for, as it spells them.
func namesOf(leaf *x509.Certificate) []string {
	list := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	return list
}
