// Package certs answers one question: with which certificate is this TLS handshake answered?
//
// The rules:
//
//  1. Only configured hosts have certificates. The handshake for any other name fails, and no certificate is ever
//     ordered, made or looked up for it, however often it is asked for.
//
//  2. A handshake is served from memory: no DNS, no network and no disk on its path. While a host has no certificate
//     yet, its handshakes fail at once. One kind of hello may read the storage, for a second at most: that of an
//     authority's TLS-ALPN-01 validation, whose order another gateway may have begun.
//
//  3. Names are compared in lower case and without one trailing dot. A host configured by its own name goes before a
//     wildcard; "*.example.com" stands for exactly one label. A client that sends no name gets the first host's
//     certificate.
//
//  4. A certificate in use stays in use until a better one replaces it: through a renewal that fails, a file that
//     breaks, an authority that is gone. Config.OnEvent says so. An expired one is served too: it tells the client more
//     than no certificate does.
//
//  5. No socket that another machine can reach is opened here. Challenges of an ACME authority are answered through
//     the caller's own listeners: GetCertificate for TLS-ALPN-01, Challenge for HTTP-01.
//
//  6. Keys stay in files that only their owner can read, in folders only their owner can enter.
//
//  7. A failed order is repeated with growing pauses for as long as the host is configured, and one host never waits
//     for another. Every failure is reported with the authority's own text, the cure where one is known and the time of
//     the next attempt.
//
// Three sources: "acme" orders certificates from an authority and renews them; "local" is an authority of its own,
// whose root the clients must be told to trust; "files" reads what somebody else renews. Every host of "acme" and
// "local" has a certificate to itself, so that no client reuses a connection for one host to request another.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// The values of Config.Source.
const (
	SourceACME  = "acme"
	SourceLocal = "local"
	SourceFiles = "files"
)

// Config says where certificates come from. The zero value is not usable: Source and Hosts are required, and Folder
// unless Source is "files".
type Config struct {
	// Source is "acme", "local" or "files".
	Source string

	// Hosts are the names a certificate is wanted for: lower case, ASCII (IDNA already applied), no trailing dot.
	// "*.example.com" is allowed; with "acme" it needs DNS. The first one answers clients that send no name.
	Hosts []string

	// UnknownHost is what a handshake for a name that is not configured gets: "" or "refuse" for nothing but an
	// alert, "default" for the certificate of the first host. Neither ever orders one.
	UnknownHost string

	// Email is where the ACME authorities may write to; "" gives them none. Only for "acme".
	Email string

	// CAs are the ACME authorities, tried in order: each one when the one before it has failed. Naming one accepts
	// its terms. None is Let's Encrypt. Only for "acme".
	CAs []CA

	// DNS has all hosts validated through DNS-01, instead of through our listeners; nil does not. Only for "acme".
	DNS *DNS

	// Storage is where certificates, accounts and orders in progress are kept: "" is below Folder, for one gateway or
	// several that share that folder; redis://[user:password@]host:port/db or rediss:// is a Redis or Valkey server
	// that several gateways share: package redis says what it holds and who may see it. Folder then has a copy of the
	// certificates below Folder/certificates-cache. Only for "acme".
	Storage string

	// CheckEvery is how often to check whether a certificate is due for renewal; 0 is 10 minutes, which is too rare
	// for authorities whose certificates last less than an hour.
	CheckEvery time.Duration

	// Files are the pairs to read. Every host needs one that covers it. Only for "files", which needs at least one.
	Files []Pair

	// Folder is the state folder, created with mode 0700. Certificates and accounts are kept below
	// Folder/certificates, the local authority below Folder/local-ca; nothing else is touched. Not used by "files".
	Folder string

	// OnEvent takes what happened; nil ignores it. It is called from several goroutines, before Open returns too,
	// never after Close has returned, and must not block.
	OnEvent func(Event)

	// Log takes certmagic's own messages of level warn and above. The zero value drops them. Everything that a site
	// owner needs comes through OnEvent; this is for finding out why.
	Log zerolog.Logger

	// HTTPPort and HTTPSPort are the ports of our own listeners, to which the authority's connections to port 80
	// (HTTP-01) and port 443 (TLS-ALPN-01) must lead. 0 is 80 and 443. Negative means that there is no such listener,
	// and that challenge is not used. Only for "acme", which needs one of the two or DNS.
	HTTPPort, HTTPSPort int
}

// Pair names a certificate chain (PEM, the host's own certificate first) and its private key (PEM, not encrypted).
type Pair struct{ Cert, Key string }

// UnknownHostError is what GetCertificate returns for a name that is not configured.
//
// Go's TLS server turns any error of GetCertificate into the alert internal_error (80). A caller that would rather
// send unrecognized_name (112) returns nil, nil in its place, from a tls.Config without Certificates.
type UnknownHostError struct{ Name string }

func (u UnknownHostError) Error() string {
	return fmt.Sprintf("host %q: not configured", u.Name)
}

// source is one of the three that certificates come from.
type source interface {
	// certificates has what can be served for a configured host, the preferred one first, from memory.
	certificates(host string) []*tls.Certificate
	// manage starts to keep the certificates current, until ctx ends or close is called. It returns at once.
	manage(ctx context.Context) error
	// close stops that and waits until it has stopped.
	close() error
}

