package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/caddyserver/certmagic"
)

// Stored reads which certificates of "acme" are kept for c's hosts, in their order; of a shared storage those that this
// machine has a copy of. Hosts that have none are missing, those of other authorities than c's are not looked at. It asks
// nobody and, unlike Open, changes nothing: no folder is made, nothing damaged is set aside. The error joins what cannot be
// read or used; the others are listed all the same.
func Stored(c Config) ([]*x509.Certificate, error) {
	if c.Source != SourceACME {
		return nil, fmt.Errorf("certificate source %q: keeps nothing that is ordered", c.Source)
	}
	hosts, err := newNames(c.Hosts)
	if err != nil {
		return nil, err
	}
	authorities := c.CAs
	if len(authorities) == 0 {
		authorities = []CA{{}}
	}
	kept := certmagic.FileStorage{Path: storeFolder(c)}
	var leaves []*x509.Certificate
	var problems []error
	for _, host := range hosts.order {
		var best *x509.Certificate
		for _, ca := range authorities {
			leaf, err := storedPair(kept, ca, host)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				problems = append(problems, err)
			case best == nil || leaf.NotAfter.After(best.NotAfter):
				best = leaf
			}
		}
		if best != nil {
			leaves = append(leaves, best)
		}
	}
	return leaves, errors.Join(problems...)
}

// Check reads the files that "acme" is configured with, roots, keys and accounts, and joins what is wrong with them and
// with the address of the storage. It asks nobody and changes nothing.
func Check(c Config) error {
	if c.Source != SourceACME {
		return nil
	}
	_, err := readyAll(c.CAs, nil)
	_, other := c.DNS.open(nil)
	if c.Storage == "" {
		return errors.Join(err, other)
	}
	_, storage := parseRedis(c.Storage)
	return errors.Join(err, other, storage)
}

func storedPair(kept certmagic.FileStorage, ca CA, host string) (*x509.Certificate, error) {
	directory, err := ca.url()
	if err != nil {
		return nil, err
	}
	key := (&certmagic.ACMEIssuer{CA: directory}).IssuerKey()
	pair, err := readPair(Pair{
		Cert: kept.Filename(certmagic.StorageKeys.SiteCert(key, host)),
		Key:  kept.Filename(certmagic.StorageKeys.SitePrivateKey(key, host)),
	})
	if err != nil {
		return nil, fmt.Errorf("host %q: stored %w", host, err)
	}
	return pair.Leaf, nil
}

// storeFolder is where "acme" and "local" keep certificates, or their copies if the storage is shared.
func storeFolder(c Config) string {
	if c.Storage != "" {
		return filepath.Join(c.Folder, "certificates-cache")
	}
	return filepath.Join(c.Folder, "certificates")
}
