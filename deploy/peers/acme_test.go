//go:build peers

package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Where the tools of these tests come from.
const (
	fromBind   = "apt-get install bind9"
	fromPebble = "go install github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1, and its folder on PATH"
)

// nameserver is BIND with the zones peers.test and led.test, whose records a key may change. It follows a CNAME from
// one to the other, and asks nobody outside.
type nameserver struct {
	*process
	address string
	keyFile string
}

func startNameserver(t *testing.T) *nameserver {
	t.Helper()
	dir := folder(t)
	n := &nameserver{address: freePort(t)}
	_, port, _ := net.SplitHostPort(n.address)
	key := output(t, tool(t, "tsig-keygen", fromBind), "-a", "hmac-sha512", "gate421-update")
	n.keyFile = write(t, filepath.Join(dir, "update.key"), []byte(key))
	if err := os.Chmod(n.keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	zone := func(name, records string) string {
		path := write(t, filepath.Join(dir, name), fmt.Appendf(nil, `$TTL 1
@ SOA ns owner 1 60 60 60 1
@ NS ns
@ A 127.0.0.1
ns A 127.0.0.1
* A 127.0.0.1
%s`, records))
		return fmt.Sprintf("zone %q { type primary; file %q; allow-update { key gate421-update; }; };\n", name, path)
	}
	config := write(t, filepath.Join(dir, "named.conf"), fmt.Appendf(nil, `
options { directory %q; listen-on port %s { 127.0.0.1; }; listen-on-v6 { none; }; recursion yes; forward only; forwarders { 127.0.0.1 port 9; }; pid-file none; session-keyfile none; dnssec-validation no; };
controls { };
%s
%s%s`, dir, port, key, zone("peers.test", ""), zone("led.test", "_acme-challenge CNAME led.peers.test.\n")))
	n.process = start(t, " running", tool(t, "named", fromBind), "-g", "-n", "1", "-c", config)
	return n
}

// pebble is Let's Encrypt's test authority as a process of its own.
type pebble struct {
	*process
	directory string
	trust     string // what its directory's own certificate is checked against
	roots     *x509.CertPool
}

// startPebble has it look names up with n and come to the ports of two addresses.
func startPebble(t *testing.T, n *nameserver, plain, secure string) *pebble {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	dir := folder(t)
	own := newAuthority(t, dir)
	cert, key := own.issue(t, "localhost")
	number := func(address string) int {
		_, port, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(port)
		return n
	}
	listen, manage := freePort(t), freePort(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage, "certificate": cert, "privateKey": key,
		"httpPort": number(plain), "tlsPort": number(secure), "keyAlgorithm": "ecdsa",
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := &pebble{trust: own.path, directory: fmt.Sprintf("https://localhost:%d/dir", number(listen)), roots: x509.NewCertPool()}
	p.process = start(t, "ACME directory available", tool(t, "pebble", fromPebble),
		"-config", write(t, filepath.Join(dir, "pebble.json"), config), "-strict", "-dnsserver", n.address)
	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(read(t, own.path))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, DisableKeepAlives: true}, Timeout: patience}
	eventually(t, "Pebble's root", func() error {
		response, err := client.Get(fmt.Sprintf("https://localhost:%d/roots/0", number(manage)))
		if err != nil {
			return err
		}
		defer response.Body.Close()
		root, err := io.ReadAll(response.Body)
		if err == nil && !p.roots.AppendCertsFromPEM(root) {
			err = fmt.Errorf("got %q", root)
		}
		return err
	})
	return p
}

// orders counts the orders that came to it.
func (p *pebble) orders() int { return strings.Count(p.text(), "/order-plz") }

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// certified is a gateway that has its certificates from an authority.
type certified struct {
	*process
	config, plain, secure string
}

