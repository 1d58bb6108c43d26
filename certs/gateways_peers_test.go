//go:build peers

package certs

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"

	"gate421/certs/storagetest"
)

// gatewayVariable has what a child process needs to be a gateway.
const gatewayVariable = "GATE421_CERTS_GATEWAY"

// gatewayConfig is the configuration of a child process.
type gatewayConfig struct {
	CA, Root, Folder, Storage string
	Hosts                     []string
	HTTP, HTTPS               int
}

// TestPeersGatewayProcess is no test: it is the gateway that the other one starts, and ends when it is killed.
func TestPeersGatewayProcess(t *testing.T) {
	var config gatewayConfig
	if os.Getenv(gatewayVariable) == "" {
		return
	}
	if err := json.Unmarshal([]byte(os.Getenv(gatewayVariable)), &config); err != nil {
		t.Fatal(err)
	}
	certs, err := Open(t.Context(), Config{Source: SourceACME, Hosts: config.Hosts,
		CAs: []CA{{Directory: config.CA, Root: config.Root}}, Folder: config.Folder,
		Storage: config.Storage, HTTPPort: config.HTTP, HTTPSPort: config.HTTPS,
		OnEvent: func(e Event) {
			fmt.Printf("%s %s %v %s\n", time.Now().Format("15:04:05.0"), e.Kind, e.Hosts,
				e.Error)
		}})
	if err != nil {
		t.Fatal(err)
	}
	web, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", config.HTTP))
	if err != nil {
		t.Fatal(err)
	}
	secure, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", config.HTTPS))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(gatewayListens)
	go http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, own := certmagic.GetACMEChallenge(r.Host); r.URL.Path == "/own" && own {
			fmt.Fprint(w, "own")
			return
		}
		if !certs.Challenge(w, r) {
			http.NotFound(w, r)
		}
	}))
	if err := certs.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{GetCertificate: certs.GetCertificate, NextProtos: []string{"http/1.1", "acme-tls/1"}}
	for {
		conn, err := secure.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer conn.Close()
			if tls.Server(conn, server).Handshake() == nil {
				_, _ = io.Copy(io.Discard, conn)
			}
		}()
	}
}

// gatewayListens is what the process says when clients can connect.
const gatewayListens = "listening"

// gateway is such a process, and what came of the handshakes with it.
type gateway struct {
	t      *testing.T
	config gatewayConfig

	mu      sync.Mutex
	process *exec.Cmd // nil: it is down
	life    int       // counts starts
	served  map[string]*x509.Certificate
}

// start starts the process and waits until clients can connect.
func (g *gateway) start() {
	g.t.Helper()
	config, err := json.Marshal(g.config)
	if err != nil {
		g.t.Fatal(err)
	}
	process := exec.Command(os.Args[0], "-test.run=^TestPeersGatewayProcess$", "-test.timeout=0")
	process.Env = append(os.Environ(), gatewayVariable+"="+string(config))
	process.Stderr = os.Stderr
	said, err := process.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		g.t.Fatal(err)
	}
	listens := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(said); lines.Scan(); {
			if lines.Text() == gatewayListens {
				close(listens)
			}
			if os.Getenv("GATE421_PEERS_VERBOSE") != "" {
				fmt.Println(filepath.Base(g.config.Folder), lines.Text())
			}
		}
	}()
	select {
	case <-listens:
	case <-time.After(6 * patience):
		_ = process.Process.Kill()
		g.t.Fatalf("%s does not listen after %v", filepath.Base(g.config.Folder), 6*patience)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.process, g.life, g.served = process, g.life+1, make(map[string]*x509.Certificate)
}

func (g *gateway) kill() {
	g.mu.Lock()
	process := g.process
	g.process = nil
	g.mu.Unlock()
	if process != nil {
		_ = process.Process.Kill()
		_ = process.Wait()
	}
}

func (g *gateway) up() (life int, up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.life, g.process != nil
}

// shake makes a handshake and reports whether it was answered. It is an error only if the host was answered before in
// the same life of the gateway.
func (g *gateway) shake(host string, roots *x509.CertPool) (bool, error) {
	life, up := g.up()
	if !up {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: &tls.Config{ServerName: host, RootCAs: roots}}).DialContext(ctx, "tcp",
		fmt.Sprintf("127.0.0.1:%d", g.config.HTTPS))
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		defer conn.Close()
		if g.life == life {
			g.served[host] = conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		}
		return true, nil
	}
	if g.process == nil || g.life != life || g.served[host] == nil {
		return false, nil
	}
	return false, fmt.Errorf("%s %s: %w", filepath.Base(g.config.Folder), host, err)
}

// servesAll waits until the gateway has answered for every host with a certificate that runs out after that.
func (g *gateway) servesAll(within time.Duration, after time.Time) {
	g.t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		n := 0
		g.mu.Lock()
		for _, cert := range g.served {
			if cert.NotAfter.After(after) {
				n++
			}
		}
		g.mu.Unlock()
		if n == len(g.config.Hosts) {
			g.t.Logf("%s serves all after %v", filepath.Base(g.config.Folder),
				time.Since(start).Round(100*time.Millisecond))
			return
		}
		if time.Since(start) > within {
			g.t.Fatalf("%s: got %d hosts served, want %d", filepath.Base(g.config.Folder), n, len(g.config.Hosts))
		}
	}
}

