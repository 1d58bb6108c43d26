package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mustOpen opens an authority that warns of nothing.
func mustOpen(t *testing.T, folder string) *Authority {
	t.Helper()
	a, err := Open(folder, func(_ *x509.Certificate, text string) { t.Errorf("warned of %q, want nothing", text) })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// leaf has the authority sign a certificate (PEM) for a host.
func leaf(t *testing.T, a *Authority, host string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{host}}, key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := a.Sign(request)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func TestOpenAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "ca")
	first := mustOpen(t, folder)
	again := mustOpen(t, folder)
	if !again.Root().Equal(first.Root()) || again.ID() != first.ID() {
		t.Errorf("the second time: got root %x, want %x", again.Root().SerialNumber, first.Root().SerialNumber)
	}
	block, _ := pem.Decode(leaf(t, again, "shop.example"))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(first.Root())
	if _, err := cert.Verify(x509.VerifyOptions{DNSName: "shop.example", Roots: roots}); err != nil {
		t.Errorf("a certificate it signed: got %v, want it verified by the root", err)
	}
}

func TestSignWantsARequestSignedWithItsKey(t *testing.T) {
	a := mustOpen(t, filepath.Join(t.TempDir(), "ca"))
	if chain, err := a.Sign(&x509.CertificateRequest{DNSNames: []string{"shop.example"},
		PublicKey: a.key.Public()}); err == nil {
		t.Errorf("got %s, want an error", chain)
	}
}

func TestReadRootThatIsNotThere(t *testing.T) {
	if _, _, err := ReadRoot(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestDamagedAuthorityIsNeverReplaced(t *testing.T) {
	otherCert, otherKey, err := newRoot()
	if err != nil {
		t.Fatal(err)
	}
	leafOnly := leaf(t, mustOpen(t, filepath.Join(t.TempDir(), "ca")), "shop.example")
	for _, test := range []struct {
		name, file string
		data       []byte // nil: removed
		want       string
	}{
		{"no key", "root.key", nil, "root.key: no such file"},
		{"no certificate", "root.pem", nil, "root.pem: no such file"},
		{"key cut off", "root.key", otherKey[:40], "root.key: holds no PEM block"},
		{"key garbled", "root.key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x")}),
			"root.key: "},
		{"certificate garbled", "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
			"root.pem: "},
		{"another's key", "root.key", otherKey, "is not the key of root.pem"},
		{"another's certificate", "root.pem", otherCert, "is not the key of root.pem"},
		{"a host's certificate", "root.pem", leafOnly, "root.pem"},
		{"empty", "root.pem", []byte{}, "root.pem: holds no PEM block"},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "ca")
			mustOpen(t, folder)
			path := filepath.Join(folder, test.file)
			if test.data == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, test.data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err := Open(folder, func(*x509.Certificate, string) {})
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				!strings.Contains(err.Error(), "move it away") {
				t.Fatalf("got %v, want %q and what to do", err, test.want)
			}
			if data, err := os.ReadFile(path); test.data != nil && (err != nil || string(data) != string(test.data)) {
				t.Errorf("the file: got %q, %v, want it unchanged", data, err)
			}
		})
	}
}
