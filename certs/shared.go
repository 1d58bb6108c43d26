package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

const (
	// followEvery is how often, at the least and with up to as much again, a gateway looks for certificates that
	// another one on the same storage obtained or renewed.
	followEvery = 5 * time.Second
	// lookUpPatience is how long a request of an authority waits for storage, and maxLookUps how many may at a time.
	lookUpPatience = time.Second
	maxLookUps     = 8
)

// openStorage opens what c.Storage names. It fails for what is wrong in words only: a server that is down is told.
func openStorage(c Config, hosts names, told *teller) (*store, error) {
	if c.Storage == "" {
		return newStore(storeFolder(c))
	}
	if c.Source != SourceACME {
		return nil, fmt.Errorf("certificate source %q: keeps nothing in a shared storage", c.Source)
	}
	server, err := openRedis(c.Storage, storeFolder(c), func(words string) {
		told.tell(Event{Kind: KindWarning, Hosts: hosts.order, Error: words})
	})
	if err != nil {
		return nil, err
	}
	return &store{kept: server}, nil
}

// RenewLockLease is certmagic's LockLeaseRenewer, for storage whose locks can be lost.
func (s *store) RenewLockLease(ctx context.Context, name string, lease time.Duration) error {
	if renewer, ok := s.kept.(certmagic.LockLeaseRenewer); ok {
		return renewer.RenewLockLease(ctx, name, lease)
	}
	return nil
}

// mayOrder is the last question before an authority is asked for host's certificate; an error abandons the attempt.
func (s *store) mayOrder(ctx context.Context, host string) error {
	if server, ok := s.kept.(*redisStore); ok {
		return server.mayOrder(ctx, host)
	}
	return nil
}

// retry is when to try again after an order that failed before any authority was asked, and whether to tell. A shared
// storage in trouble tells that itself.
func (s *store) retry() (wait time.Duration, tell bool) {
	server, ok := s.kept.(*redisStore)
	switch {
	case !ok:
		return retryAfter, true
	case server.usable():
		return time.Minute, true
	}
	return jitter(followEvery), false
}

