package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// managed has certificates issued, stored and renewed through certmagic: its Cache and Config, never its package
// defaults. "acme" and "local" differ in the issuers alone.
//
// certmagic orders, stores and serves. When something is ordered is decided here: see pursue.
type managed struct {
	cfg   *certmagic.Config // all issuers: what is loaded, when it is due
	ways  []*way            // to a certificate, in the order in which they are tried
	cache *certmagic.Cache
	store *store
	log   logger
	told  *teller
	hosts []string
	words func(error) trouble // an issuer's error for people
	every time.Duration       // between two looks at what is due

	managing atomic.Bool // otherwise certmagic's own clock starts nothing
	pursued  sync.Map    // host: true, while it is being ordered
	stop     context.CancelFunc
	working  sync.WaitGroup
}

// way is one issuer, as something that is tried.
type way struct {
	name string            // as events have it
	cfg  *certmagic.Config // has this issuer alone
	anew *certmagic.Config // the same, not naming the certificate that is replaced; nil: there is no difference
}

// key is the issuer's in the storage.
func (w *way) key() string { return w.cfg.Issuers[0].IssuerKey() }

// newManaged prepares certmagic over c's storage. It has no way to a certificate yet: add gives it some.
func newManaged(c Config, hosts names, told *teller) (*managed, error) {
	if c.Folder == "" && c.Storage == "" {
		return nil, fmt.Errorf("certificate source %q: no state folder", c.Source)
	}
	log := newLogger(c.Log)
	kept, err := newStore(c, log)
	if err != nil {
		return nil, err
	}
	m := &managed{store: kept, log: log, told: told, hosts: hosts.order, stop: func() {}, words: plainly, every: c.CheckEvery}
	if m.every == 0 {
		m.every = certmagic.DefaultRenewCheckInterval
	}
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			if !m.managing.Load() {
				return nil, errors.New("not managed yet")
			}
			return m.cfg, nil
		},
		RenewCheckInterval: m.every,
		Logger:             m.log.Logger,
	})
	m.cfg = m.config(nil, c.Source != SourceACME)
	return m, nil
}

// config makes a certmagic configuration without issuers; by is the way that it will be part of, nil for none.
func (m *managed) config(by *way, noRenewalInfo bool) *certmagic.Config {
	cfg := certmagic.New(m.cache, certmagic.Config{
		Issuers:            []certmagic.Issuer{},
		RenewalWindowRatio: certmagic.DefaultRenewalWindowRatio,
		OnEvent: func(ctx context.Context, event string, data map[string]any) error {
			return m.onEvent(ctx, by, event, data)
		},
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		Storage:   m.store,
		// A staple is fetched while a certificate is loaded, which must not wait for the network; Let's Encrypt has
		// none any more, and revocation reaches us through the renewal hints.
		OCSP:       certmagic.OCSPConfig{DisableStapling: true},
		DisableARI: noRenewalInfo,
		Logger:     m.log.Logger,
	})
	// New fills what is zero from a package variable that anybody may have changed: put the zeros back.
	cfg.OnDemand, cfg.MustStaple, cfg.LocalCache = nil, false, nil
	cfg.DefaultServerName, cfg.FallbackServerName = "", ""
	return cfg
}

// add adds a way, whose cfg has its issuer, to be tried after those before it.
func (m *managed) add(w *way) {
	m.ways = append(m.ways, w)
	m.cfg.Issuers = append(m.cfg.Issuers, w.cfg.Issuers[0])
}

