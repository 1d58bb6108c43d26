package certs

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/cloudflare"
	"github.com/libdns/rfc2136"
)

// The values of DNS.Provider.
const (
	ProviderRFC2136    = "rfc2136"    // any name server that takes updates (RFC 2136) signed with a key (TSIG, RFC 8945)
	ProviderACMEDNS    = "acme-dns"   // a server of https://github.com/joohoi/acme-dns
	ProviderCloudflare = "cloudflare" // Cloudflare's API
)

// DNS configures validation through DNS-01: a TXT record _acme-challenge below the host, written for the time of an
// order and removed after it. A zone that we cannot write to leads that name, by a CNAME, to one that we can.
type DNS struct {
	// Provider is one of the Provider constants.
	Provider string

	// Server is the name server's address, ip:port ("rfc2136"), or the server's URL ("acme-dns").
	Server string

	// KeyFile is the path of the file with the TSIG key: what tsig-keygen writes, or the secret alone in base64, which
	// needs KeyName; KeyAlgorithm is then "hmac-sha256" if empty. Only for "rfc2136".
	KeyFile, KeyName, KeyAlgorithm string

	// AccountFile is the path of a JSON file: what the server's /register returned, or several of these, each under its
	// host's name, as acme-dns-client stores them. Only for "acme-dns".
	AccountFile string

	// TokenFile is the path of a file with an API token that may read the zone and edit its records. Only for
	// "cloudflare".
	TokenFile string

	// DelegatedTo is the name at which the records of all hosts are written, the target of each _acme-challenge's
	// CNAME; "" is _acme-challenge below each host. Not for "acme-dns", whose accounts have their names.
	DelegatedTo string

	// Resolvers are the DNS servers, ip:port, that are asked which zone a name is in and whether a record has
	// appeared. None is those of /etc/resolv.conf; the record must then have appeared on every name server of the zone.
	Resolvers []string

	// Propagation is how long to wait for a record to appear; 0 is 2 minutes, negative does not wait.
	Propagation time.Duration
}

// open prepares the provider and joins what is wrong with the configuration. It uses no network. For a nil d it is nil.
func (d *DNS) open(n *notifier) (certmagic.DNSProvider, error) {
	if d == nil {
		return nil, nil
	}
	var provider certmagic.DNSProvider
	var err error
	switch d.Provider {
	case ProviderRFC2136:
		provider, err = d.openRFC2136(n)
	case ProviderACMEDNS:
		provider, err = d.openACMEDNS(n)
	case ProviderCloudflare:
		var token string
		token, err = readSecret(d.TokenFile, n)
		provider = &cloudflare.Provider{APIToken: token, HTTPClient: &http.Client{Timeout: 30 * time.Second}}
	default:
		err = fmt.Errorf("DNS provider %q: want %q, %q or %q", d.Provider, ProviderRFC2136, ProviderACMEDNS,
			ProviderCloudflare)
	}
	problems := []error{err}
	if d.DelegatedTo != "" {
		problems = append(problems, checkHost(d.DelegatedTo))
	}
	for _, server := range d.Resolvers {
		problems = append(problems, checkServer(server))
	}
	// Without a server, certmagic would ask public ones that nobody here has chosen.
	if len(d.Resolvers) == 0 && !namesServers("/etc/resolv.conf") {
		problems = append(problems, errors.New("resolvers: the system names no DNS server to ask; name some"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("DNS-01: %w", err)
	}
	return provider, nil
}

// solver is certmagic's, with nothing left to its package defaults.
func (d *DNS) solver(provider certmagic.DNSProvider, log logger) *certmagic.DNS01Solver {
	wait := d.Propagation
	switch {
	case wait == 0:
		wait = 2 * time.Minute
	case wait < 0:
		wait = -1
	}
	return &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider:        provider,
		TTL:                time.Minute,
		PropagationTimeout: wait,
		Resolvers:          d.Resolvers,
		OverrideDomain:     d.DelegatedTo,
		Logger:             log.Logger,
	}}
}

