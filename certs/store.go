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

// kept is what a store can lie in: a folder, or a server that several gateways share.
type kept interface {
	certmagic.Storage
	TryLock(ctx context.Context, name string) (bool, error)
	setAside(ctx context.Context, key string) error
	close() error
}

// folder is certmagic's folder of files: 0700 folders, 0600 files, each written to a temporary name, synced and renamed.
type folder struct{ certmagic.FileStorage }

// store adds three things to what certificates are kept in.
//
// Waiting: certmagic works in goroutines that it does not wait for, but each of them holds a lock of its storage while
// it works, or probes whether the storage can be written to, so the store knows when the last one is done.
//
// A certificate that stays usable: certmagic writes the new key over the old one and the new certificate after it, and
// takes the key away if the certificate cannot be written. Between the two there would be nothing to start with. The
// key that is written over is kept beside it until its certificate is gone.
//
// An end to attempts: certmagic would try again by itself, with a lock in its hand. What cannot be locked, read or
// written ends the attempt in whose name it was to be.
type store struct {
	kept

	turns sync.Map // lock's name: chan struct{} of one place, taken by who holds the lock or waits for it below

	mu     sync.Mutex
	held   int
	closed bool
	idle   chan struct{} // made by drain, closed when held is 0
}

func newStore(path string) (*store, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	return &store{kept: &folder{certmagic.FileStorage{Path: path}}}, nil
}

// oldKey is where the key that key was written over is kept.
func oldKey(key string) string { return key + ".old" }

func isSiteKey(key string) bool {
	return strings.HasPrefix(key, "certificates/") && strings.HasSuffix(key, ".key")
}

// isProbe says whether a key is one that certmagic writes before an order, to see whether the storage works. It holds no lock yet,
// and deletes what it has stored.
func isProbe(key string) bool { return strings.HasPrefix(key, "rw_test_") }

// Load is certmagic's.
func (s *store) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := s.kept.Load(ctx, key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		attemptOf(ctx).end(err)
	}
	return value, err
}

// Store is certmagic's; after drain it refuses what is written without a lock.
func (s *store) Store(ctx context.Context, key string, value []byte) error {
	if isProbe(key) { // until it is deleted
		if err := s.enter(); err != nil {
			return err
		}
	}
	err := s.keepOld(ctx, key, value)
	if err == nil {
		err = s.kept.Store(ctx, key, value)
	}
	if err != nil && isProbe(key) {
		s.leave()
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
	current, err := s.kept.Load(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && bytes.Equal(current, value):
		return nil
	case errors.As(err, new(redisTrouble)):
		return nil // nothing of it is here either; what was just obtained is worth more, and waits for the server
	case err != nil:
		return err
	}
	return s.kept.Store(ctx, oldKey(key), current)
}

// Delete is certmagic's. A key that it takes away because the certificate could not be written makes place for the old.
func (s *store) Delete(ctx context.Context, key string) error {
	if isProbe(key) {
		defer s.leave()
	}
	if isSiteKey(key) && s.bringBack(ctx, key) == nil {
		return nil
	}
	return s.kept.Delete(ctx, key)
}

// bringBack puts the old key in key's place; an error means that nothing has changed.
func (s *store) bringBack(ctx context.Context, key string) error {
	old, err := s.kept.Load(ctx, oldKey(key))
	if err != nil {
		return err
	}
	return s.kept.Store(ctx, key, old)
}

// RenewLockLease is certmagic's LockLeaseRenewer, for storage whose locks can be lost.
func (s *store) RenewLockLease(ctx context.Context, name string, lease time.Duration) error {
	renewer, ok := s.kept.(certmagic.LockLeaseRenewer)
	if !ok {
		return nil
	}
	err := renewer.RenewLockLease(ctx, name, lease)
	if err != nil {
		attemptOf(ctx).end(err)
	}
	return err
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
	err := s.kept.Lock(ctx, name)
	if err != nil {
		<-turn
		s.leave()
		attemptOf(ctx).end(err)
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
	ok, err := s.kept.TryLock(ctx, name)
	if !ok || err != nil {
		<-turn
		s.leave()
	}
	return ok, err
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
	return s.kept.Unlock(ctx, name)
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

func (f *folder) close() error { return nil }

// setAside moves what is below a key out of the way, to the same name with ".damaged", in place of an earlier one.
func (f *folder) setAside(_ context.Context, key string) error {
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
