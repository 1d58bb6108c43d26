package certs

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every attempt tries the authorities in order, and reports what each said.
func TestAuthoritiesInTurn(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{})
	closed := newFakeCA(t)
	closed.rejects = "closed for today"
	c, events := p.config(t, "inturn.example", "nowhere.example")
	c.CAs = []CA{{Directory: closed.server.URL + "/directory", Root: closed.rootFile()}, p.authority()}
	certs := mustOpen(t, c)
	p.listen(t, func(string) *Certificates { return certs })
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second := hostOf(c.CAs[0].Directory), hostOf(c.CAs[1].Directory)
	var failed, obtained Event
	terms := map[string]string{}
	for deadline := time.Now().Add(2 * patience); (failed.Kind == "" || obtained.Kind == "") && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, e := range events.rest() {
			switch e.Kind {
			case KindFailed:
				failed = e
			case KindObtained:
				obtained = e
			case KindTerms:
				terms[e.Issuer] = e.Terms
			}
		}
	}
	if obtained.Issuer != second || !slices.Equal(obtained.Hosts, []string{"inturn.example"}) {
		t.Errorf("got %+v, want inturn.example by %s", obtained, second)
	}
	for _, want := range []string{first + ": the authority has had too many orders: closed for today; ", second + ": the authority "} {
		if !strings.Contains(failed.Error, want) {
			t.Errorf("want %q in %q", want, failed.Error)
		}
	}
	if failed.Issuer != first+", "+second || failed.Hint == "" || time.Until(failed.Next) < 30*time.Second {
		t.Errorf("got %+v, want both issuers, a hint, and the next attempt in a minute", failed)
	}
	if len(terms) != 2 || !strings.HasPrefix(terms[second], "data:") {
		t.Errorf("got the terms %q, want those of both authorities", terms)
	}
	// The host that has its certificate is served while the other one waits.
	if _, err := connect(p.tlsPort, "inturn.example", p.pool()); err != nil {
		t.Error(err)
	}
	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	events.rest()
	c.Hosts = []string{"inturn.example"}
	again := mustOpen(t, c)
	if e := events.wait(t, KindLoaded); e.Issuer != second {
		t.Errorf("got %+v, want the issuer %s", e, second)
	}
	if leaves, err := Stored(c); err != nil || len(leaves) != 1 || !leaves[0].Equal(again.Leaves()[0]) {
		t.Errorf("Stored: got %d certificates, %v, want the one that is served", len(leaves), err)
	}
}

// An account that must be bound to one made beforehand: without, with the wrong key, with the right one.
func TestBoundAccount(t *testing.T) {
	t.Parallel()
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	p := newPebble(t, pebbleSetup{binding: map[string]string{"kid-1": key}})
	folder := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct{ id, file, want string }{
		{"", "", "the authority wants an account made beforehand: "},
		{"kid-2", file("right", key+"\n", 0o600), "the authority does not know the account that ours was to be bound to: "},
		{"kid-1", file("wrong", strings.Repeat("A", 40), 0o600),
			"the authority does not know the account that ours was to be bound to: "},
	} {
		c, events := p.config(t, "bound.example")
		c.CAs[0].KeyID, c.CAs[0].HMACKeyFile = test.id, test.file
		certs := mustOpen(t, c)
		if err := certs.Manage(t.Context()); err != nil {
			t.Fatal(err)
		}
		if e := events.wait(t, KindFailed); !strings.HasPrefix(e.Error, test.want) || e.Hint == "" {
			t.Errorf("got %q with the hint %q, want %q with any", e.Error, e.Hint, test.want)
		}
		if err := certs.Close(); err != nil {
			t.Error(err)
		}
	}
	c, events := p.config(t, "bound.example")
	c.CAs[0].KeyID, c.CAs[0].HMACKeyFile = "kid-1", file("open", key, 0o644)
	certs := mustOpen(t, c)
	if hasModes {
		if e := events.wait(t, KindWarning); !strings.Contains(e.Error, "everybody on this machine can read it") {
			t.Errorf("got %+v, want that others can read the key", e)
		}
	}
	p.listen(t, func(string) *Certificates { return certs })
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
}

// What a real authority rejects is reported with its text, a cure and the time of the next attempt, and one host's
// failure is not another's.
func TestRejectedOrders(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{})
	if err := p.store.AddBlockedDomain("blocked.example"); err != nil {
		t.Fatal(err)
	}
	c, events := p.config(t, "rejected.example", "blocked.example", "nowhere.example")
	certs := mustOpen(t, c)
	p.listen(t, func(host string) *Certificates { return certs })
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	latest := map[string]Event{}
	for deadline := time.Now().Add(2 * patience); len(latest) < 3 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, e := range events.rest() {
			if len(e.Hosts) > 0 {
				latest[e.Hosts[0]] = e
			}
		}
	}
	if latest["rejected.example"].Kind != KindObtained {
		t.Errorf("got %+v, want it obtained", latest["rejected.example"])
	}
	for host, want := range map[string]string{"blocked.example": "the authority signs no such name",
		"nowhere.example": "the authority could not look the name up: "} {
		e := latest[host]
		if e.Kind != KindFailed || !strings.Contains(e.Error, want) || e.Hint == "" ||
			time.Until(e.Next) < 30*time.Second || time.Until(e.Next) > time.Minute {
			t.Errorf("got %+v, want %q, a hint, and the next attempt in a minute", e, want)
		}
	}

	c, events = p.config(t, "mail.example")
	c.Email = "nobody"
	other := mustOpen(t, c)
	if err := other.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := events.wait(t, KindFailed); !strings.HasPrefix(e.Error,
		"the authority does not take the e-mail address: ") || !strings.Contains(e.Hint, "certificates.email") {
		t.Errorf("got %+v, want the e-mail address rejected, and the key to correct", e)
	}
}

