package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/caddyserver/certmagic"
)

// localSource is the source "local": certificates of our own authority, kept and renewed as those of "acme" are.
type localSource struct {
	*managed
	authority *authority
}

func openLocal(ctx context.Context, c Config, hosts names, told *teller) (*localSource, error) {
	m, err := newManaged(c, hosts, told)
	if err != nil {
		return nil, err
	}
	local := &localSource{managed: m}
	if local.authority, err = openAuthority(filepath.Join(c.Folder, "local-ca"), told); err != nil {
		return nil, errors.Join(err, m.close())
	}
	local.authority.hosts = hosts
	way := &way{name: local.authority.root().Subject.CommonName}
	way.cfg = m.config(way, true)
	way.cfg.Issuers = []certmagic.Issuer{local.authority}
	m.add(way)
	if err := local.prepare(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return local, nil
}

// prepare gives every host a certificate that is good now. Nothing but our own disk is asked, so it happens in Open.
func (l *localSource) prepare(ctx context.Context) error {
	missing, err := l.loadAll(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, host := range missing {
		if err := l.ways[0].cfg.ObtainCertSync(ctx, host); err != nil {
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
	if err := l.ways[0].cfg.RenewCertSync(ctx, host, false); err != nil {
		return err
	}
	renewed, err := l.cfg.CacheManagedCertificate(ctx, host)
	if err == nil && renewed.Hash() != old.Hash() {
		l.cache.Remove([]string{old.Hash()})
	}
	return err
}

// bare takes the path off a file's error, for messages that begin with it.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
