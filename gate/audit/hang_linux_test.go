package audit

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whoever asks for the file to be opened anew while a write hangs, here in a pipe that nobody reads, is not held up by
// it.
func TestReopenWhileAWriteHangs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "decisions.log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	idle, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	l, err := Open(Config{File: path, Patience: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 * 64 { // a pipe has 64 KiB
		l.Decision(full())
	}
	until(t, "the write hangs", func() bool { return l.Refusal(full()) != nil })
	answered := make(chan error, 1)
	go func() { answered <- l.Reopen() }()
	select {
	case err := <-answered:
		if err == nil || !strings.Contains(err.Error(), "hangs") {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Reopen waits for the write")
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	go func() {
		for some := make([]byte, 1<<16); ; {
			if _, err := reader.Read(some); err != nil {
				return
			}
		}
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
