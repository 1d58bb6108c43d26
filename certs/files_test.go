package certs

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gate421/certs/pemfile"
)

// watch opens and manages pairs, polling all the time.
func watch(t *testing.T, events recorder, pairs []Pair, hosts ...string) *Certificates {
	t.Helper()
	certs := mustOpen(t, Config{Source: SourceFiles, Hosts: hosts, Files: pairs, OnEvent: events.onEvent})
	certs.source.(*fileSource).every = 2 * time.Millisecond
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	events.rest()
	return certs
}

func TestFilesHandshakes(t *testing.T) {
	t.Parallel()
	ca, folder, events := newTestCA(t), t.TempDir(), newRecorder()
	pairs := []Pair{
		ca.files(t, folder, "wild", "*.shop.example", "shop.example"),
		ca.files(t, folder, "www", "www.shop.example", "extra.example"),
	}
	certs := watch(t, events, pairs, "shop.example", "www.shop.example", "img.shop.example", "*.shop.example")
	for name, want := range map[string]string{
		"":                 "*.shop.example", // the first host's pair
		"shop.example":     "*.shop.example",
		"IMG.shop.example": "*.shop.example",
		"any.shop.example": "*.shop.example",
		"www.shop.example": "www.shop.example", // its own name before the wildcard
	} {
		client := &tls.Config{ServerName: name, RootCAs: ca.pool(), InsecureSkipVerify: name == ""}
		state, err := handshake(t, certs, client)
		if err != nil {
			t.Errorf("%q: got %v, want no error", name, err)
		} else if got := state.PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("%q was answered with %q, want %q", name, got, want)
		}
	}
	// In a certificate, but not configured.
	if _, err := handshake(t, certs, &tls.Config{ServerName: "extra.example", RootCAs: ca.pool()}); err == nil {
		t.Error("a name that is not configured: got no error")
	}
	if certs.Root() != "" || len(certs.Leaves()) != 2 {
		t.Errorf("got the root %q and %d leaves, want none and 2", certs.Root(), len(certs.Leaves()))
	}
}

func TestFilesOpenErrors(t *testing.T) {
	t.Parallel()
	ca, folder := newTestCA(t), t.TempDir()
	good := ca.files(t, folder, "good", "a.example")
	other := ca.files(t, folder, "other", "b.example", "*.c.example")
	noNames := ca.files(t, folder, "nonames")
	path := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := path("empty", "")
	locked := path("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	garbled := path("garbled", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	huge := path("huge", strings.Repeat("x", pemfile.MaxSize+1))
	missing := filepath.Join(folder, "missing")
	for _, test := range []struct {
		name  string
		pairs []Pair
		hosts []string
		want  []string
	}{
		{"none", nil, []string{"a.example"}, []string{"no files"}},
		{"missing certificate", []Pair{{missing, good.Key}}, []string{"a.example"},
			[]string{`certificate "` + missing + `": `}},
		{"missing key", []Pair{{good.Cert, missing}}, []string{"a.example"}, []string{`key "` + missing + `": `}},
		{"unreadable", []Pair{{folder, good.Key}}, []string{"a.example"},
			[]string{`certificate "` + folder + `": not a regular file`}},
		{"empty", []Pair{{empty, empty}}, []string{"a.example"},
			[]string{`certificate "` + empty + `": holds no PEM`, `key "` + empty + `": holds no PEM`}},
		{"encrypted", []Pair{{good.Cert, locked}}, []string{"a.example"}, []string{"encrypted"}},
		{"garbled", []Pair{{garbled, good.Key}}, []string{"a.example"}, []string{`certificate "` + garbled}},
		{"huge", []Pair{{huge, good.Key}}, []string{"a.example"}, []string{"larger than 1048576 bytes"}},
		{"exchanged", []Pair{{good.Key, good.Cert}}, []string{"a.example"},
			[]string{`type "CERTIFICATE"`, `type "PRIVATE KEY"`}},
		{"mismatch", []Pair{{good.Cert, other.Key}}, []string{"a.example"},
			[]string{good.Cert, other.Key, "private key does not match"}},
		{"no names", []Pair{noNames}, []string{"a.example"}, []string{"no subject alternative names"}},
		{"not covered", []Pair{good, other}, []string{"a.example", "x.example", "c.example", "y.c.example",
			"*.d.example"},
			[]string{`host "x.example": no certificate covers it; the files have ["a.example" "b.example" "*.c.example"]`, `host "c.example"`, `host "*.d.example"`}},
		{"several", []Pair{{missing, good.Key}, {good.Cert, other.Key}}, []string{"a.example"},
			[]string{missing, "does not match"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), Config{Source: SourceFiles, Hosts: test.hosts, Files: test.pairs})
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "y.c.example") {
				t.Errorf("got %v, want nothing about a host that is covered", err)
			}
		})
	}
}

