package origin

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// authority issues certificates; its own is in a PEM file.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(
			1,
		), Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes a server's configuration whose certificate has these names and ends then.
func (a *authority) issue(t *testing.T, ends time.Time, names ...string) *tls.Config {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		DNSNames:     names,
		NotBefore:    time.Now().Add(-2 * time.Hour),
		NotAfter:     ends,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}}
}

// secure is an https origin; it tells the name in every handshake and what was offered, and answers every request.
func secure(t *testing.T, c *tls.Config) (url string, hellos chan *tls.ClientHelloInfo) {
	t.Helper()
	hellos = make(chan *tls.ClientHelloInfo, 16)
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		hellos <- hello
		return nil, nil
	}
	return "https://" + listen(t, c, func(c net.Conn, r *bufio.Reader) {
		for head(r) != "" {
			io.WriteString(c, plainOK)
		}
	}), hellos
}

func TestHandshakeNamesTheRequestsHost(t *testing.T) {
	a := newAuthority(t)
	url, hellos := secure(t, a.issue(t, time.Now().Add(time.Hour), "shop.example", "www.example"))
	both(t, Config{Servers: []string{url}, CA: a.file}, func(t *testing.T, g *gateway) {
		var names []string
		for _, step := range []struct {
			host string
			name string // of the handshake; "": a connection is reused
		}{
			{"shop.example", "shop.example"},
			{"shop.example", ""},
			{"www.example", "www.example"},
			{"shop.example:8443", ""},
			{"SHOP.example.", ""},
			{"WWW.Example.:443", ""},
			{"www.example", ""},
		} {
			request := g.request(t, "GET", "/", nil)
			request.Host = step.host
			if answer := g.do(t, request); answer.StatusCode != 200 || content(t, answer) != "ok" {
				t.Fatalf("%q: %s", step.host, answer.Status)
			}
			receive(t, g.outcomes)
			names = nil
			for len(hellos) > 0 {
				hello := <-hellos
				names = append(names, hello.ServerName)
				if !reflect.DeepEqual(hello.SupportedProtos, []string(nil)) &&
					!reflect.DeepEqual(hello.SupportedProtos, []string{"http/1.1"}) {
					t.Errorf("%q: offers %q", step.host, hello.SupportedProtos)
				}
			}
			if step.name == "" && names != nil || step.name != "" && !reflect.DeepEqual(names, []string{step.name}) {
				t.Errorf("%q: handshakes for %q, want %q", step.host, names, step.name)
			}
		}
	})
}

func TestCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	for _, test := range []struct {
		name   string
		server *tls.Config
		c      Config
		word   string
		sni    string
	}{
		{"the host's", a.issue(t, soon, "shop.example"), Config{CA: a.file}, "", "shop.example"},
		{"the configured name's", a.issue(t, soon, "origin.example"), Config{CA: a.file, ServerName: "origin.example"}, "", "origin.example"},
		{"another host's", a.issue(t, soon, "www.example"), Config{CA: a.file}, Certificate, "shop.example"},
		{"not the configured name's", a.issue(t, soon, "shop.example"), Config{CA: a.file, ServerName: "origin.example"}, Certificate, "origin.example"},
		{"another authority's", other.issue(t, soon, "shop.example"), Config{CA: a.file}, Certificate, "shop.example"},
		{"one that the system does not know", a.issue(t, soon, "shop.example"), Config{}, Certificate, "shop.example"},
		{"an old one", a.issue(t, time.Now().Add(-time.Hour), "shop.example"), Config{CA: a.file}, Certificate, "shop.example"},
		{"any", other.issue(t, time.Now().Add(-time.Hour), "www.example"), Config{InsecureSkipVerify: true}, "", "shop.example"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, hellos := secure(t, test.server)
			test.c.Servers = []string{address}
			answer := open(t, test.c, false)
			status := answer.get(t, "/").StatusCode
			if result := receive(t, answer.outcomes); result.word() != test.word ||
				(status == 200) != (test.word == "") {
				t.Errorf("status %d, outcome %v", status, result.err)
			}
			if sni := receive(t, hellos).ServerName; sni != test.sni {
				t.Errorf("the handshake named %q", sni)
			}
		})
	}
}

func TestHandshakeThatFails(t *testing.T) {
	a := newAuthority(t)
	old := a.issue(t, time.Now().Add(time.Hour), "shop.example")
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	for _, test := range []struct{ name, url, word string }{
		{"no TLS at all", "https://" + listen(t, nil, func(c net.Conn, _ *bufio.Reader) {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			io.Copy(io.Discard, c)
		}), Garbage},
		{"the door is closed", "https://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) { r.ReadByte() }), Reset},
		{"old TLS", "https://" + listen(t, old, func(c net.Conn, r *bufio.Reader) { head(r) }), Garbage},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := open(t, Config{Servers: []string{test.url}, CA: a.file}, false)
			if answer := g.get(t, "/"); answer.StatusCode != 502 {
				t.Error(answer.Status)
			}
			if result := receive(t, g.outcomes); result.word() != test.word {
				t.Errorf("outcome %v, want %q", result.err, test.word)
			}
		})
	}
}

// Servers such as Apache answer 421 when the handshake's name is not the Host's.
func TestMisdirectedOverTLS(t *testing.T) {
	a := newAuthority(t)
	c := a.issue(t, time.Now().Add(time.Hour), "shop.example")
	names := make(chan string, 4)
	url := "https://" + listen(t, c, func(c net.Conn, r *bufio.Reader) {
		for head(r) != "" {
			names <- c.(*tls.Conn).ConnectionState().ServerName
			io.WriteString(c, "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n")
		}
	})
	both(t, Config{Servers: []string{url}, CA: a.file}, func(t *testing.T, g *gateway) {
		if answer := g.get(t, "/"); answer.StatusCode != 502 {
			t.Error(answer.Status)
		}
		if result := receive(t, g.outcomes); result.word() != Misdirected || result.status != 421 {
			t.Errorf("outcome %+v", result)
		}
		if first, second := receive(t, names), receive(t, names); first != "shop.example" || second != first {
			t.Errorf("asked as %q and %q", first, second)
		}
	})
}

// pool trusts this authority.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// pair writes a client's certificate and its key to files.
func (a *authority) pair(t *testing.T, name string) (cert, key string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(
			3,
		), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	cert, key = filepath.Join(folder, "client.pem"), filepath.Join(folder, "client.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
