package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

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

// store adds one thing to what certificates are kept in, waiting: certmagic works in goroutines that it does not wait
// for, but each of them holds a lock of its storage while it works, so the store knows when the last one is done.
type store struct {
	kept

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

// Lock is certmagic's Locker; after drain it refuses.
func (s *store) Lock(ctx context.Context, name string) error {
	if err := s.enter(); err != nil {
		return err
	}
	err := s.kept.Lock(ctx, name)
	if err != nil {
		s.leave()
	}
	return err
}

// TryLock is certmagic's TryLocker; after drain it refuses.
func (s *store) TryLock(ctx context.Context, name string) (bool, error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	ok, err := s.kept.TryLock(ctx, name)
	if !ok || err != nil {
		s.leave()
	}
	return ok, err
}

// Unlock is certmagic's Locker.
func (s *store) Unlock(ctx context.Context, name string) error {
	defer s.leave()
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

// setAside moves the folder that key names out of the way, to the same name with ".damaged", in place of an earlier one.
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
