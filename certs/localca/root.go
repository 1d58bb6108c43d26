package localca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gate421/certs/pemfile"
	"gate421/gate/files"
)

const (
	rootLife    = 10 * 365 * 24 * time.Hour
	rootRenewal = 365 * 24 * time.Hour // before its end
)

// create makes a new authority in folder unless something is there. Both files are written next to it and appear
// together, by one rename: a crash leaves either nothing or a whole authority.
func create(folder string) error {
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return pemfile.WithoutPath(err)
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
		writeSynced(filepath.Join(temporary, keyFile), keyPEM, 0o600),
		writeSynced(filepath.Join(temporary, rootFile), certPEM, 0o644))
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

// writeSynced writes a new file of that mode and waits for the disk.
func writeSynced(path string, data []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	// The umask may have taken bits of the mode away.
	return errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
}

// newRoot makes a key and a root with a new name for it, both PEM.
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

// signRoot makes a root (PEM) that begins now. keyID is the subject key ID of the root it replaces, which clients find
// an issuer by and which not all versions of Go compute alike; nil for a new one.
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

// renew replaces the root when a year of it is left, in one step. A failure is a warning, and tried again with the next
// certificate.
func (a *Authority) renew() error {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	old := a.Root()
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
	if err := replaceRoot(a.path, certPEM); err != nil {
		a.onWarning(old, fmt.Sprintf("the local authority's root %q ends on %s and cannot be renewed: %v", a.path,
			old.NotAfter.Format(time.DateOnly), err))
		return nil
	}
	a.current.Store(root)
	a.onWarning(root, fmt.Sprintf("the local authority's root was renewed; clients that trust the old one "+
		"have to trust %q before %s (gate421 trust says how)", a.path, old.NotAfter.Format(time.DateOnly)))
	return nil
}

// replaceRoot puts a new root certificate in the old one's place.
func replaceRoot(path string, certPEM []byte) error {
	return pemfile.WithoutPath(files.ReplaceBytes(path, 0o644, certPEM))
}
