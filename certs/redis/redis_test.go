package redis

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/caddyserver/certmagic"

	"gate421/certs/storagetest"
)

// warnings collects what a storage warns of.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

func (w *warnings) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.list, "\n")
}

// openStorage opens the storage for another gateway, with a folder of its own, and collects what it warns of.
func openStorage(t *testing.T, address string) (*Storage, *warnings) {
	t.Helper()
	w := new(warnings)
	s, err := Open(address, filepath.Join(t.TempDir(), "certificates-cache"), w.add)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, lock := range s.locks {
			lock.stop()
			<-lock.done
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, w
}

// endPause ends the pause in which the server is not asked again.
func (s *Storage) endPause() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.client.retryAt = time.Time{}
}

func TestContract(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	storagetest.Run(t, 8, func(t *testing.T) storagetest.Storage {
		s, warned := openStorage(t, "redis://"+server.Addr()+"/3?prefix=shop")
		t.Cleanup(func() {
			if all := warned.all(); all != "" {
				t.Errorf("warned of %q, want nothing", all)
			}
		})
		return s
	})
	for _, key := range server.DB(3).Keys() {
		if !strings.HasPrefix(key, "shop:") {
			t.Errorf("the server has the key %q, want all to begin with %q", key, "shop:")
		}
	}
	if all := server.DB(0).Keys(); len(all) > 0 {
		t.Errorf("database 0 has %q, want nothing", all)
	}
}

func TestListingInSteps(t *testing.T) {
	t.Parallel()
	testListingInSteps(t, "redis://"+miniredis.RunT(t).Addr())
}

func testListingInSteps(t *testing.T, address string) {
	s, _ := openStorage(t, address)
	const keys = 2*listBatch + 1
	for i := range keys {
		if err := s.Store(t.Context(), fmt.Sprintf("many/%05d/x", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.List(t.Context(), "many", false); err != nil || len(got) != keys {
		t.Errorf("got %d names, %v, want %d", len(got), err, keys)
	}
}

func TestServerDown(t *testing.T) {
	t.Parallel()
	const key, account = "certificates/ca/shop.example/shop.example.key", "acme/ca/users/x/x.json"
	server := miniredis.RunT(t)
	s, warned := openStorage(t, "redis://:secret@"+server.Addr())
	server.RequireAuth("secret")
	ctx := t.Context()
	for _, name := range []string{key, account} {
		if err := s.Store(ctx, name, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Lock(ctx, "issue_cert_shop.example"); err != nil {
		t.Fatal(err)
	}

	server.Close()
	wantUnavailable := func(what string, err error) {
		t.Helper()
		if !errors.As(err, new(UnavailableError)) || !strings.Contains(err.Error(), "cannot be reached") ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an UnavailableError without the password", what, err)
		}
	}
	wantValue := func(what, want string) {
		t.Helper()
		if value, err := s.Load(ctx, key); err != nil || string(value) != want {
			t.Errorf("%s: got %q, %v, want %q", what, value, err, want)
		}
	}
	wantValue("the copy", "value")
	if !s.Exists(ctx, key) || s.Exists(ctx, account) {
		t.Errorf("a key with a copy exists: %v, want true; an account does: %v, want false", s.Exists(ctx, key),
			s.Exists(ctx, account))
	}
	_, err := s.Load(ctx, account)
	wantUnavailable("load of an account", err)
	_, err = s.Load(ctx, key+"2")
	wantUnavailable("load without a copy", err)
	wantUnavailable("lock", s.Lock(ctx, "job"))
	wantUnavailable("confirming a lock", s.ConfirmLock(ctx, "issue_cert_shop.example"))
	wantUnavailable("renewing a lock", s.RenewLockLease(ctx, "issue_cert_shop.example", 0))
	wantUnavailable("store", s.Store(ctx, account, nil))
	wantUnavailable("delete", s.Delete(ctx, key+"2"))
	if err := s.Delete(ctx, "acme/ca/challenge_tokens/shop.example.json"); err != nil {
		t.Errorf("deleting a challenge: got %v, want no error", err)
	}
	_, err = s.List(ctx, "acme", true)
	wantUnavailable("list", err)
	if all := warned.all(); strings.Count(all, "cannot be reached") != 1 || strings.Contains(all, "secret") {
		t.Errorf("warned of %q, want one warning without the password", all)
	}

	// A certificate just obtained waits for the server.
	stored := make(chan error)
	go func() { stored <- s.Store(ctx, key, []byte("obtained")) }()
	select {
	case err := <-stored:
		t.Fatalf("stored while the server is down: got %v", err)
	case <-time.After(retryAfter / 2):
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := <-stored; err != nil {
		t.Errorf("storing it: got %v, want no error", err)
	}
	wantValue("once the server is back", "obtained")

	// While the server can be asked, the copies are not read; what was deleted has none.
	server.FlushAll()
	if _, err := s.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) || s.Exists(ctx, key) {
		t.Errorf("load of what the server has lost: got %v, want fs.ErrNotExist", err)
	}
	server.Close()
	wantValue("the copy", "obtained")
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	s.endPause()
	if err := s.Delete(ctx, "certificates/ca/shop.example"); err != nil {
		t.Fatal(err)
	}
	server.Close()
	_, err = s.Load(ctx, key)
	wantUnavailable("load of what was deleted", err)
}

func TestChallengesExpire(t *testing.T) {
	t.Parallel()
	const key = "acme/ca/challenge_tokens/shop.example.json"
	server := miniredis.RunT(t)
	s, _ := openStorage(t, "redis://"+server.Addr())
	for _, name := range []string{key, "acme/ca/users/x/x.json"} {
		if err := s.Store(t.Context(), name, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	server.FastForward(challengeTTL)
	want := "acme/ca/users"
	if list, err := s.List(t.Context(), "acme/ca", false); err != nil || strings.Join(list, " ") != want {
		t.Errorf("listing after %v: got %q, %v, want %q", challengeTTL, list, err, want)
	}
	if s.Exists(t.Context(), "acme/ca/challenge_tokens") {
		t.Error("the folder of an expired challenge still exists")
	}
}

var _ certmagic.LockLeaseRenewer = (*Storage)(nil)
var _ certmagic.TryLocker = (*Storage)(nil)