func (p *pebble) gateway(t *testing.T, plain, secure, dns, hosts string) *certified {
	t.Helper()
	dir := folder(t)
	write(t, filepath.Join(dir, "www", "index.html"), []byte("hello"))
	g := &certified{plain: plain, secure: secure}
	g.config = write(t, filepath.Join(dir, "gate421.yaml"), fmt.Appendf(nil, `
listen: {https: %q, http: %q}
admin: ""
state: %q
certificates: {email: owner@peers.test, ca: {directory: %q, root: %q}, dns: %s}
verify: {resolver: "127.0.0.1:9", ranges: embedded}
log: {file: %q}
sites:
  - {hosts: %s, origin: "file:%s", http2_crawl: refuse}
`, secure, plain, filepath.Join(dir, "state"), p.directory, p.trust, dns, filepath.Join(dir, "decisions.json"), hosts, filepath.Join(dir, "www")))
	return g
}

func (g *certified) start(t *testing.T) {
	t.Helper()
	g.process = start(t, "serving https on ", program(t), "run", "--config", g.config)
}

// visit checks the certificate that a name gets, and that it is for that name.
func (g *certified) visit(name string, roots *x509.CertPool) (*x509.Certificate, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", g.secure, &tls.Config{ServerName: name, RootCAs: roots})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// Wildcards, an international name and a zone that only a CNAME leads to, through a real name server.
func TestCertificatesThroughDNS(t *testing.T) {
	n := startNameserver(t)
	plain, secure := freePort(t), freePort(t)
	p := startPebble(t, n, plain, secure)
	dns := fmt.Sprintf("{provider: rfc2136, server: %q, key_file: %q, resolvers: [%q]}", n.address, n.keyFile, n.address)
	for _, test := range []struct{ dns, hosts, visit string }{
		{dns, `[peers.test, "*.peers.test", "bücher.peers.test"]`, "peers.test www.peers.test xn--bcher-kva.peers.test"},
		{strings.Replace(dns, "{", "{delegated_to: led.peers.test, ", 1), `["*.led.test", led.test]`, "any.led.test led.test"},
	} {
		g := p.gateway(t, plain, secure, test.dns, test.hosts)
		output(t, program(t), "check", "--config", g.config)
		g.start(t)
		for name := range strings.FieldsSeq(test.visit) {
			eventually(t, name, func() error {
				_, err := g.visit(name, p.roots)
				return err
			})
		}
		g.await(t, "which accepts its terms")
		if _, err := g.visit("foreign.example", p.roots); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("a foreign name: %v", err)
		}
		g.stop(t)
	}
	for _, name := range []string{"_acme-challenge.peers.test", "led.peers.test", "_acme-challenge.led.test"} {
		if left, err := (&net.Resolver{PreferGo: true, Dial: n.dial}).LookupTXT(t.Context(), name); err == nil && len(left) > 0 {
			t.Errorf("left in DNS at %s: %q", name, left)
		}
	}
}

// The program is killed in the middle of its orders, and always starts with what it has or orders it. KILLS=200 kills
// as often.
func TestCertificatesOfTheKilled(t *testing.T) {
	kills := 5
	if more, err := strconv.Atoi(os.Getenv("KILLS")); err == nil {
		kills = more
	}
	n := startNameserver(t)
	plain, secure := freePort(t), freePort(t)
	p := startPebble(t, n, plain, secure)
	g := p.gateway(t, plain, secure, "null", "[a.peers.test, b.peers.test, c.peers.test]")
	for range kills {
		g.start(t)
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
		g.signal(t, syscall.SIGKILL)
		g.wait(t)
	}
	g.start(t)
	for _, name := range []string{"a.peers.test", "b.peers.test", "c.peers.test"} {
		eventually(t, name, func() error {
			_, err := g.visit(name, p.roots)
			return err
		})
	}
	g.stop(t)
	before := p.orders()
	g.start(t)
	for _, name := range []string{"a.peers.test", "b.peers.test", "c.peers.test"} {
		if _, err := g.visit(name, p.roots); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	g.stop(t)
	if after := p.orders(); after != before {
		t.Errorf("%d orders at a start with all certificates there", after-before)
	}
}

// dial leads a resolver to the name server.
func (n *nameserver) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, n.address)
}
