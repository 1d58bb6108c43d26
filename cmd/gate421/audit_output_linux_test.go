package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// --output replaces files and nothing else: a link still leads to its file, and a pipe or a device is written to.
func TestAuditReportOutput(t *testing.T) {
	log, _ := decisionsLog(t)
	folder := t.TempDir()
	file, link, pipe := filepath.Join(folder, "file"), filepath.Join(folder, "link"), filepath.Join(folder, "pipe")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	end, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	works(t, "audit", "report", log, "--json", "-o", link)
	works(t, "audit", "report", log, "--json", "-o", pipe)
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "{") {
		t.Errorf("the link's file: %q %v", text, err)
	}
	for path, kind := range map[string]os.FileMode{link: os.ModeSymlink, pipe: os.ModeNamedPipe} {
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() != kind {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
	if info, err := os.Lstat(pipe); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		return // there is nothing to read
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(end, first); err != nil || first[0] != '{' {
		t.Errorf("the pipe: %q %v", first, err)
	}
}
