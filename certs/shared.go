package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
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

// shared reports whether the store lies in a server.
func (s *store) shared() bool {
	_, ok := s.kept.(*redisStore)
	return ok
}

// mayOrder is the last question before an authority is asked for host's certificate; an error abandons the attempt.
func (s *store) mayOrder(ctx context.Context, host string) error {
	if server, ok := s.kept.(*redisStore); ok {
		return server.mayOrder(ctx, host)
	}
	return nil
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

// follow takes up what another gateway on the same storage obtained or renewed, until ctx ends: certmagic looks there
// only when a certificate of its own is due. One question for all hosts asks what has been written since.
func (m *managed) follow(ctx context.Context) {
	type followed struct {
		host string
		by   *way
		seen time.Time
	}
	var all []followed
	var keys []string // what a certificate is written last of
	for _, host := range m.hosts {
		for _, w := range m.ways {
			all = append(all, followed{host: host, by: w})
			keys = append(keys, certmagic.StorageKeys.SiteMeta(w.key(), host))
		}
	}
	for pause(ctx, jitter(m.following)) == nil {
		stamps, err := m.store.stamps(ctx, keys)
		if err != nil {
			continue // a server in trouble tells that itself
		}
		for i := range all {
			f := &all[i]
			if stamps[i].IsZero() {
				m.putBack(ctx, f.by, f.host)
				continue
			}
			if stamps[i].Equal(f.seen) {
				continue
			}
			if cert, err := m.read(ctx, f.by, f.host); err == nil {
				f.seen = stamps[i]
				// In storage restored from a backup it may be an older one.
				if list := m.newest(f.host); len(list) > 0 && list[0].Hash() == cert.Hash() {
					m.news(f.host, f.by, cert)
				}
			}
		}
	}
}

// putBack puts host's certificate back into a shared storage that has lost it, a server that was restarted empty most
// likely, if it is good and this gateway serves it: otherwise every gateway that starts would order anew. Whoever wants
// a certificate gone deletes it while no gateway runs. A folder that has lost something is left alone.
func (m *managed) putBack(ctx context.Context, by *way, host string) {
	server, ok := m.store.kept.(*redisStore)
	cert := pick(nil, m.certificates(host))
	if !ok || cert == nil || time.Now().After(cert.Leaf.NotAfter) {
		return
	}
	names := certmagic.StorageKeys
	keys := []string{names.SitePrivateKey(by.key(), host), names.SiteCert(by.key(), host), names.SiteMeta(by.key(), host)}
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
		value, err := a.store.kept.Load(ctx, key)
		if err == nil && json.Unmarshal(value, &challenge) == nil && challenge.Identifier.Value == host {
			return challenge, true
		}
	}
	return acme.Challenge{}, false
}

// challengeKeys are the keys under which certmagic keeps a challenge for host, one for each way.
func (m *managed) challengeKeys(host string) []string {
	var keys []string
	safe := certmagic.StorageKeys.Safe
	for _, w := range m.ways {
		keys = append(keys, path.Join("acme", safe(w.key()), "challenge_tokens", safe(host)+".json"))
	}
	return keys
}

// othersCertificate is the certificate that answers a TLS-ALPN-01 challenge of another gateway's order.
func (a *acmeSource) othersCertificate(ctx context.Context, host string) (*tls.Certificate, error) {
	challenge, ok := a.challengeOf(ctx, host)
	if !ok || challenge.Type != acme.ChallengeTypeTLSALPN01 {
		return nil, fmt.Errorf("host %q: no challenge in progress", host)
	}
	return acmez.TLSALPN01ChallengeCert(challenge)
}
