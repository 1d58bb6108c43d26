package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

func localConfig(t *testing.T, hosts ...string) (Config, recorder) {
	t.Helper()
	events := newRecorder()
	return Config{Source: SourceLocal, Hosts: hosts, Folder: filepath.Join(t.TempDir(), "state"),
		OnEvent: events.onEvent}, events
}

func rootPool(t *testing.T, certs *Certificates) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(certs.Root())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		t.Fatalf("%s: got no certificate in it", certs.Root())
	}
	return pool
}

func TestLocalHandshakes(t *testing.T) {
	t.Parallel()
	c, events := localConfig(t, "shop.example", "*.shop.example", "www.shop.example", "127.0.0.1")
	certs := mustOpen(t, c)
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := kinds(events.rest()); !slices.Equal(got, []string{"obtained", "obtained", "obtained", "obtained"}) {
		t.Errorf("got events %q, want 4 obtained", got)
	}
	pool := rootPool(t, certs)
	for name, want := range map[string]string{
		"shop.example": "shop.example", "SHOP.example": "shop.example", "shop.example.": "shop.example",
		"www.shop.example": "www.shop.example", "img.shop.example": "*.shop.example",
	} {
		// The client checks the chain to our root and the name.
		state, err := handshake(t, certs, &tls.Config{ServerName: name, RootCAs: pool})
		if err != nil {
			t.Errorf("%q: got %v, want no error", name, err)
			continue
		}
		leaf := state.PeerCertificates[0]
		if !slices.Equal(leaf.DNSNames, []string{want}) {
			t.Errorf("%q was answered with %q, want %q alone", name, leaf.DNSNames, want)
		}
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 90*24*time.Hour {
			t.Errorf("%q: valid for %v, want at most 90 days", name, life)
		}
	}
	if got := served(t, certs, "").DNSNames; !slices.Equal(got, []string{"shop.example"}) {
		t.Errorf("no name was answered with %q, want the first host's", got)
	}
	if leaves := certs.Leaves(); len(leaves) != 4 || leaves[0].DNSNames[0] != "shop.example" ||
		!leaves[3].IPAddresses[0].Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("got %d leaves, want 4 in the order of the hosts", len(leaves))
	}
}

func TestUnknownNameFailsTheHandshake(t *testing.T) {
	t.Parallel()
	c, _ := localConfig(t, "shop.example")
	certs := mustOpen(t, c)
	_, err := handshake(t, certs, &tls.Config{ServerName: "other.example", InsecureSkipVerify: true})
	if err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("the client sees %v, want the alert internal_error", err)
	}
	if _, err := certs.GetCertificate(&tls.ClientHelloInfo{ServerName: "Other.example."}); err != (UnknownHostError{"other.example"}) {
		t.Errorf("got %v, want an UnknownHostError", err)
	}
	if _, err := handshake(t, certs, &tls.Config{ServerName: "shop.example", InsecureSkipVerify: true,
		NextProtos: []string{"acme-tls/1"}}); err == nil {
		t.Error("a challenge without an order: got no error")
	}
}

// How a caller sends another alert, as UnknownHostError documents it.
func TestUnknownHostErrorAsAlert(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() {
		_ = tls.Server(server, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate,
			error) {
			return nil, nil
		}}).Handshake()
	}()
	err := tls.Client(client, &tls.Config{ServerName: "other.example"}).Handshake()
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("the client sees %v, want the alert unrecognized_name", err)
	}
}

func TestLocalFilesAndRestart(t *testing.T) {
	t.Parallel()
	c, events := localConfig(t, "shop.example", "*.shop.example")
	first := mustOpen(t, c)
	root, err := os.ReadFile(first.Root())
	if err != nil {
		t.Fatal(err)
	}
	leaf := served(t, first, "shop.example")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if hasModes {
		checkModes(t, c.Folder)
	}
	if entries, _ := os.ReadDir(c.Folder); len(entries) != 2 {
		t.Errorf("got %v, want two folders", entries)
	}

	events.rest()
	second := mustOpen(t, c)
	again, err := os.ReadFile(second.Root())
	if err != nil || string(again) != string(root) {
		t.Errorf("got another root, %v, want the same", err)
	}
	if !served(t, second, "shop.example").Equal(leaf) {
		t.Error("got another certificate, want the stored one")
	}
	if got := kinds(events.rest()); !slices.Equal(got, []string{"loaded", "loaded"}) {
		t.Errorf("got events %q, want 2 loaded", got)
	}
}

