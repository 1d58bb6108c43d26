package certs

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// age replaces the root of a state folder by one with another end, and returns it.
func age(t *testing.T, folder string, end time.Time) *x509.Certificate {
	t.Helper()
	a := readTestCA(t, localFolder(folder))
	template := *a.cert
	template.SerialNumber, template.NotAfter = big.NewInt(7), end
	template.SubjectKeyId = []byte("as another Go computed it") // what is renewed keeps it
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(localFolder(folder), "root.pem"),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// A root with less than a year left is renewed: clients that trust the old one and clients that trust the new one are
// both served, the key stays, there is a warning, and LocalRoot reads the new one.
func TestLocalRootIsRenewed(t *testing.T) {
	t.Parallel()
	c, events := localConfig(t, "shop.example")
	if err := mustOpen(t, c).Close(); err != nil {
		t.Fatal(err)
	}
	old := age(t, c.Folder, time.Now().Add(300*24*time.Hour))
	events.rest()
	certs := mustOpen(t, c)
	if e := events.wait(t, KindWarning); !strings.Contains(e.Error, "root was renewed") ||
		!strings.Contains(e.Error, old.NotAfter.Format(time.DateOnly)) {
		t.Errorf("got %+v, want that the root was renewed, and the old one's end %v", e, old.NotAfter)
	}
	path, renewed, err := LocalRoot(c.Folder)
	if err != nil || path != certs.Root() {
		t.Fatal(path, err)
	}
	if time.Until(renewed.NotAfter) < 9*365*24*time.Hour || !old.PublicKey.(*ecdsa.PublicKey).Equal(renewed.PublicKey) {
		t.Errorf("got a root that ends at %v, want the same key for ten years", renewed.NotAfter)
	}
	// OpenSSL accepts no issuer whose key ID is not the one that a certificate names.
	if leaf := served(t, certs, "shop.example"); string(renewed.SubjectKeyId) != string(old.SubjectKeyId) {
		t.Errorf("the root's key ID: want %x, got %x; a certificate names its issuer's as %x", old.SubjectKeyId,
			renewed.SubjectKeyId, leaf.AuthorityKeyId)
	}
	for name, root := range map[string]*x509.Certificate{"old": old, "new": renewed} {
		pool := x509.NewCertPool()
		pool.AddCert(root)
		if _, err := handshake(t, certs, &tls.Config{ServerName: "shop.example", RootCAs: pool}); err != nil {
			t.Errorf("a client that trusts the %s root: got %v, want no error", name, err)
		}
	}
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	events.rest()
	mustOpen(t, c) // nothing is due any more
	for _, e := range events.rest() {
		if e.Kind == KindWarning {
			t.Errorf("got %+v, want no warning", e)
		}
	}
	if _, again, _ := LocalRoot(c.Folder); !again.Equal(renewed) {
		t.Error("the root was renewed twice, want once")
	}
}
