package certs

import (
	"crypto/tls"
	"encoding/asn1"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

func acmeConfig(t *testing.T, ca *fakeCA, hosts ...string) (Config, recorder) {
	t.Helper()
	events := newRecorder()
	return Config{Source: SourceACME, Hosts: hosts,
		CAs:   []CA{{Directory: ca.server.URL + "/directory", Root: ca.rootFile()}},
		Email: "owner@shop.example", Folder: filepath.Join(t.TempDir(), "state"), OnEvent: events.onEvent}, events
}

func TestACMEFailureIsExplained(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	ca.rejects = "come back tomorrow"
	c, events := acmeConfig(t, ca, "shop.example")
	certs := mustOpen(t, c)
	if asked := ca.asked(); asked != 0 {
		t.Errorf("got %d requests before Manage, want none", asked)
	}
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := events.wait(t, KindFailed)
	if e.Error != "the authority has had too many orders: come back tomorrow" ||
		!slices.Equal(e.Hosts, []string{"shop.example"}) ||
		e.Issuer != strings.TrimPrefix(ca.server.URL, "https://") || !e.NotAfter.IsZero() {
		t.Errorf("got %+v, want the rate limit of shop.example by %s", e, ca.server.URL)
	}
	if _, err := handshake(t, certs, &tls.Config{ServerName: "shop.example", InsecureSkipVerify: true}); err == nil {
		t.Error("a handshake for a host without a certificate: got no error")
	}
	_, err := certs.GetCertificate(&tls.ClientHelloInfo{ServerName: "shop.example"})
	want := `host "shop.example": no certificate yet`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if leaves := certs.Leaves(); len(leaves) != 0 {
		t.Errorf("got %d leaves, want none", len(leaves))
	}
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	asked := ca.asked()
	if _, err := certs.acme.proxy(nil); err == nil {
		t.Error("a request to the authority after Close: got no error")
	}
	if left := events.rest(); len(left) > 0 || ca.asked() != asked {
		t.Errorf("after Close: got events %+v and %d requests, want none and %d", left, ca.asked(), asked)
	}
}

func TestACMEOverHTTP(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	c, events := acmeConfig(t, ca, "http01.example")
	c.HTTPPort, c.HTTPSPort = freePort(t), freePort(t)
	certs := mustOpen(t, c)
	ca.validate = func(host, token string) string {
		nobodyListens(t, c.HTTPPort, c.HTTPSPort)
		for _, wrong := range [][2]string{{host, "token2"}, {"other.example", token}, {host, ""}} {
			if body, answered := overHTTP(certs, wrong[0], wrong[1]); answered {
				t.Errorf("%q: got %q, want no answer", wrong, body)
			}
		}
		for _, right := range []string{host, host + ":80", strings.ToUpper(host), host + "."} {
			if body, _ := overHTTP(certs, right, token); !strings.HasPrefix(body, token+".") {
				return fmt.Sprintf("%q was answered with %q", right, body)
			}
		}
		return ""
	}
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := events.wait(t, KindObtained)
	if _, err := handshake(t, certs, &tls.Config{ServerName: "http01.example", RootCAs: ca.pool()}); err != nil {
		t.Error(err)
	}
	if leaves := certs.Leaves(); len(leaves) != 1 || !leaves[0].NotAfter.Equal(e.NotAfter) {
		t.Errorf("got %d certificates, want one that ends with %+v", len(leaves), e)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if !slices.Equal(ca.contact, []string{"mailto:owner@shop.example"}) {
		t.Errorf("got the contact %q, want that of the configuration", ca.contact)
	}
	if _, answered := overHTTP(certs, "http01.example", "token1"); answered {
		t.Error("a challenge was answered after the order, want no answer")
	}
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	if hasModes {
		checkModes(t, c.Folder)
	}
}

func TestACMEOverTLS(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	ca.offers = acme.ChallengeTypeTLSALPN01
	c, events := acmeConfig(t, ca, "tlsalpn.example", "www.tlsalpn.example")
	c.HTTPPort, c.HTTPSPort = -1, freePort(t)
	certs := mustOpen(t, c)
	ca.validate = func(host, _ string) string {
		nobodyListens(t, c.HTTPSPort)
		for _, name := range []string{host, strings.ToUpper(host)} {
			state, err := handshake(t, certs, &tls.Config{ServerName: name, InsecureSkipVerify: true,
				NextProtos: []string{"acme-tls/1"}})
			if err != nil {
				return err.Error()
			}
			proof := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}
			found := false
			for _, extension := range state.PeerCertificates[0].Extensions {
				found = found || extension.Id.Equal(proof) && extension.Critical
			}
			if !found || !slices.Equal(state.PeerCertificates[0].DNSNames, []string{host}) ||
				state.NegotiatedProtocol != "acme-tls/1" {
				return "not the challenge certificate"
			}
		}
		// Other clients do not get it.
		if _, err := handshake(t, certs, &tls.Config{ServerName: host, InsecureSkipVerify: true,
			NextProtos: []string{"h2", "acme-tls/1"}}); err == nil {
			return "a client was answered with a challenge certificate"
		}
		return ""
	}
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	events.wait(t, KindObtained)
	for _, host := range c.Hosts {
		if _, err := handshake(t, certs, &tls.Config{ServerName: host, RootCAs: ca.pool()}); err != nil {
			t.Error(err)
		}
	}
}

func TestACMEChallengeFailureNamesThePorts(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	ca.validate = func(string, string) string { return "203.0.113.1: connection refused" }
	c, events := acmeConfig(t, ca, "shop.example")
	c.HTTPPort, c.HTTPSPort = 8080, 443
	certs := mustOpen(t, c)
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "the authority could not connect (port 80 must lead to port 8080 here): 203.0.113.1: connection refused"
	if e := events.wait(t, KindFailed); e.Error != want {
		t.Errorf("got %q, want %q", e.Error, want)
	}
}

func TestACMECloseInTheMiddleOfAnOrder(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	reached, release := make(chan struct{}), make(chan struct{})
	ca.validate = func(string, string) string {
		close(reached)
		<-release
		return ""
	}
	defer close(release)
	c, events := acmeConfig(t, ca, "closed.example")
	certs := mustOpen(t, c)
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-reached
	before := time.Now()
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(before); took > patience/2 {
		t.Errorf("Close took %v, want it to abandon the order", took)
	}
	if left := kinds(events.rest()); !slices.Equal(left, []string{KindTerms}) {
		t.Errorf("got events %q, want %q", left, KindTerms)
	}
	if _, active := certmagic.GetACMEChallenge("closed.example"); active {
		t.Error("the challenge is still in memory, want none")
	}
}

// An authority whose certificates are nearly over: stored at the first run, loaded and renewed at the second.
func TestACMERestartRenews(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	ca.until = 10 * time.Minute
	c, events := acmeConfig(t, ca, "shop.example")
	first := mustOpen(t, c)
	if err := first.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	obtained := events.wait(t, KindObtained)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	ca.mu.Lock()
	ca.until = 20 * 24 * time.Hour
	ca.mu.Unlock()
	asked := ca.asked()
	second := mustOpen(t, c)
	if e := events.wait(t, KindLoaded); !e.NotAfter.Equal(obtained.NotAfter) {
		t.Errorf("got %+v, want the end %v", e, obtained.NotAfter)
	}
	served(t, second, "shop.example") // at once, without Manage
	if ca.asked() != asked {
		t.Errorf("got %d requests before Manage, want none", ca.asked()-asked)
	}
	if err := second.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := events.wait(t, KindRenewed); !e.NotAfter.After(obtained.NotAfter) {
		t.Errorf("got %+v, want an end after %v", e, obtained.NotAfter)
	}
	if got := served(t, second, "shop.example"); !got.NotAfter.After(obtained.NotAfter) {
		t.Errorf("the certificate served ends at %v, want after %v", got.NotAfter, obtained.NotAfter)
	}
}

func TestACMEOpenErrors(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	occupied := filepath.Join(folder, "file")
	if err := os.WriteFile(occupied, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		c    Config
		want []string
	}{
		{"wildcard and authority", Config{Hosts: []string{"a.example", "*.b.example"},
			CAs: []CA{{Directory: "zerossl"}}, Folder: folder},
			[]string{`host "*.b.example": `, "DNS-01", "zerossl"}},
		{"authority in the clear", Config{Hosts: []string{"a.example"},
			CAs: []CA{{Directory: "http://ca.example/directory"}}, Folder: folder}, []string{"https"}},
		{"authority misspelt", Config{Hosts: []string{"a.example"}, CAs: []CA{{Directory: "letsencript"}},
			Folder: folder}, []string{`"letsencript"`}},
		{"no listener", Config{Hosts: []string{"a.example"}, HTTPPort: -1, HTTPSPort: -1, Folder: folder},
			[]string{"no listener"}},
		{"no folder", Config{Hosts: []string{"a.example"}}, []string{"no state folder"}},
		{"folder is a file", Config{Hosts: []string{"a.example"}, Folder: occupied}, []string{"state folder"}},
		{"source", Config{Source: "manual", Hosts: []string{"a.example"}}, []string{`"manual"`, `"acme"`}},
		{"hosts", Config{}, []string{"no hosts"}},
	} {
		if test.c.Source == "" {
			test.c.Source = SourceACME
		}
		_, err := Open(t.Context(), test.c)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: want %q in: %v", test.name, want, err)
			}
		}
	}
}

