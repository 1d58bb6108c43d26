package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whoever can write in the log's folder puts links there: under the log's name, and under every name that a file set
// aside and what is made of it could have. Nothing that they lead to is read, written or removed.
func TestNobodysLinksAreFollowed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give links to others")
	}
	const stranger = 54321
	folder, own := t.TempDir(), t.TempDir()
	if err := os.Chmod(folder, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	path, secret := filepath.Join(folder, "decisions.log"), filepath.Join(own, "secret")
	if err := os.WriteFile(secret, []byte("root:x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	plant := func(name string) {
		t.Helper()
		if err := os.Symlink(secret, name); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(name, stranger, stranger); err != nil {
			t.Fatal(err)
		}
	}
	plant(path)
	if l, err := Open(Config{File: path}); err == nil || !strings.Contains(err.Error(), "is a link of user 54321's") {
		t.Errorf("%v %v", l, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	old := path + ".20260102T000000.000000Z"
	for _, name := range []string{".zst", ".zst.tmp", ".kept.zst", ".kept.zst.tmp"} {
		plant(old + name)
	}
	plant(path + ".20260101T000000.000000Z")
	plant(path + ".20260101T000000.000000Z.kept.zst")
	if err := os.Link(secret, path+".20260103T000000.000000Z"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("{}\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	r := Rotation{Size: 3000, Keep: 2, Compress: true}
	l := open(t, Config{File: path, Patience: time.Minute, Rotate: r})
	for range 100 {
		if err := l.Refusal(full()); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	o := &output{path: path, real: path, rotate: r}
	o.tidy(t.Context())
	if text, err := os.ReadFile(secret); err != nil || string(text) != "root:x\n" {
		t.Errorf("%q, %v", text, err)
	}
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		name := filepath.Join(folder, entry.Name())
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || entry.Type()&os.ModeSymlink != 0 {
			continue
		}
		if strings.Contains(string(content(t, name)), "root:x") && name != path+".20260103T000000.000000Z" {
			t.Errorf("%s has the secret", name)
		}
	}
}

// While the gateway runs somebody puts a link in the log's place: no line goes there, nobody is refused, and once the
// link is gone the log goes on.
func TestLinkInTheLogsPlace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give links to others")
	}
	folder, own := t.TempDir(), t.TempDir()
	if err := os.Chmod(folder, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	path, secret := filepath.Join(folder, "decisions.log"), filepath.Join(own, "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	said := make(chan error, 10)
	l := open(t, Config{File: path, Patience: time.Minute, OnTrouble: func(err error) { said <- err }})
	if err := l.Refusal(full()); err != nil {
		t.Fatal(err)
	}
	os.Remove(path) // as root does by mistake
	if err := os.Symlink(secret, path); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(path, 54321, 54321); err != nil {
		t.Fatal(err)
	}
	if err := l.Refusal(full()); err == nil || l.Ready() {
		t.Errorf("refused on a line behind a stranger's link: %v", err)
	}
	if err := <-said; err == nil || !strings.Contains(err.Error(), "is not followed") {
		t.Errorf("said %v", err)
	}
	os.Remove(path)
	l.Decision(full())
	if err := <-said; err != nil {
		t.Errorf("said %v", err)
	}
	if err := l.Refusal(full()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(secret); err != nil || len(text) > 0 {
		t.Errorf("%q, %v", text, err)
	}
}
