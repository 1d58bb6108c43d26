package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

const (
	// lookupTimeout is how long an authority's request waits for storage, and maxLookups how many may at a time.
	lookupTimeout = time.Second
	maxLookups    = 8
)

// isValidation reports whether hello is a TLS-ALPN-01 validation: acme-tls/1 and no other protocol (RFC 8737 section
// 3).
func isValidation(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol
}

// challengeCertificate is the certificate for a TLS-ALPN-01 validation of name; an error if no order waits for one.
func (a *acmeSource) challengeCertificate(hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	active, own := certmagic.GetACMEChallenge(name)
	if !own && a.httpsPort >= 0 {
		return a.storedCertificate(hello.Context(), name)
	}
	if !own || active.Type != acme.ChallengeTypeTLSALPN01 {
		return nil, fmt.Errorf("host %q: no challenge in progress", name)
	}
	// certmagic does not look for a challenge in storage if it has it in memory, under the normalized name.
	normalized := *hello
	normalized.ServerName = name
	return a.cfg.GetCertificate(&normalized)
}

// storedCertificate is the certificate for a TLS-ALPN-01 validation of another gateway's order.
func (a *acmeSource) storedCertificate(ctx context.Context, host string) (*tls.Certificate, error) {
	challenge, ok := a.findChallenge(ctx, host)
	if !ok || challenge.Type != acme.ChallengeTypeTLSALPN01 {
		return nil, fmt.Errorf("host %q: no challenge in progress", host)
	}
	return acmez.TLSALPN01ChallengeCert(challenge)
}

// challenge answers an HTTP-01 validation, and reports whether r is one that an order waits for.
func (a *acmeSource) challenge(w http.ResponseWriter, r *http.Request) bool {
	if !certmagic.LooksLikeHTTPChallenge(r) {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	active, ok := a.findChallenge(r.Context(), normalize(host))
	if !ok || active.Type != acme.ChallengeTypeHTTP01 || !a.names.known[active.Identifier.Value] {
		return false
	}
	normalized := *r
	normalized.Host = active.Identifier.Value
	return certmagic.SolveHTTPChallenge(a.log.Logger, w, &normalized, active)
}

// findChallenge has the challenge of an order for host that is in progress here or, according to the storage, in
// another gateway. The storage is asked for configured hosts only, maxLookups at a time, for lookupTimeout.
func (a *acmeSource) findChallenge(ctx context.Context, host string) (acme.Challenge, bool) {
	if active, ok := certmagic.GetACMEChallenge(host); ok {
		return active.Challenge, true
	}
	if !a.names.known[host] {
		return acme.Challenge{}, false
	}
	select {
	case a.lookups <- struct{}{}:
		defer func() { <-a.lookups }()
	default:
		return acme.Challenge{}, false
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for _, key := range a.challengeKeys(host) {
		var challenge acme.Challenge
		value, err := a.storage.backend.Load(ctx, key)
		if err == nil && json.Unmarshal(value, &challenge) == nil && challenge.Identifier.Value == host {
			return challenge, true
		}
	}
	return acme.Challenge{}, false
}

// challengeKeys are the storage keys under which certmagic keeps a challenge for host, one for each issuer.
func (m *managed) challengeKeys(host string) []string {
	var keys []string
	safe := certmagic.StorageKeys.Safe
	for _, by := range m.issuers {
		keys = append(keys, path.Join("acme", safe(by.key()), "challenge_tokens", safe(host)+".json"))
	}
	return keys
}

// deleteChallenges deletes what orders for host that were killed have left in storage. The caller holds host's lock.
func (m *managed) deleteChallenges(ctx context.Context, host string) {
	for _, key := range m.challengeKeys(host) {
		_ = m.storage.backend.Delete(ctx, key) // the next order overwrites it, and it is no answer to another's
	}
}
