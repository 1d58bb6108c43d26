package certs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"gate421/certs/redis"
)

// orderLock begins the name of the lock under which certmagic orders, renews and stores a certificate; the host
// follows.
const orderLock = redis.OrderLock

// backend is where a storage keeps its values: a folder, or a server that several gateways share.
type backend interface {
	certmagic.Storage
	TryLock(ctx context.Context, name string) (bool, error)
	// SetAside moves what is below key to key.damaged.
	SetAside(ctx context.Context, key string) error
	Close() error
}

// folder is certmagic's folder of files: 0700 folders, 0600 files, each written to a temporary name, synced and
// renamed.
type folder struct{ certmagic.FileStorage }

// storage is the certmagic.Storage of certificates, accounts and challenges. It adds three things to its backend.
//
//   - It knows when certmagic has finished: certmagic works in goroutines that it does not wait for, but each of them
//     holds a lock while it works, or probes whether the storage can be written to. See drain.
//   - A crash during a renewal leaves a usable certificate: certmagic overwrites the key first and the certificate
//     after it, and deletes the key if the certificate cannot be written. The old key is kept beside the new one.
//   - An error ends the attempt that it happened in, see attempt. certmagic alone would try again, holding its lock.
type storage struct {
	backend

	slots sync.Map // lock's name: chan struct{} of capacity 1, full while somebody holds the lock or waits for it below

	mu     sync.Mutex
	active int // locks held and probes stored
	closed bool
	idle   chan struct{} // made by drain, closed when active is 0
}

// openStorage opens the storage that c names. It fails only on invalid configuration; a server that cannot be reached
// is reported as a warning.
func openStorage(c Config, hosts names, n *notifier) (*storage, error) {
	if c.Storage == "" {
		return newStorage(storageFolder(c))
	}
	if c.Source != SourceACME {
		return nil, fmt.Errorf("certificate source %q: keeps nothing in a shared storage", c.Source)
	}
	server, err := redis.Open(c.Storage, storageFolder(c), func(text string) {
		n.send(Event{Kind: KindWarning, Hosts: hosts.order, Error: text})
	})
	if err != nil {
		return nil, err
	}
	return &storage{backend: server}, nil
}

// storageFolder is where "acme" and "local" keep certificates, or their copies if the storage is shared.
func storageFolder(c Config) string {
	if c.Storage != "" {
		return filepath.Join(c.Folder, "certificates-cache")
	}
	return filepath.Join(c.Folder, "certificates")
}

// newStorage makes a storage in a folder, which is made if it is not there.
func newStorage(path string) (*storage, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return &storage{backend: &folder{certmagic.FileStorage{Path: path}}}, nil
}

// isShared reports whether the backend is a server.
func (s *storage) isShared() bool {
	_, ok := s.backend.(*redis.Storage)
	return ok
}

// confirmLock fails if a lock on a server is not, or no longer, held by this process. Locks in a folder cannot be lost.
func (s *storage) confirmLock(ctx context.Context, name string) error {
	if server, ok := s.backend.(*redis.Storage); ok {
		return server.ConfirmLock(ctx, name)
	}
	return nil
}

// modifiedTimes has for each key when it was last written, zero if it is not there.
func (s *storage) modifiedTimes(ctx context.Context, keys []string) ([]time.Time, error) {
	if server, ok := s.backend.(*redis.Storage); ok {
		return server.ModifiedTimes(ctx, keys)
	}
	times := make([]time.Time, len(keys))
	for i, key := range keys {
		if info, err := s.Stat(ctx, key); err == nil {
			times[i] = info.Modified
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return times, nil
}

// oldKey is the storage key of a private key that was overwritten.
func oldKey(key string) string { return key + ".old" }

func isPrivateKey(key string) bool {
	return strings.HasPrefix(key, "certificates/") && strings.HasSuffix(key, ".key")
}

// isProbe reports whether certmagic writes key before an order, to see whether the storage works. It holds no lock
// then, and deletes the value at once.
func isProbe(key string) bool { return strings.HasPrefix(key, "rw_test_") }

// Load is certmagic.Storage's.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := s.backend.Load(ctx, key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		attemptOf(ctx).end(err)
	}
	return value, err
}