func TestFilesExpiredIsAWarning(t *testing.T) {
	t.Parallel()
	ca, events := newTestCA(t), newRecorder()
	certPEM, keyPEM := ca.pairUntil(t, time.Now().Add(-24*time.Hour), "a.example")
	pair := writePair(t, t.TempDir(), "old", certPEM, keyPEM)
	if err := os.Chmod(pair.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	certs := mustOpen(t, Config{Source: SourceFiles, Hosts: []string{"a.example"}, Files: []Pair{pair},
		OnEvent: events.onEvent})
	got := events.rest()
	want := []string{"loaded", "warning", "warning"}
	if !hasModes {
		want = want[:2]
	}
	if !slices.Equal(kinds(got), want) || !strings.Contains(got[1].Error, "expired on") {
		t.Fatalf("got %+v, want %q and when it expired", got, want)
	}
	if hasModes && !strings.Contains(got[2].Error, "everybody") {
		t.Errorf("got %+v, want that everybody can read the key", got[2])
	}
	served(t, certs, "a.example")
}

func TestFilesFollowRename(t *testing.T) {
	t.Parallel()
	ca, folder, events := newTestCA(t), t.TempDir(), newRecorder()
	pair := ca.files(t, folder, "a", "a.example")
	other := ca.files(t, folder, "b", "b.example")
	certs := watch(t, events, []Pair{pair, other}, "a.example", "b.example")
	before, untouched := served(t, certs, "a.example"), served(t, certs, "b.example")
	ca.files(t, folder, "a", "a.example", "new.example")
	if e := events.wait(t, KindLoaded); !slices.Equal(e.Hosts, []string{"a.example", "new.example"}) ||
		e.Issuer != ca.cert.Subject.CommonName {
		t.Errorf("got %+v, want both names by %q", e, ca.cert.Subject.CommonName)
	}
	if after := served(t, certs, "a.example"); after.Equal(before) || len(after.DNSNames) != 2 {
		t.Error("the old certificate is still served, want the new one")
	}
	if !served(t, certs, "b.example").Equal(untouched) {
		t.Error("another pair's certificate changed, want it kept")
	}
	if left := events.rest(); len(left) > 0 {
		t.Errorf("got more events: %+v, want none", left)
	}
}

// Kubernetes makes ..data a link to a new folder; certbot makes each file a link to a new one. Size and time may be
// equal.
func TestFilesFollowSymlinks(t *testing.T) {
	t.Parallel()
	ca, folder, events := newTestCA(t), t.TempDir(), newRecorder()
	when := time.Now().Add(-time.Hour)
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(folder, version), 0o700); err != nil {
			t.Fatal(err)
		}
		pair := ca.files(t, filepath.Join(folder, version), "tls", "a.example")
		for _, path := range []string{pair.Cert, pair.Key} {
			if err := os.Chtimes(path, when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	point := func(name, to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(folder, name+".new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, name+".new"), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	point("..data", "v1")
	point("tls.pem", filepath.Join("..data", "tls.pem"))
	point("tls.key", filepath.Join("..data", "tls.key"))
	certs := watch(t, events, []Pair{{filepath.Join(folder, "tls.pem"), filepath.Join(folder, "tls.key")}}, "a.example")
	before := served(t, certs, "a.example")
	point("..data", "v2")
	events.wait(t, KindLoaded)
	if served(t, certs, "a.example").Equal(before) {
		t.Error("the old certificate is still served, want the new one")
	}
}

func TestFilesBrokenPairKeepsTheOld(t *testing.T) {
	t.Parallel()
	ca, folder, events := newTestCA(t), t.TempDir(), newRecorder()
	pair := ca.files(t, folder, "a", "a.example")
	certs := watch(t, events, []Pair{pair}, "a.example")
	before := served(t, certs, "a.example")
	keyPEM, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	strangeCert, strangeKey := ca.pair(t, "strange.example")
	for _, test := range []struct {
		name string
		do   func()
		want string
	}{
		{"garbage", func() { replace(t, pair.Cert, []byte("x")) }, "holds no PEM"},
		{"gone", func() {
			if err := os.Remove(pair.Cert); err != nil {
				t.Fatal(err)
			}
		}, pair.Cert},
		{"another key", func() { replace(t, pair.Cert, strangeCert) }, "does not match"},
		{"another host", func() { replace(t, pair.Key, strangeKey) }, `host "a.example": no certificate covers it`},
	} {
		test.do()
		if e := events.wait(t, KindFailed); !strings.Contains(e.Error, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, e.Error, test.want)
		}
		if !served(t, certs, "a.example").Equal(before) {
			t.Fatalf("%s: another certificate is served, want the old one", test.name)
		}
		// Once a change: polling goes on while handshakes are made.
		served(t, certs, "a.example")
		if left := events.rest(); len(left) > 0 {
			t.Errorf("%s: got more events: %+v, want none", test.name, left)
		}
	}
	// Once the pair is right again, it is served.
	replace(t, pair.Key, keyPEM)
	ca.files(t, folder, "a", "a.example")
	events.wait(t, KindLoaded)
	if served(t, certs, "a.example").Equal(before) {
		t.Error("the old certificate is still served, want the new one")
	}
}

// A change of two files is not reported as broken in between.
func TestFilesReadTwiceBeforeReporting(t *testing.T) {
	t.Parallel()
	ca, folder, events := newTestCA(t), t.TempDir(), newRecorder()
	pair := ca.files(t, folder, "a", "a.example")
	certs := mustOpen(t, Config{Source: SourceFiles, Hosts: []string{"a.example"}, Files: []Pair{pair},
		OnEvent: events.onEvent})
	source := certs.source.(*fileSource)
	events.rest()
	certPEM, keyPEM := ca.pair(t, "a.example")
	replace(t, pair.Cert, certPEM)
	source.poll()
	replace(t, pair.Key, keyPEM)
	source.poll()
	if got := kinds(events.rest()); !slices.Equal(got, []string{"loaded"}) {
		t.Errorf("got events %q, want %q", got, KindLoaded)
	}
	replace(t, pair.Cert, []byte("x"))
	for range 5 {
		source.poll()
	}
	if got := kinds(events.rest()); !slices.Equal(got, []string{"failed"}) {
		t.Errorf("got events %q, want %q once", got, KindFailed)
	}
}
