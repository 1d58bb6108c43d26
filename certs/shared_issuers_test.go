package certs

import (
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/caddyserver/certmagic"
)

// Two gateways whose first authority rejects order once from the second.
func TestSharedSecondAuthorityOrdersOnce(t *testing.T) {
	t.Parallel()
	for name, share := range storages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newFakeCA(t), newFakeCA(t)
			first.rejects = "not today"
			hosts := []string{"shop.example", "www.shop.example"}
			c, events := acmeConfig(t, first, hosts...)
			c.CAs = append(c.CAs, CA{Directory: second.server.URL + "/directory", Root: second.rootFile()})
			var all []*Certificates
			for range 2 {
				certs := mustOpen(t, share(c))
				certs.acme.followEvery = 100 * time.Millisecond
				all = append(all, certs)
			}
			for _, certs := range all {
				if err := certs.Manage(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, certs := range all {
				waitServed(t, certs, hosts...)
			}
			if issued := second.issued(); issued["shop.example"] != 1 || issued["www.shop.example"] != 1 {
				t.Errorf("issued %v, want one for each host", issued)
			}
			for _, e := range events.rest() {
				if e.Kind == KindFailed {
					t.Errorf("got %+v, want no failure", e)
				}
			}
		})
	}
}

// A gateway that waited for the lock while another one obtained a certificate from another issuer orders nothing.
func TestSharedAnotherIssuerMeanwhile(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	first, second := newFakeCA(t), newFakeCA(t)
	c, _ := acmeConfig(t, first, "shop.example")
	c.CAs = append(c.CAs, CA{Directory: second.server.URL + "/directory", Root: second.rootFile()})
	c.Storage = "redis://" + server.Addr()
	certs := mustOpen(t, c)
	writer := openRedis(t, c.Storage)
	certPEM, keyPEM := second.pair(t, "shop.example")
	storePair(t, writer, certs.acme.issuers[1].key(), "shop.example", certPEM, keyPEM)
	asked, err := certs.acme.attempt(t.Context(), certs.acme.issuers[0].cfg, "shop.example")
	if asked || err != nil || len(first.issued()) > 0 {
		t.Errorf("got asked %v, %v, and issued %v, want neither and no error", asked, err, first.issued())
	}
	if first.asked() > 0 {
		t.Errorf("got %d requests, want none", first.asked())
	}
}

// A key without its certificate is left alone while another gateway holds the lock: it may be about to store the
// certificate. Without the lock the overwritten key is restored.
func TestSharedRepairsUnderItsLockOnly(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	ca := newFakeCA(t)
	c, events := acmeConfig(t, ca, "shop.example")
	c.Storage = "redis://" + server.Addr()
	writer := openRedis(t, c.Storage)
	issuer := (&certmagic.ACMEIssuer{CA: c.CAs[0].Directory}).IssuerKey()
	certPEM, keyPEM := ca.pair(t, "shop.example")
	storePair(t, writer, issuer, "shop.example", certPEM, keyPEM)
	other := &storage{backend: writer}
	_, newer := ca.pair(t, "shop.example")
	lock := orderLock + "shop.example"
	key := certmagic.StorageKeys.SitePrivateKey(issuer, "shop.example")
	if err := errors.Join(other.Lock(t.Context(), lock), other.Store(t.Context(), key, newer)); err != nil {
		t.Fatal(err)
	}
	certs := mustOpen(t, c)
	if left := events.rest(); len(left) > 0 || len(certs.Leaves()) > 0 {
		t.Errorf("got events %+v and %d certificates, want none", left, len(certs.Leaves()))
	}
	if now, err := writer.Load(t.Context(), key); err != nil || string(now) != string(newer) {
		t.Errorf("the key: got %q, %v, want it unchanged", now, err)
	}
	if err := other.Unlock(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	if err := certs.acme.load(t.Context(), "shop.example"); err != nil {
		t.Fatal(err)
	}
	if e := events.wait(t, KindLoaded); !e.NotAfter.Equal(served(t, certs, "shop.example").NotAfter) {
		t.Errorf("got %+v, want the end of what is served", e)
	}
}

// Challenges that a killed order left are deleted once the host has a certificate, from whichever issuer.
func TestSharedForgetsChallenges(t *testing.T) {
	t.Parallel()
	for name, share := range storages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newFakeCA(t), newFakeCA(t)
			c, events := acmeConfig(t, first, "shop.example")
			c.CAs = append(c.CAs, CA{Directory: second.server.URL + "/directory", Root: second.rootFile()})
			certs := mustOpen(t, share(c))
			keys := certs.acme.challengeKeys("shop.example")
			for _, key := range keys {
				if err := certs.acme.storage.Store(t.Context(), key, []byte("{}")); err != nil {
					t.Fatal(err)
				}
			}
			if err := certs.Manage(t.Context()); err != nil {
				t.Fatal(err)
			}
			events.wait(t, KindObtained)
			if err := certs.Close(); err != nil {
				t.Fatal(err)
			}
			left := mustOpen(t, share(c)).acme.storage
			for _, key := range keys {
				if left.Exists(t.Context(), key) {
					t.Errorf("%s is left, want it deleted", key)
				}
			}
		})
	}
}
