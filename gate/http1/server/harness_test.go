package server

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// testServer serves every connection to a loopback address with one Server.
type testServer struct {
	*Server
	address string
	trouble *bytes.Buffer // to be read when all has ended
	served  sync.WaitGroup
	stop    context.CancelFunc
}

func open(t *testing.T, handler http.HandlerFunc) *testServer {
	t.Helper()
	return openFor(t, handler, patience)
}

// openFor has so much time for heads, and between requests.
func openFor(t *testing.T, handler http.HandlerFunc, most time.Duration) *testServer {
	t.Helper()
	d := &testServer{trouble: &bytes.Buffer{}}
	d.Server = &Server{
		Handler:     handler,
		HeaderBytes: 8 << 10,
		HeaderTime:  most,
		IdleTime:    most,
		Log:         log.New(d.trouble, "", 0),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = l.Addr().String()
	var ctx context.Context
	ctx, d.stop = context.WithCancel(context.Background())
	d.served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.served.Go(func() { d.Serve(ctx, c, nil) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		d.stop()
		d.End()
		d.CloseIdle()
		d.served.Wait()
	})
	return d
}

// dial connects; the connection is closed before the testServer is.
func (d *testServer) dial(t *testing.T) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn), bufio.NewReader(c)
}

// say sends what a client says, and its end, and returns everything that it is told.
func (d *testServer) say(t *testing.T, said string) string {
	t.Helper()
	c, _ := d.dial(t)
	go func() {
		io.WriteString(c, said)
		c.CloseWrite()
	}()
	heard, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("%.60q: %v", said, err)
	}
	c.Close()
	return string(heard)
}

// answers parses what a client was told in answer to requests of one method.
func answers(t *testing.T, method, heard string) (all []*http.Response, bodies []string) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader([]byte(heard)))
	for {
		if _, err := r.Peek(1); err != nil {
			return all, bodies
		}
		answer, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Errorf("%v in %q", err, heard)
			return all, bodies
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Errorf("%v in the body of %q", err, heard)
		}
		all, bodies = append(all, answer), append(bodies, string(body))
	}
}

func newReader(s string) *bufio.Reader { return bufio.NewReader(bytes.NewReader([]byte(s))) }
