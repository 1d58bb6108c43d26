package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

func TestChallengeLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	local, _ := localConfig(t, "alone.example")
	ordered, _ := acmeConfig(t, newFakeCA(t), "alone.example")
	for _, c := range []Config{local, ordered} {
		certs := mustOpen(t, c)
		if body, answered := overHTTP(certs, "alone.example", "abc"); answered || body != "" {
			t.Errorf("%s: got %q, want no answer", c.Source, body)
		}
	}
}

// Another gateway may have ordered from any of the authorities.
func TestChallengeOfAnotherGateway(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	c, _ := acmeConfig(t, ca, "gateway.example", "www.gateway.example")
	other := newFakeCA(t)
	c.CAs = append(c.CAs, CA{Directory: other.server.URL + "/directory", Root: other.rootFile()})
	certs := mustOpen(t, c)
	keep := func(host, kind string) {
		text, err := json.Marshal(acme.Challenge{Type: kind, Token: "token1", KeyAuthorization: "token1.print",
			Identifier: acme.Identifier{Type: "dns", Value: host}})
		if err != nil {
			t.Fatal(err)
		}
		if err := certs.acme.storage.Store(t.Context(), certs.acme.challengeKeys(host)[1], text); err != nil {
			t.Fatal(err)
		}
	}
	keep("gateway.example", acme.ChallengeTypeHTTP01)
	keep("www.gateway.example", acme.ChallengeTypeTLSALPN01)
	if body, _ := overHTTP(certs, "GATEWAY.example", "token1"); body != "token1.print" {
		t.Errorf("got %q, want %q", body, "token1.print")
	}
	for _, wrong := range [][2]string{{"gateway.example", "token2"}, {"www.gateway.example", "token1"},
		{"other.example", "token1"}} {
		if _, answered := overHTTP(certs, wrong[0], wrong[1]); answered {
			t.Errorf("%q was answered, want no answer", wrong)
		}
	}
	state, err := handshake(t, certs, &tls.Config{ServerName: "www.gateway.example", InsecureSkipVerify: true,
		NextProtos: []string{"acme-tls/1"}})
	if err != nil || state.PeerCertificates[0].DNSNames[0] != "www.gateway.example" {
		t.Errorf("got %v, want the challenge certificate", err)
	}
}

func TestSharedChallenges(t *testing.T) {
	t.Parallel()
	for name, share := range storages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newFakeCA(t)
			c, _ := acmeConfig(t, ca, "shared.example")
			c = share(c)
			certs := mustOpen(t, c)
			present := func(host, kind, in string) {
				t.Helper()
				challenge := acme.Challenge{Type: kind, Token: "token1", KeyAuthorization: "token1.thumb",
					Identifier: acme.Identifier{Type: "dns", Value: in}}
				value, err := json.Marshal(challenge)
				if err != nil {
					t.Fatal(err)
				}
				key := "acme/" + certmagic.StorageKeys.Safe(certs.acme.cfg.Issuers[0].IssuerKey()) +
					"/challenge_tokens/" + host + ".json"
				if err := certs.acme.storage.Store(t.Context(), key, value); err != nil {
					t.Fatal(err)
				}
			}
			hello := &tls.Config{ServerName: "shared.example", InsecureSkipVerify: true,
				NextProtos: []string{"acme-tls/1"}}
			wantNoAnswer := func(what string) {
				t.Helper()
				if body, answered := overHTTP(certs, "shared.example", "token1"); answered {
					t.Errorf("%s: got %q, want no answer", what, body)
				}
				if _, err := handshake(t, certs, hello); err == nil {
					t.Errorf("%s: got a certificate, want an error", what)
				}
			}
			wantNoAnswer("no challenge")
			present("shared.example", acme.ChallengeTypeHTTP01, "other.example")
			wantNoAnswer("another's challenge")
			present("other.example", acme.ChallengeTypeHTTP01, "other.example")
			if _, answered := overHTTP(certs, "other.example", "token1"); answered {
				t.Error("a host that is not configured was answered, want no answer")
			}
			present("shared.example", acme.ChallengeTypeHTTP01, "shared.example")
			for _, host := range []string{"shared.example", "SHARED.example.", "shared.example:80"} {
				if body, answered := overHTTP(certs, host, "token1"); !answered || body != "token1.thumb" {
					t.Errorf("%q: got %q, %v, want %q", host, body, answered, "token1.thumb")
				}
			}
			if _, answered := overHTTP(certs, "shared.example", "token2"); answered {
				t.Error("another token was answered, want no answer")
			}
			if _, err := handshake(t, certs, hello); err == nil {
				t.Error("the other kind of challenge: got a certificate, want an error")
			}
			present("shared.example", acme.ChallengeTypeTLSALPN01, "shared.example")
			state, err := handshake(t, certs, hello)
			if err != nil || len(state.PeerCertificates[0].DNSNames) != 1 || state.NegotiatedProtocol != "acme-tls/1" {
				t.Errorf("got %v, want the challenge certificate", err)
			}
			if _, err := handshake(t, certs, &tls.Config{ServerName: "shared.example", InsecureSkipVerify: true,
				NextProtos: []string{"h2", "acme-tls/1"}}); err == nil {
				t.Error("a client of another protocol got the challenge certificate, want an error")
			}
			for range maxLookups {
				certs.acme.lookups <- struct{}{}
			}
			wantNoAnswer("too many at a time")
		})
	}
}

// waitingBackend is a backend whose Load waits until its context ends, and says when that will be.
type waitingBackend struct {
	backend
	deadlines chan time.Time
}

func (w *waitingBackend) Load(ctx context.Context, _ string) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	w.deadlines <- deadline
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestChallengeLookupHasATimeout(t *testing.T) {
	t.Parallel()
	c, _ := acmeConfig(t, newFakeCA(t), "lookup.example")
	certs := mustOpen(t, c)
	slow := &waitingBackend{certs.acme.storage.backend, make(chan time.Time, 1)}
	certs.acme.storage.backend = slow
	if body, answered := overHTTP(certs, "lookup.example", "token1"); answered {
		t.Errorf("got %q, want no answer", body)
	}
	if deadline := <-slow.deadlines; deadline.IsZero() || time.Until(deadline) > lookupTimeout {
		t.Errorf("the storage had until %v, want at most %v", deadline, lookupTimeout)
	}
}
