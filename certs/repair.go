package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"

	"gate421/certs/redis"
)

// isBroken reports whether a certificate is there and cannot be used, as after a crash between two of its values or
// where a disk has lost a block.
func isBroken(err error) bool {
	return err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(redis.UnavailableError)) &&
		!errors.As(err, new(*fs.PathError)) && !errors.Is(err, context.Canceled) &&
		!errors.Is(err, context.DeadlineExceeded)
}

// repair makes a broken certificate usable with the key that was overwritten; if there is none, it sets the certificate
// aside, with a warning. One that another gateway may be writing at this moment counts as not there yet.
func (m *managed) repair(ctx context.Context, by *issuer, host string, broken error) (certmagic.Certificate, error) {
	none := certmagic.Certificate{}
	lock := orderLock + host
	ok, err := m.storage.TryLock(ctx, lock)
	if ok {
		defer m.storage.Unlock(context.WithoutCancel(ctx), lock)
	}
	if cert, err := m.read(ctx, by, host); !isBroken(err) {
		return cert, err
	}
	// At the start, the lock on a folder may be what a crash left behind, and nobody's.
	if crashed := !m.managing.Load() && !m.storage.isShared(); (!ok || err != nil) && !crashed {
		return none, fs.ErrNotExist
	}
	if m.storage.restoreKey(ctx, certmagic.StorageKeys.SitePrivateKey(by.key(), host)) == nil {
		if cert, other := by.cfg.CacheManagedCertificate(ctx, host); other == nil {
			return cert, nil
		}
	}
	if aside := m.storage.SetAside(ctx, certmagic.StorageKeys.CertsSitePrefix(by.key(), host)); aside != nil {
		return none, errors.Join(broken, aside)
	}
	m.notifier.send(Event{Kind: KindWarning, Hosts: []string{host}, Issuer: by.name,
		Error: fmt.Sprintf("the stored certificate cannot be used and was set aside, a new one will be made: %v",
			broken)})
	return none, fs.ErrNotExist
}
