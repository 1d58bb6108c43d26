package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// acmeSource is the source "acme": certificates ordered from authorities, proved through our own listeners or DNS.
type acmeSource struct {
	*managed
	names       names
	placeholder net.Listener
	refusing    sync.WaitGroup // the placeholder's loop
	httpPort    int
	httpsPort   int
	dns         bool // hosts are proved through DNS
}

func openACME(ctx context.Context, c Config, hosts names, told *teller) (*acmeSource, error) {
	authorities, err := readyAll(c.CAs, told)
	problems := []error{err}
	for _, host := range hosts.order {
		if isWildcard(host) && c.DNS == nil {
			problems = append(problems, fmt.Errorf("host %q: an ACME authority wants DNS-01 for a wildcard, which needs a DNS "+
				"provider; name its hosts one by one, or take certificates from files", host))
		}
	}
	if c.HTTPPort < 0 && c.HTTPSPort < 0 && c.DNS == nil {
		problems = append(problems, errors.New("certificate source \"acme\": no listener to answer a challenge on"))
	}
	provider, err := c.DNS.open(told)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}

	a := &acmeSource{names: hosts, httpPort: c.HTTPPort, httpsPort: c.HTTPSPort, dns: c.DNS != nil}
	if a.placeholder, err = openPlaceholder(); err != nil {
		return nil, err
	}
	m, err := newManaged(c, hosts, told)
	if err != nil {
		return nil, errors.Join(err, a.placeholder.Close())
	}
	a.managed, m.words = m, a.inWords
	for _, by := range authorities {
		way := &way{name: by.name}
		way.cfg = m.config(way, false)
		way.cfg.Issuers = []certmagic.Issuer{a.newIssuer(c, by, provider, way.cfg)}
		way.anew = m.config(way, true)
		way.anew.Issuers = []certmagic.Issuer{a.newIssuer(c, by, provider, way.anew)}
		m.add(way)
	}
	a.refusing.Go(func() { refuseAll(a.placeholder) })
	if _, err := m.loadAll(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// openPlaceholder keeps certmagic from ever serving a challenge on a socket of its own.
//
// For each challenge certmagic tries to listen on a port, and if it can, it serves there; only if the address is in
// use and can be connected to does it trust that whoever has it will answer. Relying on our real listeners to be in
// its way is not enough: they may be bound to one address only (some systems then still let it have the wildcard),
// passed in by a service manager, or already closed while an order is still running. So it is sent to a loopback port
// that is taken for as long as it could ask. The authority itself comes to ports 80 and 443, to our listeners.
func openPlaceholder() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		var other error
		if listener, other = net.Listen("tcp", "[::1]:0"); other != nil {
			return nil, fmt.Errorf("loopback: %w", errors.Join(err, other))
		}
	}
	return listener, nil
}

// refuseAll hangs up on everybody who connects, until the listener is closed.
func refuseAll(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			time.Sleep(100 * time.Millisecond) // out of descriptors, most likely: do not spin
			continue
		}
		conn.Close()
	}
}

// newIssuer makes certmagic's ACME issuer from a template without gaps. What the constructor may still have taken
// from certmagic's package defaults, because its zero means something, is put back afterwards.
func (a *acmeSource) newIssuer(c Config, by ready, provider certmagic.DNSProvider, cfg *certmagic.Config) *certmagic.ACMEIssuer {
	port := a.placeholder.Addr().(*net.TCPAddr)
	template := certmagic.ACMEIssuer{
		CA:                      by.directory,
		Email:                   c.Email,
		Agreed:                  true,
		DisableHTTPChallenge:    c.HTTPPort < 0,
		DisableTLSALPNChallenge: c.HTTPSPort < 0,
		// Challenges lie in storage too, for other gateways on it to answer: see challengeOf.
		DisableDistributedSolvers: false,
		ListenHost:                port.IP.String(),
		AltHTTPPort:               port.Port,
		AltTLSALPNPort:            port.Port,
		TrustedRoots:              by.roots,
		CertObtainTimeout:         5 * time.Minute,
		Logger:                    a.log.Logger,
		HTTPProxy:                 a.mayAsk,
		NewAccountFunc:            a.tellTerms(by),
	}
	issuer := certmagic.NewACMEIssuer(cfg, template)
	issuer.Email, issuer.AccountKeyPEM = template.Email, ""
	issuer.DisableHTTPChallenge = template.DisableHTTPChallenge
	issuer.DisableTLSALPNChallenge = template.DisableTLSALPNChallenge
	issuer.ExternalAccount = by.binding
	issuer.NotBefore, issuer.NotAfter = 0, 0
	// No second authority to try out on: our own pauses keep within what authorities allow to fail.
	issuer.TestCA = ""
	issuer.DNS01Solver = nil
	if provider != nil {
		issuer.DNS01Solver = c.DNS.solver(provider, a.log)
	}
	return issuer
}

// mayAsk stands before every request to the authority: none before Manage, none after Close. In between it is the
// environment's proxy.
func (a *acmeSource) mayAsk(r *http.Request) (*url.URL, error) {
	if !a.managing.Load() || a.told.stopped.Load() {
		return nil, errors.New("certificates are not being managed")
	}
	return http.ProxyFromEnvironment(r)
}

// tlsTrusting is for a client of an authority.
func tlsTrusting(roots *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: roots} }

// isChallenge reports whether hello is a TLS-ALPN-01 validation: acme-tls/1 and no other protocol (RFC 8737 section 3).
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol
}

func (a *acmeSource) challengeCertificate(hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	active, own := certmagic.GetACMEChallenge(name)
	if !own && a.httpsPort >= 0 {
		return a.othersCertificate(hello.Context(), name)
	}
	if !own || active.Type != acme.ChallengeTypeTLSALPN01 {
		return nil, fmt.Errorf("host %q: no challenge in progress", name)
	}
	// Knowing the challenge to be in its memory keeps certmagic from looking for it in storage.
	folded := *hello
	folded.ServerName = name
	return a.cfg.GetCertificate(&folded)
}

func (a *acmeSource) challenge(w http.ResponseWriter, r *http.Request) bool {
	if !certmagic.LooksLikeHTTPChallenge(r) {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	active, ok := a.challengeOf(r.Context(), fold(host))
	if !ok || active.Type != acme.ChallengeTypeHTTP01 || !a.names.known[active.Identifier.Value] {
		return false
	}
	folded := *r
	folded.Host = active.Identifier.Value
	return certmagic.SolveHTTPChallenge(a.log.Logger, w, &folded, active)
}

// close stops certmagic; the placeholder goes last, when nothing is left that could take its port.
func (a *acmeSource) close() error {
	err := errors.Join(a.managed.close(), a.placeholder.Close())
	a.refusing.Wait()
	return err
}
