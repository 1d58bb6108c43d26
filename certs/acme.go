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
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// acmeSource is the source "acme": certificates ordered from an authority, proved through our own listeners.
type acmeSource struct {
	*managed
	names       names
	placeholder net.Listener
	refusing    sync.WaitGroup // the placeholder's loop
	httpPort    int
	httpsPort   int
}

func openACME(ctx context.Context, c Config, hosts names, told *teller) (*acmeSource, error) {
	directory, err := directoryOf(c.CA)
	problems := []error{err}
	for _, host := range hosts.order {
		if isWildcard(host) {
			problems = append(problems, fmt.Errorf("host %q: an ACME authority wants DNS-01 for a wildcard, which is not "+
				"offered; name its hosts one by one, or take certificates from files", host))
		}
	}
	if c.HTTPPort < 0 && c.HTTPSPort < 0 {
		problems = append(problems, errors.New("certificate source \"acme\": no listener to answer a challenge on"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}

	a := &acmeSource{names: hosts, httpPort: c.HTTPPort, httpsPort: c.HTTPSPort}
	if a.placeholder, err = openPlaceholder(); err != nil {
		return nil, err
	}
	m, err := newManaged(c, hosts, told, func(cfg *certmagic.Config, log logger) (certmagic.Issuer, error) {
		return a.newIssuer(c, directory, cfg, log)
	})
	if err != nil {
		return nil, errors.Join(err, a.placeholder.Close())
	}
	a.managed, m.words = m, a.inWords
	m.issuer = strings.TrimPrefix(directory, "https://")
	if u, err := url.Parse(directory); err == nil {
		m.issuer = u.Host
	}
	a.refusing.Go(func() { refuseAll(a.placeholder) })
	if _, err := m.loadAll(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// directoryOf is the directory URL that Config.CA stands for.
func directoryOf(ca string) (string, error) {
	switch ca {
	case "", "letsencrypt":
		return certmagic.LetsEncryptProductionCA, nil
	case "letsencrypt-staging":
		return certmagic.LetsEncryptStagingCA, nil
	case "zerossl":
		return "", errors.New("certificate authority \"zerossl\": it wants an account made beforehand, which is not offered")
	}
	if u, err := url.Parse(ca); err != nil || u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("certificate authority %q: want \"letsencrypt\", \"letsencrypt-staging\" or the https URL of an "+
			"ACME directory", ca)
	}
	return ca, nil
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
func (a *acmeSource) newIssuer(c Config, directory string, cfg *certmagic.Config, log logger) (certmagic.Issuer, error) {
	roots := c.CARoot
	if roots == nil {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("the system's trusted roots: %w", err)
		}
	}
	port := a.placeholder.Addr().(*net.TCPAddr)
	template := certmagic.ACMEIssuer{
		CA:                      directory,
		Email:                   c.Email,
		Agreed:                  true,
		DisableHTTPChallenge:    c.HTTPPort < 0,
		DisableTLSALPNChallenge: c.HTTPSPort < 0,
		// Challenges lie in storage too, for other gateways on it to answer: see challengeOf.
		DisableDistributedSolvers: false,
		ListenHost:                port.IP.String(),
		AltHTTPPort:               port.Port,
		AltTLSALPNPort:            port.Port,
		TrustedRoots:              roots,
		CertObtainTimeout:         5 * time.Minute,
		Logger:                    log.Logger,
		HTTPProxy:                 a.mayAsk,
	}
	if directory == certmagic.LetsEncryptProductionCA {
		// After a failure the next attempt goes to staging first: its limits forgive, production's do not.
		template.TestCA = certmagic.LetsEncryptStagingCA
	}
	issuer := certmagic.NewACMEIssuer(cfg, template)
	issuer.Email, issuer.TestCA, issuer.AccountKeyPEM = template.Email, template.TestCA, ""
	issuer.DisableHTTPChallenge = template.DisableHTTPChallenge
	issuer.DisableTLSALPNChallenge = template.DisableTLSALPNChallenge
	issuer.ExternalAccount, issuer.DNS01Solver, issuer.NewAccountFunc = nil, nil, nil
	issuer.NotBefore, issuer.NotAfter = 0, 0
	return issuer, nil
}

// mayAsk stands before every request to the authority: none before Manage, none after Close. In between it is the
// environment's proxy.
func (a *acmeSource) mayAsk(r *http.Request) (*url.URL, error) {
	if !a.managing.Load() || a.told.stopped.Load() {
		return nil, errors.New("certificates are not being managed")
	}
	return http.ProxyFromEnvironment(r)
}

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

// inWords says what an authority's answer means to somebody who runs a site. An error that is no answer is its text.
func (a *acmeSource) inWords(err error) string {
	var problem acme.Problem
	if !errors.As(err, &problem) {
		return err.Error()
	}
	kind := problem.Type[strings.LastIndexByte(problem.Type, ':')+1:]
	words := kind
	switch kind {
	case "connection":
		words = "the authority could not connect" + a.forwarding()
	case "dns":
		words = "the authority could not look the name up"
	case "unauthorized", "incorrectResponse":
		words = "the authority got an answer that was not ours" + a.forwarding()
	case "tls":
		words = "the authority got no TLS handshake that was ours" + a.forwarding()
	case "rateLimited":
		words = "the authority has had too many orders"
	case "caa":
		words = "a CAA record in DNS forbids this authority"
	case "rejectedIdentifier":
		words = "the authority signs no such name"
	case "serverInternal":
		words = "the authority is in trouble itself"
	}
	if problem.Detail != "" {
		words = strings.TrimPrefix(words+": "+problem.Detail, ": ")
	}
	for _, part := range problem.Subproblems {
		words += "; " + strings.TrimSpace(part.Identifier.Value+" "+part.Detail)
	}
	return words
}

// forwarding recalls, where our ports are not the ones authorities come to, that something must lead from those here.
func (a *acmeSource) forwarding() string {
	var from []string
	if a.httpPort > 0 && a.httpPort != certmagic.HTTPChallengePort {
		from = append(from, fmt.Sprintf("port 80 must lead to port %d here", a.httpPort))
	}
	if a.httpsPort > 0 && a.httpsPort != certmagic.TLSALPNChallengePort {
		from = append(from, fmt.Sprintf("port 443 must lead to port %d here", a.httpsPort))
	}
	if len(from) == 0 {
		return ""
	}
	return " (" + strings.Join(from, ", ") + ")"
}

// close stops certmagic; the placeholder goes last, when nothing is left that could take its port.
func (a *acmeSource) close() error {
	err := errors.Join(a.managed.close(), a.placeholder.Close())
	a.refusing.Wait()
	return err
}
