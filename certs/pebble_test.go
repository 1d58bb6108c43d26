package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// pebble is Let's Encrypt's own test authority in this process: it speaks all of RFC 8555, checks every signature and
// validates every challenge over the network.
type pebble struct {
	t      *testing.T
	server *httptest.Server
	store  *db.MemoryStore
	ca     *ca.CAImpl
	names  *nameserver

	httpPort, tlsPort int // where it comes to

	down   atomic.Bool  // it hangs up on everybody
	orders atomic.Int64 // new ones that were asked for
	watch  sync.Map     // host: func(), called when an order for it comes in
	hints  atomic.Pointer[string]

	fetched atomic.Pointer[chan struct{}] // gets one for every certificate that was handed out
}

// pebbleSetup is how the authority behaves; the zero value rejects nothing.
type pebbleSetup struct {
	rejects int // percent of the requests whose nonce is rejected
	seconds int // how long its certificates last; 0: 90 days
	binding map[string]string
}

var reading sync.Mutex

func newPebble(t *testing.T, setup pebbleSetup) *pebble {
	t.Helper()
	quiet := log.New(io.Discard, "", 0)
	p := &pebble{t: t, store: db.NewMemoryStore(), names: newNameserver(t, "example.", "invalid."),
		httpPort: freePort(t), tlsPort: freePort(t)}
	for id, key := range setup.binding {
		if err := p.store.AddExternalAccountKeyByID(id, key); err != nil {
			t.Fatal(err)
		}
	}
	p.ca = ca.New(quiet, p.store, "", "ecdsa", 0, 1,
		map[string]ca.Profile{"default": {ValidityPeriod: uint64(setup.seconds)}})
	reading.Lock() // the environment is how it is events
	for name, value := range map[string]int{"PEBBLE_VA_NOSLEEP": 1, "PEBBLE_AUTHZREUSE": 0,
		"PEBBLE_WFE_NONCEREJECT": setup.rejects} {
		if err := os.Setenv(name, strconv.Itoa(value)); err != nil {
			t.Fatal(err)
		}
	}
	front := wfe.New(quiet, p.store, va.New(quiet, p.httpPort, p.tlsPort, true, p.names.address, p.store), p.ca,
		[]string{"pebble.example"}, true, setup.binding != nil, 0, 0)
	reading.Unlock()
	handler := front.Handler()
	p.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			panic(http.ErrAbortHandler)
		}
		p.look(r)
		if hint := p.hints.Load(); hint != nil && strings.Contains(r.URL.Path, "/renewalInfo/") {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Retry-After", "1")
			_, _ = io.WriteString(w, *hint)
			return
		}
		handler.ServeHTTP(w, r)
		if fetched := p.fetched.Load(); fetched != nil && strings.HasPrefix(r.URL.Path, "/certZ/") {
			*fetched <- struct{}{}
		}
	}))
	p.server.Config.ErrorLog = quiet
	t.Cleanup(p.server.Close)
	return p
}

// look counts new orders.
func (p *pebble) look(r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/order-plz" {
		return
	}
	p.orders.Add(1)
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var signed struct{ Payload string }
	var order struct{ Identifiers []struct{ Value string } }
	if err != nil || json.Unmarshal(body, &signed) != nil {
		return
	}
	payload, _ := base64.RawURLEncoding.DecodeString(signed.Payload)
	if json.Unmarshal(payload, &order) == nil && len(order.Identifiers) > 0 {
		if then, ok := p.watch.Load(order.Identifiers[0].Value); ok {
			then.(func())()
		}
	}
}

// authority is its configuration.
func (p *pebble) authority() CA {
	path := filepath.Join(p.t.TempDir(), "root.pem")
	replace(p.t, path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))
	return CA{Directory: p.server.URL + wfe.DirectoryPath, Root: path}
}

// pool trusts what it signs.
func (p *pebble) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca.GetRootCert(0).Cert)
	return pool
}

func (p *pebble) config(t *testing.T, hosts ...string) (Config, recorder) {
	events := newRecorder()
	return Config{Source: SourceACME, Hosts: hosts, CAs: []CA{p.authority()}, Email: "owner@shop.example",
		Folder:  filepath.Join(t.TempDir(), "state"),
		OnEvent: events.onEvent, HTTPPort: p.httpPort, HTTPSPort: p.tlsPort}, events
}

// listen listens where the authority connects to, as the gateway does, with the certificates that find has for a host.
func (p *pebble) listen(t *testing.T, find func(host string) *Certificates) {
	t.Helper()
	plain, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.httpPort))
	if err != nil {
		t.Fatal(err)
	}
	challenges := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := strings.Cut(r.Host, ":")
		if certs := find(host); certs == nil || !certs.Challenge(w, r) {
			http.NotFound(w, r)
		}
	})}
	secure := listenTLS(t, p.tlsPort, func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if certs := find(hello.ServerName); certs != nil {
			return certs.GetCertificate(hello)
		}
		return nil, nil
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = challenges.Serve(plain)
	}()
	t.Cleanup(func() {
		_ = challenges.Close()
		<-ended
		secure()
	})
}

// listenTLS makes handshakes, writes one byte and closes, until stop is called.
func listenTLS(t testing.TB, port int, get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) (stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				secure := tls.Server(conn, &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
					cert, err := get(hello)
					if _, unknown := err.(UnknownHostError); unknown {
						return nil, nil // as the gateway does, for the alert unrecognized_name
					}
					return cert, err
				}, NextProtos: []string{"h2", "http/1.1", "acme-tls/1"}})
				if secure.HandshakeContext(ctx) == nil {
					_, _ = secure.Write([]byte("."))
				}
			})
		}
	})
	return func() {
		listener.Close()
		serving.Wait()
	}
}

// connect makes a handshake with a listener as a client that checks the certificate; a nil pool checks nothing.
func connect(port int, name string, pool *x509.CertPool) (*x509.Certificate, error) {
	dialer := &net.Dialer{Timeout: patience}
	conn, err := tls.DialWithDialer(dialer, "tcp", fmt.Sprintf("127.0.0.1:%d", port),
		&tls.Config{ServerName: name, RootCAs: pool, InsecureSkipVerify: pool == nil})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

// sized is a number that the environment may set for a longer test.
func sized(t testing.TB, name string, usual int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}