// However often a name that is not configured is asked for, nothing is ordered, and the handshake ends with its alert.
// FOREIGN=10000 makes all of them over a socket.
func TestUnconfiguredNamesOrderNothing(t *testing.T) {
	t.Parallel()
	overTheWire := sized(t, "FOREIGN", 1000)
	const n = 10_000
	p := newPebble(t, pebbleSetup{})
	c, events := p.config(t, "known.example")
	certs := mustOpen(t, c)
	p.listen(t, func(string) *Certificates { return certs })
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	before := p.orders.Load()
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() {
			for i := client; i < max(n, overTheWire); i += 8 {
				name := fmt.Sprintf("foreign%d.example", i)
				if i%2 == 1 {
					name = fmt.Sprintf("a%d.known.example", i)
				}
				if i >= overTheWire {
					cert, err := certs.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
					if _, unknown := err.(UnknownHostError); cert != nil || !unknown {
						t.Errorf("%s: got %v, %v, want an UnknownHostError", name, cert, err)
						return
					}
				} else if _, err := connect(p.tlsPort, name, nil); err == nil ||
					!strings.HasSuffix(err.Error(), "tls: unrecognized name") {
					t.Errorf("%s: got %v, want the alert unrecognized_name", name, err)
					return
				}
			}
		})
	}
	clients.Wait()
	if after := p.orders.Load(); after != before || before != 1 {
		t.Errorf("got %d orders and then %d, want 1 and no more", before, after)
	}
	if left := events.rest(); len(left) > 0 {
		t.Errorf("got events %+v, want none", left)
	}

	if err := certs.Close(); err != nil {
		t.Fatal(err)
	}
	c.UnknownHost = "default"
	lenient := mustOpen(t, c)
	for _, name := range []string{"foreign.example", "a.known.example", "", "KNOWN.example."} {
		cert, err := lenient.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || !slices.Equal(cert.Leaf.DNSNames, []string{"known.example"}) {
			t.Errorf("%q: got %v, want the first host's certificate", name, err)
		}
	}
	if _, err := lenient.GetCertificate(&tls.ClientHelloInfo{ServerName: "foreign.example",
		SupportedProtos: []string{"acme-tls/1"}}); err == nil {
		t.Error("a challenge for a name that is not configured: got no error")
	}
	c.UnknownHost = "first"
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), `"first"`) {
		t.Errorf("got %v, want an error with the wrong value", err)
	}
}

// An authority that wants a certificate replaced early says so through its renewal hints (ARI, RFC 9773).
func TestRenewalHints(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{})
	hint := func(start time.Time) {
		text := fmt.Sprintf(`{"suggestedWindow": {"start": %q, "end": %q}}`, start.UTC().Format(time.RFC3339),
			start.Add(time.Hour).UTC().Format(time.RFC3339))
		p.hints.Store(&text)
	}
	hint(time.Now().Add(40 * 24 * time.Hour))
	c, events := p.config(t, "hints.example")
	c.CheckEvery = 200 * time.Millisecond
	certs := mustOpen(t, c)
	p.listen(t, func(string) *Certificates { return certs })
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := events.wait(t, KindObtained)
	leaf := certs.Leaves()[0]
	time.Sleep(1500 * time.Millisecond) // it has looked at the hint again by then
	if orders := p.orders.Load(); orders != 1 {
		t.Fatalf("got %d orders while the window is in the future, want 1", orders)
	}
	hint(time.Now().Add(-2 * time.Hour))
	e := events.wait(t, KindRenewed)
	p.hints.Store(nil)
	if certs.Leaves()[0].SerialNumber.Cmp(leaf.SerialNumber) == 0 || time.Until(old.NotAfter) < 80*24*time.Hour {
		t.Errorf("got %+v for serial number %x after %x, want another one", e, certs.Leaves()[0].SerialNumber,
			leaf.SerialNumber)
	}
	// The order said which certificate it replaces.
	order, err := p.store.GetOrderByIssuedSerial(hex.EncodeToString(leaf.SerialNumber.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	order.RLock()
	defer order.RUnlock()
	if !order.IsReplaced {
		t.Error("the order did not say which certificate it replaces")
	}
}
