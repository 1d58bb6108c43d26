package certs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// store is certmagic's folder of files: 0700 folders, 0600 files, each written to a temporary name, synced and renamed;
// or a storage that several gateways share. It adds three things.
//
// Waiting: certmagic works in goroutines that it does not wait for, but each of them holds a lock of its storage while
// it works, so the store knows when the last one is done.
//
// A certificate that stays usable: certmagic writes the new key over the old one and the new certificate after it, and
// takes the key away if the certificate cannot be written. Between the two there would be nothing to start with. The
// key that is written over is kept beside it until its certificate is gone.
//
// An end to attempts that cannot be kept: what cannot be written ends the attempt in whose name it was to be.
type store struct {
	certmagic.Storage

	turns sync.Map // lock's name: chan struct{} of one place, taken by who holds the lock or waits for it below

	mu     sync.Mutex
	held   int
	closed bool
	idle   chan struct{} // made by drain, closed when held is 0
}

// newStore opens c's storage.
func newStore(c Config, log logger) (*store, error) {
	if c.Storage != "" {
		shared, err := openShared(c.Storage, storeFolder(c), log)
		if err != nil {
			return nil, fmt.Errorf("certificate storage: %w", err)
		}
		return &store{Storage: shared}, nil
	}
	folder := storeFolder(c)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return &store{Storage: &certmagic.FileStorage{Path: folder}}, nil
}

// openShared opens a storage that several gateways share.
func openShared(string, string, logger) (certmagic.Storage, error) {
	return nil, errors.New("a shared one is not served by this version yet; leave it out to keep certificates below the state folder")
}

// oldKey is where the key that key was written over is kept.
func oldKey(key string) string { return key + ".old" }

func isSiteKey(key string) bool {
	return strings.HasPrefix(key, "certificates/") && strings.HasSuffix(key, ".key")
}

// Store is certmagic's.
func (s *store) Store(ctx context.Context, key string, value []byte) error {
	err := s.keepOld(ctx, key, value)
	if err == nil {
		err = s.Storage.Store(ctx, key, value)
	}
	if err != nil {
		attemptOf(ctx).end(fmt.Errorf("cannot be kept: %w", err))
	}
	return err
}

func (s *store) keepOld(ctx context.Context, key string, value []byte) error {
	if !isSiteKey(key) {
		return nil
	}
	current, err := s.Load(ctx, key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(current, value) {
		return nil
	} else if err != nil {
		return err
	}
	return s.Storage.Store(ctx, oldKey(key), current)
}

// Delete is certmagic's. A key that it takes away because the certificate could not be written makes place for the old.
func (s *store) Delete(ctx context.Context, key string) error {
	if isSiteKey(key) && s.restore(ctx, key) == nil {
		return nil
	}
	return s.Storage.Delete(ctx, key)
}

// restore puts the old key in key's place; an error means that nothing has changed.
func (s *store) restore(ctx context.Context, key string) error {
	old, err := s.Load(ctx, oldKey(key))
	if err != nil {
		return err
	}
	return s.Storage.Store(ctx, key, old)
}

// RenewLockLease is certmagic's LockLeaseRenewer; a storage whose locks need no renewal has nothing to do.
func (s *store) RenewLockLease(ctx context.Context, name string, lease time.Duration) error {
	if renewer, ok := s.Storage.(certmagic.LockLeaseRenewer); ok {
		return renewer.RenewLockLease(ctx, name, lease)
	}
	return nil
}

// Lock is certmagic's Locker; after drain it refuses.
func (s *store) Lock(ctx context.Context, name string) error {
	if err := s.enter(); err != nil {
		return err
	}
	turn := s.turn(name)
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		s.leave()
		return ctx.Err()
	}
	err := s.Storage.Lock(ctx, name)
	if err != nil {
		<-turn
		s.leave()
	}
	return err
}

// turn lets one goroutine at a time ask for a lock below: a file that another goroutine has just made, and not written
// yet, is taken by certmagic for what a crash left behind, and the lock with it.
func (s *store) turn(name string) chan struct{} {
	turn, _ := s.turns.LoadOrStore(name, make(chan struct{}, 1))
	return turn.(chan struct{})
}

// TryLock is certmagic's TryLocker; after drain it refuses.
func (s *store) TryLock(ctx context.Context, name string) (bool, error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	turn := s.turn(name)
	select {
	case turn <- struct{}{}:
	default:
		s.leave()
		return false, nil
	}
	ok, err := s.tryOrWait(ctx, name)
	if !ok || err != nil {
		<-turn
		s.leave()
	}
	return ok, err
}

// tryOrWait waits for the lock if the storage knows no other way, as certmagic would.
func (s *store) tryOrWait(ctx context.Context, name string) (bool, error) {
	if locker, ok := s.Storage.(certmagic.TryLocker); ok {
		return locker.TryLock(ctx, name)
	}
	err := s.Storage.Lock(ctx, name)
	return err == nil, err
}

// Unlock is certmagic's Locker.
func (s *store) Unlock(ctx context.Context, name string) error {
	defer s.leave()
	defer func() {
		select {
		case <-s.turn(name):
		default: // nobody held it
		}
	}()
	return s.Storage.Unlock(ctx, name)
}

func (s *store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("closed: %w", context.Canceled)
	}
	s.held++
	return nil
}

func (s *store) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
	if s.held == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// drain refuses new locks and waits until those held are given back.
func (s *store) drain() {
	s.mu.Lock()
	s.closed = true
	if s.held == 0 {
		s.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	s.idle = idle
	s.mu.Unlock()
	<-idle
}

// setAside moves what is below a key out of the way, to the same name with ".damaged", in place of an earlier one.
func (s *store) setAside(ctx context.Context, key string) error {
	files, ok := s.Storage.(*certmagic.FileStorage)
	if !ok {
		return s.setAsideCopies(ctx, key)
	}
	from := files.Filename(key)
	to := from + ".damaged"
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// setAsideCopies is for a storage that cannot rename.
func (s *store) setAsideCopies(ctx context.Context, key string) error {
	names, err := s.List(ctx, key, true)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range names {
		if data, err := s.Load(ctx, name); err == nil {
			if err := s.Storage.Store(ctx, strings.Replace(name, key, key+".damaged", 1), data); err != nil {
				return err
			}
		}
		if err := s.Storage.Delete(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
