//go:build peers

package certs

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
)

// redisServer is a real redis-server (or valkey-server, named by $REDIS_SERVER) on loopback, which keeps nothing on disk.
type redisServer struct {
	t       *testing.T
	port    int
	options []string
	process *exec.Cmd
	said    bytes.Buffer
}

func startRedis(t *testing.T, options ...string) *redisServer {
	t.Helper()
	s := &redisServer{t: t, port: freePort(t), options: options}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	args := []string{"--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.t.TempDir()}
	s.process = exec.Command(or(os.Getenv("REDIS_SERVER"), "redis-server"), append(args, s.options...)...)
	s.process.Stdout, s.process.Stderr = &s.said, &s.said
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := redis.Dial("tcp", s.address())
		if err == nil {
			_, err = conn.Do("PING")
			conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), "LOADING") {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server: %v\n%s", err, s.said.String())
		}
	}
}

func (s *redisServer) address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *redisServer) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

func (s *redisServer) signal(what syscall.Signal) {
	if err := s.process.Process.Signal(what); err != nil {
		s.t.Error(err)
	}
}

// do asks the server as its administrator.
func (s *redisServer) do(command string, args ...any) any {
	s.t.Helper()
	conn, err := redis.Dial("tcp", s.address())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	reply, err := conn.Do(command, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply
}

func TestPeersRedisKeepsToContract(t *testing.T) {
	server := startRedis(t)
	// The user has what the documentation says and no more.
	server.do("ACL", "SETUSER", "gate421", "on", ">secret", "~gate421:*", "+@read", "+@write", "+@scripting", "+@connection")
	keepsToContract(t, 8, func(t *testing.T) kept {
		r, w := redisClient(t, "redis://gate421:secret@"+server.address()+"/3")
		t.Cleanup(func() {
			if all := w.all(); all != "" {
				t.Errorf("warned: %s", all)
			}
		})
		return r
	})
}

func TestPeersRedisOverTLS(t *testing.T) {
	ca := newTestCA(t)
	folder := t.TempDir()
	pair := ca.files(t, folder, "server", "localhost")
	root := filepath.Join(folder, "root.pem")
	replace(t, root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}))
	port := freePort(t)
	startRedis(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", pair.Cert, "--tls-key-file", pair.Key, "--tls-ca-cert-file", root, "--tls-auth-clients", "no")
	for address, want := range map[string]string{
		fmt.Sprintf("rediss://localhost:%d/?ca=%s", port, root): "",
		fmt.Sprintf("rediss://localhost:%d", port):              "name its authority with ?ca=FILE",
		fmt.Sprintf("rediss://127.0.0.1:%d/?ca=%s", port, root): "its TLS certificate is not good",
		fmt.Sprintf("redis://localhost:%d", port):               "does it want TLS",
	} {
		r, _ := redisClient(t, address)
		err := r.Store(t.Context(), "acme/x", []byte("x"))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestPeersRedisRefuses(t *testing.T) {
	server := startRedis(t)
	replica := startRedis(t, "--replicaof", "127.0.0.1", fmt.Sprint(server.port))
	server.do("ACL", "SETUSER", "gate421", "on", ">secret", "~other:*", "+@read", "+@write", "+@scripting", "+@connection")
	defer server.do("CONFIG", "SET", "maxmemory", "0")
	for address, want := range map[string]string{
		"redis://:wrong@" + server.address():           "refused",
		"redis://gate421:wrong@" + server.address():    "refused the password",
		"redis://gate421:secret@" + server.address():   "does not let this user do that",
		"redis://" + server.address() + "/99":          "no such database",
		"redis://" + replica.address():                 "give the address of the primary",
		"rediss://" + server.address():                 "does it speak TLS there",
		"redis://127.0.0.1:" + fmt.Sprint(freePort(t)): "is the address right",
	} {
		r, _ := redisClient(t, address)
		if err := r.Store(t.Context(), "acme/x", []byte("x")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", address, err)
		} else {
			t.Log(err)
		}
	}
	server.do("CONFIG", "SET", "maxmemory", "1")
	r, _ := redisClient(t, "redis://"+server.address())
	if err := r.Store(t.Context(), "acme/x", []byte("x")); err == nil || !strings.Contains(err.Error(), "maxmemory") {
		t.Error(err)
	}
}

// TestPeersRedisKilledHolder has a lock end by the server's own clock.
func TestPeersRedisKilledHolder(t *testing.T) {
	server := startRedis(t)
	a, _ := redisClient(t, "redis://"+server.address())
	b, _ := redisClient(t, "redis://"+server.address())
	if err := a.Lock(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	stopRenewing(a, "job")
	start := time.Now()
	if err := b.Lock(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < lockExpiry-time.Second || took > lockExpiry+2*time.Second {
		t.Errorf("after %v", took)
	}
	// A living one keeps it: longer than the expiry, and through a standstill of the server that is shorter.
	for range 2 {
		server.signal(syscall.SIGSTOP)
		time.Sleep(lockExpiry / 3)
		server.signal(syscall.SIGCONT)
		time.Sleep(lockExpiry / 3)
		if ok, err := a.TryLock(t.Context(), "another job"); err != nil || !ok {
			t.Error(err)
		} else if err := a.Unlock(t.Context(), "another job"); err != nil {
			t.Error(err)
		}
		if err := b.RenewLockLease(t.Context(), "job", 0); err != nil {
			t.Error(err)
		}
	}
	if value := server.do("GET", "gate421:lock:job"); string(value.([]byte)) != b.holding("job").token {
		t.Error("it was lost")
	}
}

func TestPeersRedisStandsStill(t *testing.T) {
	const key = "certificates/ca/shop.example/shop.example.key"
	server := startRedis(t)
	a, _ := redisClient(t, "redis://"+server.address())
	ctx := t.Context()
	if err := a.Store(ctx, key, []byte("value")); err != nil {
		t.Fatal(err)
	}
	server.signal(syscall.SIGSTOP)
	start := time.Now()
	for range 100 { // many hosts, one after another
		if value, err := a.Load(ctx, key); err != nil || string(value) != "value" {
			t.Errorf("%q, %v", value, err)
		}
	}
	if took := time.Since(start); took > redisPatience+time.Second {
		t.Errorf("100 reads took %v", took)
	}
	if err := a.Lock(ctx, "job"); err == nil {
		t.Error("locked")
	}
	server.signal(syscall.SIGCONT)
	time.Sleep(redisRest)
	if err := a.Store(ctx, key, []byte("value 2")); err != nil {
		t.Error(err)
	}

	// Killed and restarted: connections are made anew, at the first try, and it is empty.
	var asked sync.WaitGroup
	for range 8 {
		asked.Go(func() { _, _ = a.Load(ctx, key) })
	}
	asked.Wait()
	server.kill()
	server.start()
	if _, err := a.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a restart: %v", err)
	}
	if err := errors.Join(a.Lock(ctx, "job"), a.Unlock(ctx, "job")); err != nil {
		t.Error(err)
	}
}
