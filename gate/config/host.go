package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// parseHost reads a host of a site and returns it in lower-case ASCII. The fault's message goes on after the host.
func parseHost(s string) (string, *fault) {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		return "", faultf("write "+rest+"; both http and https are served", "a host has no http:// or https://")
	}
	if host, _, ok := strings.Cut(s, "/"); ok {
		hint := "exceptions for a path stand below paths"
		if host != "" {
			hint = "write " + host + "; " + hint
		}
		return "", faultf(hint, "a host has no path")
	}
	if strings.ContainsAny(s, " \t") || strings.Contains(s, ",") {
		return "", faultf("write one host an entry: [example.com, www.example.com]",
			"a host has no spaces and no commas")
	}
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		if addr.Zone() != "" {
			return "", faultf("leave out the % and what follows", "an address here has no zone")
		}
		return addr.Unmap().String(), nil
	}
	if host, port, err := net.SplitHostPort(s); err == nil {
		return "", faultf("write "+host+"; the port is said by listen.https", "a host has no port (:%s)", port)
	}
	name, wildcard := strings.CutPrefix(s, "*.")
	switch {
	case s == "*":
		return "", faultf("list the hosts; a request for any other host is turned away",
			"one star for all hosts is not possible")
	case strings.Contains(name, "*"):
		return "", faultf(
			"write *.example.com for every host right below example.com",
			`a star can only stand for the first label, as "*."`,
		)
	case wildcard && !strings.Contains(strings.Trim(name, "."), "."):
		return "", faultf("write *.example.com for every host right below example.com",
			"the star covers a whole top-level domain")
	}
	ascii, f := parseName(name)
	if f != nil {
		return "", f
	}
	if wildcard {
		ascii = "*." + ascii
	}
	return ascii, nil
}

// parseName reads a DNS name, international ones included, and returns it in lower-case ASCII.
func parseName(s string) (string, *fault) {
	if strings.HasSuffix(s, ".") {
		return "", faultf("leave out the dot at the end", "ends in a dot")
	}
	if strings.HasPrefix(s, ".") || strings.Contains(s, "..") {
		return "", faultf("", "has an empty label (two dots in a row, or one at the beginning)")
	}
	for _, label := range strings.Split(s, ".") {
		if strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return "", faultf("", "has a label that begins or ends with a hyphen")
		}
	}
	for _, c := range s {
		if c < 0x80 && !letterDigitHyphen(c) && c != '.' {
			return "", faultf("letters, digits, hyphens and dots are allowed", "%q cannot be part of a host name", c)
		}
	}
	// Lookup's mapping as browsers do it, and what a certificate can hold.
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.Transitional(false))
	ascii, err := profile.ToASCII(s)
	if err != nil {
		return "", faultf("write an international name as a browser shows it", "is not a host name that DNS allows")
	}
	labels := strings.Split(ascii, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return "", faultf("", "has an empty label (two dots in a row, or one at the beginning)")
		case len(label) > 63:
			return "", faultf("", "has a label of %d characters; DNS allows 63", len(label))
		}
	}
	if len(ascii) > 253 {
		return "", faultf("", "has %d characters; DNS allows 253", len(ascii))
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return "", faultf("an IPv4 address has four numbers up to 255", "ends in a number, as only an IP address does")
	}
	return ascii, nil
}

func letterDigitHyphen(c rune) bool {
	return c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// certifiable says why no ACME authority, or none of those configured, gives a certificate for a host; nil if one does.
func certifiable(host string, c Certificates) *fault {
	const other = "use certificates.source: local or files"
	_, err := netip.ParseAddr(host)
	switch {
	case strings.HasPrefix(host, "*.") && c.DNS == nil:
		return faultf("add certificates.dns, list the hosts one by one, or "+other,
			"a certificate for a wildcard is given through DNS only, and certificates.dns is missing")
	case err == nil:
		return faultf("write a host name, or "+other, "source: acme gets no certificate for an IP address")
	case c.onlyLetsEncrypt() && !strings.Contains(host, "."):
		return faultf("write the full name, such as "+host+".example.com, or "+other,
			"Let's Encrypt gives no certificate for a name without a dot")
	}
	return nil
}

func (c Certificates) onlyLetsEncrypt() bool {
	return !slices.ContainsFunc(c.CAs, func(ca CA) bool { return !strings.HasPrefix(ca.Directory, "letsencrypt") })
}

// private says whether a name is under one of the domains that are nobody's (RFC 2606, RFC 6762, RFC 8375 and their
// kin).
func private(host string) (domain string, yes bool) {
	for _, domain := range []string{"test", "example", "invalid", "localhost", "local", "internal", "lan", "home.arpa"} {
		if strings.HasSuffix(host, "."+domain) {
			return domain, true
		}
	}
	return "", false
}
