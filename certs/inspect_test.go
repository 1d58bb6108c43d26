package certs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/certmagic"
)

// tree lists what is in a folder, with sizes.
func tree(t *testing.T, folder string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			out.WriteString(strings.Join([]string{path, info.Mode().String(), info.ModTime().String(), "\n"}, " "))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestStoredChangesNothing(t *testing.T) {
	t.Parallel()
	const directory = "https://ca.example/directory"
	ca := newTestCA(t)
	c := Config{Source: SourceACME, CAs: []CA{{Directory: directory}}, Folder: t.TempDir(),
		Hosts: []string{"shop.example", "blog.example", "new.example", "broken.example"}}
	if leaves, err := Stored(c); err != nil || len(leaves) != 0 {
		t.Errorf("from an empty folder: got %v, %v, want nothing", leaves, err)
	}
	if left := tree(t, c.Folder); strings.Count(left, "\n") != 1 {
		t.Errorf("got in the folder\n%s, want nothing", left)
	}
	keep := func(authority, host string, names ...string) string {
		t.Helper()
		key := (&certmagic.ACMEIssuer{CA: authority}).IssuerKey()
		site := filepath.Join(c.Folder, "certificates",
			filepath.FromSlash(certmagic.StorageKeys.CertsSitePrefix(key, host)))
		if err := os.MkdirAll(site, 0o700); err != nil {
			t.Fatal(err)
		}
		cert, private := ca.pair(t, names...)
		for ending, data := range map[string][]byte{".crt": cert, ".key": private} {
			if err := os.WriteFile(filepath.Join(site, host+ending), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return site
	}
	keep(directory, "shop.example", "shop.example")
	keep(directory, "blog.example", "blog.example")
	keep("https://other.example/directory", "new.example", "new.example")
	broken := filepath.Join(keep(directory, "broken.example", "broken.example"), "broken.example.crt")
	if err := os.WriteFile(broken, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, c.Folder)
	leaves, err := Stored(c)
	if len(leaves) != 2 || leaves[0].DNSNames[0] != "shop.example" || leaves[1].DNSNames[0] != "blog.example" {
		t.Errorf("got %d certificates, want those of shop.example and blog.example", len(leaves))
	}
	if err == nil || !strings.HasPrefix(err.Error(), `host "broken.example": stored certificate "`+broken+`": `) ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one error, about %s", err, broken)
	}
	if after := tree(t, c.Folder); after != before {
		t.Errorf("the folder changed: got\n%s, want\n%s", after, before)
	}
}

// TestStoredFindsWhatIsOrdered holds Stored to where an order really leaves its certificate.
func TestStoredFindsWhatIsOrdered(t *testing.T) {
	t.Parallel()
	ca := newFakeCA(t)
	c, events := acmeConfig(t, ca, "shop.example")
	certs := mustOpen(t, c)
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	obtained := events.wait(t, KindObtained)
	if leaves, err := Stored(c); err != nil || len(leaves) != 1 || !leaves[0].NotAfter.Equal(obtained.NotAfter) {
		t.Errorf("got %v, %v, want the certificate that was obtained", leaves, err)
	}
}

func TestStoredErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{Source: SourceLocal, Hosts: []string{"shop.example"}}, {Source: SourceACME},
		{Source: SourceACME, CAs: []CA{{Directory: "http://x"}}, Hosts: []string{"shop.example"}}} {
		if _, err := Stored(c); err == nil {
			t.Errorf("%+v: got no error", c)
		}
	}
}
