package server

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
	"sync/atomic"
	"testing"
	"time"
)

// stuck is a connection that takes nothing, when told so.
type stuck struct {
	net.Conn
	full   atomic.Bool
	closed chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	if s.full.Load() {
		<-s.closed
		return 0, net.ErrClosed
	}
	return s.Conn.Write(p)
}

// Clients that wait for nothing and take nothing do not hold up the others.
func TestIdleClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)},
		&x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{HeaderBytes: 8 << 10, HeaderTime: patience, IdleTime: patience, Handler: script{"+1"}}
	raw, theirs := net.Pipe()
	theirs.SetDeadline(time.Now().Add(patience))
	ours := &stuck{Conn: raw, closed: make(chan struct{})}
	secure := tls.Server(
		ours,
		&tls.Config{
			Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			SessionTicketsDisabled: true,
		},
	)
	client := tls.Client(theirs, &tls.Config{InsecureSkipVerify: true})
	served := make(chan bool)
	go func() {
		secure.Handshake()
		s.Serve(context.Background(), secure, nil)
		close(served)
	}()
	io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if answer, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil || answer.StatusCode != 200 {
		t.Fatal(answer, err)
	}
	ours.full.Store(true)
	s.End()
	begun := make(chan bool)
	go func() {
		s.CloseIdle()
		close(begun)
	}()
	select {
	case <-begun:
	case <-time.After(time.Second):
		t.Error("everybody waits for one")
	}
	close(ours.closed)
	<-begun
	<-served
	theirs.Close()
}
