package certs

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/caddyserver/certmagic"

	"gate421/certs/redis"
)

// followEvery is how often at least, and with up to as much again, a gateway looks for certificates that another one on
// the same storage obtained or renewed.
const followEvery = 5 * time.Second

// follow loads what another gateway on the same storage obtained or renewed, until ctx ends: certmagic looks there only
// when a certificate in its memory is due. One request asks for all hosts what has been written since the last.
func (m *managed) follow(ctx context.Context) {
	type followed struct {
		host string
		by   *issuer
		seen time.Time
	}
	var all []followed
	var keys []string // the value of a certificate that is written last
	for _, host := range m.hosts {
		for _, by := range m.issuers {
			all = append(all, followed{host: host, by: by})
			keys = append(keys, certmagic.StorageKeys.SiteMeta(by.key(), host))
		}
	}
	for pause(ctx, jitter(m.followEvery)) == nil {
		modified, err := m.storage.modifiedTimes(ctx, keys)
		if err != nil {
			continue // a server in trouble reports that itself
		}
		for i := range all {
			f := &all[i]
			if modified[i].IsZero() {
				m.restore(ctx, f.by, f.host)
				continue
			}
			if modified[i].Equal(f.seen) {
				continue
			}
			if cert, err := m.read(ctx, f.by, f.host); err == nil {
				f.seen = modified[i]
				// In storage restored from a backup it may be an older one.
				if list := m.dropReplaced(f.host); len(list) > 0 && list[0].Hash() == cert.Hash() {
					m.reportLoaded(f.host, f.by, cert)
				}
			}
		}
	}
}

// restore puts host's certificate back into a server that has lost it, most likely by a restart without its data, if
// this gateway serves it and it is valid: otherwise every gateway that starts would order again. To get rid of a
// certificate, delete it while no gateway runs. A folder that has lost something is left alone.
func (m *managed) restore(ctx context.Context, by *issuer, host string) {
	server, ok := m.storage.backend.(*redis.Storage)
	cert := pick(nil, m.certificates(host))
	if !ok || cert == nil || time.Now().After(cert.Leaf.NotAfter) {
		return
	}
	names := certmagic.StorageKeys
	keys := []string{names.SitePrivateKey(by.key(), host), names.SiteCert(by.key(), host),
		names.SiteMeta(by.key(), host)}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		var err error
		if values[i], err = server.Copy(ctx, key); err != nil {
			return
		}
	}
	if pair, err := tls.X509KeyPair(values[1], values[0]); err != nil || !pair.Leaf.Equal(cert.Leaf) {
		return
	}
	// Not the server's own TryLock: Close must wait for this.
	lock := orderLock + host
	if ok, err := m.storage.TryLock(ctx, lock); !ok || err != nil {
		return // another gateway is at work on it
	}
	defer m.storage.Unlock(context.WithoutCancel(ctx), lock)
	if modified, err := server.ModifiedTimes(ctx, keys); err != nil || !modified[2].IsZero() {
		return
	}
	for i, key := range keys {
		if server.Store(ctx, key, values[i]) != nil {
			return
		}
	}
}
