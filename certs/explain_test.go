package certs

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mholt/acmez/v3/acme"
)

func acmeProblem(kind, detail string) error {
	return fmt.Errorf("order: %w", acme.Problem{Type: "urn:ietf:params:acme:error:" + kind, Detail: detail,
		Status: 400})
}

// Every problem that the site's owner can solve comes with the cure.
func TestEveryProblemHasACure(t *testing.T) {
	t.Parallel()
	a := &acmeSource{httpPort: 80, httpsPort: 443}
	for _, kind := range []string{"connection", "dns", "unauthorized", "incorrectResponse", "tls", "rateLimited", "caa",
		"rejectedIdentifier",
		"unsupportedIdentifier", "invalidContact", "unsupportedContact", "externalAccountRequired",
		"userActionRequired", "serverInternal"} {
		got := a.explain(acmeProblem(kind, "detail"))
		if got.hint == "" || !strings.HasSuffix(got.text, ": detail") || strings.Contains(got.text, kind) {
			t.Errorf("%s: got %+v, want plain words, the detail and a hint", kind, got)
		}
	}
	for _, test := range []struct{ err, text, hint string }{
		{"[a] registering: attempt 1: performing request: EOF (ca=x)", "the authority cannot be reached: EOF",
			"connect"},
		{"tls: failed to verify certificate: x509: certificate signed by unknown authority",
			"the authority's own certificate is not trusted: ", "root"},
		{`presenting: could not determine zone for domain "a" (order=x) (ca=y)`, "could not determine zone",
			"resolvers"},
		{"adding temporary record for zone: refused", "the DNS provider did not take our record: ", "credentials"},
		{"timed out waiting for record to fully propagate", "our record did not appear in DNS in time", "CNAME"},
		{"no solvers available for remaining challenges", "the authority offers no way", "wildcard"},
	} {
		if got := a.explain(errors.New(test.err)); !strings.HasPrefix(got.text, test.text) ||
			!strings.Contains(got.hint, test.hint) {
			t.Errorf("%s: got %+v, want %q and a hint with %q", test.err, got, test.text, test.hint)
		}
	}
	server := openRedis(t, fmt.Sprintf("redis://127.0.0.1:%d", freePort(t)))
	_, down := server.Load(t.Context(), "key")
	if got := a.explain(fmt.Errorf("cannot be kept: %w", down)); !strings.HasPrefix(got.text,
		`cannot be kept: certificate storage "redis://127.0.0.1`) || got.hint != "" {
		t.Errorf("a server that is down: got %+v, want its own text and no hint", got)
	}
	through := &acmeSource{dns: true}
	if got := through.explain(acmeProblem("unauthorized", "no TXT record")); !strings.Contains(got.hint,
		"_acme-challenge") {
		t.Errorf("got %+v, want a hint with %q", got, "_acme-challenge")
	}
}