// namesServers reports whether a resolv.conf has a server in it.
func namesServers(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 1 && words[0] == "nameserver" {
			return true
		}
	}
	return false
}

// checkServer wants an IP address with a port.
func checkServer(server string) error {
	host, port, err := net.SplitHostPort(server)
	if err != nil || net.ParseIP(host) == nil || port == "" || port == "0" {
		return fmt.Errorf("server %q: want an IP address and a port, such as 192.0.2.53:53", server)
	}
	return nil
}

// algorithms are those that both name servers and the library know.
func algorithms() []string {
	return []string{"hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1"}
}

func (d *DNS) openRFC2136(n *notifier) (certmagic.DNSProvider, error) {
	secret, err := readSecret(d.KeyFile, n)
	problems := []error{err, checkServer(d.Server)}
	p := &rfc2136.Provider{Server: d.Server, KeyName: d.KeyName, KeyAlg: d.KeyAlgorithm, Key: secret}
	if err == nil && strings.HasPrefix(secret, "key") && strings.Contains(secret, "{") {
		problems = append(problems, d.parseKey(secret, p))
	}
	p.KeyAlg = cmp.Or(p.KeyAlg, "hmac-sha256")
	if !slices.Contains(algorithms(), p.KeyAlg) {
		problems = append(problems, fmt.Errorf("key algorithm %q: want one of %s", p.KeyAlg,
			strings.Join(algorithms(), ", ")))
	}
	if p.KeyName == "" {
		problems = append(problems, fmt.Errorf("key %q: its name is missing", d.KeyFile))
	}
	if _, other := base64.StdEncoding.DecodeString(p.Key); err == nil && other != nil {
		problems = append(problems, fmt.Errorf("key %q: neither what tsig-keygen writes nor a secret in base64",
			d.KeyFile))
	}
	return p, errors.Join(problems...)
}

// parseKey reads a name server's own form: key "name" { algorithm hmac-sha256; secret "…"; };
func (d *DNS) parseKey(text string, p *rfc2136.Provider) error {
	found := regexp.MustCompile(`^key\s+"?([^"\s{]+)"?\s*\{`).FindStringSubmatch(text)
	algorithm := regexp.MustCompile(`algorithm\s+"?([a-z0-9-]+)"?\s*;`).FindStringSubmatch(text)
	secret := regexp.MustCompile(`secret\s+"?([A-Za-z0-9+/=]+)"?\s*;`).FindStringSubmatch(text)
	if found == nil || algorithm == nil || secret == nil {
		return fmt.Errorf("key %q: a key as tsig-keygen writes it has a name, an algorithm and a secret", d.KeyFile)
	}
	if d.KeyName != "" && d.KeyName != found[1] || d.KeyAlgorithm != "" && d.KeyAlgorithm != algorithm[1] {
		return fmt.Errorf("key %q: it is named %q and is for %s, which is not what is configured", d.KeyFile, found[1],
			algorithm[1])
	}
	p.KeyName, p.KeyAlg, p.Key = found[1], algorithm[1], secret[1]
	return nil
}

func (d *DNS) openACMEDNS(n *notifier) (certmagic.DNSProvider, error) {
	text, err := readSecret(d.AccountFile, n)
	problems := []error{err}
	if u, err := url.Parse(d.Server); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		problems = append(problems, fmt.Errorf("server %q: want its URL, such as https://auth.example.com", d.Server))
	}
	if d.DelegatedTo != "" {
		problems = append(problems, errors.New("delegated name: not for acme-dns, whose accounts say where they write"))
	}
	if err != nil {
		return nil, errors.Join(problems...)
	}
	accounts, err := parseAccounts([]byte(text))
	if err != nil {
		problems = append(problems, fmt.Errorf("account %q: %w", d.AccountFile, err))
	}
	// A redirect would carry the account's password to wherever it leads.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &acmeDNS{server: strings.TrimSuffix(d.Server, "/"), accounts: accounts,
		client: &http.Client{Timeout: 30 * time.Second, CheckRedirect: stay}}, errors.Join(problems...)
}
