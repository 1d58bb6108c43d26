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
	"time"

	"github.com/caddyserver/certmagic"
)

const (
	rootLife = 10 * 365 * 24 * time.Hour
	leafLife = 7 * 24 * time.Hour // renewed when a third is left
	skew     = time.Hour          // how far behind a client's clock may be

	// modesMean is false where file modes are made up from a read-only bit.
	modesMean = runtime.GOOS != "windows"
)

// localSource is the source "local": certificates of our own authority, kept and renewed as those of "acme" are.
type localSource struct {
	*managed
	authority *authority
}

func openLocal(ctx context.Context, c Config, hosts names, told *teller) (*localSource, error) {
	m, err := newManaged(c, hosts, told)
	if err != nil {
		return nil, err
	}
	local := &localSource{managed: m}
	if local.authority, err = openAuthority(filepath.Join(c.Folder, "local-ca"), told); err != nil {
		return nil, errors.Join(err, m.close())
	}
	local.authority.hosts = hosts
	way := &way{name: local.authority.root.Subject.CommonName}
	way.cfg = m.config(way, true)
	way.cfg.Issuers = []certmagic.Issuer{local.authority}
	m.add(way)
	if err := local.prepare(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return local, nil
}

// prepare gives every host a certificate that is good now. Nothing but our own disk is asked, so it happens in Open.
func (l *localSource) prepare(ctx context.Context) error {
	missing, err := l.loadAll(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, host := range missing {
		if err := l.ways[0].cfg.ObtainCertSync(ctx, host); err != nil {
			problems = append(problems, fmt.Errorf("host %q: %w", host, err))
		}
	}
	for _, host := range l.hosts {
		for _, cert := range l.cached(host) {
			if err := l.renewIfDue(ctx, host, cert); err != nil {
				problems = append(problems, fmt.Errorf("host %q: %w", host, err))
			}
		}
	}
	return errors.Join(problems...)
}

func (l *localSource) renewIfDue(ctx context.Context, host string, old certmagic.Certificate) error {
	if !old.NeedsRenewal(l.cfg) {
		return nil
	}
	if err := l.ways[0].cfg.RenewCertSync(ctx, host, false); err != nil {
		return err
	}
	renewed, err := l.cfg.CacheManagedCertificate(ctx, host)
	if err == nil && renewed.Hash() != old.Hash() {
		l.cache.Remove([]string{old.Hash()})
	}
	return err
}

// authority signs certificates for the configured hosts and for nothing else. It implements certmagic.Issuer.
//
// Its root can sign server certificates only, and no further authority. It is not limited to the hosts by name: hosts
// come and go, and every new root would have to be trusted on every client anew.
type authority struct {
	root  *x509.Certificate
	key   *ecdsa.PrivateKey
	path  string // of the root certificate
	hosts names
}

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
			told.tell(Event{Kind: KindWarning, Issuer: a.root.Subject.CommonName, NotAfter: a.root.NotAfter, Error: words})
		}
	}
	return a, nil
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
	if a.root, err = x509.ParseCertificate(certDER); err != nil {
		return nil, fmt.Errorf("root.pem: %w", err)
	}
	if a.key, err = x509.ParseECPrivateKey(keyDER); err != nil {
		return nil, fmt.Errorf("root.key: %w", err)
	}
	switch now := time.Now(); {
	case !a.key.PublicKey.Equal(a.root.PublicKey):
		return nil, errors.New("root.key is not the key of root.pem")
	case !a.root.IsCA || a.root.CheckSignatureFrom(a.root) != nil:
		return nil, errors.New("root.pem is not an authority's certificate")
	case now.After(a.root.NotAfter):
		return nil, fmt.Errorf("root.pem expired on %s", a.root.NotAfter.Format(time.DateOnly))
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
	now := time.Now()
	template := &x509.Certificate{
		// No host or user name in it: the root is handed around.
		Subject:               pkix.Name{CommonName: "gate421 local authority " + hex.EncodeToString(id)},
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
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), nil
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
	now := time.Now()
	until := now.Add(leafLife)
	if until.After(a.root.NotAfter) {
		until = a.root.NotAfter
	}
	template := &x509.Certificate{
		NotBefore:   now.Add(-skew),
		NotAfter:    until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    request.DNSNames,
		IPAddresses: request.IPAddresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, request.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return &certmagic.IssuedCertificate{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// IssuerKey names the folder of this root's certificates. Another root has another one, so a certificate whose root
// is gone is never found, let alone served.
func (a *authority) IssuerKey() string {
	sum := sha256.Sum256(a.root.Raw)
	return "local-" + hex.EncodeToString(sum[:8])
}

// bare takes the path off a file's error, for messages that begin with it.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
