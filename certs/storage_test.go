package certs

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"gate421/certs/storagetest"
)

// A lock has one holder at a time, however many goroutines ask for it at once.
func TestLockHasOneHolder(t *testing.T) {
	t.Parallel()
	s, err := newStorage(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var holders, most atomic.Int64
	var asking sync.WaitGroup
	for i := range 50 {
		asking.Go(func() {
			if i%5 == 0 {
				if ok, err := s.TryLock(t.Context(), "one"); err != nil || !ok {
					return
				}
			} else if err := s.Lock(t.Context(), "one"); err != nil {
				t.Error(err)
				return
			}
			most.Store(max(most.Load(), holders.Add(1)))
			time.Sleep(time.Millisecond)
			holders.Add(-1)
			if err := s.Unlock(t.Context(), "one"); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if most.Load() != 1 {
		t.Errorf("got %d holders at once, want 1", most.Load())
	}
	if err := s.Lock(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Lock(ctx, "one"); err == nil {
		t.Error("a lock that is held: got no error")
	}
	if err := s.Unlock(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	// drain waits for what certmagic writes without a lock, which fails afterwards. A lock's holder may still write.
	if err := s.Store(t.Context(), "rw_test_1", []byte("x")); err != nil {
		t.Error(err)
	}
	var drained atomic.Bool
	asking.Go(func() {
		s.drain()
		drained.Store(true)
	})
	for s.Lock(t.Context(), "two") == nil { // until drain has begun
		if err := s.Unlock(t.Context(), "two"); err != nil {
			t.Error(err)
		}
	}
	if drained.Load() {
		t.Error("drain ended with a probe in the storage, want it to wait")
	}
	if err := s.Delete(t.Context(), "rw_test_1"); err != nil {
		t.Error(err)
	}
	asking.Wait()
	if err := s.Store(t.Context(), "rw_test_2", []byte("x")); err == nil {
		t.Error("a probe after drain: got no error")
	}
	if err := s.Store(t.Context(), "certificates/a/b/b.crt", []byte("x")); err != nil {
		t.Error(err)
	}
}

var _ certmagic.LockLeaseRenewer = (*storage)(nil)
var _ certmagic.TryLocker = (*storage)(nil)

func TestFolderContract(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	storagetest.Run(t, 2, func(*testing.T) storagetest.Storage {
		return &folder{certmagic.FileStorage{Path: path}}
	})
}
