// Package localca answers one question: how does a machine sign certificates for itself?
//
// It is a certificate authority in a folder, for trying things out and for machines that no public authority can reach.
// The rules:
//
//  1. Its root can sign server certificates only, and no further authority. It is not limited to hosts by name: hosts
//     come and go, and every new root would have to be trusted on every client again.
//
//  2. The root is never replaced by another: clients trust it, and only a person can make them trust a different one.
//     When a year is left it is renewed with the same name and the same key: what the old root signed is valid under
//     the new one and the other way round, so that clients have a year to be told to trust it.
//
//  3. The key stays in a file that only its owner can read, in a folder that only its owner can enter.
package localca

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gate421/certs/pemfile"
)

// The names of the two files in an authority's folder.
const (
	rootFile = "root.pem"
	keyFile  = "root.key"
)

const (
	leafLife = 7 * 24 * time.Hour // renewed when a third is left
	skew     = time.Hour          // how far behind a client's clock may be
)

// Authority signs server certificates. Make one with Open. Its methods may be called from several goroutines.
type Authority struct {
	path      string // of the root certificate
	key       *ecdsa.PrivateKey
	onWarning func(root *x509.Certificate, text string) // not nil

	current  atomic.Pointer[x509.Certificate]
	renewing sync.Mutex
}

// Open reads the authority in folder, or makes one if there is none. One that is incomplete, damaged or expired is an
// error, and never replaced. onWarning takes what people should know, in plain words, with the root as it is then; it
// is not nil, must not block, and is called before Open returns too.
func Open(folder string, onWarning func(root *x509.Certificate, text string)) (*Authority, error) {
	if err := create(folder); err != nil {
		return nil, fmt.Errorf("local authority %q: %w", folder, err)
	}
	a, err := read(folder)
	if err != nil {
		return nil, fmt.Errorf("local authority %q: %w; restore the folder from a backup, or move it away to start "+
			"a new authority, whose root clients must then be told to trust", folder, err)
	}
	a.onWarning = onWarning
	keyPath := filepath.Join(folder, keyFile)
	if info, err := os.Stat(keyPath); err == nil {
		if text := pemfile.OpenToAll(keyPath, info); text != "" {
			a.onWarning(a.Root(), text)
		}
	}
	return a, a.renew()
}

// read reads the authority in folder and checks that it can sign.
func read(folder string) (*Authority, error) {
	a := &Authority{path: filepath.Join(folder, rootFile)}
	certDER, err := readBlock(a.path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	keyDER, err := readBlock(filepath.Join(folder, keyFile), "EC PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("root.pem: %w", err)
	}
	a.current.Store(root)
	if a.key, err = x509.ParseECPrivateKey(keyDER); err != nil {
		return nil, fmt.Errorf("root.key: %w", err)
	}
	switch now := time.Now(); {
	case !a.key.PublicKey.Equal(root.PublicKey):
		return nil, errors.New("root.key is not the key of root.pem")
	case !root.IsCA || root.CheckSignatureFrom(root) != nil:
		return nil, errors.New("root.pem is not an authority's certificate")
	case now.After(root.NotAfter):
		return nil, fmt.Errorf("root.pem expired on %s", root.NotAfter.Format(time.DateOnly))
	}
	return a, nil
}

// readBlock reads the first PEM block of a file, which must be of that type.
func readBlock(path, kind string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), pemfile.WithoutPath(err))
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: holds no PEM block of type %q", filepath.Base(path), kind)
	}
	return block.Bytes, nil
}

// ReadRoot reads the root certificate of the authority in folder and has the path of its file. It changes nothing. One
// that is not there is fs.ErrNotExist.
func ReadRoot(folder string) (path string, root *x509.Certificate, err error) {
	path = filepath.Join(folder, rootFile)
	der, err := readBlock(path, "CERTIFICATE")
	if err != nil {
		return path, nil, fmt.Errorf("local authority %q: %w", folder, err)
	}
	if root, err = x509.ParseCertificate(der); err != nil {
		return path, nil, fmt.Errorf("local authority %q: root.pem: %w", folder, err)
	}
	return path, root, nil
}

// Path is the root certificate's file (PEM).
func (a *Authority) Path() string { return a.path }

// Root is the root certificate as it is now. It must not be changed.
func (a *Authority) Root() *x509.Certificate { return a.current.Load() }

// ID names the authority by its key. Another key has another ID, so that what was kept under the ID of an authority
// that is gone is never found, let alone served. A renewed root keeps it.
func (a *Authority) ID() string {
	sum := sha256.Sum256(a.Root().RawSubjectPublicKeyInfo)
	return "local-" + hex.EncodeToString(sum[:8])
}

// Sign makes a certificate (PEM) of a week for all the names that request asks for: the caller has checked that they
// are its own to give. It fails if the request is not signed with the key that it names.
func (a *Authority) Sign(request *x509.CertificateRequest) ([]byte, error) {
	if err := request.CheckSignature(); err != nil {
		return nil, err
	}
	if err := a.renew(); err != nil {
		return nil, err
	}
	root, now := a.Root(), time.Now()
	until := now.Add(leafLife)
	if until.After(root.NotAfter) {
		until = root.NotAfter
	}
	template := &x509.Certificate{
		NotBefore:   now.Add(-skew),
		NotAfter:    until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    request.DNSNames,
		IPAddresses: request.IPAddresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root, request.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
