package certs

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/caddyserver/certmagic"

	"gate421/certs/redis"
)

// TestSharedWithoutServer is a start while the server is down, with what an earlier run left and with nothing.
func TestSharedWithoutServer(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, events := acmeConfig(t, ca, "shop.example", "www.shop.example")
	c.Storage = "redis://:secret@" + server.Addr()
	certs := mustOpen(t, c)
	writer := openRedis(t, c.Storage)
	issuer := (&certmagic.ACMEIssuer{CA: c.CAs[0].Directory}).IssuerKey()
	certPEM, keyPEM := ca.pair(t, "shop.example")
	server.RequireAuth("secret")
	storePair(t, writer, issuer, "shop.example", certPEM, keyPEM)
	if err := certs.acme.load(t.Context(), "shop.example"); err != nil {
		t.Fatal(err)
	}
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	if hasModes {
		checkModes(t, c.Folder)
	}
	server.RequireAuth("changed")
	events.rest()

	certs = mustOpen(t, c)
	e := events.wait(t, KindWarning)
	if !strings.Contains(e.Error, "refused the password") || strings.Contains(e.Error, "secret") || len(e.Hosts) != 2 {
		t.Errorf("got %+v, want that the password was rejected, without it, for both hosts", e)
	}
	served(t, certs, "shop.example")
	if leaves, err := Stored(c); len(leaves) != 1 || err != nil {
		t.Errorf("Stored: got %d certificates, %v, want 1", len(leaves), err)
	}
	certs.acme.followEvery = 100 * time.Millisecond
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if asked := ca.asked(); asked > 0 {
		t.Errorf("got %d requests while the server is down, want none", asked)
	}
	for _, e := range events.rest() {
		if e.Kind == KindFailed || e.Kind == KindWarning {
			t.Errorf("got %+v, want neither a failure nor a warning", e)
		}
	}
	server.RequireAuth("secret")
	waitServed(t, certs, c.Hosts...)
	if e := events.wait(t, KindObtained); e.Hosts[0] != "www.shop.example" {
		t.Errorf("got %+v, want www.shop.example", e)
	}
	served(t, certs, "www.shop.example")
	if issued := ca.issued(); issued["www.shop.example"] != 1 || len(issued) != 1 {
		t.Errorf("issued %v, want one at most, for the host that needs it", issued)
	}
}

// TestSharedSlowServer has a server that accepts connections and says nothing: nothing waits for it without end.
func TestSharedSlowServer(t *testing.T) {
	t.Parallel()
	silent := httptest.NewUnstartedServer(nil).Listener // nobody accepts
	defer silent.Close()
	c, events := acmeConfig(t, newFakeCA(t), "slow.example")
	c.Storage = "redis://" + silent.Addr().String()
	certs := mustOpen(t, c)
	if e := events.wait(t, KindWarning); !strings.Contains(e.Error, "no answer within 2s") {
		t.Errorf("warned of %q, want the time without an answer", e.Error)
	}
	if body, answered := overHTTP(certs, "slow.example", "token1"); answered {
		t.Errorf("a challenge was answered with %q, want no answer", body)
	}
}

// openRedis opens the storage for another gateway, with a folder of its own.
func openRedis(t *testing.T, address string) *redis.Storage {
	t.Helper()
	s, err := redis.Open(address, filepath.Join(t.TempDir(), "certificates-cache"), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSharedOnlyACME(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Source: SourceLocal, Hosts: []string{"a.example"}, Folder: t.TempDir(),
		Storage: "redis://x"})
	if err == nil || !strings.Contains(err.Error(), "shared storage") {
		t.Errorf("got %v, want an error about the shared storage", err)
	}
	ca := newFakeCA(t)
	c, _ := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://me:secret@"
	if _, err = Open(t.Context(), c); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

// TestSharedRestores has a server that lost everything: what is served is put back, and nothing is ordered again.
func TestSharedRestores(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, events := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	certs := mustOpen(t, c)
	certs.acme.followEvery = 50 * time.Millisecond
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	first := served(t, certs, "shop.example")
	server.FlushAll()
	key := certmagic.StorageKeys.SiteMeta((&certmagic.ACMEIssuer{CA: c.CAs[0].Directory}).IssuerKey(), "shop.example")
	for deadline := time.Now().Add(patience); !server.Exists("gate421:file:" + key); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the server has no %s after %v, want it restored", key, patience)
		}
	}
	c.Folder = filepath.Join(t.TempDir(), "other")
	other := mustOpen(t, c)
	if !served(t, other, "shop.example").Equal(first) {
		t.Error("another gateway serves another certificate, want the one that was restored")
	}
	if issued := ca.issued(); issued["shop.example"] != 1 {
		t.Errorf("issued %v, want one at most, for the host that needs it", issued)
	}
	for _, name := range server.Keys() {
		if strings.Contains(name, ":lock:") {
			// It is released right after the last value is written.
			time.Sleep(200 * time.Millisecond)
			if server.Exists(name) {
				t.Errorf("%s is left, want it released", name)
			}
		}
	}
}

// TestSharedDamaged has a pair in the server that does not match: it is set aside there, and another one ordered.
func TestSharedDamaged(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, events := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	writer := openRedis(t, c.Storage)
	certPEM, _ := ca.pair(t, "shop.example")
	_, keyPEM := ca.pair(t, "shop.example")
	storePair(t, writer, (&certmagic.ACMEIssuer{CA: c.CAs[0].Directory}).IssuerKey(), "shop.example", certPEM, keyPEM)
	certs := mustOpen(t, c)
	if e := events.wait(t, KindWarning); !strings.Contains(e.Error, "was set aside") {
		t.Errorf("got %+v, want that it was set aside", e)
	}
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	served(t, certs, "shop.example")
}

// TestSharedServerDownDuringAnOrder has the server go away after the authority asked and come back once the
// certificate is issued: it is stored then, not ordered again.
func TestSharedServerDownDuringAnOrder(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, events := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	ca.validate = func(string, string) string {
		server.Close()
		return ""
	}
	certs := mustOpen(t, c)
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindWarning)
	waitIssued(t, ca, "shop.example")
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	served(t, certs, "shop.example")
	if issued := ca.issued(); issued["shop.example"] != 1 {
		t.Errorf("issued %v, want one at most, for the host that needs it", issued)
	}
}

// TestSharedOrdersUnderItsLockOnly asks certmagic's hook, the last thing before an order.
func TestSharedOrdersUnderItsLockOnly(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, _ := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	certs := mustOpen(t, c)
	obtaining := func() error {
		return certs.acme.onEvent(t.Context(), certs.acme.issuers[0], "cert_obtaining",
			map[string]any{"identifier": "shop.example"})
	}
	if obtaining() == nil {
		t.Error("ordering without a lock: got no error")
	}
	if err := certs.acme.storage.Lock(t.Context(), "issue_cert_shop.example"); err != nil {
		t.Fatal(err)
	}
	if err := obtaining(); err != nil {
		t.Error(err)
	}
	server.Close()
	if obtaining() == nil {
		t.Error("ordering without a server: got no error")
	}
	_ = certs.acme.storage.Unlock(t.Context(), "issue_cert_shop.example")
}
