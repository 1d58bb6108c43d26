package certs

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// Changes of certmagic's package defaults do not affect us, and we do not change them.
func TestPackageDefaults(t *testing.T) {
	ca := newFakeCA(t)
	before := []string{describe(certmagic.Default), describe(certmagic.DefaultACME)}
	c, events := acmeConfig(t, ca, "shop.example")
	c.Email = ""
	clean := mustOpen(t, c)
	if err := clean.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.wait(t, KindObtained)
	l, _ := localConfig(t, "shop.example")
	mustOpen(t, l)
	if after := []string{describe(certmagic.Default), describe(certmagic.DefaultACME)}; !slices.Equal(before, after) {
		t.Errorf("certmagic's defaults changed: got\n%q, want\n%q", after, before)
	}

	config, issuer := certmagic.Default, certmagic.DefaultACME
	t.Cleanup(func() { certmagic.Default, certmagic.DefaultACME = config, issuer })
	certmagic.Default.MustStaple = true
	certmagic.Default.OnDemand = new(certmagic.OnDemandConfig)
	certmagic.Default.FallbackServerName = "fallback.example"
	certmagic.Default.DefaultServerName = "default.example"
	certmagic.Default.LocalCache = new(certmagic.FileStorage)
	certmagic.DefaultACME.Email = "stranger@example.com"
	certmagic.DefaultACME.DisableHTTPChallenge = true
	certmagic.DefaultACME.DisableTLSALPNChallenge = true
	certmagic.DefaultACME.AccountKeyPEM = "x"
	certmagic.DefaultACME.NotAfter = time.Hour
	certmagic.DefaultACME.CA = c.CAs[0].Directory
	certmagic.DefaultACME.DNS01Solver = new(certmagic.DNS01Solver)
	certmagic.DefaultACME.ExternalAccount = new(acme.EAB)
	certmagic.DefaultACME.TrustedRoots = x509.NewCertPool()
	certmagic.DefaultACME.TestCA = "https://other.example"
	certmagic.DefaultACME.ListenHost = "0.0.0.0"
	c.Folder = t.TempDir()
	poisoned := mustOpen(t, c)
	for _, pair := range [][2]string{
		{describe(*clean.acme.cfg), describe(*poisoned.acme.cfg)},
		{describe(*clean.acme.cfg.Issuers[0].(*certmagic.ACMEIssuer)),
			describe(*poisoned.acme.cfg.Issuers[0].(*certmagic.ACMEIssuer))},
	} {
		if pair[0] != pair[1] {
			t.Errorf("certmagic's changed defaults came in: got\n%s, want\n%s", pair[1], pair[0])
		}
	}
}

// describe has the exported plain values of a struct, and for the rest whether they are nil. It leaves out what may
// differ between two sources: the placeholder's port and the storage.
func describe(value any) string {
	var b strings.Builder
	v := reflect.ValueOf(value)
	for i := range v.NumField() {
		field, of := v.Type().Field(i), v.Field(i)
		if !field.IsExported() || strings.HasPrefix(field.Name, "Alt") {
			continue
		}
		switch of.Kind() {
		case reflect.Func, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
			fmt.Fprintf(&b, "%s nil:%v ", field.Name, of.IsNil())
		case reflect.Struct:
		default:
			fmt.Fprintf(&b, "%s=%v ", field.Name, of)
		}
	}
	return b.String()
}

// nobodyListens fails if somebody took a port that is ours to listen on.
func nobodyListens(t *testing.T, ports ...int) {
	for _, port := range ports {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			conn.Close()
			t.Errorf("port %d was bound, want nobody to listen there", port)
		}
	}
}

// The placeholder is what certmagic finds in use, and it serves nobody.
func TestPlaceholderServesNobody(t *testing.T) {
	t.Parallel()
	c, _ := acmeConfig(t, newFakeCA(t), "shop.example")
	certs := mustOpen(t, c)
	issuer := certs.acme.cfg.Issuers[0].(*certmagic.ACMEIssuer)
	address := net.JoinHostPort(issuer.ListenHost, fmt.Sprint(issuer.AltHTTPPort))
	if issuer.AltHTTPPort != issuer.AltTLSALPNPort || address != certs.acme.placeholder.Addr().String() {
		t.Errorf("certmagic listens at %s, want the placeholder at %s", address, certs.acme.placeholder.Addr())
	}
	if host := net.ParseIP(issuer.ListenHost); host == nil || !host.IsLoopback() {
		t.Errorf("got the address %s, want one of loopback", issuer.ListenHost)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	if response, err := client.Get("http://" + address + "/"); err == nil {
		response.Body.Close()
		t.Errorf("the placeholder: got status %d, want the connection closed", response.StatusCode)
	}
}
