package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An answer that was begun before the end comes whole, also where its client goes on to ask meanwhile.
func TestAnswerAcrossTheEnd(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	written := make(chan bool, 1)
	var d *testServer
	d = open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		io.WriteString(w, strings.Repeat("x", size))
		d.End()
		written <- true
	})
	c, r := d.dial(t)
	c.SetReadBuffer(16 << 10)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := r.Peek(1); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET /more HTTP/1.1\r\nHost: a\r\n\r\n")
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-written
	if n, err := io.Copy(io.Discard, answer.Body); n != size || err != nil {
		t.Errorf("%d bytes of %d, %v", n, size, err)
	}
}

// eager closes idle connections while the second request is on its way, before it is read or behind.
type eager struct {
	net.Conn
	server *Server
	sent   chan bool // the client has sent a request
	before bool
	reads  int
}

func (e *eager) Read(p []byte) (int, error) {
	<-e.sent
	end := func(when bool) {
		if when && e.reads == 1 {
			e.server.End()
			e.server.CloseIdle()
		}
	}
	end(e.before)
	n, err := e.Conn.Read(p)
	end(!e.before)
	e.reads++
	return n, err
}

// A request that has come when its connection is to be closed for idleness is answered.
func TestRequestWhileIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		ours, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{HeaderBytes: 8 << 10, HeaderTime: patience, IdleTime: patience, Handler: script{"+1"}}
		sent, served := make(chan bool, 1), make(chan struct{})
		go func() {
			s.Serve(context.Background(), &eager{Conn: ours, server: s, sent: sent, before: before}, nil)
			close(served)
		}()
		r := bufio.NewReader(c)
		for _, last := range []bool{false, true} {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			sent <- true
			answer, err := http.ReadResponse(r, nil)
			if err != nil || answer.Close != last {
				t.Fatalf("before %v: %+v, %v", before, answer, err)
			}
			io.Copy(io.Discard, answer.Body)
		}
		close(sent)
		c.Close()
		<-served
	}
}
