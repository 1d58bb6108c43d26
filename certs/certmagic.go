package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// managed are certificates that certmagic orders, stores and holds in memory: those of "acme" and of "local", which
// differ in the issuers alone. Nothing here depends on certmagic's package defaults.
//
// When something is ordered is decided here and not by certmagic: see schedule.go.
type managed struct {
	cfg        *certmagic.Config // all issuers: what is loaded, when it is due
	issuers    []*issuer         // in the order in which they are tried
	cache      *certmagic.Cache
	storage    *storage
	log        logger
	notifier   *notifier
	hosts      []string
	explain    func(error) explanation // an issuer's error for people
	checkEvery time.Duration           // between two checks of what is due for renewal

	followEvery  time.Duration // between two checks of what other gateways obtained
	lookups      chan struct{} // challenges being looked up in storage, one value each
	lastReported sync.Map      // host: hash of the certificate in the latest event
	attempting   sync.Map      // host: present during an attempt, whose own event says what came of it

	managing  atomic.Bool // until then certmagic's own schedule starts nothing
	obtaining sync.Map    // host: present while obtain works on it
	stop      context.CancelFunc
	working   sync.WaitGroup
}

// issuer is one of the issuers that an order tries.
type issuer struct {
	name string            // as events have it
	cfg  *certmagic.Config // has this issuer alone

	// withoutReplaces is cfg for orders that name no certificate that they replace (RFC 9773 section 5); nil is cfg.
	withoutReplaces *certmagic.Config
}

// key names the issuer in storage.
func (i *issuer) key() string { return i.cfg.Issuers[0].IssuerKey() }

// newManaged prepares certmagic over c's storage. It has no issuer yet: see add.
func newManaged(c Config, hosts names, n *notifier) (*managed, error) {
	if c.Folder == "" {
		return nil, fmt.Errorf("certificate source %q: no state folder", c.Source)
	}
	storage, err := openStorage(c, hosts, n)
	if err != nil {
		return nil, err
	}
	m := &managed{storage: storage, log: newLogger(c.Log), notifier: n, hosts: hosts.order, stop: func() {},
		explain: unexplained, checkEvery: cmp.Or(c.CheckEvery, certmagic.DefaultRenewCheckInterval),
		followEvery: followEvery, lookups: make(chan struct{}, maxLookups)}
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			if !m.managing.Load() {
				return nil, errors.New("not managed yet")
			}
			return m.cfg, nil
		},
		RenewCheckInterval: m.checkEvery,
		Logger:             m.log.Logger,
	})
	m.cfg = m.config(nil, c.Source != SourceACME)
	return m, nil
}

// config makes a certmagic configuration without issuers; by is the issuer that it will be part of, nil for none.
func (m *managed) config(by *issuer, noRenewalInfo bool) *certmagic.Config {
	cfg := certmagic.New(m.cache, certmagic.Config{
		Issuers:            []certmagic.Issuer{},
		RenewalWindowRatio: certmagic.DefaultRenewalWindowRatio,
		OnEvent: func(ctx context.Context, event string, data map[string]any) error {
			return m.onEvent(ctx, by, event, data)
		},
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		Storage:   m.storage,
		// A staple is fetched while a certificate is loaded, which must not wait for the network; Let's Encrypt has
		// none any more, and we learn of a revocation through renewal hints (ARI).
		OCSP:       certmagic.OCSPConfig{DisableStapling: true},
		DisableARI: noRenewalInfo,
		Logger:     m.log.Logger,
	})
	// New fills what is zero from a package variable that anybody may have changed: put the zeros back.
	cfg.OnDemand, cfg.MustStaple, cfg.LocalCache = nil, false, nil
	cfg.DefaultServerName, cfg.FallbackServerName = "", ""
	return cfg
}

// add adds an issuer, whose cfg is complete, to be tried after those before it.
func (m *managed) add(i *issuer) {
	m.issuers = append(m.issuers, i)
	m.cfg.Issuers = append(m.cfg.Issuers, i.cfg.Issuers[0])
}

func (m *managed) certificates(host string) []*tls.Certificate {
	var list []*tls.Certificate
	for _, cert := range m.cached(host) {
		list = append(list, &cert.Certificate)
	}
	return list
}

// cached has the certificates in memory for host itself, each once, the one signed last first. There are two while one
// is being replaced.
func (m *managed) cached(host string) []certmagic.Certificate {
	var list []certmagic.Certificate
	for _, cert := range m.cache.AllMatchingCertificates(host) {
		// The cache also matches a wildcard, for a host that has a certificate of its own.
		same := func(c certmagic.Certificate) bool { return c.Hash() == cert.Hash() }
		if slices.Contains(cert.Names, host) && !slices.ContainsFunc(list, same) {
			list = append(list, cert)
		}
	}
	slices.SortStableFunc(list, func(a, b certmagic.Certificate) int {
		return b.Leaf.NotBefore.Compare(a.Leaf.NotBefore)
	})
	return list
}

// isDue reports whether host's certificate is to be renewed, or is not there.
func (m *managed) isDue(host string) bool {
	list := m.cached(host)
	return len(list) == 0 || list[0].NeedsRenewal(m.cfg)
}

func (m *managed) close() error {
	m.stop()
	m.cache.Stop()
	m.storage.drain()
	m.working.Wait()
	m.log.stop()
	return m.storage.Close()
}
