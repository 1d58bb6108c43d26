package certs

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/caddyserver/certmagic"
)

// TestSharedWithoutServer is a start while the server is down, with what an earlier run left and with nothing.
func TestSharedWithoutServer(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, told := acmeConfig(t, ca, "shop.example", "www.shop.example")
	c.Storage = "redis://:secret@" + server.Addr()
	certs := mustOpen(t, c)
	writer, _ := redisClient(t, c.Storage)
	issuer := (&certmagic.ACMEIssuer{CA: c.CAs[0].Directory}).IssuerKey()
	certPEM, keyPEM := ca.pair(t, "shop.example")
	server.RequireAuth("secret")
	storePair(t, writer, issuer, "shop.example", certPEM, keyPEM)
	if err := certs.acme.takeUp(t.Context(), "shop.example"); err != nil {
		t.Fatal(err)
	}
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	if modesMean {
		checkModes(t, c.Folder)
	}
	server.RequireAuth("changed")
	told.rest()

	certs = mustOpen(t, c)
	e := told.wait(t, KindWarning)
	if !strings.Contains(e.Error, "refused the password") || strings.Contains(e.Error, "secret") || len(e.Hosts) != 2 {
		t.Errorf("told %+v", e)
	}
	served(t, certs, "shop.example")
	if leaves, err := Stored(c); len(leaves) != 1 || err != nil {
		t.Errorf("stored: %d, %v", len(leaves), err)
	}
	certs.acme.following = 100 * time.Millisecond
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond)
	if asked := ca.asked(); asked > 0 {
		t.Errorf("the authority was asked %d times", asked)
	}
	for _, e := range told.rest() {
		if e.Kind == KindFailed || e.Kind == KindWarning {
			t.Errorf("told %+v", e)
		}
	}
	server.RequireAuth("secret")
	waitServed(t, certs, c.Hosts...)
	if e := told.wait(t, KindObtained); e.Hosts[0] != "www.shop.example" {
		t.Errorf("told %+v", e)
	}
	served(t, certs, "www.shop.example")
	if issued := ca.issued(); issued["www.shop.example"] != 1 || len(issued) != 1 {
		t.Errorf("issued %v", issued)
	}
}

// TestSharedSlowServer has a server that takes connections and says nothing.
func TestSharedSlowServer(t *testing.T) {
	t.Parallel()
	silent := httptest.NewUnstartedServer(nil).Listener // nobody accepts
	defer silent.Close()
	ca := newFakeCA(t)
	const host = "slow.example" // certmagic knows the challenges of the whole process: of no other test's host
	c, told := acmeConfig(t, ca, host)
	c.Storage = "redis://" + silent.Addr().String()
	start := time.Now()
	certs := mustOpen(t, c)
	if took := time.Since(start); took > 2*redisPatience {
		t.Errorf("Open took %v", took)
	}
	if e := told.wait(t, KindWarning); !strings.Contains(e.Error, "no answer within 2s") {
		t.Errorf("told %+v", e)
	}
	time.Sleep(redisRest)
	start = time.Now()
	if body, answered := overHTTP(certs, host, "token1"); answered {
		t.Errorf("answered with %q", body)
	}
	if took := time.Since(start); took > lookUpPatience+time.Second/2 {
		t.Errorf("a challenge took %v", took)
	}
}

func TestSharedOnlyACME(t *testing.T) {
	_, err := Open(t.Context(), Config{Source: SourceLocal, Hosts: []string{"a.example"}, Folder: t.TempDir(), Storage: "redis://x"})
	if err == nil || !strings.Contains(err.Error(), "shared storage") {
		t.Errorf("got %v", err)
	}
	ca := newFakeCA(t)
	c, _ := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://me:secret@"
	if _, err = Open(t.Context(), c); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// TestSharedRestores has a server that lost everything: what is served is put back, and nothing is ordered again.
func TestSharedRestores(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, told := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	certs := mustOpen(t, c)
	certs.acme.following = 50 * time.Millisecond
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	told.wait(t, KindObtained)
	first := served(t, certs, "shop.example")
	server.FlushAll()
	key := certmagic.StorageKeys.SiteMeta((&certmagic.ACMEIssuer{CA: c.CAs[0].Directory}).IssuerKey(), "shop.example")
	for deadline := time.Now().Add(patience); !server.Exists("gate421:file:" + key); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not restored")
		}
	}
	c.Folder = filepath.Join(t.TempDir(), "other")
	other := mustOpen(t, c)
	if !served(t, other, "shop.example").Equal(first) {
		t.Error("another certificate")
	}
	if issued := ca.issued(); issued["shop.example"] != 1 {
		t.Errorf("issued %v", issued)
	}
	for _, name := range server.Keys() {
		if strings.Contains(name, ":lock:") {
			// It is given back right after the last value is written.
			time.Sleep(200 * time.Millisecond)
			if server.Exists(name) {
				t.Errorf("%s is left", name)
			}
		}
	}
}

// TestSharedDamaged has a pair in the server that does not match: it is set aside there and ordered anew.
func TestSharedDamaged(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, told := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	writer, _ := redisClient(t, c.Storage)
	certPEM, _ := ca.pair(t, "shop.example")
	_, keyPEM := ca.pair(t, "shop.example")
	storePair(t, writer, (&certmagic.ACMEIssuer{CA: c.CAs[0].Directory}).IssuerKey(), "shop.example", certPEM, keyPEM)
	certs := mustOpen(t, c)
	if e := told.wait(t, KindWarning); !strings.Contains(e.Error, "was set aside") {
		t.Errorf("told %+v", e)
	}
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	told.wait(t, KindObtained)
	served(t, certs, "shop.example")
}

// TestSharedServerDownDuringAnOrder has the server go away after the authority asked and come back once the
// certificate is issued: it is stored then, not ordered again.
func TestSharedServerDownDuringAnOrder(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, told := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	ca.validate = func(string, string) string {
		server.Close()
		time.AfterFunc(3*time.Second, func() {
			if err := server.Restart(); err != nil {
				t.Error(err)
			}
		})
		return ""
	}
	certs := mustOpen(t, c)
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	told.wait(t, KindWarning)
	told.wait(t, KindObtained)
	served(t, certs, "shop.example")
	if issued := ca.issued(); issued["shop.example"] != 1 {
		t.Errorf("issued %v", issued)
	}
}

// TestSharedOrdersUnderItsLockOnly asks certmagic's hook, the last thing before an order.
func TestSharedOrdersUnderItsLockOnly(t *testing.T) {
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, _ := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	certs := mustOpen(t, c)
	obtaining := func() error {
		return certs.acme.onEvent(t.Context(), certs.acme.ways[0], "cert_obtaining", map[string]any{"identifier": "shop.example"})
	}
	if obtaining() == nil {
		t.Error("without a lock")
	}
	if err := certs.acme.store.Lock(t.Context(), "issue_cert_shop.example"); err != nil {
		t.Fatal(err)
	}
	if err := obtaining(); err != nil {
		t.Error(err)
	}
	server.Close()
	if obtaining() == nil {
		t.Error("without a server")
	}
	_ = certs.acme.store.Unlock(t.Context(), "issue_cert_shop.example")
}
