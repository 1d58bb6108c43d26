package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/caddyserver/certmagic"
)

// loadAll loads what is stored for all hosts and lists those that have nothing.
func (m *managed) loadAll(ctx context.Context) (missing []string, err error) {
	var problems []error
	for _, host := range m.hosts {
		switch err := m.takeUp(ctx, host); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, host)
		case err != nil:
			problems = append(problems, err)
		default:
			m.tellOpenKeys(host)
		}
	}
	return missing, errors.Join(problems...)
}

// takeUp takes host's certificates from storage into memory, of every way, and tells if what is served then is news. One
// that cannot be used is mended, see mend. None is fs.ErrNotExist, and so is a storage that is down, which tells that
// itself. Files that cannot be read at all are an error: ordering anew at every start would use up an authority's
// patience.
func (m *managed) takeUp(ctx context.Context, host string) error {
	var problems []error
	by := make(map[string]*way)
	for _, w := range m.ways {
		cert, err := m.read(ctx, w, host)
		if isBroken(err) {
			cert, err = m.mend(ctx, w, host, err)
		}
		switch {
		case err == nil:
			by[cert.Hash()] = w
		case !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(redisTrouble)):
			problems = append(problems, fmt.Errorf("host %q: stored certificate: %w", host, err))
		}
	}
	list := m.newest(host)
	if len(list) > 0 {
		if w := by[list[0].Hash()]; w != nil {
			m.news(host, w, list[0])
		}
		return nil
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	return fs.ErrNotExist
}

// read takes host's certificate of one way from storage into memory. Its three values are written one after another: if
// they do not fit together, a moment later they may.
func (m *managed) read(ctx context.Context, w *way, host string) (certmagic.Certificate, error) {
	cert, err := w.cfg.CacheManagedCertificate(ctx, host)
	for range 3 {
		if !isBroken(err) {
			break
		}
		if no := pause(ctx, 100*time.Millisecond); no != nil {
			return cert, no
		}
		cert, err = w.cfg.CacheManagedCertificate(ctx, host)
	}
	return cert, err
}

// isBroken reports whether err is that of a certificate that is there and cannot be used: a crash between two values, a
// disk that lost a block.
func isBroken(err error) bool {
	return err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(redisTrouble)) && !errors.As(err, new(*fs.PathError)) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// mend makes a broken certificate usable with the key that was written over; where there is none, it is told, set aside
// and then not there. What another gateway may be writing this very moment is left alone, and not there yet.
func (m *managed) mend(ctx context.Context, w *way, host string, broken error) (certmagic.Certificate, error) {
	none := certmagic.Certificate{}
	lock := orderLock + host
	ok, err := m.store.TryLock(ctx, lock)
	if ok {
		defer m.store.Unlock(context.WithoutCancel(ctx), lock)
	}
	if cert, err := m.read(ctx, w, host); !isBroken(err) {
		return cert, err
	}
	// At the start the lock on a folder may be what a crash left there, and nobody's.
	if crashed := !m.managing.Load() && !m.store.shared(); (!ok || err != nil) && !crashed {
		return none, fs.ErrNotExist
	}
	if m.store.bringBack(ctx, certmagic.StorageKeys.SitePrivateKey(w.key(), host)) == nil {
		if cert, other := w.cfg.CacheManagedCertificate(ctx, host); other == nil {
			return cert, nil
		}
	}
	if aside := m.store.setAside(ctx, certmagic.StorageKeys.CertsSitePrefix(w.key(), host)); aside != nil {
		return none, errors.Join(broken, aside)
	}
	m.told.tell(Event{Kind: KindWarning, Hosts: []string{host}, Issuer: w.name,
		Error: fmt.Sprintf("the stored certificate cannot be used and was set aside, a new one will be made: %v", broken)})
	return none, fs.ErrNotExist
}

// newest has what is in memory for host, after older ones than the one signed last were taken out of it.
func (m *managed) newest(host string) []certmagic.Certificate {
	list := m.cached(host)
	if len(list) < 2 || time.Now().Before(list[0].Leaf.NotBefore) || time.Now().After(list[0].Leaf.NotAfter) {
		return list
	}
	for _, old := range list[1:] {
		m.cache.Remove([]string{old.Hash()})
	}
	return list[:1]
}

// news tells that host is served with a certificate read from storage, once. What an order of our own has put there is told
// by the order, which may not have come to it yet; if it was another gateway's, the next look tells.
func (m *managed) news(host string, by *way, cert certmagic.Certificate) {
	if _, busy := m.ordering.Load(host); busy {
		return
	}
	if before, _ := m.known.Swap(host, cert.Hash()); before != cert.Hash() {
		m.told.tell(Event{Kind: KindLoaded, Hosts: cert.Names, Issuer: by.name, NotAfter: cert.Leaf.NotAfter})
	}
}

// tellOpenKeys warns of stored keys that somebody has opened to others: they are written for their owner alone.
func (m *managed) tellOpenKeys(host string) {
	files, ok := m.store.kept.(*folder)
	if !ok {
		return
	}
	for _, w := range m.ways {
		path := files.Filename(certmagic.StorageKeys.SitePrivateKey(w.key(), host))
		if info, err := os.Stat(path); err == nil {
			if words := othersCanRead(path, info); words != "" {
				m.told.tell(Event{Kind: KindWarning, Hosts: []string{host}, Issuer: w.name, Error: words})
			}
		}
	}
}
