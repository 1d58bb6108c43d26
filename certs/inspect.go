package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"

	"gate421/certs/localca"
	"gate421/certs/redis"
)

// Stored reads the stored certificates of c's hosts, in their order, and unlike Open changes nothing: it makes no
// folder and sets nothing aside. Only for "acme". It uses no network: of a shared storage it reads this machine's copies.
//
// Hosts that have none are missing, and so are certificates of other authorities than c's. The error joins what cannot
// be read or used; the others are listed all the same.
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
	files := certmagic.FileStorage{Path: storageFolder(c)}
	var leaves []*x509.Certificate
	var problems []error
	for _, host := range hosts.order {
		var best *x509.Certificate
		for _, ca := range authorities {
			leaf, err := storedLeaf(files, ca, host)
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

// Check joins what is wrong with the files that "acme" is configured with (roots, keys, accounts) and with the address
// of the storage. It changes nothing and uses no network. Of other sources it checks nothing.
func Check(c Config) error {
	if c.Source != SourceACME {
		return nil
	}
	_, err := resolveCAs(c.CAs, nil)
	_, other := c.DNS.open(nil)
	if c.Storage == "" {
		return errors.Join(err, other)
	}
	return errors.Join(err, other, redis.CheckAddress(c.Storage))
}

// storedLeaf reads the certificate that ca signed for host. None is fs.ErrNotExist.
func storedLeaf(files certmagic.FileStorage, ca CA, host string) (*x509.Certificate, error) {
	directory, err := ca.directoryURL()
	if err != nil {
		return nil, err
	}
	key := (&certmagic.ACMEIssuer{CA: directory}).IssuerKey()
	pair, err := readPair(Pair{
		Cert: files.Filename(certmagic.StorageKeys.SiteCert(key, host)),
		Key:  files.Filename(certmagic.StorageKeys.SitePrivateKey(key, host)),
	})
	if err != nil {
		return nil, fmt.Errorf("host %q: stored %w", host, err)
	}
	return pair.Leaf, nil
}

// LocalRoot reads the root certificate of the local authority below a state folder, and has the path of its file. It
// changes nothing. One that is not there is fs.ErrNotExist.
func LocalRoot(folder string) (path string, root *x509.Certificate, err error) {
	return localca.ReadRoot(localFolder(folder))
}
