package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gate421/certs/localca"

	"gate421/certs/storagetest"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// hasModes is false where file modes are made up from a read-only bit.
const hasModes = runtime.GOOS != "windows"

func TestMain(m *testing.M) {
	if os.Getenv(helperKey) != "" {
		help()
	}
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		// The default. These tests wait far more than they compute.
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m,
		// Ends by itself within 5 s of its lock file's disappearance, and touches nothing after that.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		// One for each authority and account that the process has ever used.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		// The test authority has no end.
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))
}

// ports are those that freePort has given to a test of this process.
var ports sync.Map

// freePort finds a port that no other test has.
func freePort(t testing.TB) int {
	t.Helper()
	for {
		port := storagetest.FreePort(t)
		if _, taken := ports.LoadOrStore(port, true); !taken {
			return port
		}
	}
}

// recorder is a Config.OnEvent that tests wait on.
type recorder chan Event

func newRecorder() recorder { return make(recorder, 1000) }

func (r recorder) onEvent(e Event) { r <- e }

// wait returns the next event of that kind and drops those before it.
func (r recorder) wait(t *testing.T, kind string) Event {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-r:
			if e.Kind == kind {
				return e
			}
			t.Logf("dropped %+v", e)
		case <-deadline:
			t.Fatalf("no event of kind %q within %v", kind, patience)
		}
	}
}

// rest has the events that nobody waited for.
func (r recorder) rest() []Event {
	var list []Event
	for {
		select {
		case e := <-r:
			list = append(list, e)
		default:
			return list
		}
	}
}

func kinds(events []Event) []string {
	list := []string{}
	for _, e := range events {
		list = append(list, e.Kind)
	}
	return list
}

func mustOpen(t *testing.T, c Config) *Certificates {
	t.Helper()
	certs, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := certs.Close(); err != nil {
			t.Error(err)
		}
	})
	return certs
}

// handshake makes one over loopback and returns what each side saw.
func handshake(t *testing.T, certs *Certificates, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		server := &tls.Config{GetCertificate: certs.GetCertificate,
			NextProtos: []string{"h2", "http/1.1", "acme-tls/1"}}
		_ = tls.Server(conn, server).Handshake()
	}()
	dialer := &net.Dialer{Timeout: patience}
	conn, err := tls.DialWithDialer(dialer, "tcp", listener.Addr().String(), client)
	if err != nil {
		listener.Close()
		<-done
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	<-done
	return conn.ConnectionState(), nil
}

// served is the certificate a client that asks for name gets, unchecked.
func served(t *testing.T, certs *Certificates, name string) *x509.Certificate {
	t.Helper()
	state, err := handshake(t, certs, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("%q: got %v, want a certificate", name, err)
	}
	return state.PeerCertificates[0]
}

// testCA signs what tests ask for.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t testing.TB) *testCA {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "ca")
	if _, err := localca.Open(folder, func(*x509.Certificate, string) {}); err != nil {
		t.Fatal(err)
	}
	return readTestCA(t, folder)
}

// readTestCA has the key of a local authority's folder.
func readTestCA(t testing.TB, folder string) *testCA {
	t.Helper()
	block := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		return block.Bytes
	}
	ca := new(testCA)
	var err error
	if ca.cert, err = x509.ParseCertificate(block("root.pem")); err != nil {
		t.Fatal(err)
	}
	if ca.key, err = x509.ParseECPrivateKey(block("root.key")); err != nil {
		t.Fatal(err)
	}
	return ca
}

func (ca *testCA) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

func (ca *testCA) sign(t testing.TB, public any, until time.Time, names ...string) []byte {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    until.Add(-30 * 24 * time.Hour),
		NotAfter:     until,
		DNSNames:     names,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, public, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// pair makes a certificate good for a month and its key, both PEM.
func (ca *testCA) pair(t testing.TB, names ...string) (certPEM, keyPEM []byte) {
	t.Helper()
	return ca.pairUntil(t, time.Now().Add(29*24*time.Hour), names...)
}

func (ca *testCA) pairUntil(t testing.TB, until time.Time, names ...string) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return ca.sign(t, key.Public(), until, names...), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// files writes a pair to folder/name.pem and folder/name.key.
func (ca *testCA) files(t testing.TB, folder, name string, names ...string) Pair {
	t.Helper()
	certPEM, keyPEM := ca.pair(t, names...)
	return writePair(t, folder, name, certPEM, keyPEM)
}

func writePair(t testing.TB, folder, name string, certPEM, keyPEM []byte) Pair {
	t.Helper()
	pair := Pair{Cert: filepath.Join(folder, name+".pem"), Key: filepath.Join(folder, name+".key")}
	replace(t, pair.Cert, certPEM)
	replace(t, pair.Key, keyPEM)
	return pair
}

// replace writes to a temporary name and renames, as careful programs do.
func replace(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
