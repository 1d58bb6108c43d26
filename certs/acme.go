package certs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// acmeSource is the source "acme": certificates ordered from authorities, validated through our own listeners or DNS.
type acmeSource struct {
	*managed
	names       names
	placeholder net.Listener
	accepting   sync.WaitGroup // the placeholder's loop
	httpPort    int
	httpsPort   int
	dns         bool // hosts are validated through DNS-01
}

func openACME(ctx context.Context, c Config, hosts names, n *notifier) (*acmeSource, error) {
	authorities, err := resolveCAs(c.CAs, n)
	problems := []error{err}
	for _, host := range hosts.order {
		if isWildcard(host) && c.DNS == nil {
			problems = append(problems, fmt.Errorf("host %q: an ACME authority wants DNS-01 for a wildcard, "+
				"which needs a DNS provider; name its hosts one by one, or take certificates from files", host))
		}
	}
	if c.HTTPPort < 0 && c.HTTPSPort < 0 && c.DNS == nil {
		problems = append(problems, errors.New("certificate source \"acme\": no listener to answer a challenge on"))
	}
	provider, err := c.DNS.open(n)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}

	a := &acmeSource{names: hosts, httpPort: c.HTTPPort, httpsPort: c.HTTPSPort, dns: c.DNS != nil}
	if a.placeholder, err = openPlaceholder(); err != nil {
		return nil, err
	}
	m, err := newManaged(c, hosts, n)
	if err != nil {
		return nil, errors.Join(err, a.placeholder.Close())
	}
	a.managed, m.explain = m, a.explain
	for _, by := range authorities {
		i := &issuer{name: by.name}
		i.cfg = m.config(i, false)
		i.cfg.Issuers = []certmagic.Issuer{a.newIssuer(c, by, provider, i.cfg)}
		i.withoutReplaces = m.config(i, true)
		i.withoutReplaces.Issuers = []certmagic.Issuer{a.newIssuer(c, by, provider, i.withoutReplaces)}
		m.add(i)
	}
	a.accepting.Go(func() { closeAll(a.placeholder) })
	if _, err := m.loadAll(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// openPlaceholder keeps certmagic from ever serving a challenge on a socket of its own.
//
// For each challenge certmagic tries to listen on a port, and serves there if it can; only if the address is in use
// and accepts connections does it rely on that listener. Our real listeners need not be in its way: they may be bound
// to one address only (some systems then still allow the wildcard), passed in by a service manager, or already closed
// while an order is in progress. So certmagic gets the address of a loopback port that stays occupied for as long as
// it could try. The authority itself connects to ports 80 and 443, to our listeners.
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

// closeAll closes every connection at once, until the listener is closed.
func closeAll(listener net.Listener) {
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

// newIssuer makes certmagic's ACME issuer from a complete template. Fields whose zero has a meaning, which the
// constructor may have filled from certmagic's package defaults, are set again afterwards.
func (a *acmeSource) newIssuer(c Config, by authority, provider certmagic.DNSProvider,
	cfg *certmagic.Config) *certmagic.ACMEIssuer {
	port := a.placeholder.Addr().(*net.TCPAddr)
	template := certmagic.ACMEIssuer{
		CA:                      by.directory,
		Email:                   c.Email,
		Agreed:                  true,
		DisableHTTPChallenge:    c.HTTPPort < 0,
		DisableTLSALPNChallenge: c.HTTPSPort < 0,
		// Challenges are also in storage, for other gateways on it to answer: see findChallenge.
		DisableDistributedSolvers: false,
		ListenHost:                port.IP.String(),
		AltHTTPPort:               port.Port,
		AltTLSALPNPort:            port.Port,
		TrustedRoots:              by.roots,
		CertObtainTimeout:         5 * time.Minute,
		Logger:                    a.log.Logger,
		HTTPProxy:                 a.proxy,
		NewAccountFunc:            a.reportTerms(by),
	}
	issuer := certmagic.NewACMEIssuer(cfg, template)
	issuer.Email, issuer.AccountKeyPEM = template.Email, ""
	issuer.DisableHTTPChallenge = template.DisableHTTPChallenge
	issuer.DisableTLSALPNChallenge = template.DisableTLSALPNChallenge
	issuer.ExternalAccount = by.binding
	issuer.NotBefore, issuer.NotAfter = 0, 0
	// No second authority to try orders on: our own pauses stay within the failures that authorities allow.
	issuer.TestCA = ""
	issuer.DNS01Solver = nil
	if provider != nil {
		issuer.DNS01Solver = c.DNS.solver(provider, a.log)
	}
	return issuer
}

// proxy is asked before every request to an authority. It fails before Manage and after Close, so that none is sent,
// and is the environment's proxy in between.
func (a *acmeSource) proxy(r *http.Request) (*url.URL, error) {
	if !a.managing.Load() || a.notifier.stopped.Load() {
		return nil, errors.New("certificates are not being managed")
	}
	return http.ProxyFromEnvironment(r)
}

// close stops certmagic; the placeholder goes last, when nothing is left that could listen on its port.
func (a *acmeSource) close() error {
	err := errors.Join(a.managed.close(), a.placeholder.Close())
	a.accepting.Wait()
	return err
}
