package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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

	following time.Duration // between two looks at what others obtained
	lookUps   chan struct{} // challenges being looked up in storage
	known     sync.Map      // host: the hash of the certificate last told
	ordering  sync.Map      // host: an attempt is under way, which tells what comes of it

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
	if c.Folder == "" {
		return nil, fmt.Errorf("certificate source %q: no state folder", c.Source)
	}
	kept, err := openStorage(c, hosts, told)
	if err != nil {
		return nil, err
	}
	m := &managed{store: kept, log: newLogger(c.Log), told: told, hosts: hosts.order, stop: func() {}, words: plainly,
		every: c.CheckEvery, following: followEvery, lookUps: make(chan struct{}, maxLookUps)}
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

func (m *managed) certificates(host string) []*tls.Certificate {
	var list []*tls.Certificate
	for _, cert := range m.cached(host) {
		list = append(list, &cert.Certificate)
	}
	return list
}

// cached has what is in memory for host itself, each once. While a certificate is being replaced there are two: the
// one signed last goes first, as certmagic would have it.
func (m *managed) cached(host string) []certmagic.Certificate {
	var list []certmagic.Certificate
	for _, cert := range m.cache.AllMatchingCertificates(host) {
		// The cache would let a wildcard stand in for a host that has its own.
		known := func(c certmagic.Certificate) bool { return c.Hash() == cert.Hash() }
		if slices.Contains(cert.Names, host) && !slices.ContainsFunc(list, known) {
			list = append(list, cert)
		}
	}
	slices.SortStableFunc(list, func(a, b certmagic.Certificate) int { return b.Leaf.NotBefore.Compare(a.Leaf.NotBefore) })
	return list
}

func (m *managed) close() error {
	m.stop()
	m.cache.Stop()
	m.store.drain()
	m.working.Wait()
	m.log.stop()
	return m.store.close()
}

// othersCanRead says so in words if a file with a private key in it is open to everybody on the machine. A group may
// read it: that is how servers share keys. Windows' modes say nothing about that.
func othersCanRead(path string, info os.FileInfo) string {
	if info.Mode().Perm()&0o004 == 0 || !modesMean {
		return ""
	}
	return fmt.Sprintf("key %q: everybody on this machine can read it (mode %04o); try chmod 640", path, info.Mode().Perm())
}