// Certificates holds the certificates of the configured hosts. Make one with Open. Its methods may be called from
// several goroutines.
type Certificates struct {
	names        names
	serveDefault bool // a name that is not configured gets the first host's certificate
	source       source
	acme         *acmeSource // nil unless the source is "acme"
	root         string      // the path of the local authority's root; "" unless the source is "local"
	notifier     *notifier

	mu      sync.Mutex
	managed bool
	closed  bool
}

// Open prepares the certificates that c configures; ctx bounds Open alone. With "local" and "files" every host has its
// certificate when Open returns. With "acme" those in the storage are loaded, and no authority has been asked: Manage
// does that. On an error, which joins all problems found, nothing is left running.
func Open(ctx context.Context, c Config) (*Certificates, error) {
	hosts, err := newNames(c.Hosts)
	if err != nil {
		return nil, err
	}
	certs := &Certificates{names: hosts, notifier: &notifier{onEvent: c.OnEvent}}
	switch c.UnknownHost {
	case "", "refuse":
	case "default":
		certs.serveDefault = true
	default:
		return nil, fmt.Errorf("unknown host %q: want %q or %q", c.UnknownHost, "refuse", "default")
	}
	switch c.Source {
	case SourceACME:
		certs.acme, err = openACME(ctx, c, hosts, certs.notifier)
		certs.source = certs.acme
	case SourceLocal:
		var local *localSource
		if local, err = openLocal(ctx, c, hosts, certs.notifier); err == nil {
			certs.source, certs.root = local, local.authority.Path()
		}
	case SourceFiles:
		certs.source, err = openFiles(c.Files, hosts, certs.notifier)
	default:
		err = fmt.Errorf("certificate source %q: want %q, %q or %q", c.Source, SourceACME, SourceLocal, SourceFiles)
	}
	if err != nil {
		return nil, err
	}
	return certs, nil
}

// Manage starts obtaining and renewing in the background ("acme", "local") or watching the files ("files"), until ctx
// ends or Close is called. Call it after the listeners accept connections: an authority may connect to validate while
// Manage still runs. Calling it again does nothing. It fails only after Close; later failures go to Config.OnEvent and
// are tried again.
func (c *Certificates) Manage(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("certificates: closed")
	}
	if c.managed {
		return nil
	}
	c.managed = true
	return c.source.manage(ctx)
}

// GetCertificate is for tls.Config.GetCertificate. It reads memory alone and waits for nothing.
//
// A name that is not configured is an UnknownHostError, or with UnknownHost "default" gets the first host's
// certificate; a configured host without a certificate yet is another error; either way the handshake fails with an
// alert.
//
// A hello whose only protocol is acme-tls/1 gets the challenge certificate of an order in progress for that host, here
// or in another gateway on the same storage (which is read, for a second at most), and an error if there is none; for
// it to arrive, tls.Config.NextProtos must hold "acme-tls/1". GetCertificate works after Close too.
func (c *Certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := normalize(hello.ServerName)
	host, ok := c.names.match(name)
	if !ok && c.serveDefault && !isValidation(hello) {
		host, ok = c.names.order[0], true
	}
	if !ok {
		return nil, UnknownHostError{Name: name}
	}
	if isValidation(hello) {
		if c.acme == nil {
			return nil, fmt.Errorf("host %q: no challenge in progress", name)
		}
		return c.acme.challengeCertificate(hello, name)
	}
	if cert := pick(hello, c.source.certificates(host)); cert != nil {
		return cert, nil
	}
	return nil, fmt.Errorf("host %q: no certificate yet", host)
}

// Challenge answers an authority's HTTP-01 request for an order in progress, and reports whether r was one. The order
// may be here or in another gateway on the same storage (which is waited for a second at most). If not, w is untouched
// and the request may be for anybody else, the origin's own ACME client included.
func (c *Certificates) Challenge(w http.ResponseWriter, r *http.Request) bool {
	return c.acme != nil && c.acme.challenge(w, r)
}

// Root is the path of the local authority's root certificate (PEM), which clients must trust; "" unless the source
// is "local".
func (c *Certificates) Root() string { return c.root }

// Leaves has the certificates being served, each once, in the order of Config.Hosts. Hosts that have none yet are
// missing. They are shared and must not be changed.
func (c *Certificates) Leaves() []*x509.Certificate {
	var leaves []*x509.Certificate
	seen := make(map[string]bool)
	for _, host := range c.names.order {
		cert := pick(nil, c.source.certificates(host))
		if cert == nil || seen[string(cert.Leaf.Raw)] {
			continue
		}
		seen[string(cert.Leaf.Raw)] = true
		leaves = append(leaves, cert.Leaf)
	}
	return leaves
}

// Close stops everything that was started and waits until it has stopped. An order in progress is abandoned; a request
// to the authority that was already sent is waited for (certmagic gives up after 30 seconds). Calling it again does
// nothing.
func (c *Certificates) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.notifier.stop()
	return c.source.close()
}

// pick chooses from certs, in order of preference: the first that is valid now and that the client can use, or else the
// first. hello may be nil. Without certs it is nil.
func pick(hello *tls.ClientHelloInfo, certs []*tls.Certificate) *tls.Certificate {
	if len(certs) == 0 {
		return nil
	}
	if len(certs) == 1 {
		return certs[0]
	}
	now := time.Now()
	for _, cert := range certs {
		if now.Before(cert.Leaf.NotBefore) || now.After(cert.Leaf.NotAfter) {
			continue
		}
		if hello == nil || hello.SupportsCertificate(cert) == nil {
			return cert
		}
	}
	return certs[0]
}
