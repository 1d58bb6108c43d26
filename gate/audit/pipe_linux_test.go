package audit

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// reader is somebody who reads a pipe.
type reader struct {
	*os.File
	mu    sync.Mutex
	got   bytes.Buffer
	ended chan struct{}
}

func readPipe(t *testing.T, path string) *reader {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{File: f, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		for some := make([]byte, 1<<16); ; {
			n, err := f.Read(some)
			r.mu.Lock()
			r.got.Write(some[:n])
			r.mu.Unlock()
			if err == io.EOF { // nobody has it open for writing yet
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil {
				return
			}
		}
	}()
	return r
}

func (r *reader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.String()
}

func (r *reader) leave() { r.Close(); <-r.ended }

// A pipe that nobody reads takes no line, however often it is tried, and nobody is refused; the gateway starts all the
// same. With a reader the lines that waited come, and refusals; when that leaves, it is as before; with the next one
// again.
func TestPipeWithoutAReader(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "decisions.log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var said []string
	l := open(t, Config{File: path, Patience: 5 * time.Second, OnTrouble: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			said = append(said, "again")
		} else {
			said = append(said, "no: "+err.Error())
		}
	}})
	heard := func() []string { mu.Lock(); defer mu.Unlock(); return append([]string{}, said...) }
	served := full()
	served.Action = "serve"
	for turn := range 3 {
		for range 10 {
			l.Decision(served)
		}
		until(t, "the write fails", func() bool { return l.Stats().Failures > uint64(turn) })
		failures := l.Stats().Failures
		until(t, "it is tried again", func() bool { return l.Stats().Failures > failures+1 })
		if l.Ready() || l.Refusal(full()) == nil {
			t.Fatalf("turn %d: refused on a line that nobody reads", turn)
		}
		if got := heard(); len(got) != 2*turn+1 || !strings.HasPrefix(got[2*turn], "no: ") {
			t.Fatalf("turn %d: said %q", turn, got)
		}
		r := readPipe(t, path)
		until(t, "it takes lines again", l.Ready)
		refusal := full()
		if err := l.Refusal(refusal); err != nil {
			t.Fatalf("turn %d: %v", turn, err)
		}
		until(t, "the lines arrive", func() bool {
			return strings.Count(r.text(), `"action":"refuse"`) == 1 &&
				strings.Count(r.text(), `"action":"serve"`) >= 10
		})
		r.leave()
	}
	if got := heard()[0]; !strings.Contains(got, "a pipe that nobody reads") {
		t.Errorf("said %q", got)
	}
}

// A reader that has stopped reading: once the pipe is full nobody is refused; when it goes on, all that waited comes.
func TestPipeWithAReaderThatStops(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "decisions.log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	stopped, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, Config{File: path, Patience: 20 * time.Millisecond})
	const many = 4 * 64 // a pipe has 64 KiB
	for range many {
		l.Decision(full())
	}
	until(t, "the write hangs", func() bool { return l.Refusal(full()) != nil })
	if l.Ready() {
		t.Error("ready, though the pipe is full")
	}
	r := readPipe(t, path)
	stopped.Close()
	until(t, "all lines arrive", func() bool { return strings.Count(r.text(), "\n") >= many && l.Ready() })
	r.leave()
}

// What nobody keeps is no log, whatever it is called: refusing needs one, serving does not.
func TestLogThatKeepsNothing(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	link := filepath.Join(t.TempDir(), "decisions.log")
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{{File: "-", Stdout: null}, {File: os.DevNull}, {File: link}} {
		var said []error
		c.Patience, c.OnTrouble = time.Minute, func(err error) { said = append(said, err) }
		l, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if l.Refusal(full()) == nil || l.Ready() {
				t.Fatalf("%q: refused on a line that nobody keeps", c.File)
			}
			l.Decision(full())
		}
		until(t, "the lines are written", func() bool { return l.Stats().QueueLines == 0 })
		if err := l.Close(); err != nil || len(said) != 1 || said[0] == nil ||
			!strings.Contains(said[0].Error(), "keeps nothing") {
			t.Errorf("%q: %v, said %v", c.File, err, said)
		}
	}
}

// A log's path that turns into a device that keeps nothing, and back.
func TestLogTurnsIntoNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	l := open(t, Config{File: path, Patience: time.Minute})
	for range 3 {
		if err := l.Refusal(full()); err != nil {
			t.Fatal(err)
		}
		os.Remove(path)
		if err := os.Symlink(os.DevNull, path); err != nil {
			t.Fatal(err)
		}
		if err := l.Refusal(full()); err == nil || l.Ready() {
			t.Fatalf("refused on a line in %s: %v", os.DevNull, err)
		}
		os.Remove(path)
		l.Decision(full())
		until(t, "the log is a file again", l.Ready)
	}
}

func TestLogIsASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if l, err := Open(Config{File: path}); err == nil || !strings.Contains(err.Error(), "is a socket") {
		t.Errorf("%v %v", l, err)
	}
}
