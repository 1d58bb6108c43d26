package certs

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/caddyserver/certmagic"
)

// warnings collects what a storage warns of.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) warn(words string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, words)
}

func (w *warnings) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.list, "\n")
}

// redisClient opens the storage for another gateway, with a folder of its own.
func redisClient(t *testing.T, address string) (*redisStore, *warnings) {
	t.Helper()
	w := new(warnings)
	r, err := openRedis(address, filepath.Join(t.TempDir(), "certificates-cache"), w.warn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, lock := range r.held {
			lock.stop()
			<-lock.done
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r, w
}

func TestRedisKeepsToContract(t *testing.T) {
	server := miniredis.RunT(t)
	keepsToContract(t, 8, func(t *testing.T) kept {
		r, w := redisClient(t, "redis://"+server.Addr()+"/3?prefix=shop")
		t.Cleanup(func() {
			if all := w.all(); all != "" {
				t.Errorf("warned: %s", all)
			}
		})
		return r
	})
	for _, key := range server.DB(3).Keys() {
		if !strings.HasPrefix(key, "shop:") {
			t.Errorf("key %q", key)
		}
	}
	if all := server.DB(0).Keys(); len(all) > 0 {
		t.Errorf("database 0 has %q", all)
	}
}

// stopRenewing is what happens to a lock whose holder is killed or stands still.
func stopRenewing(r *redisStore, name string) {
	lock := r.holding(name)
	lock.stop()
	<-lock.done
}

func TestRedisKilledHolder(t *testing.T) {
	server := miniredis.RunT(t)
	a, _ := redisClient(t, "redis://"+server.Addr())
	b, _ := redisClient(t, "redis://"+server.Addr())
	if err := a.Lock(t.Context(), "issue_cert_shop.example"); err != nil {
		t.Fatal(err)
	}
	stopRenewing(a, "issue_cert_shop.example")
	server.FastForward(lockExpiry - time.Second)
	if ok, err := b.TryLock(t.Context(), "issue_cert_shop.example"); ok || err != nil {
		t.Fatal("it ended too early", err)
	}
	server.FastForward(time.Second)
	if ok, err := b.TryLock(t.Context(), "issue_cert_shop.example"); !ok || err != nil {
		t.Fatal("it did not end", err)
	}
}

func TestRedisRenewsLock(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	a, _ := redisClient(t, "redis://"+server.Addr())
	a.expiry = 300 * time.Millisecond
	if err := a.Lock(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		server.FastForward(150 * time.Millisecond)
		time.Sleep(200 * time.Millisecond)
		if !server.Exists("gate421:lock:job") {
			t.Fatal("it ended")
		}
	}
	if err := a.Unlock(t.Context(), "job"); err != nil || server.Exists("gate421:lock:job") {
		t.Errorf("given back: %v", err)
	}
}

func TestRedisLostLock(t *testing.T) {
	const host, lock, key = "shop.example", "issue_cert_shop.example", "certificates/ca/shop.example/shop.example.key"
	server := miniredis.RunT(t)
	a, _ := redisClient(t, "redis://"+server.Addr())
	b, _ := redisClient(t, "redis://"+server.Addr())
	ctx := t.Context()
	if err := a.mayOrder(ctx, host); err == nil {
		t.Error("ordered without a lock")
	}
	if err := a.Lock(ctx, lock); err != nil {
		t.Fatal(err)
	}
	stopRenewing(a, lock)

	// It expired, and nobody has had it: it is still ours.
	server.FastForward(lockExpiry)
	if err := errors.Join(a.mayOrder(ctx, host), a.Store(ctx, key, []byte("a")), a.RenewLockLease(ctx, lock, time.Hour)); err != nil {
		t.Error(err)
	}
	if ok, _ := b.TryLock(ctx, lock); ok {
		t.Fatal("two holders")
	}

	server.FastForward(lockExpiry)
	if err := b.Lock(ctx, lock); err != nil {
		t.Fatal(err)
	}
	if err := b.Store(ctx, key, []byte("b")); err != nil {
		t.Error(err)
	}
	lost := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "lost to another gateway") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 2 { // while b has it, and after
		lost("order", a.mayOrder(ctx, host))
		lost("store", a.Store(ctx, key, []byte("a")))
		lost("delete", a.Delete(ctx, key))
		lost("delete all", a.Delete(ctx, "certificates/ca/shop.example/any"))
		if value, err := b.Load(ctx, key); err != nil || string(value) != "b" {
			t.Errorf("%q, %v", value, err)
		}
		if b.holding(lock) != nil {
			short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			if err := a.RenewLockLease(short, lock, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("renewed: %v", err)
			}
			cancel()
			if err := b.Unlock(ctx, lock); err != nil {
				t.Error(err)
			}
		}
	}
	if err := a.RenewLockLease(ctx, lock, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.mayOrder(ctx, host), a.Store(ctx, key, []byte("a again"))); err != nil {
		t.Error(err)
	}
	server.FastForward(lockExpiry)
	if err := b.Lock(ctx, lock); err != nil {
		t.Fatal(err)
	}
	lost("unlock", a.Unlock(ctx, lock))
	if ok, err := a.TryLock(ctx, lock); ok || err != nil {
		t.Errorf("two holders, %v", err)
	}
}

func TestRedisDown(t *testing.T) {
	const key = "certificates/ca/shop.example/shop.example.key"
	server := miniredis.RunT(t)
	a, warned := redisClient(t, "redis://:secret@"+server.Addr())
	server.RequireAuth("secret")
	ctx := t.Context()
	for _, name := range []string{key, "acme/ca/users/x/x.json"} {
		if err := a.Store(ctx, name, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Lock(ctx, "issue_cert_shop.example"); err != nil {
		t.Fatal(err)
	}
	server.Close()
	isTrouble := func(what string, err error) {
		t.Helper()
		if !errors.As(err, new(redisTrouble)) || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if value, err := a.Load(ctx, key); err != nil || string(value) != "value" {
		t.Errorf("the copy: %q, %v", value, err)
	}
	if !a.Exists(ctx, key) || a.Exists(ctx, "acme/ca/users/x/x.json") {
		t.Error("what exists is not what there are copies of")
	}
	_, err := a.Load(ctx, "acme/ca/users/x/x.json")
	isTrouble("an account", err)
	_, err = a.Load(ctx, key+"2")
	isTrouble("no copy", err)
	isTrouble("lock", a.Lock(ctx, "job"))
	isTrouble("order", a.mayOrder(ctx, "shop.example"))
	isTrouble("lease", a.RenewLockLease(ctx, "issue_cert_shop.example", 0))
	isTrouble("store", a.Store(ctx, "acme/ca/users/x/x.json", nil))
	isTrouble("delete", a.Delete(ctx, key+"2"))
	if err := a.Delete(ctx, "acme/ca/challenge_tokens/shop.example.json"); err != nil {
		t.Errorf("a challenge: %v", err)
	}
	_, err = a.List(ctx, "acme", true)
	isTrouble("list", err)
	if all := warned.all(); strings.Count(all, "cannot be reached") != 1 || strings.Contains(all, "secret") {
		t.Errorf("warned: %s", all)
	}

	// A certificate just obtained waits for it.
	stored := make(chan error)
	go func() { stored <- a.Store(ctx, key, []byte("obtained")) }()
	select {
	case err := <-stored:
		t.Fatalf("stored nowhere: %v", err)
	case <-time.After(time.Second):
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := <-stored; err != nil {
		t.Error(err)
	}
	if value, err := a.Load(ctx, key); err != nil || string(value) != "obtained" {
		t.Errorf("%q, %v", value, err)
	}

	// What the server has not is not read from the folder, unless it cannot be asked; what was deleted never is.
	server.FlushAll()
	if _, err := a.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) || a.Exists(ctx, key) {
		t.Errorf("after a loss: %v", err)
	}
	server.Close()
	if value, err := a.Load(ctx, key); err != nil || string(value) != "obtained" {
		t.Errorf("the copy: %q, %v", value, err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(redisRest)
	if err := a.Delete(ctx, "certificates/ca/shop.example"); err != nil {
		t.Fatal(err)
	}
	server.Close()
	_, err = a.Load(ctx, key)
	isTrouble("deleted", err)
}

func TestRedisTokensEnd(t *testing.T) {
	server := miniredis.RunT(t)
	a, _ := redisClient(t, "redis://"+server.Addr())
	const key = "acme/ca/challenge_tokens/shop.example.json"
	for _, name := range []string{key, "acme/ca/users/x/x.json"} {
		if err := a.Store(t.Context(), name, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	server.FastForward(redisToken)
	if list, err := a.List(t.Context(), "acme/ca", false); err != nil || strings.Join(list, " ") != "acme/ca/users" {
		t.Errorf("%q, %v", list, err)
	}
	if a.Exists(t.Context(), "acme/ca/challenge_tokens") {
		t.Error("its folder is still there")
	}
}

func TestRedisWords(t *testing.T) {
	server := miniredis.RunT(t)
	for answer, want := range map[string]string{
		"NOAUTH Authentication required.":                                 "wants a password",
		"WRONGPASS invalid username-password pair or user is disabled.":   "refused the password",
		"ERR invalid password":                                            "refused the password",
		"NOPERM this user has no permissions to run the 'eval' command":   "does not let this user",
		"READONLY You can't write against a read only replica.":           "give the address of the primary",
		"MOVED 3999 127.0.0.1:6381":                                       "part of a cluster",
		"LOADING Redis is loading the dataset in memory":                  "still reading its data",
		"OOM command not allowed when used memory > 'maxmemory'.":         "raise its maxmemory",
		"MISCONF Redis is configured to save RDB snapshots":               "cannot write to its disk",
		"WRONGTYPE Operation against a key holding the wrong kind of one": "?prefix=NAME",
		"ERR unknown command":                                             "refused: ERR unknown command",
	} {
		a, warned := redisClient(t, "redis://"+server.Addr())
		server.SetError(answer)
		_, err := a.Load(t.Context(), "certificates/x")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), `certificate storage "redis://127.0.0.1:`) || !strings.Contains(warned.all(), want) {
			t.Errorf("%q: %v; warned %q", answer, err, warned.all())
		}
		server.SetError("")
	}
}

func TestParseRedis(t *testing.T) {
	for address, want := range map[string]redisAddress{
		"redis://cache.example":                         {host: "cache.example:6379", prefix: "gate421"},
		"redis://:p%40ss@[::1]:7000/2":                  {host: "[::1]:7000", password: "p@ss", db: 2, prefix: "gate421"},
		"rediss://me:word@cache.example:1/?prefix=shop": {host: "cache.example:1", user: "me", password: "word", prefix: "shop"},
	} {
		got, err := parseRedis(address)
		if secure := strings.HasPrefix(address, "rediss"); secure != (got.tls != nil) {
			t.Errorf("%q: TLS %v", address, got.tls)
		}
		if strings.Contains(got.shown, "p%40ss") || strings.Contains(got.shown, "word@") {
			t.Errorf("%q is shown as %q", address, got.shown)
		}
		got.tls, got.shown = nil, ""
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", address, got, err)
		}
	}
	for address, want := range map[string]string{
		"cache.example:6379":               "scheme",
		"http://x":                         `scheme "http"`,
		"redis://":                         "no host",
		"redis://me@x":                     "no password",
		"redis://x/one":                    "not a number",
		"redis://x/?timeout=3":             `option "timeout"`,
		"redis://x/?ca=/x":                 `option "ca"`,
		"rediss://x/?ca=/does/not/exist":   "no such file",
		"redis://me:top secret%zz@x":       "not a URL",
		"redis://me:topsecret@x:port/word": "not a URL",
		"redis://topsecret@x":              "no password",
		"redis://me:1/topsecret@x/0":       "before its path",
		"redis://me:1?topsecret@x/0":       "before its path",
		"redis://me:1#topsecret@x/0":       "before its path",
	} {
		_, err := parseRedis(address)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "top") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

var _ certmagic.LockLeaseRenewer = (*store)(nil)
var _ certmagic.TryLocker = (*store)(nil)
