//go:build peers

package peers

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that is not measured. It is only there so that a hang has an end and a name.
const patience = 90 * time.Second

// process is a server that a test started. What it says is kept, and shown when the test fails.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended and cmd.ProcessState is set

	mu    sync.Mutex
	said  []string
	heard chan struct{} // closed and replaced with every line
}

// start starts a program and returns when a line that holds ready was said, on stdout or stderr. The test's end ends
// it.
func start(t *testing.T, ready, program string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(program), cmd: exec.Command(program, args...), ended: make(chan struct{}), heard: make(chan struct{})}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = write, write
	err = p.cmd.Start()
	write.Close()
	if err != nil {
		read.Close()
		t.Fatal(err)
	}
	go p.listen(read)
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.end(t)
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, p.text())
		}
	})
	p.await(t, ready)
	return p
}

func (p *process) listen(read *os.File) {
	defer read.Close()
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		p.mu.Lock()
		p.said = append(p.said, lines.Text())
		close(p.heard)
		p.heard = make(chan struct{})
		p.mu.Unlock()
	}
}

// await returns the first line that holds text.
func (p *process) await(t *testing.T, text string) string {
	t.Helper()
	limit := time.After(patience)
	for {
		p.mu.Lock()
		said, heard := p.said, p.heard
		p.mu.Unlock()
		for _, line := range said {
			if strings.Contains(line, text) {
				return line
			}
		}
		select {
		case <-heard:
		case <-p.ended:
			t.Fatalf("%s ended (%v) before it said %q:\n%s", p.name, p.cmd.ProcessState, text, p.text())
		case <-limit:
			t.Fatalf("%s did not say %q:\n%s", p.name, text, p.text())
		}
	}
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said, "\n")
}

// stop asks the process to end and requires that it does so with exit code 0.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	p.wait(t)
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("%s: %v after SIGTERM", p.name, p.cmd.ProcessState)
	}
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s: %v: %v", p.name, s, err)
	}
}

// wait waits until the process has ended.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("%s did not end", p.name)
	}
}

// end ends what is still running: gently, because servers have workers to take along, and then by force.
func (p *process) end(t *testing.T) {
	select {
	case <-p.ended:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
		t.Errorf("%s had to be killed", p.name)
	}
}

// output runs a client to its end and returns what it said on stdout. Any other exit code than 0 fails the test.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := run(t, program, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(program), args, err, out)
	}
	return out
}

// run is output for clients that may fail.
func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, trouble strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &trouble
	err := cmd.Run()
	if err != nil && trouble.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(trouble.String()))
	}
	return out.String(), err
}

// freePort finds a port for a server that cannot choose one itself. It lies below those that the system gives to
// others.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
