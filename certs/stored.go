package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/caddyserver/certmagic"
)

// Stored reads which certificates of "acme" are kept for c's hosts, in their order. Hosts that have none are missing, those of
// another authority are not looked at. It asks nobody and, unlike Open, changes nothing: no folder is made, nothing damaged is
// set aside. The error joins what cannot be read or used; the others are listed all the same.
func Stored(c Config) ([]*x509.Certificate, error) {
	if c.Source != SourceACME {
		return nil, fmt.Errorf("certificate source %q: keeps nothing that is ordered", c.Source)
	}
	hosts, err := newNames(c.Hosts)
	if err != nil {
		return nil, err
	}
	directory, err := directoryOf(c.CA)
	if err != nil {
		return nil, err
	}
	kept := certmagic.FileStorage{Path: storeFolder(c)}
	key := (&certmagic.ACMEIssuer{CA: directory}).IssuerKey()
	var leaves []*x509.Certificate
	var problems []error
	for _, host := range hosts.order {
		pair, err := readPair(Pair{
			Cert: kept.Filename(certmagic.StorageKeys.SiteCert(key, host)),
			Key:  kept.Filename(certmagic.StorageKeys.SitePrivateKey(key, host)),
		})
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			problems = append(problems, fmt.Errorf("host %q: stored %w", host, err))
		default:
			leaves = append(leaves, pair.Leaf)
		}
	}
	return leaves, errors.Join(problems...)
}

// storeFolder is where "acme" and "local" keep certificates, or their copies if the storage is shared.
func storeFolder(c Config) string {
	if c.Storage != "" {
		return filepath.Join(c.Folder, "certificates-cache")
	}
	return filepath.Join(c.Folder, "certificates")
}
