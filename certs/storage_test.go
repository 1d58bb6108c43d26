package certs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

// keepsToContract tries what certmagic wants of a storage. Each call of client opens the same storage for another
// gateway, and each is how many of its goroutines want a lock.
func keepsToContract(t *testing.T, each int, client func(*testing.T) kept) {
	t.Run("values", func(t *testing.T) { contractValues(t, client(t), client(t)) })
	t.Run("listing", func(t *testing.T) { contractListing(t, client(t), client(t)) })
	t.Run("writers", func(t *testing.T) { contractWriters(t, []kept{client(t), client(t), client(t)}) })
	t.Run("locks", func(t *testing.T) { contractLocks(t, each, []kept{client(t), client(t), client(t)}) })
	t.Run("waiting", func(t *testing.T) { contractWaiting(t, client(t), client(t)) })
	t.Run("aside", func(t *testing.T) { contractAside(t, client(t), client(t)) })
}

func TestFolderKeepsToContract(t *testing.T) {
	t.Parallel() // it looks at a lock once a second
	path := t.TempDir()
	keepsToContract(t, 2, func(t *testing.T) kept {
		return &folder{certmagic.FileStorage{Path: path}}
	})
}

func contractValues(t *testing.T, a, b kept) {
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
		if err != nil || info.Key != key || info.Size != int64(len(value)) || !info.IsTerminal || info.Modified.Before(before) || info.Modified.After(time.Now()) {
			t.Errorf("stat of %d bytes: %+v, %v", len(value), info, err)
		}
	}
	if info, err := b.Stat(ctx, "certificates/ca"); err != nil || info.IsTerminal || info.Key != "certificates/ca" {
		t.Errorf("stat of a folder: %+v, %v", info, err)
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
			t.Errorf("load of %q: %v", absent, err)
		}
		if _, err := b.Stat(ctx, absent); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat of %q: %v", absent, err)
		}
		if err := b.Delete(ctx, absent); err != nil {
			t.Errorf("delete of %q: %v", absent, err)
		}
	}
	if err := b.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) || a.Exists(ctx, key) {
		t.Errorf("after its deletion: %v", err)
	}
}

func contractListing(t *testing.T, a, b kept) {
	ctx := t.Context()
	for _, key := range []string{"list/a/1", "list/a/2", "list/a/b/c/3", "list/a-b/4", "list/a0/5", "list/ab", "list/é/6"} {
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
		{"list", true, "list/a list/a-b list/a-b/4 list/a/1 list/a/2 list/a/b list/a/b/c list/a/b/c/3 list/a0 list/a0/5 list/ab list/é list/é/6"},
		{"list/ab", true, ""},
	} {
		got, err := b.List(ctx, row.prefix, row.recursive)
		slices.Sort(got)
		if err != nil || strings.Join(got, " ") != row.want {
			t.Errorf("list %q %v: %q, %v", row.prefix, row.recursive, got, err)
		}
	}
	if got, err := b.List(ctx, "list/none", true); !errors.Is(err, fs.ErrNotExist) || len(got) != 0 {
		t.Errorf("list of nothing: %q, %v", got, err)
	}
	if err := b.Delete(ctx, "list/a"); err != nil {
		t.Fatal(err)
	}
	got, err := a.List(ctx, "list", false)
	if want := "list/a-b list/a0 list/ab list/é"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("after deleting a folder: %q, %v", got, err)
	}
	var many []string
	for i := range 2*redisBatch + 1 {
		many = append(many, fmt.Sprintf("many/%05d/x", i))
		if i%100 == 0 || i == 2*redisBatch { // the folder takes a sync for each
			if err := a.Store(ctx, many[i], nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, err := b.List(ctx, "many", false); err != nil || len(got) != 12-1 {
		t.Errorf("%d of many, %v", len(got), err)
	}
}

// contractWriters has eight writers a client at one key: a reader sees what one of them wrote, whole.
func contractWriters(t *testing.T, clients []kept) {
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
				if ctx.Err() == nil && (err != nil || len(bytes.Trim(value, string(value[:1]))) > 0 || len(value) < 1000) {
					t.Errorf("read %.20q…, %v", value, err)
					return
				}
			}
		})
	}
	writing.Wait()
	cancel()
	reading.Wait()
}

// contractLocks has goroutines of several clients at one lock: one at a time is inside, and all get in.
func contractLocks(t *testing.T, each int, clients []kept) {
	var inside, turns atomic.Int32
	var waiting sync.WaitGroup
	for _, client := range clients {
		for range each {
			waiting.Go(func() {
				if err := client.Lock(t.Context(), "issue_cert_*.shop.example"); err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d inside", n)
				}
				time.Sleep(5 * time.Millisecond)
				inside.Add(-1)
				turns.Add(1)
				if err := client.Unlock(t.Context(), "issue_cert_*.shop.example"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	waiting.Wait()
	if n := turns.Load(); int(n) != each*len(clients) {
		t.Errorf("%d turns", n)
	}
}

func contractWaiting(t *testing.T, a, b kept) {
	ctx := t.Context()
	if ok, err := a.TryLock(ctx, "job"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for _, client := range []kept{a, b} {
		if ok, err := client.TryLock(ctx, "job"); ok || err != nil {
			t.Errorf("a lock that is held: %v, %v", ok, err)
		}
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		start := time.Now()
		if err := client.Lock(short, "job"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
			t.Errorf("waiting ended with %v after %v", err, time.Since(start))
		}
		cancel()
	}
	if ok, err := b.TryLock(ctx, "another job"); !ok || err != nil {
		t.Errorf("another lock: %v, %v", ok, err)
	}
	for client, name := range map[kept]string{a: "job", b: "another job"} {
		if err := client.Unlock(ctx, name); err != nil {
			t.Error(err)
		}
	}
	if err := b.Unlock(ctx, "job"); err == nil {
		t.Error("a lock nobody holds was given back")
	}
}

func contractAside(t *testing.T, a, b kept) {
	ctx := t.Context()
	const at = "certificates/ca/broken.example"
	for range 2 {
		for _, ending := range []string{".key", ".crt", ".json"} {
			if err := a.Store(ctx, at+"/broken.example"+ending, []byte(ending)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.setAside(ctx, at); err != nil {
			t.Fatal(err)
		}
		if a.Exists(ctx, at) {
			t.Error("it is still there")
		}
		if value, err := a.Load(ctx, at+".damaged/broken.example.crt"); err != nil || string(value) != ".crt" {
			t.Errorf("%q, %v", value, err)
		}
	}
	if err := b.setAside(ctx, at); err != nil {
		t.Errorf("what is not there: %v", err)
	}
}
