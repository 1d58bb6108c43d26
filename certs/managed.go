package certs

import (
	"context"
	"crypto/tls"
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

// retryAfter is how long a host waits when certmagic has given up on it altogether, which it does for errors that
// it thinks will not go away. Authorities count failures by the hour.
const retryAfter = time.Hour

// managed has certificates issued, stored and renewed through certmagic: its Cache and Config, never its package
// defaults. "acme" and "local" differ in the issuer alone.
type managed struct {
	cfg    *certmagic.Config
	cache  *certmagic.Cache
	store  *store
	log    logger
	told   *teller
	hosts  []string
	issuer string             // as events name it
	words  func(error) string // an issuer's error for people

	every   time.Duration // how often storage is looked at for others' certificates
	lookUps chan struct{} // challenges being looked up there
	known   sync.Map      // host: the hash of the certificate last told

	managing atomic.Bool // otherwise certmagic's own clock starts nothing
	failures sync.Map    // host: *atomic.Int64, failures told
	stop     context.CancelFunc
	working  sync.WaitGroup
}

// newManaged prepares certmagic over c.Folder. The issuer comes from the caller because an ACME one needs the
// certmagic.Config that it will be part of.
func newManaged(c Config, hosts names, told *teller, issuer func(*certmagic.Config, logger) (certmagic.Issuer, error)) (*managed, error) {
	if c.Folder == "" {
		return nil, fmt.Errorf("certificate source %q: no state folder", c.Source)
	}
	files, err := openStorage(c, hosts, told)
	if err != nil {
		return nil, err
	}
	m := &managed{store: files, every: followEvery, lookUps: make(chan struct{}, maxLookUps), log: newLogger(c.Log), told: told, hosts: hosts.order, stop: func() {}, words: error.Error}
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			if !m.managing.Load() {
				return nil, errors.New("not managed yet")
			}
			return m.cfg, nil
		},
		Logger: m.log.Logger,
	})
	m.cfg = certmagic.New(m.cache, certmagic.Config{
		Issuers:            []certmagic.Issuer{},
		RenewalWindowRatio: certmagic.DefaultRenewalWindowRatio,
		OnEvent:            m.onEvent,
		KeySource:          certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
		Storage:            files,
		// A staple is fetched while a certificate is loaded, which must not wait for the network; Let's Encrypt has
		// none any more, and revocation reaches us through the renewal hints.
		OCSP:       certmagic.OCSPConfig{DisableStapling: true},
		DisableARI: c.Source != SourceACME,
		Logger:     m.log.Logger,
	})
	// New fills what is zero from a package variable that anybody may have changed: put the zeros back.
	m.cfg.OnDemand, m.cfg.MustStaple, m.cfg.LocalCache = nil, false, nil
	m.cfg.DefaultServerName, m.cfg.FallbackServerName = "", ""
	by, err := issuer(m.cfg, m.log)
	if err != nil {
		m.cache.Stop()
		return nil, err
	}
	m.cfg.Issuers = []certmagic.Issuer{by}
	return m, nil
}

// load takes host's certificate from disk into memory. One that is not there is fs.ErrNotExist. One that is there
// and cannot be used (a crash between two files, a disk that lost a block) is told, set aside and then not there.
// Files that cannot be read at all are an error: ordering anew at every start would use up an authority's patience.
func (m *managed) load(ctx context.Context, host string) error {
	err := m.takeUp(ctx, host)
	if err == nil {
		return nil
	}
	var unreadable *fs.PathError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, new(redisTrouble)) {
		return fs.ErrNotExist // a server in trouble tells that itself
	} else if errors.As(err, &unreadable) {
		return fmt.Errorf("host %q: stored certificate: %w", host, err)
	}
	folder := certmagic.StorageKeys.CertsSitePrefix(m.cfg.Issuers[0].IssuerKey(), host)
	if aside := m.store.setAside(ctx, folder); aside != nil {
		return fmt.Errorf("host %q: stored certificate: %w", host, errors.Join(err, aside))
	}
	m.told.tell(Event{Kind: KindWarning, Hosts: []string{host}, Issuer: m.issuer,
		Error: fmt.Sprintf("the stored certificate cannot be used and was set aside, a new one will be made: %v", err)})
	return fs.ErrNotExist
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

// manage orders what is missing and renews what is due now; from then on certmagic's cache renews by its own clock.
func (m *managed) manage(ctx context.Context) error {
	ctx, m.stop = context.WithCancel(ctx)
	m.managing.Store(true)
	context.AfterFunc(ctx, func() { m.managing.Store(false) })
	for _, host := range m.hosts {
		if len(m.certificates(host)) == 0 {
			m.working.Go(func() { m.obtain(ctx, host) })
		}
	}
	m.working.Go(func() { m.follow(ctx) })
	m.working.Go(func() {
		// It only queues; the attempts tell their failures through onEvent.
		_ = m.cache.RenewManagedCertificates(ctx)
	})
	return nil
}

// obtain orders host's first certificate until it has one or ctx ends. certmagic retries most failures itself, with
// growing pauses; what it returns is final to it, not to us. It is asked for its non-interactive way throughout: the
// other one prompts on standard input and changes its package defaults.
func (m *managed) obtain(ctx context.Context, host string) {
	for {
		told := m.failuresTold(host).Load()
		err := m.cfg.ObtainCertAsync(ctx, host)
		if err == nil {
			// Storage may have had it already, from another process on the same folder.
			err = m.load(ctx, host)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		wait := retryAfter
		if m.failuresTold(host).Load() == told {
			var tell bool
			if wait, tell = m.store.retry(); tell {
				m.fail(host, err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (m *managed) failuresTold(host string) *atomic.Int64 {
	n, _ := m.failures.LoadOrStore(host, new(atomic.Int64))
	return n.(*atomic.Int64)
}

func (m *managed) fail(host string, err error) {
	m.failuresTold(host).Add(1)
	event := Event{Kind: KindFailed, Hosts: []string{host}, Issuer: m.issuer, Error: m.words(err)}
	if cert := pick(nil, m.certificates(host)); cert != nil {
		event.NotAfter = cert.Leaf.NotAfter
	}
	m.told.tell(event)
}

// onEvent is certmagic's hook. What has just been obtained is in storage but not in memory yet; it is loaded here, so
// that a certificate that was told is a certificate that is served.
func (m *managed) onEvent(ctx context.Context, event string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	switch event {
	case "cert_obtaining":
		// certmagic renews for the first name it finds in a certificate, which is the authority's choice. An error
		// here abandons the order.
		if !slices.Contains(m.hosts, host) {
			m.fail(host, UnknownHostError{Name: host})
			return UnknownHostError{Name: host}
		}
		return m.store.mayOrder(ctx, host)
	case "cert_obtained":
		cert, err := m.cfg.CacheManagedCertificate(ctx, host)
		if err != nil {
			m.fail(host, fmt.Errorf("obtained, but not to be read back: %w", err))
			return nil
		}
		m.known.Store(host, cert.Hash())
		kind := KindObtained
		if again, _ := data["renewal"].(bool); again {
			kind = KindRenewed
		}
		m.told.tell(Event{Kind: kind, Hosts: cert.Names, Issuer: m.issuer, NotAfter: cert.Leaf.NotAfter})
	case "cert_failed":
		if err, _ := data["error"].(error); err != nil && !errors.Is(err, context.Canceled) {
			m.fail(host, err)
		}
	}
	return nil
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
