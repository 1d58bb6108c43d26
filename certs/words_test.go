package certs

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

func acmeProblem(kind, detail string) error {
	return fmt.Errorf("order: %w", acme.Problem{Type: "urn:ietf:params:acme:error:" + kind, Detail: detail, Status: 400})
}

// Everything that can be mended comes with how.
func TestEveryRefusalHasACure(t *testing.T) {
	a := &acmeSource{httpPort: 80, httpsPort: 443}
	for _, kind := range []string{"connection", "dns", "unauthorized", "incorrectResponse", "tls", "rateLimited", "caa", "rejectedIdentifier",
		"unsupportedIdentifier", "invalidContact", "unsupportedContact", "externalAccountRequired", "userActionRequired", "serverInternal"} {
		got := a.inWords(acmeProblem(kind, "detail"))
		if got.hint == "" || !strings.HasSuffix(got.words, ": detail") || strings.Contains(got.words, kind) {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	for _, test := range []struct{ err, words, hint string }{
		{"[a] registering: attempt 1: performing request: EOF (ca=x)", "the authority cannot be reached: EOF", "connect"},
		{"tls: failed to verify certificate: x509: certificate signed by unknown authority", "the authority's own certificate is not trusted: ", "root"},
		{`presenting: could not determine zone for domain "a" (order=x) (ca=y)`, "could not determine zone", "resolvers"},
		{"adding temporary record for zone: refused", "the DNS provider did not take our record: ", "credentials"},
		{"timed out waiting for record to fully propagate", "our record did not appear in DNS in time", "CNAME"},
		{"no solvers available for remaining challenges", "the authority offers no way", "wildcard"},
	} {
		if got := a.inWords(errors.New(test.err)); !strings.HasPrefix(got.words, test.words) || !strings.Contains(got.hint, test.hint) {
			t.Errorf("%s: %+v", test.err, got)
		}
	}
	down := redisTrouble{address: "redis://x", words: "is down", err: &net.OpError{Op: "dial", Err: errors.New("refused")}}
	if got := a.inWords(fmt.Errorf("cannot be kept: %w", down)); got.words != `cannot be kept: certificate storage "redis://x": is down` || got.hint != "" {
		t.Errorf("%+v", got)
	}
	through := &acmeSource{dns: true}
	if got := through.inWords(acmeProblem("unauthorized", "no TXT record")); !strings.Contains(got.hint, "_acme-challenge") {
		t.Errorf("%+v", got)
	}
}

// What an authority says about when to come back is heeded, and otherwise pauses grow.
func TestNextTry(t *testing.T) {
	m := &managed{cache: mustOpenACME(t).cache}
	limited := acmeProblem("rateLimited", "too many failed authorizations (5) for \"a.example\" in the last 1h0m0s, retry after 2099-01-02 03:04:05 UTC: see https://…")
	for _, test := range []struct {
		name     string
		failures int
		problems []problem
		want     time.Duration
	}{
		{"the first", 0, []problem{{err: errors.New("x")}}, time.Minute},
		{"the third", 2, []problem{{err: errors.New("x")}}, 15 * time.Minute},
		{"the hundredth", 99, []problem{{err: errors.New("x")}}, 6 * time.Hour},
		{"a hiccup", 0, []problem{{err: acmeProblem("badNonce", "")}}, time.Second},
		{"a hiccup of one of two", 0, []problem{{err: acmeProblem("badNonce", "")}, {err: errors.New("x")}}, time.Minute},
		{"stored, but broken", 0, []problem{{err: errUnusable}}, time.Second},
		{"ordered, but not to be found", 0, []problem{{err: errUnusable, asked: true}}, time.Minute},
		{"hiccups without end", 10, []problem{{err: acmeProblem("badNonce", "")}}, 6 * time.Hour},
		{"counted", 0, []problem{{err: limited}}, time.Until(time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC))},
		{"counted by one of two", 0, []problem{{err: limited}, {err: errors.New("x")}}, time.Minute},
		{"counted by the second of two", 0, []problem{{err: errors.New("x")}, {err: limited}}, time.Minute},
	} {
		if got := time.Until(m.next("a.example", test.failures, test.problems)); (got - test.want).Abs() > 2*time.Second {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	// Let's Encrypt lets five validations of a name fail in an hour.
	var elapsed time.Duration
	within := 1
	for _, pause := range pauses() {
		if elapsed += pause; elapsed < time.Hour {
			within++
		}
	}
	if within > 5 {
		t.Errorf("%d attempts in the first hour", within)
	}
}

func mustOpenACME(t *testing.T) *acmeSource {
	c, _ := acmeConfig(t, newFakeCA(t), "shop.example")
	return mustOpen(t, c).acme
}

// Another gateway may have ordered from any of the authorities.
func TestChallengeOfAnotherGateway(t *testing.T) {
	ca := newFakeCA(t)
	c, _ := acmeConfig(t, ca, "shop.example", "www.shop.example")
	other := newFakeCA(t)
	c.CAs = append(c.CAs, CA{Directory: other.server.URL + "/directory", Root: other.rootFile()})
	certs := mustOpen(t, c)
	keep := func(host, kind string) {
		text, err := json.Marshal(acme.Challenge{Type: kind, Token: "token1", KeyAuthorization: "token1.print", Identifier: acme.Identifier{Type: "dns", Value: host}})
		if err != nil {
			t.Fatal(err)
		}
		if err := certs.acme.store.Store(t.Context(), certs.acme.challengeKeys(host)[1], text); err != nil {
			t.Fatal(err)
		}
	}
	keep("shop.example", acme.ChallengeTypeHTTP01)
	keep("www.shop.example", acme.ChallengeTypeTLSALPN01)
	if body, _ := overHTTP(certs, "SHOP.example", "token1"); body != "token1.print" {
		t.Errorf("answered with %q", body)
	}
	for _, wrong := range [][2]string{{"shop.example", "token2"}, {"www.shop.example", "token1"}, {"other.example", "token1"}} {
		if _, answered := overHTTP(certs, wrong[0], wrong[1]); answered {
			t.Errorf("%q was answered", wrong)
		}
	}
	state, err := handshake(t, certs, &tls.Config{ServerName: "www.shop.example", InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
	if err != nil || state.PeerCertificates[0].DNSNames[0] != "www.shop.example" {
		t.Errorf("%v", err)
	}
}
