package storagetest

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Server is a real redis-server (or valkey-server, named by $REDIS_SERVER) on loopback, which keeps nothing on disk.
type Server struct {
	Port int

	t       *testing.T
	options []string
	process *exec.Cmd
	output  bytes.Buffer
}

// StartServer starts a server on a port with more options, and has it killed at the end of the test.
func StartServer(t *testing.T, port int, options ...string) *Server {
	t.Helper()
	s := &Server{Port: port, t: t, options: options}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Start starts the server, also after Kill, and waits until it can be used.
func (s *Server) Start() {
	s.t.Helper()
	args := []string{"--port", fmt.Sprint(s.Port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.t.TempDir()}
	s.process = exec.Command(cmp.Or(os.Getenv("REDIS_SERVER"), "redis-server"), append(args, s.options...)...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		reply, err := s.ping()
		if err == nil && !strings.Contains(reply, "LOADING") {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server does not answer: %q, %v", reply, err)
		}
	}
}

func (s *Server) ping() (reply string, err error) {
	conn, err := net.Dial("tcp", s.Address())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

// Address is where it listens, host:port.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// Kill ends the server at once, and waits for that.
func (s *Server) Kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// Signal sends the process a signal.
func (s *Server) Signal(signal os.Signal) {
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Error(err)
	}
}

// FreePort finds a port below those that systems give to outgoing connections: nobody takes it meanwhile.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
