package certs

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/caddyserver/certmagic"
)

// storages are those that two gateways can share: each function makes the second gateway's Config from the first one's.
func storages(t *testing.T) map[string]func(Config) Config {
	server := miniredis.RunT(t)
	return map[string]func(Config) Config{
		"folder": func(c Config) Config { return c },
		"redis": func(c Config) Config {
			c.Storage, c.Folder = "redis://"+server.Addr(), filepath.Join(t.TempDir(), "state")
			return c
		},
	}
}

func TestSharedOrdersOnce(t *testing.T) {
	t.Parallel()
	for name, share := range storages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newFakeCA(t)
			hosts := []string{"shop.example", "www.shop.example"}
			c, events := acmeConfig(t, ca, hosts...)
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
				for _, host := range hosts {
					if !served(t, certs, host).Equal(served(t, all[0], host)) {
						t.Errorf("%q: the gateways serve two certificates, want one", host)
					}
				}
			}
			if issued := ca.issued(); issued["shop.example"] != 1 || issued["www.shop.example"] != 1 ||
				len(issued) != 2 {
				t.Errorf("issued %v, want one for each host", issued)
			}
			// Each host's certificate is obtained by one gateway and, soon after, loaded by the other.
			count := make(map[string]int)
			for deadline := time.After(3 * patience); count[KindObtained] < 2 || count[KindLoaded] < 2; {
				select {
				case e := <-events:
					count[e.Kind]++
				case <-deadline:
					t.Fatalf("got events %v, want 2 obtained and 2 loaded", count)
				}
			}
			for _, certs := range all {
				if err := certs.Close(); err != nil { // no event comes after that
					t.Error(err)
				}
			}
			for _, kind := range kinds(events.rest()) {
				count[kind]++
			}
			delete(count, KindTerms) // once, or twice where both made an account on their own
			if count[KindObtained] != 2 || count[KindLoaded] != 2 || len(count) != 2 {
				t.Errorf("got events %v, want 2 obtained and 2 loaded", count)
			}
		})
	}
}

// issued counts the certificates that the authority signed, by host.
func (f *fakeCA) issued() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	count := make(map[string]int)
	for _, order := range f.orders {
		if order.chain != nil {
			count[order.host]++
		}
	}
	return count
}

// waitIssued waits until the authority has signed a certificate for host.
func waitIssued(t *testing.T, ca *fakeCA, host string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ca.issued()[host] == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no certificate for %q within %v", host, patience)
		}
	}
}

// waitServed waits until every host is answered.
func waitServed(t *testing.T, certs *Certificates, hosts ...string) {
	t.Helper()
	for deadline := time.Now().Add(3 * patience); len(certs.Leaves()) < len(hosts); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d certificates, want %d", len(certs.Leaves()), len(hosts))
		}
	}
}

// storePair writes what certmagic keeps of a certificate, as another gateway would.
func storePair(t *testing.T, to certmagic.Storage, issuer, host string, certPEM, keyPEM []byte) {
	t.Helper()
	keys := certmagic.StorageKeys
	meta, err := json.Marshal(certmagic.CertificateResource{SANs: []string{host}})
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range []struct {
		key   string
		value []byte
	}{{keys.SitePrivateKey(issuer, host), keyPEM}, {keys.SiteCert(issuer, host), certPEM},
		{keys.SiteMeta(issuer, host), meta}} {
		if err := to.Store(t.Context(), each.key, each.value); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond) // what it takes for somebody to see half of it
	}
}

func TestSharedFollows(t *testing.T) {
	t.Parallel()
	for name, share := range storages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newFakeCA(t)
			ca.rejects = "none of your business" // nothing is to be ordered
			c, events := acmeConfig(t, ca, "shop.example", "www.shop.example")
			c = share(c)
			writer, err := openStorage(c, names{}, &notifier{})
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Close()
			issuer := (&certmagic.ACMEIssuer{CA: c.CAs[0].Directory}).IssuerKey()
			store := func(host string, until time.Duration) {
				certPEM, keyPEM := ca.pairUntil(t, time.Now().Add(until), host)
				storePair(t, writer, issuer, host, certPEM, keyPEM)
			}
			store("shop.example", 20*24*time.Hour)
			certs := mustOpen(t, c)
			certs.acme.followEvery = 20 * time.Millisecond
			events.wait(t, KindLoaded)
			if err := certs.Manage(t.Context()); err != nil {
				t.Fatal(err)
			}
			events.wait(t, KindFailed)
			// Renewed by another, a first one, and one from a backup, older than what is here.
			first := served(t, certs, "shop.example")
			store("shop.example", 25*24*time.Hour)
			renewed := events.wait(t, KindLoaded)
			if now := served(t, certs, "shop.example"); !now.NotAfter.Equal(renewed.NotAfter) ||
				!now.NotAfter.After(first.NotAfter) {
				t.Errorf("the certificate served ends at %v, want %v", now.NotAfter, renewed.NotAfter)
			}
			store("www.shop.example", 25*24*time.Hour)
			events.wait(t, KindLoaded)
			served(t, certs, "www.shop.example")
			store("shop.example", 15*24*time.Hour)
			time.Sleep(20 * certs.acme.followEvery)
			if left := kinds(events.rest()); len(left) > 0 {
				t.Errorf("got events %q, want none", left)
			}
			if now := served(t, certs, "shop.example"); !now.NotAfter.Equal(renewed.NotAfter) {
				t.Errorf("the certificate served ends at %v, want still %v", now.NotAfter, renewed.NotAfter)
			}
			if list := certs.acme.cached("shop.example"); len(list) != 1 {
				t.Errorf("got %d certificates in memory, want 1", len(list))
			}
			if issued := ca.issued(); len(issued) > 0 {
				t.Errorf("issued %v, want one at most, for the host that needs it", issued)
			}
		})
	}
}
