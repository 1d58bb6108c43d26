package servertest

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"testing"
	"time"
)

// Transcript collects what is written, from any goroutine.
type Transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *Transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// Stdout is a standard output that ends in a file and can be full or stuck.
type Stdout struct {
	Path  string
	mu    sync.Mutex
	full  bool
	stuck chan struct{} // nil: it flows
}

func (s *Stdout) Write(p []byte) (int, error) {
	s.mu.Lock()
	full, stuck := s.full, s.stuck
	s.mu.Unlock()
	if full {
		return 0, errors.New("no space left on device")
	}
	if stuck != nil {
		<-stuck
	}
	f, err := os.OpenFile(s.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Write(p)
}

// Set makes it "full", "stuck" or "well".
func (s *Stdout) Set(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = state == "full"
	if s.stuck != nil {
		close(s.stuck)
		s.stuck = nil
	}
	if state == "stuck" {
		s.stuck = make(chan struct{})
	}
}

// FillPipe returns both ends of a pipe that takes nothing until somebody reads, and how many bytes are in it.
func FillPipe(t *testing.T) (read, write *os.File, filled int) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close(); write.Close() })
	for _, size := range []int{4096, 1} {
		for {
			write.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			n, err := write.Write(bytes.Repeat([]byte{'.'}, size))
			filled += n
			if err != nil {
				break
			}
		}
	}
	if err := write.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	return read, write, filled
}
