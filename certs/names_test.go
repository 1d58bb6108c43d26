package certs

import (
	"strings"
	"testing"
)

func TestHostsAcceptedAndRejected(t *testing.T) {
	t.Parallel()
	accepted := []string{"example.com", "*.example.com", "localhost", "a-b.c_d.example", "xn--bcher-kva.example",
		"127.0.0.1", "::1"}
	for _, host := range accepted {
		if _, err := newNames([]string{host}); err != nil {
			t.Errorf("%q: got %v, want it accepted", host, err)
		}
	}
	rejected := []string{"", "Example.com", "example.com.", ".example.com", "a..b", "*", "a.*.example.com",
		"**.example.com",
		"bücher.example", "a b.example", "example.com:443", "http://example.com", "a/b", strings.Repeat("a", 64) +
			".example",
		strings.Repeat("a.", 130) + "example"}
	for _, host := range rejected {
		if _, err := newNames([]string{host}); err == nil {
			t.Errorf("%q: got no error", host)
		}
	}
	if _, err := newNames(nil); err == nil {
		t.Error("no hosts: got no error")
	}
	_, err := newNames([]string{"ok.example", "BAD.example", "worse..example"})
	if err == nil || !strings.Contains(err.Error(), "BAD") || !strings.Contains(err.Error(), "worse") {
		t.Errorf("want both problems, got %v", err)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	n, err := newNames([]string{"first.example", "*.example.com", "www.example.com", "first.example"})
	if err != nil {
		t.Fatal(err)
	}
	if len(n.order) != 3 {
		t.Errorf("got the hosts %q, want each once", n.order)
	}
	for name, want := range map[string]string{
		"":                  "first.example",
		"first.example":     "first.example",
		"FIRST.Example":     "first.example",
		"first.example.":    "first.example",
		"www.example.com":   "www.example.com",
		"shop.example.com":  "*.example.com",
		"SHOP.example.com.": "*.example.com",
	} {
		if got, ok := n.match(normalize(name)); !ok || got != want {
			t.Errorf("match(%q) = %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"example.com", "a.b.example.com", ".example.com", "*.example.com", "first.example..",
		"first.example.evil.tld", "other.example", "xfirst.example", ".", "first.example\x00"} {
		if got, ok := n.match(normalize(name)); ok {
			t.Errorf("match(%q) = %q; want none", name, got)
		}
	}
}