// Store is certmagic.Storage's. After drain it fails for what is written without a lock, a probe.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	if isProbe(key) { // until it is deleted
		if err := s.enter(); err != nil {
			return err
		}
	}
	err := s.keepOldKey(ctx, key, value)
	if err == nil {
		err = s.backend.Store(ctx, key, value)
	}
	if err != nil && isProbe(key) {
		s.leave()
	}
	if err != nil {
		attemptOf(ctx).end(fmt.Errorf("cannot be kept: %w", err))
	}
	return err
}

// keepOldKey copies the private key that value will overwrite.
func (s *storage) keepOldKey(ctx context.Context, key string, value []byte) error {
	if !isPrivateKey(key) {
		return nil
	}
	current, err := s.backend.Load(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && bytes.Equal(current, value):
		return nil
	case errors.As(err, new(redis.UnavailableError)):
		return nil // there is no copy of the old key either; the new one waits for the server
	case err != nil:
		return err
	}
	return s.backend.Store(ctx, oldKey(key), current)
}

// Delete is certmagic.Storage's. certmagic deletes a new private key when the certificate cannot be written: the old
// key is then restored.
func (s *storage) Delete(ctx context.Context, key string) error {
	if isProbe(key) {
		defer s.leave()
	}
	if isPrivateKey(key) && s.restoreKey(ctx, key) == nil {
		return nil
	}
	return s.backend.Delete(ctx, key)
}

// restoreKey puts the overwritten private key back in key's place; an error means that nothing has changed.
func (s *storage) restoreKey(ctx context.Context, key string) error {
	old, err := s.backend.Load(ctx, oldKey(key))
	if err != nil {
		return err
	}
	return s.backend.Store(ctx, key, old)
}

// RenewLockLease is certmagic.LockLeaseRenewer's, for a backend whose locks can be lost.
func (s *storage) RenewLockLease(ctx context.Context, name string, lease time.Duration) error {
	renewer, ok := s.backend.(certmagic.LockLeaseRenewer)
	if !ok {
		return nil
	}
	err := renewer.RenewLockLease(ctx, name, lease)
	if err != nil {
		attemptOf(ctx).end(err)
	}
	return err
}

// Lock is certmagic.Storage's. After drain it fails.
func (s *storage) Lock(ctx context.Context, name string) error {
	if err := s.enter(); err != nil {
		return err
	}
	slot := s.slot(name)
	select {
	case slot <- struct{}{}:
	case <-ctx.Done():
		s.leave()
		return ctx.Err()
	}
	err := s.backend.Lock(ctx, name)
	if err != nil {
		<-slot
		s.leave()
		attemptOf(ctx).end(err)
	}
	return err
}

// slot lets one goroutine at a time acquire a lock of the backend: certmagic takes a lock file that another goroutine
// has made and not yet written for what a crash left behind, and removes it.
func (s *storage) slot(name string) chan struct{} {
	slot, _ := s.slots.LoadOrStore(name, make(chan struct{}, 1))
	return slot.(chan struct{})
}

// TryLock is certmagic.TryLocker's. After drain it fails.
func (s *storage) TryLock(ctx context.Context, name string) (bool, error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	slot := s.slot(name)
	select {
	case slot <- struct{}{}:
	default:
		s.leave()
		return false, nil
	}
	ok, err := s.backend.TryLock(ctx, name)
	if !ok || err != nil {
		<-slot
		s.leave()
	}
	return ok, err
}

// Unlock is certmagic.Storage's.
func (s *storage) Unlock(ctx context.Context, name string) error {
	defer s.leave()
	defer func() {
		select {
		case <-s.slot(name):
		default: // nobody held it
		}
	}()
	return s.backend.Unlock(ctx, name)
}

// enter counts a lock or a probe, unless drain has begun.
func (s *storage) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("closed: %w", context.Canceled)
	}
	s.active++
	return nil
}

// leave ends what enter counted.
func (s *storage) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	if s.active == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// drain lets nobody acquire a lock any more, and waits until those held are released.
func (s *storage) drain() {
	s.mu.Lock()
	s.closed = true
	if s.active == 0 {
		s.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	s.idle = idle
	s.mu.Unlock()
	<-idle
}

// Close does nothing.
func (f *folder) Close() error { return nil }

// SetAside moves what is below key to key.damaged, in place of an earlier one.
func (f *folder) SetAside(_ context.Context, key string) error {
	from := f.Filename(key)
	to := from + ".damaged"
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
