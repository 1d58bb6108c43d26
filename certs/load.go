package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/caddyserver/certmagic"

	"gate421/certs/pemfile"
	"gate421/certs/redis"
)

// loadAll loads the stored certificates of all hosts and lists the hosts that have none.
func (m *managed) loadAll(ctx context.Context) (missing []string, err error) {
	var problems []error
	for _, host := range m.hosts {
		switch err := m.load(ctx, host); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, host)
		case err != nil:
			problems = append(problems, err)
		default:
			m.warnOpenKeys(host)
		}
	}
	return missing, errors.Join(problems...)
}

// load reads host's certificates of all issuers from storage into memory, and reports a change of what is served.
//
// One that cannot be used is repaired or set aside, see repair. It is fs.ErrNotExist if there is none, and also if the
// storage is down, which reports that itself. Files that cannot be read at all are another error: ordering again at
// every start would soon reach an authority's rate limits.
func (m *managed) load(ctx context.Context, host string) error {
	var problems []error
	issuers := make(map[string]*issuer) // by the certificate's hash
	for _, by := range m.issuers {
		cert, err := m.read(ctx, by, host)
		if isBroken(err) {
			cert, err = m.repair(ctx, by, host, err)
		}
		switch {
		case err == nil:
			issuers[cert.Hash()] = by
		case !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(redis.UnavailableError)):
			problems = append(problems, fmt.Errorf("host %q: stored certificate: %w", host, err))
		}
	}
	list := m.dropReplaced(host)
	if len(list) > 0 {
		if by := issuers[list[0].Hash()]; by != nil {
			m.reportLoaded(host, by, list[0])
		}
		return nil
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	return fs.ErrNotExist
}

// read reads host's certificate of one issuer from storage into memory. Its three values are written one after another:
// if they do not match, they may a moment later.
func (m *managed) read(ctx context.Context, by *issuer, host string) (certmagic.Certificate, error) {
	cert, err := by.cfg.CacheManagedCertificate(ctx, host)
	for range 3 {
		if !isBroken(err) {
			break
		}
		if ended := pause(ctx, 100*time.Millisecond); ended != nil {
			return cert, ended
		}
		cert, err = by.cfg.CacheManagedCertificate(ctx, host)
	}
	return cert, err
}

// dropReplaced removes from memory host's certificates that are older than a valid one, and has those that are left.
func (m *managed) dropReplaced(host string) []certmagic.Certificate {
	list := m.cached(host)
	if len(list) < 2 || time.Now().Before(list[0].Leaf.NotBefore) || time.Now().After(list[0].Leaf.NotAfter) {
		return list
	}
	for _, old := range list[1:] {
		m.cache.Remove([]string{old.Hash()})
	}
	return list[:1]
}

// reportLoaded reports, once, that host is served with a certificate read from storage. During an attempt it does
// nothing: if the certificate comes from that attempt, the attempt reports it, and if it is another gateway's, the
// next call does.
func (m *managed) reportLoaded(host string, by *issuer, cert certmagic.Certificate) {
	if _, busy := m.attempting.Load(host); busy {
		return
	}
	if before, _ := m.lastReported.Swap(host, cert.Hash()); before != cert.Hash() {
		m.notifier.send(Event{Kind: KindLoaded, Hosts: cert.Names, Issuer: by.name, NotAfter: cert.Leaf.NotAfter})
	}
}

// warnOpenKeys warns of stored keys that others can read. They are written for their owner alone; somebody changed
// that.
func (m *managed) warnOpenKeys(host string) {
	files, ok := m.storage.backend.(*folder)
	if !ok {
		return
	}
	for _, by := range m.issuers {
		path := files.Filename(certmagic.StorageKeys.SitePrivateKey(by.key(), host))
		if info, err := os.Stat(path); err == nil {
			if text := pemfile.OpenToAll(path, info); text != "" {
				m.notifier.send(Event{Kind: KindWarning, Hosts: []string{host}, Issuer: by.name, Error: text})
			}
		}
	}
}
