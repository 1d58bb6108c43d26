// Package config answers one question: what does this gate421.yaml ask for, and if it cannot be had, what is wrong,
// where, and what should be written instead?
//
// # Rules
//
// Strict: an unknown or repeated key, a value of the wrong type, out of bounds or excluded by another one is a Problem
// that names the line and column of the offending key or value. Nothing is guessed, nothing is ignored: a key of the
// contract that this version does not serve yet is refused by name, except where its value changes nothing.
//
// Complete: all problems of a file are reported at once. Only when the text is not YAML, or not text at all, does the
// first fault stand alone.
//
// Small YAML: one document of mappings, lists and one-line scalars. Anchors, aliases, merge keys, tags, directives,
// explicit keys ("? ") and block texts ("|", ">") are refused by name: a configuration says each thing once, where it
// is read. The words yes, no, on and off are texts as in YAML 1.2; where a reader of YAML 1.1 would expect a boolean,
// the hint says so. A file has at most 1 MiB, a mapping in it at most 10,000 keys.
//
// Units: a duration is written as in Go with d for 24 hours in addition (1s, 1h30m, 7d), a size with B, KiB, MiB or GiB
// (256MiB). A number without its unit is a problem.
//
// Pure: Parse and Quick look at nothing but their arguments. Whether a file, an origin or a resolver is there is for
// others to see. Nothing in the package keeps state; everything may be used by several goroutines.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"gate421/gate/files"
	"gate421/gate/policy"
)

// Config is what gate421.yaml says; each field is a key of it under the same name in lower case with underscores. It is
// complete: a key left out has its default. Keys lists all keys with their defaults and bounds. It is not to be changed
// once it is in use.
type Config struct {
	// File is the path the configuration was read from; "" when it came from flags.
	File string
	// Version is the first 12 hexadecimal digits of the text's SHA-256: the field config of the decision log.
	Version string

	Listen Listen
	// Admin is the address, host:port, of the page, the metrics and the health answer; "" is off.
	Admin string
	// State is the absolute path of the folder that holds certificates, guard counters and the admin token.
	State string

	Certificates Certificates
	// Crawlers are the names of the crawlers that are recognised; never empty.
	Crawlers []string
	Verify   Verify
	Log      Log
	Limits   Limits
	// Sites are in the file's order; at least one. No host stands in two of them.
	Sites []Site

	notes  []Problem
	places map[string]place // of texts in the file
}

// Listen says where requests come in. No two addresses of a configuration overlap, that of Admin included; port 0 lets
// the system choose one.
type Listen struct {
	HTTPS string // host:port or :port; cannot be turned off
	HTTP  string // host:port or :port, ACME HTTP-01 and the redirect to https; "" is off

	// ProxyProtocol are the networks of TCP load balancers, whose connections must begin with a PROXY header. Default
	// none.
	ProxyProtocol []netip.Prefix
	// TrustedProxies are the networks of HTTP proxies whose headers may name the client. Default none.
	TrustedProxies []netip.Prefix
	// ClientIPHeader names the header with the client's address, ClientProtocolHeader that with the protocol which the
	// client speaks to the proxy, in canonical form. Default "", none. Both count with TrustedProxies only.
	ClientIPHeader       string
	ClientProtocolHeader string
}

// Certificates says where they come from.
type Certificates struct {
	Source string // "acme", "local" (an authority of our own) or "files"
	Email  string // ACME account's address; default "", which the authority accepts and cannot warn
	CAs    []CA   // ACME authorities, tried in order; never empty
	DNS    *DNS   // nil (default): hosts are proved through our listeners, which wildcards cannot be
	// UnknownHost is what a handshake for a name nobody configured gets: "refuse" for an alert, "default" for
	// the certificate of the first site's first host.
	UnknownHost string
	// Storage is "" (default) for files below State, or the URL (redis, rediss) of a server that several gateways
	// share.
	Storage string
	Files   []Pair // source "files" only, and then at least one; re-read when they change
}

// CA is an ACME authority.
type CA struct {
	Directory string // "letsencrypt", "letsencrypt-staging", "zerossl" or the https URL of an ACME directory
	Root      string // path of a PEM file to check the directory's own certificate against; "" is the system's roots
	// KeyID and HMACKeyFile name an account made beforehand that ours is bound to; both or none.
	KeyID, HMACKeyFile string
}

// DNS is a provider to prove hosts through. Which fields a provider has is for providerKeys to say.
type DNS struct {
	Provider     string        // "rfc2136", "acme-dns" or "cloudflare"
	Server       string        // ip:port, for acme-dns a URL
	KeyName      string        // "": the key file says it
	KeyAlgorithm string        // "hmac-sha256" and its kin; "": the key file says it, or hmac-sha256
	KeyFile      string        // path
	AccountFile  string        // path
	TokenFile    string        // path
	DelegatedTo  string        // where the CNAME of every _acme-challenge leads; "": nowhere else
	Resolvers    []string      // ip:port; none: the system's
	Propagation  time.Duration // how long a record is waited for; 0: not at all
}