// certmagic gives up at once on some errors and reports nothing; we do, and try again.
func TestACMEStorageFailureIsReported(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	c, events := acmeConfig(t, ca, "shop.example")
	certs := mustOpen(t, c)
	if err := os.WriteFile(filepath.Join(c.Folder, "certificates", "locks"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := events.wait(t, KindFailed); !strings.Contains(e.Error, "lock") {
		t.Errorf("got %+v, want an error about the lock", e)
	}
	if ca.asked() != 0 {
		t.Errorf("got %d requests for what cannot be stored, want none", ca.asked())
	}
}

func TestACMEExplanations(t *testing.T) {
	t.Parallel()
	problem := func(kind, detail string) error {
		return fmt.Errorf("order: %w", acme.Problem{Type: "urn:ietf:params:acme:error:" + kind, Detail: detail,
			Status: 400})
	}
	several := acme.Problem{Type: "urn:ietf:params:acme:error:rejectedIdentifier", Subproblems: []acme.Subproblem{
		{Problem: acme.Problem{Detail: "is forbidden"}, Identifier: acme.Identifier{Type: "dns", Value: "a.example"}}}}
	forwarded := &acmeSource{httpPort: 8080, httpsPort: 8443}
	for _, test := range []struct {
		by   *acmeSource
		err  error
		want string
	}{
		{&acmeSource{}, os.ErrClosed, "file already closed"},
		{&acmeSource{}, problem("dns", "NXDOMAIN"), "the authority could not look the name up: NXDOMAIN"},
		{&acmeSource{httpPort: 80, httpsPort: -1}, problem("connection", ""), "the authority could not connect"},
		{forwarded, problem("unauthorized", "404"), "the authority got an answer that was not ours " +
			"(port 80 must lead to port 8080 here, port 443 must lead to port 8443 here): 404"},
		{&acmeSource{}, problem("caa", "x"), "a CAA record in DNS forbids this authority: x"},
		{&acmeSource{}, problem("somethingNew", "x"), "somethingNew: x"},
		{&acmeSource{}, acme.Problem{Detail: "x"}, "x"},
		{&acmeSource{}, several, "the authority signs no such name; a.example is forbidden"},
	} {
		if got := test.by.explain(test.err).text; got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

// A stored certificate that cannot be read must not lead to ordering another one at every start.
func TestACMEUnreadableStorageIsAnError(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	c, _ := acmeConfig(t, ca, "shop.example")
	issuer := certmagic.ACMEIssuer{CA: c.CAs[0].Directory}
	path := filepath.Join(c.Folder, "certificates",
		filepath.FromSlash(certmagic.StorageKeys.SitePrivateKey(issuer.IssuerKey(), "shop.example")))
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c); err == nil ||
		!strings.Contains(err.Error(), `host "shop.example": stored certificate`) {
		t.Errorf("got %v, want an error about the stored certificate", err)
	}
}
