//go:build unix

package origin

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFolderLinks(t *testing.T) {
	root, url := site(t, "sub/b.txt")
	outside := filepath.Join(filepath.Dir(root), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret.txt"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"inside":          "sub/b.txt",
		"inside-dir":      "sub",
		"whole":           filepath.Join(root, "sub", "b.txt"),
		"whole-dir":       filepath.Join(root, "sub"),
		"whole-chain":     "whole-dir/../whole",
		"whole-top":       root,
		"absolute":        filepath.Join(outside, "secret.txt"),
		"relative":        "../outside/secret.txt",
		"folder":          "../outside",
		"loop":            "loop",
		"dangling":        "missing",
		"device":          "/dev/null",
		"sub/index.html":  "../../outside/secret.txt",
		"back-and-inside": "../site/a.txt",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	g := open(t, Config{Servers: []string{url}}, false)
	for path, want := range map[string]int{
		"/inside": 200, "/inside-dir/b.txt": 200,
		"/absolute": 404, "/relative": 404, "/folder": 404, "/folder/": 404, "/folder/secret.txt": 404, "/loop": 404, "/dangling": 404, "/device": 404,
		"/sub/": 404, "/whole": 200, "/whole-dir": 301, "/whole-dir/b.txt": 200, "/whole-chain": 200, "/back-and-inside": 200,
		"/whole-top/": 200, "/whole-top/whole-top/sub/b.txt": 200, "/whole-top/absolute": 404, "/whole-dir/../folder/secret.txt": 404,
	} {
		if answer := g.get(t, path); answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, answer.Status, want)
		}
	}
}

// A name with a colon is not the scheme of a redirect.
func TestFolderRedirectWithColon(t *testing.T) {
	_, url := site(t, "javascript:x/index.html")
	g := open(t, Config{Servers: []string{url}}, false)
	if answer := g.get(t, "/javascript:x"); answer.StatusCode != 301 ||
		answer.Header.Get("Location") != "./javascript:x/" {
		t.Errorf("%s to %q", answer.Status, answer.Header.Get("Location"))
	}
}

// Opening a pipe waits for whoever writes to it.
func TestFolderPipeDoesNotHang(t *testing.T) {
	root, url := site(t, "sub/b.txt")
	for _, name := range []string{"pipe", "sub/index.html"} {
		if err := syscall.Mkfifo(filepath.Join(root, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("pipe", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	g := open(t, Config{Servers: []string{url}}, false)
	for _, path := range []string{"/pipe", "/link", "/sub/"} {
		if answer := g.get(t, path); answer.StatusCode != 404 {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
}
