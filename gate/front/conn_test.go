package front

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

func TestCovers(t *testing.T) {
	t.Parallel()
	pair, single := selfSigned(t, "one.example", "two.example", "*.wild.example"), selfSigned(t, "single.example")
	d := open(t, &Server{
		Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "single.example" || hello.ServerName == "odd.example" {
				return single, nil
			}
			return pair, nil
		},
		Handler: text(func(_ http.ResponseWriter, r *http.Request) string {
			var said strings.Builder
			for _, host := range strings.Split(r.URL.Query().Get("hosts"), ",") {
				fmt.Fprint(&said, Covers(r, host), Covers(r, host), " ")
			}
			return said.String()
		}),
	})
	for _, test := range []struct {
		sni, host string
		covered   bool
	}{
		{"one.example", "one.example", true},
		{"one.example", "two.example", true},
		{"one.example", "x.wild.example", true},
		{"one.example", "x.y.wild.example", false},
		{"one.example", "wild.example", false},
		{"one.example", "single.example", false},
		{"one.example", "evil-one.example", false},
		{"one.example", "127.0.0.1", false},
		{"one.example", "::1", false},
		{"one.example", "", false},
		{"single.example", "single.example", true},
		{"single.example", "one.example", false},
		{"odd.example", "odd.example", true}, // the name that was asked for, whatever was shown
		{"odd.example", "single.example", true},
		{"odd.example", "one.example", false},
		{"", "one.example", true},
		{"", "single.example", false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cache := tls.NewLRUClientSessionCache(4)
			for _, resumed := range []bool{false, true} {
				about := fmt.Sprintf("%s for %q, %q, resumed %v", tls.VersionName(version), test.sni, test.host,
					resumed)
				conn, err := d.tls(t, &tls.Config{ServerName: test.sni, MaxVersion: version, ClientSessionCache: cache})
				if err != nil {
					t.Fatalf("%s: %v", about, err)
				}
				if state := conn.ConnectionState(); state.DidResume != resumed || state.Version != version {
					t.Fatalf("%s: got resumed %v, version %x; want %v, %x", about, state.DidResume, state.Version,
						resumed, version)
				}
				fmt.Fprintf(conn, "GET /?hosts=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", test.host)
				answer, err := io.ReadAll(conn)
				if err != nil || !strings.HasSuffix(string(answer), fmt.Sprint("\r\n\r\n", test.covered, test.covered,
					" ")) {
					t.Errorf("%s: got %q, %v; want %v", about, answer, err, test.covered)
				}
			}
		}
	}
	// One connection may be asked about many hosts.
	both(t, func(t *testing.T, http2 bool) {
		_, got := get(t, d.client(t, http2),
			"https://one.example/?hosts=two.example,single.example,two.example,single.example,one.example")
		if want := "true true false false true true false false true true "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The certificate may have changed since the session began: the client would be shown the new one.
func TestCoversAfterAChangeOfCertificates(t *testing.T) {
	t.Parallel()
	shown := make(chan *tls.Certificate, 2)
	shown <- selfSigned(t, "one.example", "two.example")
	shown <- selfSigned(t, "one.example")
	d := open(t, &Server{
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return <-shown, nil },
		Handler: text(func(_ http.ResponseWriter, r *http.Request) string {
			return fmt.Sprint(Covers(r, "two.example"))
		}),
	})
	cache := tls.NewLRUClientSessionCache(1)
	for _, want := range []string{"true", "false"} {
		conn, err := d.tls(t, &tls.Config{ServerName: "one.example", ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\n"+want) {
			t.Errorf("%q, %v, want %s", answer, err, want)
		}
	}
}

func TestCoversWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "https://one.example/", nil)
	if !Covers(r, "other.example") {
		t.Error("a request that came through no deployment of ours is turned away")
	}
	if got := leaf(&tls.Certificate{Certificate: [][]byte{{1, 2, 3}}}); got != nil {
		t.Errorf("%v out of nonsense", got)
	}
}

// Whoever has the certificates may have a bad day with one client, and the others are served.
func TestPanicInAHandshake(t *testing.T) {
	t.Parallel()
	good := one(t)
	s := &Server{Handler: http.NotFoundHandler(), Certificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "two.example" {
			panic("no")
		}
		return good(h)
	}}
	d := open(t, s)
	if _, err := d.tls(t, &tls.Config{ServerName: "two.example"}); err == nil {
		t.Error("a handshake without a certificate")
	}
	if _, err := d.tls(t, &tls.Config{ServerName: "one.example"}); err != nil {
		t.Error(err)
	}
}

// All requests of a connection have the context that ConnContext made for it, and onClose is called when the
// connection has ended.
func TestConnContext(t *testing.T) {
	both(t, func(t *testing.T, http2 bool) {
		type number struct{}
		var connections atomic.Int64
		closed := make(chan int64, 8)
		d := open(t, &Server{
			ConnContext: func(ctx context.Context, client netip.Addr) (context.Context, func()) {
				n := connections.Add(1)
				if client != netip.MustParseAddr("127.0.0.1") {
					t.Errorf("got client %v, want 127.0.0.1", client)
				}
				if n == 3 {
					return ctx, nil
				}
				return context.WithValue(ctx, number{}, n), func() { closed <- n }
			},
			Handler: text(func(_ http.ResponseWriter, r *http.Request) string {
				return fmt.Sprint(r.Context().Value(number{}))
			}),
		})
		for _, want := range []string{"1", "2", "<nil>"} {
			c := d.client(t, http2)
			for range 3 {
				if _, got := get(t, c, "https://one.example/"); got != want {
					t.Errorf("connection %s, want %s", got, want)
				}
			}
			if len(closed) > 0 {
				t.Error("told while it was open")
			}
			if c.CloseIdleConnections(); want != "<nil>" {
				if got := receive(t, closed); fmt.Sprint(got) != want {
					t.Errorf("connection %d ended, want %s", got, want)
				}
			}
		}
	})
}
