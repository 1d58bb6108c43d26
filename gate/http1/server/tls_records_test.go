package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// overTLS is one connection to a Server over TLS.
func overTLS(t *testing.T, handler http.HandlerFunc) *tls.Conn {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		c := tls.Server(accepted, &tls.Config{Certificates: []tls.Certificate{own}})
		if c.Handshake() != nil {
			return
		}
		state := c.ConnectionState()
		s := &Server{Handler: handler, HeaderBytes: 8 << 10, HeaderTime: patience, IdleTime: patience}
		s.Serve(t.Context(), c, &state)
	}()
	t.Cleanup(func() {
		raw.Close()
		<-ended
	})
	raw.SetDeadline(time.Now().Add(patience))
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// A body whose every byte comes in a record of its own is read in few pieces, if it has come; and byte by byte, if
// it has not.
func TestRecordsOfOneByte(t *testing.T) {
	const many = 2000
	for _, c := range []struct{ framing, chunk, end string }{
		{fmt.Sprintf("Content-Length: %d", many), "x", ""}, {"Transfer-Encoding: chunked", "1\r\nx\r\n", "0\r\n\r\n"},
	} {
		written, reads, echo := make(chan struct{}), make(chan int, 1), make(chan int, many)
		client := overTLS(t, func(w http.ResponseWriter, r *http.Request) {
			<-written
			n, count := 0, 0
			for p := make([]byte, 16<<10); ; count++ {
				m, err := r.Body.Read(p)
				n += m
				echo <- n
				if err != nil {
					break
				}
			}
			reads <- count
			fmt.Fprint(w, n)
		})
		for _, atOnce := range []bool{true, false} {
			if !atOnce {
				go func() { written <- struct{}{} }() // the handler waits for what has not come
			}
			io.WriteString(client, "POST / HTTP/1.1\r\nHost: a.example\r\n"+c.framing+"\r\n\r\n")
			for i := range many {
				if _, err := io.WriteString(client, c.chunk); err != nil {
					t.Fatal(err)
				}
				for got := 0; !atOnce && got <= i; { // nothing is held back
					select {
					case got = <-echo:
					case <-time.After(patience):
						t.Fatalf("byte %d does not come", i)
					}
				}
			}
			io.WriteString(client, c.end)
			if atOnce {
				written <- struct{}{}
			}
			answer := make([]byte, 4<<10)
			n, err := client.Read(answer)
			if err != nil || !strings.HasSuffix(string(answer[:n]), fmt.Sprint("\r\n\r\n", many)) {
				t.Fatalf("%q, %v", answer[:n], err)
			}
			if count := <-reads; atOnce && count > many/8 {
				t.Errorf("%s: %d reads of %d bytes", c.framing, count, many)
			}
			for len(echo) > 0 {
				<-echo
			}
		}
	}
}