// validates asks as an authority does and says what is wrong with the answer.
func (g *gateway) validates(host, token, kind string) string {
	if kind == acme.ChallengeTypeTLSALPN01 {
		config := &tls.Config{ServerName: host, InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}}
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.config.HTTPS), config)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		if leaf := conn.ConnectionState().PeerCertificates[0]; !slices.Equal(leaf.DNSNames, []string{host}) ||
			len(leaf.Extensions) < 2 {
			return "not the challenge certificate"
		}
		return ""
	}
	if body := g.ask(host, "/.well-known/acme-challenge/"+token); !strings.HasPrefix(body, token+".") {
		return fmt.Sprintf("answered %q", body)
	}
	return ""
}

func (g *gateway) ask(host, path string) string {
	r, err := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d%s", g.config.HTTP, path), nil)
	if err != nil {
		return err.Error()
	}
	r.Host, r.Close = host, true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return answer.Status
	}
	return string(body)
}

func TestPeersThreeGateways(t *testing.T) {
	const hosts, gateways = 12, 3
	server := storagetest.StartServer(t, freePort(t))
	ca := newFakeCA(t)
	list := make([]string, hosts)
	for i := range list {
		list[i] = fmt.Sprintf("shop%d.example", i)
	}
	all := make([]*gateway, gateways)
	for i := range all {
		all[i] = &gateway{t: t, config: gatewayConfig{CA: ca.server.URL + "/directory", Root: ca.rootFile(),
			Storage: "redis://" + server.Address(),
			Folder:  filepath.Join(t.TempDir(), fmt.Sprintf("gateway%d", i)), Hosts: list,
			HTTP:  freePort(t),
			HTTPS: freePort(t)}}
		t.Cleanup(all[i].kill)
	}
	var validations int
	var killed *gateway
	ca.validate = func(host, token string) string { // one at a time
		validations++
		for _, g := range all {
			if _, up := g.up(); !up {
				continue
			}
			if validations == 3 && g.ask(host, "/own") == "own" {
				killed = g
				g.kill()
				t.Logf("%s killed while it has the lock of %s", filepath.Base(g.config.Folder), host)
				return "it is gone"
			}
		}
		for _, g := range all {
			if _, up := g.up(); up {
				if wrong := g.validates(host, token, ca.offers); wrong != "" {
					t.Errorf("%s, asked about %s: got %s, want the challenge answered", filepath.Base(g.config.Folder),
						host, wrong)
					return wrong
				}
			}
		}
		return ""
	}

	// A third of the handshakes each, all the time.
	var shaking sync.WaitGroup
	var handshakes, failures atomic.Int64
	stop := make(chan struct{})
	for _, g := range all {
		shaking.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(3 * time.Millisecond):
				}
				done, err := g.shake(list[i%hosts], ca.pool())
				if done {
					handshakes.Add(1)
				}
				if err != nil {
					failures.Add(1)
					t.Error(err)
				}
			}
		})
	}
	defer shaking.Wait()
	defer close(stop)
	issued := func(when string, each int) {
		t.Helper()
		for host, n := range ca.issued() {
			if n != each {
				t.Errorf("%s: got %d certificates for %s, want %d", when, n, host, each)
			}
		}
		t.Logf("%s: %d hosts have %d each, %d handshakes, %d failed", when, len(ca.issued()), each, handshakes.Load(),
			failures.Load())
	}

	for _, g := range all {
		g.start()
	}
	for _, g := range all {
		waitUp(g)
	}
	ca.mu.Lock()
	gone := killed
	ca.mu.Unlock()
	if gone == nil {
		t.Fatal("no gateway was killed, want one")
	}
	issued("one killed while ordering", 1)
	gone.start()
	gone.servesAll(patience, time.Time{})

	server.Signal(syscall.SIGSTOP)
	time.Sleep(6 * time.Second)
	all[0].kill()
	all[0].start() // with its own copy alone
	all[0].servesAll(patience, time.Time{})
	server.Signal(syscall.SIGCONT)
	time.Sleep(time.Second)
	issued("the server stood still", 1)

	server.Kill()
	all[1].kill()
	all[1].start()
	all[1].servesAll(patience, time.Time{})
	server.Start()
	time.Sleep(3 * followEvery)
	for _, g := range all {
		g.kill()
		g.start()
		g.servesAll(patience, time.Time{})
	}
	issued("the server was restarted and is empty", 1)

	// All three are due for renewal at once.
	writer := openRedis(t, all[0].config.Storage)
	for _, host := range list {
		certPEM, keyPEM := ca.pairUntil(t, time.Now().Add(5*24*time.Hour), host)
		storePair(t, writer, (&certmagic.ACMEIssuer{CA: all[0].config.CA}).IssuerKey(), host, certPEM, keyPEM)
	}
	for _, g := range all {
		g.kill()
	}
	ca.mu.Lock()
	ca.offers = acme.ChallengeTypeTLSALPN01
	ca.mu.Unlock()
	for _, g := range all {
		g.start()
	}
	for _, g := range all {
		g.servesAll(6*patience, time.Now().Add(10*24*time.Hour))
	}
	issued("all due for renewal at once", 2)
}

// waitUp waits for a gateway that may be killed meanwhile.
func waitUp(g *gateway) {
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, up := g.up(); !up {
			return
		}
		g.mu.Lock()
		n := len(g.served)
		g.mu.Unlock()
		if n == len(g.config.Hosts) {
			return
		}
	}
	g.t.Errorf("got handshakes of fewer than %d hosts", len(g.config.Hosts))
}
