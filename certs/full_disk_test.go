package certs

import (
	"context"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fullDisk stores no more values whose key has a certain ending.
type fullDisk struct {
	backend

	mu     sync.Mutex
	ending string // of the keys that it does not store: "" is every key, "-" is none
}

func (f *fullDisk) set(ending string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ending = ending
}

func (f *fullDisk) Store(ctx context.Context, key string, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasSuffix(key, f.ending) {
		return &os.PathError{Op: "write", Path: key, Err: syscall.ENOSPC}
	}
	return f.backend.Store(ctx, key, value)
}

// A full disk is noticed before the authority is asked for what could not be stored.
func TestFullDiskOrdersNothing(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{})
	c, events := p.config(t, "noroom.example")
	certs := mustOpen(t, c)
	certs.acme.storage.backend = &fullDisk{backend: certs.acme.storage.backend}
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := events.wait(t, KindFailed); !strings.Contains(e.Error, "no space left on device") ||
		time.Until(e.Next) < 30*time.Second {
		t.Errorf("got %+v, want the full disk, and the next attempt in a minute", e)
	}
	if orders := p.orders.Load(); orders != 0 {
		t.Errorf("got %d orders, want none", orders)
	}
}

// A disk that is full between a renewed certificate's key and the certificate leaves what was there: in memory, on disk
// and after the next start. When there is room again, it is renewed.
func TestFullDiskAtARenewal(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{seconds: 60})
	far := farAway()
	p.hints.Store(&far)
	c, events := p.config(t, "full.example")
	c.CheckEvery = 100 * time.Millisecond
	certs := mustOpen(t, c)
	disk := &fullDisk{backend: certs.acme.storage.backend, ending: "-"}
	certs.acme.storage.backend = disk
	p.listen(t, func(string) *Certificates { return certs })
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	old := certs.Leaves()[0]
	disk.set(".crt")
	past := windowInThePast()
	p.hints.Store(&past)
	if e := events.wait(t, KindFailed); !strings.Contains(e.Error, "cannot be kept: ") ||
		!e.NotAfter.Equal(old.NotAfter) {
		t.Errorf("got %+v, want that it cannot be kept, and the end %v of the one in use", e, old.NotAfter)
	}
	p.hints.Store(&far)
	if !served(t, certs, "full.example").Equal(old) {
		t.Error("another certificate is served, want the old one")
	}
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	events.rest()
	again := mustOpen(t, c)
	if got := kinds(events.rest()); len(got) != 1 || got[0] != KindLoaded ||
		!served(t, again, "full.example").Equal(old) {
		t.Fatalf("got events %q, want the old certificate loaded", got)
	}
	p.hints.Store(&past)
	certs = again
	if err := again.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindRenewed)
	p.hints.Store(&far)
}
