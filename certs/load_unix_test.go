//go:build unix

package certs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A stored key that others can read is a warning. A stored certificate that was cut off is set aside, and another one
// ordered; the account is kept.
func TestDamagedStorage(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{})
	c, events := p.config(t, "damaged.example")
	certs := mustOpen(t, c)
	p.listen(t, func(string) *Certificates { return certs })
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(c.Folder, "certificates", "certificates", "*", "damaged.example",
		"damaged.example.crt"))
	if err != nil || len(found) != 1 {
		t.Fatalf("got %q, %v, want one stored certificate", found, err)
	}
	key := strings.TrimSuffix(found[0], ".crt") + ".key"
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	events.rest()
	open := mustOpen(t, c)
	if e := events.wait(t, KindWarning); !strings.Contains(e.Error, key) {
		t.Errorf("got %+v, want a warning of %q", e, key)
	}
	if err := errors.Join(open.Close(), os.Chmod(key, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(found[0], 100); err != nil {
		t.Fatal(err)
	}
	events.rest()
	certs = mustOpen(t, c)
	if e := events.wait(t, KindWarning); !strings.Contains(e.Error, "set aside") {
		t.Errorf("got %+v, want that it was set aside", e)
	}
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		e := <-events
		if e.Kind == KindTerms {
			t.Error("another account was made, want the first one used")
		}
		if e.Kind == KindObtained {
			break
		}
	}
}
