// Package grpc answers one question: do gRPC's calls get through, however long they last and however seldom anything is said?
//
// The client and the server are grpc-go's. Between them is the gateway: its door with TLS, the gate, and an origin that is asked over
// HTTP/2 without TLS, connected by pipes in a bubble of synctest, where hours take no time. It is a module of its own so that the
// product does not depend on grpc-go.
package grpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"gate421/gate"
	"gate421/gate/audit"
	"gate421/gate/front"
	"gate421/gate/origin"
	"gate421/gate/policy"
)

const host = "talk.example"

func certificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// through makes calls through a gateway whose origin may be silent for as long as wait, and returns what is on record.
func through(t *testing.T, wait time.Duration, call func(c caller)) (records []audit.Record) {
	shown := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		door, app := newPipes(), newPipes()
		server := grpc.NewServer(grpc.ForceServerCodec(raw{}))
		server.RegisterService(talk{}.description(), nil)
		var running sync.WaitGroup
		running.Go(func() { server.Serve(app) })

		o, err := origin.New(origin.Config{
			Servers: []string{"h2c://app.example:50051"}, Wait: wait,
			Dial: func(context.Context, string, string) (net.Conn, error) { return app.dial() },
		})
		if err != nil {
			t.Fatal(err)
		}
		rules, err := policy.New([]policy.Spec{{Hosts: []string{host}, State: policy.Observe}})
		if err != nil {
			t.Fatal(err)
		}
		live := &atomic.Pointer[gate.Live]{}
		live.Store(&gate.Live{Policy: rules, Origins: map[*policy.Site]gate.Origin{rules.Sites()[0]: o}})
		var mu sync.Mutex
		s := &front.Server{
			Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown, nil },
			Handler: &gate.Handler{Live: live, Covers: front.Covers, OnRecord: func(r *audit.Record) {
				mu.Lock()
				defer mu.Unlock()
				records = append(records, *r)
			}},
		}
		ctx, stop := context.WithCancel(context.Background())
		running.Go(func() { s.Serve(ctx, door, nil) })

		conn, err := grpc.NewClient("passthrough:///"+host,
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return door.dial() }),
			grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		)
		if err != nil {
			t.Fatal(err)
		}
		call(caller{conn})
		conn.Close()
		stop()
		server.Stop()
		o.Close()
		running.Wait()
		time.Sleep(time.Hour) // until what was left has ended
	})
	return records
}

// All four kinds of call last an hour, all at once on one connection, whether something is said every five seconds or every five
// minutes.
func TestCallsOfAnHour(t *testing.T) {
	for _, pause := range []time.Duration{5 * time.Second, 50 * time.Second, 5 * time.Minute} {
		t.Run(pause.String(), func(t *testing.T) {
			parts := int(time.Hour / pause)
			records := through(t, 6*time.Minute, func(c caller) {
				var calls sync.WaitGroup
				for name, call := range map[string]func() (int, error){
					"collect": func() (int, error) { return c.collect(context.Background(), pause, parts) },
					"tell":    func() (int, error) { return c.tell(context.Background(), pause, parts) },
					"chat":    func() (int, error) { return c.chat(context.Background(), pause, parts) },
					"ask": func() (n int, err error) {
						for range parts {
							time.Sleep(pause)
							one, err := c.ask(context.Background())
							if n += one; err != nil {
								return n, err
							}
						}
						return n, nil
					},
				} {
					calls.Go(func() {
						if n, err := call(); n != parts || err != nil {
							t.Errorf("%s: %d of %d messages, %v", name, n, parts, err)
						}
					})
				}
				calls.Wait()
			})
			for _, r := range records {
				if r.Status != 200 || r.OriginError != "" {
					t.Errorf("%s is on record with status %d, %q", r.Path, r.Status, r.OriginError)
				}
			}
		})
	}
}

// With the limits as they are a server may be silent for a minute, and a client that is not answered yet for ten. Both may be silent
// for as long as they like when the response has begun and the request has not ended.
func TestSilence(t *testing.T) {
	for _, test := range []struct {
		name  string
		call  func(c caller) (int, error)
		cause string // on record; "": none, the call goes well
	}{
		{"a server's", func(c caller) (int, error) { return c.tell(context.Background(), 61*time.Second, 2) }, "timeout"},
		{"a client's", func(c caller) (int, error) { return c.collect(context.Background(), 9*time.Minute, 3) }, ""},
		{"a client's that is too long", func(c caller) (int, error) { return c.collect(context.Background(), 11*time.Minute, 3) }, "client_slow"},
		{"both sides'", func(c caller) (int, error) {
			c.chat(context.Background(), time.Second, 1)
			return c.chat(context.Background(), 9*time.Minute, 3)
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			records := through(t, time.Minute, func(c caller) {
				if n, err := test.call(c); (err == nil) != (test.cause == "") {
					t.Errorf("%d messages, %v", n, err)
				}
			})
			if last := records[len(records)-1]; last.OriginError != test.cause {
				t.Errorf("on record: status %d, %q", last.Status, last.OriginError)
			}
		})
	}
}
