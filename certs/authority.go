package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

const (
	rootLife    = 10 * 365 * 24 * time.Hour
	rootRenewal = 365 * 24 * time.Hour // before its end
	leafLife    = 7 * 24 * time.Hour   // renewed when a third is left
	skew        = time.Hour            // how far behind a client's clock may be

	// modesMean is false where file modes are made up from a read-only bit.
	modesMean = runtime.GOOS != "windows"
)

// authority signs certificates for the configured hosts and for nothing else. It implements certmagic.Issuer.
//
// Its root can sign server certificates only, and no further authority. It is not limited to the hosts by name: hosts
// come and go, and every new root would have to be trusted on every client anew.
//
// When a year is left the root is made anew, with the same name and the same key: whatever the old one signed is good under
// the new one and the other way round, so that clients have a year to be told to trust it.
type authority struct {
	current atomic.Pointer[x509.Certificate]
	key     *ecdsa.PrivateKey
	path    string // of the root certificate
	hosts   names
	told    *teller

	renewing sync.Mutex
}

// root is the root as it is now.
func (a *authority) root() *x509.Certificate { return a.current.Load() }

// openAuthority reads the authority in folder, or makes one if there is none. One that is incomplete, damaged or
// expired is an error and never replaced: clients trust this root, and only a person can make them trust another.
func openAuthority(folder string, told *teller) (*authority, error) {
	if err := makeAuthority(folder); err != nil {
		return nil, fmt.Errorf("local authority %q: %w", folder, err)
	}
	a, err := readAuthority(folder)
	if err != nil {
		return nil, fmt.Errorf("local authority %q: %w; restore the folder from a backup, or move it away to start a new "+
			"authority, whose root clients must then be told to trust", folder, err)
	}
	keyPath := filepath.Join(folder, "root.key")
	if info, err := os.Stat(keyPath); err == nil {
		if words := othersCanRead(keyPath, info); words != "" {
			told.tell(Event{Kind: KindWarning, Issuer: a.root().Subject.CommonName, NotAfter: a.root().NotAfter, Error: words})
		}
	}
	a.told = told
	return a, a.renew()
}

func readAuthority(folder string) (*authority, error) {
	a := &authority{path: filepath.Join(folder, "root.pem")}
	certDER, err := readPEM(a.path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	keyDER, err := readPEM(filepath.Join(folder, "root.key"), "EC PRIVATE KEY")
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

func readPEM(path, kind string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), bare(err))
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: holds no PEM block of type %q", filepath.Base(path), kind)
	}
	return block.Bytes, nil
}

// makeAuthority makes a new authority in folder unless something is there. Both files are written next to it and
// appear together, by one rename: a crash leaves either nothing or a whole authority.
func makeAuthority(folder string) error {
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return bare(err)
	}
	certPEM, keyPEM, err := newRoot()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(folder), "local-ca.new-") // mode 0700
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	err = errors.Join(
		writeSynced(filepath.Join(temporary, "root.key"), keyPEM, 0o600),
		writeSynced(filepath.Join(temporary, "root.pem"), certPEM, 0o644))
	if err != nil {
		return err
	}
	_ = os.Remove(folder) // an empty one would be in the way on some systems
	if err := os.Rename(temporary, folder); err != nil {
		if entries, _ := os.ReadDir(folder); len(entries) > 0 {
			return nil // another process was first: use its authority
		}
		return err
	}
	// Some systems cannot sync a folder, and then need not.
	if parent, err := os.Open(filepath.Dir(folder)); err == nil {
		_ = parent.Sync()
		parent.Close()
	}
	return nil
}

func writeSynced(path string, data []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	// The umask may have taken bits of the mode away.
	return errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
}

func newRoot() (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return nil, nil, err
	}
	// No host or user name in it: the root is handed around.
	certPEM, err = signRoot(key, pkix.Name{CommonName: "gate421 local authority " + hex.EncodeToString(id)}, nil)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), nil
}

// signRoot makes a root that begins now. keyID is that of the root it replaces: what clients find an issuer by, which Go
// does not compute alike in all its versions. nil for a new one.
func signRoot(key *ecdsa.PrivateKey, name pkix.Name, keyID []byte) ([]byte, error) {
	now := time.Now()
	template := &x509.Certificate{
		Subject:               name,
		SubjectKeyId:          keyID,
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(rootLife),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// renew makes the root anew when a year of it is left. The file is replaced in one step. What cannot be renewed is told, and
// tried again with the next certificate.
func (a *authority) renew() error {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	old := a.root()
	if time.Until(old.NotAfter) > rootRenewal {
		return nil
	}
	certPEM, err := signRoot(a.key, old.Subject, old.SubjectKeyId)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(certPEM)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	event := Event{Kind: KindWarning, Issuer: old.Subject.CommonName, NotAfter: root.NotAfter}
	if err := replaceRoot(a.path, certPEM); err != nil {
		event.NotAfter = old.NotAfter
		event.Error = fmt.Sprintf("the local authority's root %q ends on %s and cannot be renewed: %v", a.path, old.NotAfter.Format(time.DateOnly), err)
		a.told.tell(event)
		return nil
	}
	a.current.Store(root)
	event.Error = fmt.Sprintf("the local authority's root was renewed; clients that trust the old one have to trust %q before %s (gate421 trust says how)",
		a.path, old.NotAfter.Format(time.DateOnly))
	a.told.tell(event)
	return nil
}

func replaceRoot(path string, certPEM []byte) error {
	made := path + ".new"
	_ = os.Remove(made) // of an end in the middle of this
	if err := writeSynced(made, certPEM, 0o644); err != nil {
		return bare(err)
	}
	return os.Rename(made, path)
}

// Issue signs what request asks for if all of it is configured. See certmagic.Issuer.
func (a *authority) Issue(_ context.Context, request *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	if err := request.CheckSignature(); err != nil {
		return nil, err
	}
	for _, name := range namesOf(&x509.Certificate{DNSNames: request.DNSNames, IPAddresses: request.IPAddresses}) {
		if !a.hosts.known[name] {
			return nil, UnknownHostError{Name: name}
		}
	}
	if err := a.renew(); err != nil {
		return nil, err
	}
	root, now := a.root(), time.Now()
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
	return &certmagic.IssuedCertificate{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// IssuerKey names the folder of this authority's certificates. Another key has another one, so a certificate whose authority
// is gone is never found, let alone served.
func (a *authority) IssuerKey() string {
	sum := sha256.Sum256(a.root().RawSubjectPublicKeyInfo)
	return "local-" + hex.EncodeToString(sum[:8])
}

// LocalRoot reads the root of the local authority below a state folder: the certificate and the path of its file. It changes
// nothing. One that is not there is fs.ErrNotExist.
func LocalRoot(folder string) (path string, root *x509.Certificate, err error) {
	path = filepath.Join(folder, "local-ca", "root.pem")
	der, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return path, nil, fmt.Errorf("local authority %q: %w", filepath.Dir(path), err)
	}
	if root, err = x509.ParseCertificate(der); err != nil {
		return path, nil, fmt.Errorf("local authority %q: root.pem: %w", filepath.Dir(path), err)
	}
	return path, root, nil
}
