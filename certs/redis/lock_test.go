package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// stopRenewing is what happens to a lock whose holder is killed or stands still.
func stopRenewing(s *Storage, name string) {
	lock := s.held(name)
	lock.stop()
	<-lock.done
}

func TestLockOfAKilledHolderExpires(t *testing.T) {
	t.Parallel()
	const name = "issue_cert_shop.example"
	server := miniredis.RunT(t)
	a, _ := openStorage(t, "redis://"+server.Addr())
	b, _ := openStorage(t, "redis://"+server.Addr())
	if err := a.Lock(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	stopRenewing(a, name)
	server.FastForward(lockTTL - time.Second)
	if ok, err := b.TryLock(t.Context(), name); ok || err != nil {
		t.Fatalf("a second before it expires: got %v, %v, want false", ok, err)
	}
	server.FastForward(time.Second)
	if ok, err := b.TryLock(t.Context(), name); !ok || err != nil {
		t.Fatalf("once it has expired: got %v, %v, want true", ok, err)
	}
}

func TestLockIsRenewed(t *testing.T) {
	t.Parallel()
	const key = "gate421:lock:job"
	server := miniredis.RunT(t)
	s, _ := openStorage(t, "redis://"+server.Addr())
	s.ttl = 300 * time.Millisecond
	if err := s.Lock(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the server's clock moves here alone
		server.FastForward(s.ttl / 2)
		for deadline := time.Now().Add(10 * time.Second); server.TTL(key) < s.ttl; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the lock has %v left, want it renewed to %v", server.TTL(key), s.ttl)
			}
		}
	}
	if err := s.Unlock(t.Context(), "job"); err != nil || server.Exists(key) {
		t.Errorf("unlock: got %v, and the lock exists: %v, want neither", err, server.Exists(key))
	}
}

func TestLostLock(t *testing.T) {
	t.Parallel()
	const name, key = "issue_cert_shop.example", "certificates/ca/shop.example/shop.example.key"
	server := miniredis.RunT(t)
	a, _ := openStorage(t, "redis://"+server.Addr())
	b, _ := openStorage(t, "redis://"+server.Addr())
	ctx := t.Context()
	if err := a.ConfirmLock(ctx, name); err == nil {
		t.Error("confirming a lock that was never acquired: got no error")
	}
	if err := a.Lock(ctx, name); err != nil {
		t.Fatal(err)
	}
	stopRenewing(a, name)

	// It expired, and nobody else has acquired it: it is still a's.
	server.FastForward(lockTTL)
	err := errors.Join(a.ConfirmLock(ctx, name), a.Store(ctx, key, []byte("a")), a.RenewLockLease(ctx, name, time.Hour))
	if err != nil {
		t.Errorf("an expired lock that nobody else has acquired: got %v, want no error", err)
	}
	if ok, err := b.TryLock(ctx, name); ok || err != nil {
		t.Fatalf("trying for a lock that was renewed: got %v, %v, want false", ok, err)
	}

	server.FastForward(lockTTL)
	if err := b.Lock(ctx, name); err != nil {
		t.Fatal(err)
	}
	if err := b.Store(ctx, key, []byte("b")); err != nil {
		t.Error(err)
	}
	wantLost := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "lost to another gateway") {
			t.Errorf("%s: got %v, want that the lock was lost", what, err)
		}
	}
	for range 2 { // while b holds it, and after
		wantLost("confirming", a.ConfirmLock(ctx, name))
		wantLost("store", a.Store(ctx, key, []byte("a")))
		wantLost("delete", a.Delete(ctx, key))
		wantLost("delete of a folder", a.Delete(ctx, "certificates/ca/shop.example/any"))
		if value, err := b.Load(ctx, key); err != nil || string(value) != "b" {
			t.Errorf("load: got %q, %v, want %q", value, err, "b")
		}
		if b.held(name) != nil {
			short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			if err := a.RenewLockLease(short, name, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("renewing while another holds it: got %v, want the context's error", err)
			}
			cancel()
			if err := b.Unlock(ctx, name); err != nil {
				t.Error(err)
			}
		}
	}
	if err := a.RenewLockLease(ctx, name, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.ConfirmLock(ctx, name), a.Store(ctx, key, []byte("a again"))); err != nil {
		t.Errorf("a lock that was acquired again: got %v, want no error", err)
	}
	server.FastForward(lockTTL)
	if err := b.Lock(ctx, name); err != nil {
		t.Fatal(err)
	}
	wantLost("unlock", a.Unlock(ctx, name))
	if ok, err := a.TryLock(ctx, name); ok || err != nil {
		t.Errorf("trying for a lock that another holds: got %v, %v, want false", ok, err)
	}
}
