// Package certs answers one question: with which certificate is this TLS handshake answered?
//
// The rules:
//
//  1. Only configured hosts have certificates. A name nobody configured is refused in the handshake, and no
//     certificate is ever ordered, made or looked up for it, however often it is asked for.
//  2. A handshake is answered from memory: no DNS, no network and no disk on its path. A host whose certificate is
//     not there yet fails its handshake at once; it is not waited for. One kind of hello may be answered from storage,
//     within a second: that of an authority's TLS-ALPN-01 validation, whose order another gateway may have begun.
//  3. Names are compared in lower case and without one trailing dot. A host configured by its own name goes before a
//     wildcard; "*.example.com" stands for exactly one label. A client that sends no name gets the first host's
//     certificate.
//  4. What is there stays. A renewal that fails, a file that breaks, an authority that is gone: the certificate in
//     use is kept, and Config.Notify is told. Nothing is dropped for being expired: an expired certificate tells the
//     client more than no certificate does.
//  5. No socket that a stranger can reach is opened here. Challenges of an ACME authority are answered through the
//     caller's own listeners: GetCertificate for TLS-ALPN-01, Challenge for HTTP-01.
//  6. Keys stay in files that only their owner can read, in folders only their owner can enter.
//
// Three sources: "acme" orders certificates from an authority and renews them; "local" is an authority of its own,
// whose root the clients must be told to trust; "files" reads what somebody else renews. Every host of "acme" and
// "local" has a certificate to itself, so that no client reuses a connection for one host to ask for another.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
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
	// "*.example.com" is allowed except with "acme", because DNS-01 is not offered. The first one answers clients
	// that send no name.
	Hosts []string

	// Email is where the ACME authority may write to; "" gives it none. Only for "acme".
	Email string

	// CA is "letsencrypt", "letsencrypt-staging" or the https URL of an ACME directory; "" is "letsencrypt". Using
	// it accepts the authority's terms. Only for "acme".
	CA string

	// CARoot is what the ACME directory's own TLS certificate is checked against; nil is the system's roots. Only
	// for "acme".
	CARoot *x509.CertPool

	// Files are the pairs to read. Every host needs one that covers it. Only for "files", which needs at least one.
	Files []Pair

	// Folder is the state folder, created with mode 0700. Certificates and accounts are kept below
	// Folder/certificates, the local authority below Folder/local-ca; nothing else is touched. Not used by "files".
	Folder string

	// Storage is where certificates, accounts and orders in progress are kept: "" is below Folder, for one gateway or
	// several that share that folder; redis://[user:password@]host:port/db or rediss:// is a Redis or Valkey server
	// that several gateways share, see redisStore for what it holds and who may see it. Folder then has a copy of the
	// certificates below Folder/certificates-cache. Only for "acme".
	Storage string

	// Notify is told what happened; nil tells nobody. It is called from several goroutines, also before Open
	// returns, never after Close has returned, and must not block.
	Notify func(Event)

	// Log takes what certmagic itself has to say, at level warn and above. The zero value drops it. Everything a
	// site owner needs comes through Notify; this is for finding out why.
	Log zerolog.Logger

	// HTTPPort and HTTPSPort are the ports of our own listeners, to which the authority's connections to port 80
	// (HTTP-01) and port 443 (TLS-ALPN-01) must lead. 0 is 80 and 443. A negative one means that there is no such
	// listener: that challenge is then not offered. Only for "acme", which needs one of the two.
	HTTPPort, HTTPSPort int
}

// Pair names a certificate chain (PEM, the host's own certificate first) and its private key (PEM, not encrypted).
type Pair struct{ Cert, Key string }

// The values of Event.Kind.
const (
	KindObtained = "obtained" // a host's first certificate is there
	KindRenewed  = "renewed"  // a host's certificate was replaced before it ran out
	KindLoaded   = "loaded"   // a certificate was read from disk, at the start or because its file changed
	KindFailed   = "failed"   // it did not work; what was in use still is, and it is tried again
	KindWarning  = "warning"  // it works, and somebody should look at it
)

// Event is one thing that happened to the certificate of some hosts.
type Event struct {
	Kind     string    // one of the Kind constants
	Hosts    []string  // the names the certificate has, or was wanted for
	Issuer   string    // who signed it, or was asked to; "" if that is not known
	NotAfter time.Time // when the certificate runs out; zero if there is none
	Error    string    // in words, for KindFailed and KindWarning; "" otherwise
}