// Pair is a certificate with its key, two paths of PEM files.
type Pair struct {
	Cert string
	Key  string
}

// Verify says how a crawler's claim is verified.
type Verify struct {
	// Resolver is "system", "ip:port" for plain DNS or "tls://ip:port#name" for DNS over TLS, where name is what the
	// certificate must say. The port is always there: where the file left it out, it is 53, with TLS 853.
	Resolver string
	// Wait is the longest that a crawler's first HTTP/2 request waits for its verdict.
	Wait time.Duration
	// Ranges says where Google's published address ranges come from: "auto" fetches them daily, "embedded" has those
	// that came with the program, "none" has no use for them. They prove nothing; addresses in them are looked up
	// first.
	Ranges string
}

// Site is one site: hosts that share an origin and rules.
type Site struct {
	// Hosts are lower-case ASCII (IDNA's A-labels), without port; at least one. "*.example.com" stands for any one
	// label in place of the star and wants DNS with source "acme". An IP address, too, excludes source "acme".
	Hosts []string
	// Origin lists the site's own servers, at least one and none twice: "http://host[:port]", "https://host[:port]",
	// "h2c://host[:port]" (HTTP/2 without TLS), "h2://host[:port]" (with TLS) or "unix:/absolute/socket"; or it is one
	// folder, "file:/absolute/folder". None has a slash at the end.
	Origin     []string
	OriginTLS  OriginTLS
	OriginTime time.Duration // as Limits.OriginTime, for this site; 0: that one
	HTTP2Crawl policy.State  // what verified crawlers get over HTTP/2 where no path says otherwise; required
	Guard      *Guard        // nil: off
	Paths      []policy.Rule
}

// OriginTLS says how an origin behind TLS (https:// or h2://) is trusted, and trusts. Any other value than the zero one
// wants at least one such server.
type OriginTLS struct {
	ServerName         string // name asked for and expected; "" (default): the request's host
	CA                 string // path of a PEM file with the authorities to trust; "" (default): the system's
	InsecureSkipVerify bool   // take any certificate; excludes CA
	ClientCert         string // path of a PEM file with the certificate to show and its chain; "" (default): none
	ClientKey          string // path of the PEM file with its key; goes with ClientCert
}

// Guard stops refusing on a site whose crawler does not come back.
type Guard struct {
	Refusals int           // after so many refusals
	Within   time.Duration // without one verified come-back for so long
}

// Spec is the site in the words of the policy.
func (s Site) Spec() policy.Spec {
	return policy.Spec{Hosts: s.Hosts, State: s.HTTP2Crawl, Paths: s.Paths}
}

// Policy builds the rules of all sites. Parse has looked at everything that New refuses, so an error is a fault of the
// program.
func (c *Config) Policy() (*policy.Policy, error) {
	specs := make([]policy.Spec, len(c.Sites))
	for i, s := range c.Sites {
		specs[i] = s.Spec()
	}
	return policy.New(specs)
}

// Notes are warnings, sorted by position: the configuration does what it says, but its author may not expect what
// follows.
func (c *Config) Notes() []Problem { return c.notes }

// Load reads the file at path and parses it. The error is Problems, or says why the file could not be read. crawlers
// are the names that exist in the catalogue of crawlers.
func Load(path string, crawlers []string) (*Config, error) {
	text, err := files.Read(path, maxFileBytes)
	if errors.Is(err, files.ErrTooLarge) {
		return nil, Problems{tooLarge(path)}
	}
	if err != nil {
		var pathError *fs.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return nil, fmt.Errorf("configuration %q cannot be read: %w", path, err)
	}
	return Parse(path, text, crawlers)
}

// tooLarge is what is wrong with a file of more than maxFileBytes.
func tooLarge(path string) Problem {
	return Problem{
		File:    path,
		Line:    1,
		Column:  1,
		Message: "the file is larger than 1 MiB",
		Hint:    "is it the right file?",
	}
}

// Parse reads a configuration from its text; name is the file's, for messages and for Config.File. The error is
// Problems.
func Parse(name string, text []byte, crawlers []string) (*Config, error) {
	r := &reader{file: name, crawlers: crawlers}
	root := r.yaml(text)
	if len(r.problems) > 0 {
		return nil, r.sorted()
	}
	c := r.config(root)
	r.unexpanded(root)
	if len(r.problems) > 0 {
		return nil, r.sorted()
	}
	c.File = name
	c.Version = Version(text)
	c.places = map[string]place{}
	r.places(root, c.places)
	return c, nil
}

// Version is that of a configuration with this text.
func Version(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}