// load takes host's certificates from disk into memory, of every issuer. None is fs.ErrNotExist. One that is there and
// cannot be used (a crash between two files, a disk that lost a block) is mended with the key that was written over, or
// else told, set aside and then not there. Files that cannot be read at all are an error: ordering anew at every start
// would use up an authority's patience.
func (m *managed) load(ctx context.Context, host string) error {
	var problems []error
	for _, w := range m.ways {
		_, err := w.cfg.CacheManagedCertificate(ctx, host)
		var unreadable *fs.PathError
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			continue
		} else if errors.As(err, &unreadable) {
			problems = append(problems, fmt.Errorf("host %q: stored certificate: %w", host, err))
			continue
		}
		if m.store.restore(ctx, certmagic.StorageKeys.SitePrivateKey(w.key(), host)) == nil {
			if _, other := w.cfg.CacheManagedCertificate(ctx, host); other == nil {
				continue
			}
		}
		if aside := m.store.setAside(ctx, certmagic.StorageKeys.CertsSitePrefix(w.key(), host)); aside != nil {
			problems = append(problems, fmt.Errorf("host %q: stored certificate: %w", host, errors.Join(err, aside)))
			continue
		}
		m.told.tell(Event{Kind: KindWarning, Hosts: []string{host}, Issuer: w.name,
			Error: fmt.Sprintf("the stored certificate cannot be used and was set aside, a new one will be made: %v", err)})
	}
	if cert := pick(nil, m.certificates(host)); cert != nil {
		m.tellOpenKeys(host)
		m.told.tell(Event{Kind: KindLoaded, Hosts: namesOf(cert.Leaf), Issuer: m.nameOf(ctx, host), NotAfter: cert.Leaf.NotAfter})
		return nil
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	return fs.ErrNotExist
}

// tellOpenKeys warns of stored keys that somebody has opened to others: they are written for their owner alone.
func (m *managed) tellOpenKeys(host string) {
	files, ok := m.store.Storage.(*certmagic.FileStorage)
	if !ok {
		return
	}
	for _, w := range m.ways {
		path := files.Filename(certmagic.StorageKeys.SitePrivateKey(w.key(), host))
		if info, err := os.Stat(path); err == nil {
			if words := othersCanRead(path, info); words != "" {
				m.told.tell(Event{Kind: KindWarning, Hosts: []string{host}, Issuer: w.name, Error: words})
			}
		}
	}
}

// nameOf is the issuer of the certificate that is in use for host: the one that certmagic prefers in its storage.
func (m *managed) nameOf(ctx context.Context, host string) string {
	if len(m.ways) == 1 {
		return m.ways[0].name
	}
	current := pick(nil, m.certificates(host))
	for _, w := range m.ways {
		data, err := m.store.Load(ctx, certmagic.StorageKeys.SiteCert(w.key(), host))
		block, _ := pem.Decode(data)
		if err == nil && block != nil && current != nil && bytes.Equal(block.Bytes, current.Leaf.Raw) {
			return w.name
		}
	}
	return ""
}

// loadAll loads what is stored for all hosts and lists those that have nothing.
func (m *managed) loadAll(ctx context.Context) (missing []string, err error) {
	var problems []error
	for _, host := range m.hosts {
		switch err := m.load(ctx, host); {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, host)
		case err != nil:
			problems = append(problems, err)
		}
	}
	return missing, errors.Join(problems...)
}

func (m *managed) certificates(host string) []*tls.Certificate {
	var list []*tls.Certificate
	for _, cert := range m.cached(host) {
		list = append(list, &cert.Certificate)
	}
	return list
}

// cached has what is in memory for host itself, each once. While a certificate is being replaced there are two: the
// newer one goes first.
func (m *managed) cached(host string) []certmagic.Certificate {
	var list []certmagic.Certificate
	for _, cert := range m.cache.AllMatchingCertificates(host) {
		// The cache would let a wildcard stand in for a host that has its own.
		known := func(c certmagic.Certificate) bool { return c.Hash() == cert.Hash() }
		if slices.Contains(cert.Names, host) && !slices.ContainsFunc(list, known) {
			list = append(list, cert)
		}
	}
	slices.SortStableFunc(list, func(a, b certmagic.Certificate) int { return b.Leaf.NotAfter.Compare(a.Leaf.NotAfter) })
	return list
}

func (m *managed) close() error {
	m.stop()
	m.cache.Stop()
	m.store.drain()
	m.working.Wait()
	m.log.stop()
	return nil
}

// othersCanRead says so in words if a file with a private key in it is open to everybody on the machine. A group may
// read it: that is how servers share keys. Windows' modes say nothing about that.
func othersCanRead(path string, info os.FileInfo) string {
	if info.Mode().Perm()&0o004 == 0 || !modesMean {
		return ""
	}
	return fmt.Sprintf("key %q: everybody on this machine can read it (mode %04o); try chmod 640", path, info.Mode().Perm())
}
