package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/certmagic"

	"gate421/certs/localca"
)

// localSource is the source "local": certificates of our own authority, stored and renewed like those of "acme".
type localSource struct {
	*managed
	authority *localca.Authority
}

// localFolder is where the local authority is below a state folder.
func localFolder(folder string) string { return filepath.Join(folder, "local-ca") }

func openLocal(ctx context.Context, c Config, hosts names, n *notifier) (*localSource, error) {
	m, err := newManaged(c, hosts, n)
	if err != nil {
		return nil, err
	}
	l := &localSource{managed: m}
	l.authority, err = localca.Open(localFolder(c.Folder), func(root *x509.Certificate, text string) {
		n.send(Event{Kind: KindWarning, Issuer: root.Subject.CommonName, NotAfter: root.NotAfter, Error: text})
	})
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	by := &issuer{name: l.authority.Root().Subject.CommonName}
	by.cfg = m.config(by, true)
	by.cfg.Issuers = []certmagic.Issuer{&localIssuer{l.authority, hosts}}
	m.add(by)
	if err := l.prepare(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return l, nil
}

// prepare gives every host a certificate that is valid now. It needs our own disk alone, so Open can wait for it.
func (l *localSource) prepare(ctx context.Context) error {
	missing, err := l.loadAll(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, host := range missing {
		if err := l.issuers[0].cfg.ObtainCertSync(ctx, host); err != nil {
			problems = append(problems, fmt.Errorf("host %q: %w", host, err))
		}
	}
	for _, host := range l.hosts {
		for _, cert := range l.cached(host) {
			if err := l.renewIfDue(ctx, host, cert); err != nil {
				problems = append(problems, fmt.Errorf("host %q: %w", host, err))
			}
		}
	}
	return errors.Join(problems...)
}

func (l *localSource) renewIfDue(ctx context.Context, host string, old certmagic.Certificate) error {
	if !old.NeedsRenewal(l.cfg) {
		return nil
	}
	if err := l.issuers[0].cfg.RenewCertSync(ctx, host, false); err != nil {
		return err
	}
	renewed, err := l.cfg.CacheManagedCertificate(ctx, host)
	if err == nil && renewed.Hash() != old.Hash() {
		l.cache.Remove([]string{old.Hash()})
	}
	return err
}

// localIssuer is the local authority as a certmagic.Issuer, for the configured hosts and for nothing else.
type localIssuer struct {
	authority *localca.Authority
	hosts     names
}

// Issue is certmagic.Issuer's. A name that is not configured is an UnknownHostError.
func (l *localIssuer) Issue(_ context.Context, request *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	for _, name := range namesOf(&x509.Certificate{DNSNames: request.DNSNames, IPAddresses: request.IPAddresses}) {
		if !l.hosts.known[name] {
			return nil, UnknownHostError{Name: name}
		}
	}
	chain, err := l.authority.Sign(request)
	if err != nil {
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: chain}, nil
}

// IssuerKey is certmagic.Issuer's: it names the folder of this authority's certificates.
func (l *localIssuer) IssuerKey() string { return l.authority.ID() }