// stamps tells for each key when it was last written, zero if it is not there.
func (s *store) stamps(ctx context.Context, keys []string) ([]time.Time, error) {
	if server, ok := s.kept.(*redisStore); ok {
		return server.stamps(ctx, keys)
	}
	stamps := make([]time.Time, len(keys))
	for i, key := range keys {
		if info, err := s.Stat(ctx, key); err == nil {
			stamps[i] = info.Modified
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return stamps, nil
}

// takeUp takes host's certificate from storage into memory, and older ones out of it, and tells if it is news. Its
// three values are written one after another: if they do not fit together, a moment later they may.
func (m *managed) takeUp(ctx context.Context, host string) error {
	cert, err := m.cfg.CacheManagedCertificate(ctx, host)
	for range 3 {
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.As(err, new(redisTrouble)) || errors.As(err, new(*fs.PathError)) {
			break
		}
		if no := pause(ctx, 100*time.Millisecond); no != nil {
			return no
		}
		cert, err = m.cfg.CacheManagedCertificate(ctx, host)
	}
	if err != nil {
		return err
	}
	// In storage restored from a backup it may be the older one.
	if list := m.cached(host); len(list) > 1 && time.Now().After(list[0].Leaf.NotBefore) {
		for _, old := range list[1:] {
			m.cache.Remove([]string{old.Hash()})
		}
	}
	if before, _ := m.known.Swap(host, cert.Hash()); before != cert.Hash() {
		m.told.tell(Event{Kind: KindLoaded, Hosts: cert.Names, Issuer: m.issuer, NotAfter: cert.Leaf.NotAfter})
	}
	return nil
}

// follow takes up what another gateway on the same storage obtained or renewed, until ctx ends: certmagic looks there
// only when a certificate of its own is due. One question for all hosts asks what has been written since.
func (m *managed) follow(ctx context.Context) {
	// What a host's certificate is written last of.
	keys := make([]string, len(m.hosts))
	for i, host := range m.hosts {
		keys[i] = certmagic.StorageKeys.SiteMeta(m.cfg.Issuers[0].IssuerKey(), host)
	}
	seen := make([]time.Time, len(keys))
	for pause(ctx, jitter(m.every)) == nil {
		stamps, err := m.store.stamps(ctx, keys)
		if err != nil {
			continue // a server in trouble tells that itself
		}
		for i, host := range m.hosts {
			switch {
			case stamps[i].IsZero():
				m.restore(ctx, host)
			case !stamps[i].Equal(seen[i]) && m.takeUp(ctx, host) == nil:
				seen[i] = stamps[i]
			}
		}
	}
}

// restore puts host's certificate back into a shared storage that has lost it, a server that was restarted empty most
// likely, if it is good and this gateway serves it: otherwise every gateway that starts would order anew. Whoever wants
// a certificate gone deletes it while no gateway runs. A folder that has lost something is left alone.
func (m *managed) restore(ctx context.Context, host string) {
	server, ok := m.store.kept.(*redisStore)
	cert := pick(nil, m.certificates(host))
	if !ok || cert == nil || time.Now().After(cert.Leaf.NotAfter) {
		return
	}
	issuer := m.cfg.Issuers[0].IssuerKey()
	keys := []string{certmagic.StorageKeys.SitePrivateKey(issuer, host), certmagic.StorageKeys.SiteCert(issuer, host),
		certmagic.StorageKeys.SiteMeta(issuer, host)}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		var err error
		if values[i], err = server.copies.get(ctx, key); err != nil {
			return
		}
	}
	if kept, err := tls.X509KeyPair(values[1], values[0]); err != nil || !kept.Leaf.Equal(cert.Leaf) {
		return
	}
	// The lock of the store, so that Close waits for it.
	lock := orderLock + host
	if ok, err := m.store.TryLock(ctx, lock); !ok || err != nil {
		return // somebody is at work on it
	}
	defer m.store.Unlock(context.WithoutCancel(ctx), lock)
	if stamps, err := server.stamps(ctx, keys); err != nil || !stamps[2].IsZero() {
		return
	}
	for i, key := range keys {
		if server.Store(ctx, key, values[i]) != nil {
			return
		}
	}
}

// challengeOf has the challenge of an order for host that is in progress here or, as far as storage knows, in another
// gateway. Storage is asked for configured hosts only, by maxLookUps at a time, and waited for lookUpPatience.
func (a *acmeSource) challengeOf(ctx context.Context, host string) (acme.Challenge, bool) {
	if active, ok := certmagic.GetACMEChallenge(host); ok {
		return active.Challenge, true
	}
	if !a.names.known[host] {
		return acme.Challenge{}, false
	}
	select {
	case a.lookUps <- struct{}{}:
		defer func() { <-a.lookUps }()
	default:
		return acme.Challenge{}, false
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpPatience)
	defer cancel()
	for _, key := range a.challengeKeys(host) {
		var challenge acme.Challenge
		value, err := a.store.Load(ctx, key)
		if err == nil && json.Unmarshal(value, &challenge) == nil && challenge.Identifier.Value == host {
			return challenge, true
		}
	}
	return acme.Challenge{}, false
}

// challengeKeys are the keys under which certmagic keeps a challenge for host, one for each directory it may order
// from.
func (a *acmeSource) challengeKeys(host string) []string {
	var keys []string
	safe := certmagic.StorageKeys.Safe
	for _, issuer := range a.cfg.Issuers {
		from, ok := issuer.(*certmagic.ACMEIssuer)
		if !ok {
			continue
		}
		for _, directory := range []string{from.CA, from.TestCA} {
			if directory == "" {
				continue
			}
			name := (&certmagic.ACMEIssuer{CA: directory}).IssuerKey()
			keys = append(keys, path.Join("acme", safe(name), "challenge_tokens", safe(host)+".json"))
		}
	}
	return slices.Compact(keys)
}

// othersCertificate is the certificate that answers a TLS-ALPN-01 challenge of another gateway's order.
func (a *acmeSource) othersCertificate(ctx context.Context, host string) (*tls.Certificate, error) {
	challenge, ok := a.challengeOf(ctx, host)
	if !ok || challenge.Type != acme.ChallengeTypeTLSALPN01 {
		return nil, fmt.Errorf("host %q: no challenge in progress", host)
	}
	return acmez.TLSALPN01ChallengeCert(challenge)
}
