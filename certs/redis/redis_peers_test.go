//go:build peers

package redis

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"gate421/certs/storagetest"
)

// server is a real one that the tests also ask as its administrator.
type server struct {
	*storagetest.Server
	t *testing.T
}

func startServer(t *testing.T, options ...string) *server {
	t.Helper()
	return &server{storagetest.StartServer(t, storagetest.FreePort(t), options...), t}
}

// do sends one command.
func (s *server) do(command string, args ...any) any {
	s.t.Helper()
	conn, err := redigo.Dial("tcp", s.Address())
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

func TestPeersContract(t *testing.T) {
	server := startServer(t)
	// The user has what the documentation says and no more.
	server.do("ACL", "SETUSER", "gate421", "on", ">secret", "~gate421:*", "+@read", "+@write", "+@scripting",
		"+@connection")
	storagetest.Run(t, 8, func(t *testing.T) storagetest.Storage {
		s, warned := openStorage(t, "redis://gate421:secret@"+server.Address()+"/3")
		t.Cleanup(func() {
			if all := warned.all(); all != "" {
				t.Errorf("warned of %q, want nothing", all)
			}
		})
		return s
	})
	testListingInSteps(t, "redis://gate421:secret@"+server.Address()+"/4")
}

// selfSigned writes a certificate for localhost, and its key, into a folder.
func selfSigned(t *testing.T, folder string) (certPath, keyPath string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPath, keyPath = filepath.Join(folder, "server.pem"), filepath.Join(folder, "server.key")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := errors.Join(os.WriteFile(certPath, certPEM, 0o600), os.WriteFile(keyPath, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	return certPath, keyPath
}

func TestPeersOverTLS(t *testing.T) {
	cert, key := selfSigned(t, t.TempDir())
	port := storagetest.FreePort(t)
	startServer(t, "--tls-port", fmt.Sprint(port), "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	for address, want := range map[string]string{
		fmt.Sprintf("rediss://localhost:%d/?ca=%s", port, cert): "",
		fmt.Sprintf("rediss://localhost:%d", port):              "name its authority with ?ca=FILE",
		fmt.Sprintf("rediss://127.0.0.1:%d/?ca=%s", port, cert): "its TLS certificate is not good",
		fmt.Sprintf("redis://localhost:%d", port):               "does it want TLS",
	} {
		s, _ := openStorage(t, address)
		err := s.Store(t.Context(), "acme/x", []byte("x"))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
}

func TestPeersErrors(t *testing.T) {
	server := startServer(t)
	replica := startServer(t, "--replicaof", "127.0.0.1", fmt.Sprint(server.Port))
	server.do("ACL", "SETUSER", "gate421", "on", ">secret", "~other:*", "+@read", "+@write", "+@scripting",
		"+@connection")
	defer server.do("CONFIG", "SET", "maxmemory", "0")
	for address, want := range map[string]string{
		"redis://:wrong@" + server.Address():                       "refused",
		"redis://gate421:wrong@" + server.Address():                "refused the password",
		"redis://gate421:secret@" + server.Address():               "does not let this user do that",
		"redis://" + server.Address() + "/99":                      "no such database",
		"redis://" + replica.Address():                             "give the address of the primary",
		"rediss://" + server.Address():                             "does it speak TLS there",
		"redis://127.0.0.1:" + fmt.Sprint(storagetest.FreePort(t)): "is the address right",
	} {
		s, _ := openStorage(t, address)
		if err := s.Store(t.Context(), "acme/x", []byte("x")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
	server.do("CONFIG", "SET", "maxmemory", "1")
	s, _ := openStorage(t, "redis://"+server.Address())
	if err := s.Store(t.Context(), "acme/x", []byte("x")); err == nil || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("a server that is full: got %v, want %q", err, "maxmemory")
	}
}

// TestPeersLockOfAKilledHolderExpires has a lock expire by the server's own clock.
func TestPeersLockOfAKilledHolderExpires(t *testing.T) {
	server := startServer(t)
	a, _ := openStorage(t, "redis://"+server.Address())
	b, _ := openStorage(t, "redis://"+server.Address())
	if err := a.Lock(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	stopRenewing(a, "job")
	start := time.Now()
	if err := b.Lock(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < lockTTL-time.Second {
		t.Errorf("expired after %v, want %v", took, lockTTL)
	}
	// A living one keeps it: longer than the expiry, and through a standstill of the server that is shorter.
	for range 2 {
		server.Signal(syscall.SIGSTOP)
		time.Sleep(lockTTL / 3)
		server.Signal(syscall.SIGCONT)
		time.Sleep(lockTTL / 3)
		if ok, err := a.TryLock(t.Context(), "another job"); err != nil || !ok {
			t.Error(err)
		} else if err := a.Unlock(t.Context(), "another job"); err != nil {
			t.Error(err)
		}
		if err := b.RenewLockLease(t.Context(), "job", 0); err != nil {
			t.Error(err)
		}
	}
	if value := server.do("GET", "gate421:lock:job"); string(value.([]byte)) != b.held("job").token {
		t.Errorf("the lock's token: got %s, want %s: it was lost", value, b.held("job").token)
	}
}

func TestPeersServerStandsStill(t *testing.T) {
	const key = "certificates/ca/shop.example/shop.example.key"
	server := startServer(t)
	s, _ := openStorage(t, "redis://"+server.Address())
	ctx := t.Context()
	if err := s.Store(ctx, key, []byte("value")); err != nil {
		t.Fatal(err)
	}
	server.Signal(syscall.SIGSTOP)
	// Many hosts, one after another: if each waited for the server, this would take 100 times the timeout.
	short, cancel := context.WithTimeout(ctx, 10*timeout)
	defer cancel()
	for range 100 {
		if value, err := s.Load(short, key); err != nil || string(value) != "value" {
			t.Fatalf("load while the server stands still: got %q, %v, want the copy", value, err)
		}
	}
	if err := s.Lock(ctx, "job"); err == nil {
		t.Error("lock while the server stands still: got no error")
	}
	server.Signal(syscall.SIGCONT)
	s.endPause()
	if err := s.Store(ctx, key, []byte("value 2")); err != nil {
		t.Error(err)
	}

	// Killed and restarted: connections are made anew, at the first try, and it is empty.
	var asked sync.WaitGroup
	for range 8 {
		asked.Go(func() { _, _ = s.Load(ctx, key) })
	}
	asked.Wait()
	server.Kill()
	server.Start()
	if _, err := s.Load(ctx, key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("load after a restart: got %v, want fs.ErrNotExist", err)
	}
	if err := errors.Join(s.Lock(ctx, "job"), s.Unlock(ctx, "job")); err != nil {
		t.Error(err)
	}
}
