// Package storagetest answers one question: does a storage do what certificates need of it?
//
// It is for tests alone.
package storagetest

import (
	"bytes"
	"context"
	"errors"

	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

// Storage is certmagic.Storage with locks that can be tried for and values that can be set aside.
type Storage interface {
	certmagic.Storage
	TryLock(ctx context.Context, name string) (bool, error)
	SetAside(ctx context.Context, key string) error
}

// Run tests a storage. Each call of open opens the same one for another gateway; goroutines is how many of each gateway
// want the same lock at once.
func Run(t *testing.T, goroutines int, open func(*testing.T) Storage) {
	t.Run("contract", func(t *testing.T) {
		for name, test := range map[string]func(t *testing.T){
			"values":    func(t *testing.T) { testValues(t, open(t), open(t)) },
			"listing":   func(t *testing.T) { testListing(t, open(t), open(t)) },
			"writers":   func(t *testing.T) { testWriters(t, []Storage{open(t), open(t), open(t)}) },
			"locks":     func(t *testing.T) { testLocks(t, goroutines, []Storage{open(t), open(t), open(t)}) },
			"held lock": func(t *testing.T) { testHeldLock(t, open(t), open(t)) },
			"set aside": func(t *testing.T) { testSetAside(t, open(t), open(t)) },
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
}

func testValues(t *testing.T, a, b Storage) {
	ctx := t.Context()
	const key = "certificates/ca/one.example/one.example.crt"
	for _, value := range [][]byte{[]byte("first"), {}, bytes.Repeat([]byte("\x00\xff\r\n"), 100_000), []byte("last")} {
		before := time.Now().Add(-time.Second)
		if err := a.Store(ctx, key, value); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Load(ctx, key); err != nil || !bytes.Equal(got, value) {
			t.Errorf("stored %d bytes, loaded %d, %v", len(value), len(got), err)
		}
		info, err := b.Stat(ctx, key)
		if err != nil || info.Key != key || info.Size != int64(len(value)) || !info.IsTerminal ||
			info.Modified.Before(before) || info.Modified.After(time.Now()) {
			t.Errorf("stat of %d bytes, stored just now: got %+v, %v", len(value), info, err)
		}
	}
	if info, err := b.Stat(ctx, "certificates/ca"); err != nil || info.IsTerminal || info.Key != "certificates/ca" {
		t.Errorf("stat of a folder: got %+v, %v, want its key and no value", info, err)
	}
	for _, there := range []string{key, "certificates/ca/one.example", "certificates"} {
		if !b.Exists(ctx, there) {
			t.Errorf("%q does not exist", there)
		}
	}
	for _, absent := range []string{"certificates/c", "certificates/ca/one.exampl", "other"} {
		if b.Exists(ctx, absent) {
			t.Errorf("%q exists", absent)
		}
		if _, err := b.Load(ctx, absent); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("load of %q: got %v, want fs.ErrNotExist", absent, err)
		}
		if _, err := b.Stat(ctx, absent); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat of %q: got %v, want fs.ErrNotExist", absent, err)
		}
		if err := b.Delete(ctx, absent); err != nil {
			t.Errorf("delete of %q: got %v, want no error", absent, err)
		}
	}
	if err := b.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) || a.Exists(ctx, key) {
		t.Errorf("load after its deletion: got %v, want fs.ErrNotExist", err)
	}
}

func testListing(t *testing.T, a, b Storage) {
	ctx := t.Context()
	for _, key := range []string{"list/a/1", "list/a/2", "list/a/b/c/3", "list/a-b/4", "list/a0/5", "list/ab",
		"list/é/6"} {
		if err := a.Store(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		prefix    string
		recursive bool
		want      string
	}{
		{"list", false, "list/a list/a-b list/a0 list/ab list/é"},
		{"list/a", false, "list/a/1 list/a/2 list/a/b"},
		{"list/a", true, "list/a/1 list/a/2 list/a/b list/a/b/c list/a/b/c/3"},
		{"list", true, "list/a list/a-b list/a-b/4 list/a/1 list/a/2 list/a/b list/a/b/c " +
			"list/a/b/c/3 list/a0 list/a0/5 list/ab list/é list/é/6"},
		{"list/ab", true, ""},
	} {
		got, err := b.List(ctx, row.prefix, row.recursive)
		slices.Sort(got)
		if err != nil || strings.Join(got, " ") != row.want {
			t.Errorf("list of %q, recursive %v: got %q, %v, want %q", row.prefix, row.recursive, got, err, row.want)
		}
	}
	if got, err := b.List(ctx, "list/none", true); !errors.Is(err, fs.ErrNotExist) || len(got) != 0 {
		t.Errorf("list of nothing: got %q, %v, want fs.ErrNotExist", got, err)
	}
	if err := b.Delete(ctx, "list/a"); err != nil {
		t.Fatal(err)
	}
	got, err := a.List(ctx, "list", false)
	if want := "list/a-b list/a0 list/ab list/é"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("after deleting a folder: got %q, %v, want %q", got, err, want)
	}
}

// testWriters has eight writers of each client at one key: a reader sees what one of them wrote, whole.
func testWriters(t *testing.T, clients []Storage) {
	const key = "certificates/ca/many.example/many.example.key"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writing, reading sync.WaitGroup
	if err := clients[0].Store(ctx, key, bytes.Repeat([]byte{'x'}, 1000)); err != nil {
		t.Fatal(err)
	}
	for c, client := range clients {
		for w := range 8 {
			writing.Go(func() {
				value := bytes.Repeat([]byte{byte('a' + 8*c + w)}, 1000+8*c+w)
				for range 5 {
					if err := client.Store(ctx, key, value); err != nil {
						t.Error(err)
					}
				}
			})
		}
		reading.Go(func() {
			for ctx.Err() == nil {
				value, err := client.Load(ctx, key)
				if ctx.Err() == nil && (err != nil || len(value) < 1000 ||
					len(bytes.Trim(value, string(value[:1]))) > 0) {
					t.Errorf("got %.20q… of %d bytes, %v, want one of the values written", value, len(value), err)
					return
				}
			}
		})
	}
	writing.Wait()
	cancel()
	reading.Wait()
}

// testLocks has goroutines of several clients at one lock: one at a time holds it, and all get it.
func testLocks(t *testing.T, goroutines int, clients []Storage) {
	var holders, turns atomic.Int32
	var waiting sync.WaitGroup
	for _, client := range clients {
		for range goroutines {
			waiting.Go(func() {
				if err := client.Lock(t.Context(), "issue_cert_*.shop.example"); err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock, want 1", n)
				}
				time.Sleep(5 * time.Millisecond)
				holders.Add(-1)
				turns.Add(1)
				if err := client.Unlock(t.Context(), "issue_cert_*.shop.example"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	waiting.Wait()
	if n := turns.Load(); int(n) != goroutines*len(clients) {
		t.Errorf("the lock was held %d times, want %d", n, goroutines*len(clients))
	}
}

func testHeldLock(t *testing.T, a, b Storage) {
	ctx := t.Context()
	if ok, err := a.TryLock(ctx, "job"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, client := range []Storage{a, b} {
		if ok, err := client.TryLock(ctx, "job"); ok || err != nil {
			t.Errorf("trying for a lock that is held: got %v, %v, want false", ok, err)
		}
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		if err := client.Lock(short, "job"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for a lock that is held: got %v, want the context's error", err)
		}
		cancel()
	}
	if ok, err := b.TryLock(ctx, "another job"); !ok || err != nil {
		t.Errorf("trying for another lock: got %v, %v, want true", ok, err)
	}
	for client, name := range map[Storage]string{a: "job", b: "another job"} {
		if err := client.Unlock(ctx, name); err != nil {
			t.Error(err)
		}
	}
	if err := b.Unlock(ctx, "job"); err == nil {
		t.Error("releasing a lock that nobody holds: got no error")
	}
}

func testSetAside(t *testing.T, a, b Storage) {
	ctx := t.Context()
	const at = "certificates/ca/broken.example"
	for range 2 {
		for _, ending := range []string{".key", ".crt", ".json"} {
			if err := a.Store(ctx, at+"/broken.example"+ending, []byte(ending)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.SetAside(ctx, at); err != nil {
			t.Fatal(err)
		}
		if a.Exists(ctx, at) {
			t.Error("what was set aside is still there")
		}
		if value, err := a.Load(ctx, at+".damaged/broken.example.crt"); err != nil || string(value) != ".crt" {
			t.Errorf("what was set aside: got %q, %v, want %q", value, err, ".crt")
		}
	}
	if err := b.SetAside(ctx, at); err != nil {
		t.Errorf("setting aside what is not there: got %v, want no error", err)
	}
}