// UnknownHostError is what GetCertificate returns for a name that is not configured.
//
// Go's TLS server turns any error of GetCertificate into the alert internal_error (80). A caller that would rather
// send unrecognized_name (112) returns nil, nil in its place, from a tls.Config without Certificates.
type UnknownHostError struct{ Name string }

func (e UnknownHostError) Error() string {
	return fmt.Sprintf("host %q: not configured", e.Name)
}

// source is one of the three places certificates come from.
type source interface {
	// certificates has what can be served for a configured host, the preferred one first, from memory.
	certificates(host string) []*tls.Certificate
	// manage starts what keeps certificates fresh, until ctx ends or close is called. It returns at once.
	manage(ctx context.Context) error
	// close stops that and waits for it.
	close() error
}

// Certificates holds the certificates of the configured hosts. Make one with Open. Its methods may be called from
// several goroutines.
type Certificates struct {
	names  names
	source source
	acme   *acmeSource // nil unless the source is "acme"
	root   string
	told   *teller

	mu      sync.Mutex
	managed bool
	closed  bool
}

// Open prepares the certificates that c asks for; ctx bounds Open alone. With "local" and "files" every host has its
// certificate when Open returns. With "acme" those found in the folder are there and nothing has been asked of the
// authority: Manage does that. On an error, which joins all problems found, nothing is left running.
func Open(ctx context.Context, c Config) (*Certificates, error) {
	hosts, err := newNames(c.Hosts)
	if err != nil {
		return nil, err
	}
	certs := &Certificates{names: hosts, told: &teller{to: c.Notify}}
	switch c.Source {
	case SourceACME:
		certs.acme, err = openACME(ctx, c, hosts, certs.told)
		certs.source = certs.acme
	case SourceLocal:
		var local *localSource
		if local, err = openLocal(ctx, c, hosts, certs.told); err == nil {
			certs.source, certs.root = local, local.authority.path
		}
	case SourceFiles:
		certs.source, err = openFiles(c.Files, hosts, certs.told)
	default:
		err = fmt.Errorf("certificate source %q: want %q, %q or %q", c.Source, SourceACME, SourceLocal, SourceFiles)
	}
	if err != nil {
		return nil, err
	}
	return certs, nil
}

// Manage starts obtaining and renewing in the background ("acme", "local") or watching the files ("files"), until
// ctx ends or Close is called. Call it after the listeners accept connections: an authority may come to ask while
// Manage still runs. Calling it again does nothing. It fails only after Close; what goes wrong later is told to
// Config.Notify and tried again.
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

// GetCertificate is for tls.Config.GetCertificate. It answers from memory: it waits for nothing and asks nobody. A
// name that is not configured is an UnknownHostError; a configured host without a certificate yet is another error;
// either way the handshake fails with an alert. A hello whose only protocol is acme-tls/1 gets the challenge
// certificate of an order in progress for that host, here or in another gateway on the same storage (which is asked,
// for a second at most), and an error if there is none; for it to arrive,
// tls.Config.NextProtos must hold "acme-tls/1". It goes on answering after Close.
func (c *Certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := fold(hello.ServerName)
	host, ok := c.names.match(name)
	if !ok {
		return nil, UnknownHostError{Name: name}
	}
	if isChallenge(hello) {
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

// Challenge answers r if it is an authority's HTTP-01 request for an order in progress here or in another gateway on
// the same storage (which is waited for a second at most), and reports whether it did. If not, w is untouched and the request is anybody's, the origin's own ACME client included.
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

// Close stops everything that was started and waits for it: an order under way is abandoned, a question to the
// authority already on the wire is waited for (certmagic gives up after 30 seconds). Calling it again does nothing.
func (c *Certificates) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.told.stop()
	return c.source.close()
}

// pick chooses from certs, which are in order of preference: the first that is valid now and that the client can
// use, or else the first. hello may be nil. No certs, nil.
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

// teller passes events on until it is stopped, so that nobody is told anything after Close.
type teller struct {
	to      func(Event) // nil: nobody
	stopped atomic.Bool
}

func (t *teller) tell(e Event) {
	if t.to != nil && !t.stopped.Load() {
		t.to(e)
	}
}

func (t *teller) stop() { t.stopped.Store(true) }