func checkModes(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		} else if entry.Name() == "root.pem" {
			want = 0o644
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLocalRenewsWhatIsDue(t *testing.T) {
	t.Parallel()
	c, events := localConfig(t, "shop.example", "*.shop.example")
	first := mustOpen(t, c)
	source := first.source.(*localSource)
	ca := readTestCA(t, localFolder(c.Folder))
	public := served(t, first, "shop.example").PublicKey.(*ecdsa.PublicKey)
	expired := ca.sign(t, public, time.Now().Add(-time.Hour), "shop.example")
	key := certmagic.StorageKeys.SiteCert(source.authority.ID(), "shop.example")
	if err := source.storage.Store(t.Context(), key, expired); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	events.rest()
	second := mustOpen(t, c)
	renewed := events.wait(t, KindRenewed)
	if !slices.Equal(renewed.Hosts, []string{"shop.example"}) || renewed.NotAfter.Before(time.Now()) ||
		renewed.Issuer != source.authority.Root().Subject.CommonName {
		t.Errorf("got %+v, want shop.example renewed", renewed)
	}
	if _, err := handshake(t, second, &tls.Config{ServerName: "shop.example",
		RootCAs: rootPool(t, second)}); err != nil {
		t.Error(err)
	}
	if left := len(second.source.certificates("shop.example")); left != 1 {
		t.Errorf("%d certificates in memory, want the new one", left)
	}
}

func TestLocalDamagedCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	c, events := localConfig(t, "shop.example")
	first := mustOpen(t, c)
	source := first.source.(*localSource)
	key := certmagic.StorageKeys.SitePrivateKey(source.authority.ID(), "shop.example")
	if err := source.storage.backend.Store(t.Context(), key, []byte("not a key")); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, c)
	if e := events.wait(t, KindWarning); !strings.Contains(e.Error, "set aside") {
		t.Errorf("got %+v, want that it was set aside", e)
	}
	if _, err := handshake(t, second, &tls.Config{ServerName: "shop.example",
		RootCAs: rootPool(t, second)}); err != nil {
		t.Error(err)
	}
}

// A crash between a new key and its certificate leaves the old certificate, whose key is still there.
func TestKeyWithoutItsCertificateIsRestored(t *testing.T) {
	t.Parallel()
	c, events := localConfig(t, "shop.example")
	first := mustOpen(t, c)
	before := served(t, first, "shop.example")
	source := first.source.(*localSource)
	key := certmagic.StorageKeys.SitePrivateKey(source.authority.ID(), "shop.example")
	_, other := newTestCA(t).pair(t, "shop.example")
	if err := source.storage.Store(t.Context(), key, other); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	events.rest()
	second := mustOpen(t, c)
	if got := kinds(events.rest()); !slices.Equal(got, []string{KindLoaded}) {
		t.Errorf("got events %q, want %q", got, KindLoaded)
	}
	if !served(t, second, "shop.example").Equal(before) {
		t.Error("another certificate is served, want the old one")
	}
}

func TestLocalAnotherRootServesNothingOld(t *testing.T) {
	t.Parallel()
	c, _ := localConfig(t, "shop.example")
	first := mustOpen(t, c)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Dir(first.Root())); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, c)
	if _, err := handshake(t, second, &tls.Config{ServerName: "shop.example",
		RootCAs: rootPool(t, second)}); err != nil {
		t.Error(err)
	}
}

func TestLocalAuthoritySignsForConfiguredHostsOnly(t *testing.T) {
	t.Parallel()
	c, _ := localConfig(t, "shop.example")
	certs := mustOpen(t, c)
	err := certs.source.(*localSource).issuers[0].cfg.ObtainCertSync(t.Context(), "bank.example")
	if err == nil || !strings.Contains(err.Error(), `host "bank.example": not configured`) {
		t.Errorf("got %v, want that the host is not configured", err)
	}
	if err := certs.source.(*localSource).cfg.ObtainCertSync(t.Context(), "other.example"); err == nil {
		t.Error("an order by certmagic's own schedule: got no error")
	}
	root := certs.source.(*localSource).authority.Root()
	if !root.MaxPathLenZero || !slices.Equal(root.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("got path length zero %v and usages %v, want server certificates only", root.MaxPathLenZero,
			root.ExtKeyUsage)
	}
	if name, err := os.Hostname(); err == nil && len(name) > 3 && strings.Contains(root.Subject.String(), name) {
		t.Errorf("got the subject %v, want no name of the machine", root.Subject)
	}
}

func TestLocalKeyOpenToEverybodyIsAWarning(t *testing.T) {
	t.Parallel()
	if !hasModes {
		return
	}
	c, events := localConfig(t, "shop.example")
	first := mustOpen(t, c)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(c.Folder, "local-ca", "root.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, c)
	if e := events.wait(t, KindWarning); !strings.Contains(e.Error, "everybody") {
		t.Errorf("got %+v, want that everybody can read the key", e)
	}
}

func TestCloseAndManageAgain(t *testing.T) {
	t.Parallel()
	c, events := localConfig(t, "shop.example")
	certs := mustOpen(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 2 {
		if err := certs.Manage(ctx); err != nil {
			t.Fatal(err)
		}
	}
	events.rest()
	for range 2 {
		if err := certs.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := certs.Manage(ctx); err == nil {
		t.Error("Manage after Close: got no error")
	}
	served(t, certs, "shop.example") // a draining server still has handshakes to answer
	if left := events.rest(); len(left) > 0 {
		t.Errorf("got events after Close: %+v, want none", left)
	}
	// certmagic's goroutines acquire no lock any more.
	if err := certs.source.(*localSource).cfg.RenewCertSync(t.Context(), "shop.example", true); err == nil {
		t.Error("a renewal after Close: got no error")
	}
}
