package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gate421/certs"
	"gate421/gate/hint"
)

func trustOutput(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, stderr bytes.Buffer
	err := run(t.Context(), append([]string{"trust"}, args...), nil, &out, &stderr)
	return out.String(), err
}

// The command names the root that a gateway made and changes nothing below the state folder.
func TestTrust(t *testing.T) {
	state := filepath.Join(t.TempDir(), "a state")
	c, err := certs.Open(t.Context(), certs.Config{Source: certs.SourceLocal, Hosts: []string{"shop.test"}, Folder: state})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, state)
	text, err := trustOutput(t, "--state", state)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{c.Root() + "\n", "gate421 local authority ",
		"cp '" + c.Root() + "' /usr/local/share/ca-certificates/gate421.crt\n", "security add-trusted-cert",
		"certutil -addstore", "Firefox"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing:\n%s", want, text)
		}
	}
	object, err := trustOutput(t, "--state", state, "--json")
	var said struct{ Path, Name, SHA256 string }
	if err != nil || json.Unmarshal([]byte(object), &said) != nil || said.Path != c.Root() || len(said.SHA256) != 95 ||
		!strings.Contains(text, said.SHA256) {
		t.Errorf("trust --json: %v, %s; want the path and the fingerprint of %s", err, object, c.Root())
	}
	if after := tree(t, state); after != before {
		t.Errorf("the state folder was\n%sand is\n%s", before, after)
	}
}

func TestTrustErrors(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "gate421.yaml")
	if err := os.WriteFile(file, []byte("sites: [{hosts: [shop.test], origin: \"http://127.0.0.1:3000\", http2_crawl: "+
		"refuse}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--state", folder}, "local authority \"" + filepath.Join(folder,
			"local-ca") + "\": root.pem: no such file or directory\nhint: the authority is made at the gateway's first start"},
		{[]string{"--config", file}, "certificates.source is acme: its certificates need no trust of their own\n" +
			"hint: this command is for certificates.source: local"},
		{[]string{"--config", file, "--state", folder}, "exclude each other"},
	} {
		_, err := trustOutput(t, test.args...)
		if err == nil || !strings.Contains(hint.Message(err), test.want) {
			t.Errorf("%q: %v", test.args, err)
		}
	}
}

// tree lists a folder's files with their contents.
func tree(t *testing.T, folder string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		b.WriteString(path + " " + string(text) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
