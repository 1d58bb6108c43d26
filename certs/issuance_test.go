package certs

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every challenge against a real authority that rejects some requests for no reason, as RFC 8555 section 6.5 allows.
// ISSUANCES=100 orders as many certificates in each of the six ways.
func TestIssuance(t *testing.T) {
	t.Parallel()
	n := sized(t, "ISSUANCES", 5)
	var ways sync.WaitGroup
	defer ways.Wait()
	atOnce := make(chan struct{}, 6)
	if n > 10 {
		atOnce = make(chan struct{}, 1)
	}
	for _, rejects := range []int{5, 50} {
		for _, challenge := range []string{"http-01", "tls-alpn-01", "dns-01"} {
			p := newPebble(t, pebbleSetup{rejects: rejects})
			ways.Go(func() {
				atOnce <- struct{}{}
				defer func() { <-atOnce }()
				issue(t, p, challenge, rejects, n)
			})
		}
	}
}

// issue orders n certificates. certmagic starts ten orders in ten seconds with one account: each ten have their own.
func issue(t *testing.T, p *pebble, challenge string, rejects, n int) {
	var mu sync.RWMutex
	of := map[string]*Certificates{}
	p.listen(t, func(host string) *Certificates {
		mu.RLock()
		defer mu.RUnlock()
		return of[host]
	})
	began := time.Now()
	var hosts []string
	for i := range n {
		hosts = append(hosts, fmt.Sprintf("host%d.%s%d.example", i, challenge, rejects))
	}
	again := 0
	for some := range slices.Chunk(hosts, 10) {
		c, events := p.config(t, some...)
		c.Email = "owner@" + some[0]
		switch challenge {
		case "http-01":
			c.HTTPSPort = -1
		case "tls-alpn-01":
			c.HTTPPort = -1
		case "dns-01":
			c.HTTPPort, c.HTTPSPort, c.DNS = -1, -1, p.names.dns01()
		}
		certs := mustOpen(t, c)
		mu.Lock()
		for _, host := range some {
			of[host] = certs
		}
		mu.Unlock()
		if err := certs.Manage(t.Context()); err != nil {
			t.Fatal(err)
		}
		again += awaitObtained(t, events, len(some))
	}
	for _, host := range hosts {
		if cert, err := connect(p.tlsPort, host, p.pool()); err != nil || !slices.Equal(cert.DNSNames, []string{host}) {
			t.Errorf("%s: got %v, want its own certificate", host, err)
		}
	}
	if left := p.names.records(); len(left) > 0 {
		t.Errorf("left in DNS: %q, want nothing", left)
	}
	t.Logf("%s, %d percent rejected: %d certificates in %v, %d attempts made again", challenge, rejects, n,
		time.Since(began).Round(time.Millisecond), again)
}

// awaitObtained waits for n certificates. Only a failure that is tried again within seconds is
// expected.
func awaitObtained(t *testing.T, events recorder, n int) (again int) {
	t.Helper()
	deadline := time.Now().Add(time.Duration(60+2*n) * time.Second)
	for got := 0; got < n; {
		for _, e := range events.rest() {
			switch {
			case e.Kind == KindObtained:
				got++
			case e.Kind == KindFailed && time.Until(e.Next) < 2*time.Second:
				again++
			case e.Kind == KindFailed:
				t.Fatalf("got %+v, want nothing but bad nonces to fail", e)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d certificates, want %d", got, n)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return again
}

// A wildcard beside its own apex: two records under one name, and none left.
func TestWildcard(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{})
	c, events := p.config(t, "wild.example", "*.wild.example")
	c.DNS = p.names.dns01()
	certs := mustOpen(t, c)
	p.listen(t, func(string) *Certificates { return certs })
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	events.wait(t, KindObtained)
	for name, want := range map[string]string{"wild.example": "wild.example", "a.wild.example": "*.wild.example"} {
		if cert, err := connect(p.tlsPort, name, p.pool()); err != nil || !slices.Equal(cert.DNSNames, []string{want}) {
			t.Errorf("%s: got %v, want its own certificate", name, err)
		}
	}
	if _, err := connect(p.tlsPort, "a.b.wild.example", nil); err == nil {
		t.Error("a handshake for a name two labels below the wildcard: got no error")
	}
	if left := p.names.records(); len(left) > 0 {
		t.Errorf("left in DNS: %q, want nothing", left)
	}
}

// The challenge of a zone that cannot be written to is elsewhere, where a CNAME leads.
func TestDelegatedChallenge(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{})
	p.names.alias("_acme-challenge.led.example.", "led.challenges.invalid.")
	c, events := p.config(t, "led.example", "*.led.example")
	c.DNS = p.names.dns01()
	c.DNS.DelegatedTo = "led.challenges.invalid"
	certs := mustOpen(t, c)
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	events.wait(t, KindObtained)
	if left := p.names.records(); len(left) > 0 {
		t.Errorf("left in DNS: %q, want nothing", left)
	}
}

// A record that never appears is waited for as long as configured, and then reported.
func TestRecordThatDoesNotAppear(t *testing.T) {
	t.Parallel()
	p := newPebble(t, pebbleSetup{})
	p.names.forget()
	c, events := p.config(t, "lost.example")
	c.DNS = p.names.dns01()
	c.DNS.Propagation = time.Second
	certs := mustOpen(t, c)
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := events.wait(t, KindFailed)
	if e.Error != "our record did not appear in DNS in time" || !strings.Contains(e.Hint, "propagation") ||
		e.Next.Before(time.Now()) {
		t.Errorf("got %+v, want that the record did not appear, a hint and the next attempt", e)
	}
}
