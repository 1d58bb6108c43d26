package front

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// receive waits for a value.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came in time")
		panic("unreachable")
	}
}

// selfSigned makes a certificate for names.
func selfSigned(t *testing.T, names ...string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// one is a Server.Certificate for one.example and two.example, and for no other name.
func one(t *testing.T) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	certificate := selfSigned(t, "one.example", "two.example")
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName == "one.example" || hello.ServerName == "two.example" {
			return certificate, nil
		}
		return nil, nil
	}
}

// deployment is a Server that serves.
type deployment struct {
	secure, plain string // addresses
	dialTo        func(address string) (net.Conn, error)
	stop          context.CancelFunc
	served        chan error
}

// open serves s on loopback addresses until the test ends. The certificates are those of one unless s has others.
func open(t *testing.T, s *Server) *deployment {
	t.Helper()
	if s.Certificate == nil {
		s.Certificate = one(t)
	}
	d := &deployment{dialTo: func(address string) (net.Conn, error) { return net.Dial("tcp", address) }}
	listeners := [2]net.Listener{}
	for i, address := range []*string{&d.secure, &d.plain} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i], *address = l, l.Addr().String()
	}
	d.serve(t, s, listeners)
	return d
}

// serve serves until the test ends.
func (d *deployment) serve(t *testing.T, s *Server, listeners [2]net.Listener) {
	ctx, stop := context.WithCancel(context.Background())
	d.stop, d.served = stop, make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		d.served <- s.Serve(ctx, listeners[0], listeners[1])
		close(ended)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
}

// tls connects over TLS with the configuration c.
func (d *deployment) tls(t *testing.T, c *tls.Config) (*tls.Conn, error) {
	t.Helper()
	c.InsecureSkipVerify = true
	raw, err := d.dialTo(d.secure)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(2 * patience))
	conn := tls.Client(raw, c)
	return conn, conn.Handshake()
}

// http1 connects to speak HTTP/1.1 by hand.
func (d *deployment) http1(t *testing.T) (*tls.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := d.tls(t, &tls.Config{ServerName: "one.example", NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// client speaks HTTP/2 or HTTP/1.1 to the https listener, whatever the URL's host.
func (d *deployment) client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return d.dialTo(d.secure)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * patience}
}

// both runs a test over HTTP/1.1 and HTTP/2.
func both(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { test(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { test(t, true) })
}

func get(t *testing.T, c *http.Client, url string) (answer *http.Response, body string) {
	t.Helper()
	answer, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// text is a handler whose response is what say returns.
func text(say func(w http.ResponseWriter, r *http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, say(w, r)) })
}

// lines is a Server.ErrorLog that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
