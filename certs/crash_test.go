package certs

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// helperKey in the environment makes this test program a gateway's certificates and nothing else: see TestMain.
const helperKey = "GATE421_CERTS_HELPER"

// helperConfig is what a Config for it has.
type helperConfig struct {
	Host, Folder string
	CAs          []CA
	HTTPPort     int
	CheckEvery   time.Duration
}

func (h helperConfig) whole() Config {
	return Config{Source: SourceACME, Hosts: []string{h.Host}, Folder: h.Folder, CAs: h.CAs, Email: "owner@" + h.Host,
		HTTPPort: h.HTTPPort, HTTPSPort: -1,
		CheckEvery: h.CheckEvery}
}

// help opens the configuration in the environment, listens, and orders until it is killed. It says on standard output
// what became of it, one line each.
func help() {
	var part helperConfig
	fail := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	fail(json.Unmarshal([]byte(os.Getenv(helperKey)), &part))
	c := part.whole()
	c.OnEvent = func(e Event) { fmt.Println(e.Kind, e.Error) }
	certs, err := Open(context.Background(), c)
	fail(err)
	plain, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.HTTPPort))
	fail(err)
	go func() {
		fail(http.Serve(plain, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			certs.Challenge(w, r)
		})))
	}()
	// What can be served at once must be whole.
	cert, err := certs.GetCertificate(&tls.ClientHelloInfo{ServerName: c.Hosts[0]})
	if err == nil {
		fail(usable(cert))
		fmt.Println("with", cert.Leaf.SerialNumber)
	} else {
		fmt.Println("without")
	}
	fail(certs.Manage(context.Background()))
	select {}
}

// usable makes a handshake of its own with a certificate: its key belongs to it.
func usable(cert *tls.Certificate) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() { _ = tls.Client(b, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
	server := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{*cert}})
	_ = a.SetDeadline(time.Now().Add(patience))
	return server.Handshake()
}

// The program is killed at random moments of orders and renewals. Every start finds a certificate that can be used or
// orders a new one, and no half-written file is ever taken for a whole one. KILLS=200 kills as often.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := sized(t, "KILLS", 10)
	const lanes = 5
	far := farAway()
	tallies := make([]tally, lanes)
	var running sync.WaitGroup
	for lane := range lanes {
		p := newPebble(t, pebbleSetup{seconds: 2}) // due whenever it starts
		p.hints.Store(&far)
		running.Go(func() {
			tallies[lane] = killed(t, p, fmt.Sprintf("killed%d.example", lane), (kills+lanes-1)/lanes)
		})
	}
	running.Wait()
	total := tally{}
	for _, one := range tallies {
		for what, n := range one {
			total[what] += n
		}
	}
	t.Logf("the helper said: %v", total)
}

// tally counts what the helper said.
type tally map[string]int

func killed(t *testing.T, p *pebble, host string, kills int) tally {
	c := helperConfig{Host: host, Folder: t.TempDir(), CAs: []CA{p.authority()}, HTTPPort: p.httpPort,
		CheckEvery: 100 * time.Millisecond}
	ordered, fetched := make(chan struct{}, 1000), make(chan struct{}, 1000)
	p.watch.Store(host, func() { ordered <- struct{}{} })
	p.fetched.Store(&fetched)
	said := tally{}
	for range kills {
		h := startHelper(t, c, said)
		for len(ordered) > 0 {
			<-ordered
		}
		for len(fetched) > 0 {
			<-fetched
		}
		moment, within := fetched, 40 // writing what came of an order
		switch rand.IntN(4) {
		case 0: // before an order, or at its beginning
			moment, within = nil, 300
		case 1: // in the middle of one
			moment, within = ordered, 600
		}
		if moment != nil {
			select {
			case <-moment:
			case <-time.After(40 * time.Second):
				t.Fatalf("got no order within 40 s; the helper said %v", said)
			}
		}
		time.Sleep(time.Duration(rand.IntN(within*1000)) * time.Microsecond)
		h.kill(t)
		wholeFiles(t, c.Folder)
		ageLocks(t, c.Folder)
	}
	h := startHelper(t, c, said)
	select {
	case <-h.obtained:
	case <-time.After(40 * time.Second):
		t.Errorf("no certificate within 40 s in the end; the helper said %v", said)
	}
	h.kill(t)
	if said["error"] > 0 {
		t.Errorf("the helper said %v, want no error", said)
	}
	return said
}

// ageLocks makes the locks of a killed process as old as they are when certmagic takes them for abandoned, which is ten
// seconds.
func ageLocks(t *testing.T, folder string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "certificates", "locks", "*.lock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			continue // killed before it was written, which certmagic finds out by itself
		}
		if err := os.WriteFile(path, []byte(`{"created": "2020-01-01T00:00:00Z", "updated": "2020-01-01T00:00:00Z"}`),
			0o600); err != nil {
			t.Error(err)
		}
	}
}

// wholeFiles fails if a file that was not written to its end has its final name.
func wholeFiles(t *testing.T, folder string) {
	t.Helper()
	_ = filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil // a temporary name that is gone
		}
		switch filepath.Ext(path) {
		case ".crt", ".key", ".old":
			if !strings.HasSuffix(strings.TrimSpace(string(data)), "-----") {
				t.Errorf("%s: got %d bytes, want it whole", path, len(data))
			}
		case ".json":
			if !json.Valid(data) {
				t.Errorf("%s: got %d bytes, want it whole", path, len(data))
			}
		}
		return nil
	})
}

// helper is the program as a process of its own.
type helper struct {
	command  *exec.Cmd
	obtained chan struct{} // closed at the first certificate
	read     chan struct{} // closed when its last line has been read
}

func startHelper(t *testing.T, c helperConfig, said tally) *helper {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	h := &helper{command: exec.Command(os.Args[0]), obtained: make(chan struct{}), read: make(chan struct{})}
	h.command.Env = append(os.Environ(), helperKey+"="+string(text))
	out, err := h.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.command.Stderr = io.Discard
	if err := h.command.Start(); err != nil {
		t.Fatal(err)
	}
	go h.listen(t, out, said)
	return h
}

func (h *helper) listen(t *testing.T, out io.Reader, said tally) {
	defer close(h.read)
	var once sync.Once
	for lines := bufio.NewScanner(out); lines.Scan(); {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		said[what]++
		switch what {
		case "error":
			t.Errorf("the helper: got the error %s, want none", rest)
		case KindWarning, KindFailed:
			t.Logf("helper: %s", lines.Text())
		case KindObtained, KindRenewed:
			once.Do(func() { close(h.obtained) })
		}
	}
}

func (h *helper) kill(t *testing.T) {
	t.Helper()
	if err := h.command.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-h.read
	_ = h.command.Wait()
}
