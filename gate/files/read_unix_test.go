//go:build unix

package files

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	folder, err := os.MkdirTemp("", "file") // short: a socket's path has few bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	at := func(name string) string { return filepath.Join(folder, name) }
	for name, size := range map[string]int64{"empty": 0, "most": 1 << 20, "more": 1<<20 + 1, "huge": 2 << 30} {
		f, err := os.Create(at(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, to := range map[string]string{"link": "most", "dangling": "nothing", "loop": "loop", "link to pipe": "pipe"} {
		if err := os.Symlink(to, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		at("empty"): "", at("most"): "", at("link"): "",
		at("more"): "is too large: more than 1024 KiB", at("huge"): "is too large: more than 1024 KiB",
		at("pipe"): "is a pipe, not a file", at("link to pipe"): "is a pipe, not a file",
		folder: "is a folder, not a file", "/dev/zero": "is a device, not a file",
		at("dangling"): "no such file or directory", at("loop"): "too many levels of symbolic links", at("empty/x"): "not a directory",
	} {
		content, err := Read(path, 1<<20)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v, want it read", path, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || content != nil):
			t.Errorf("%s: %d bytes, %v; want %q", path, len(content), err, want)
		}
	}
	if content, err := Read(at("socket"), 1<<20); err == nil {
		t.Errorf("a socket: %d bytes, want an error", len(content))
	}
}
