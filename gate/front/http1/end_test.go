package http1

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
	var d *door
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

// eager closes idle connections while a request is on its way through.
type eager struct {
	net.Conn
	server *Server
	reads  int
}

func (e *eager) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	if e.reads++; e.reads == 3 {
		e.server.End()
		e.server.CloseIdle()
	}
	return n, err
}

// A request that has come when its connection is to be closed for idleness is answered.
func TestRequestWhileIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	theirs.SetDeadline(time.Now().Add(patience))
	s := &Server{HeaderBytes: 8 << 10, HeaderTime: patience, IdleTime: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})}
	served := make(chan bool)
	go func() {
		s.Serve(context.Background(), &eager{Conn: ours, server: s}, nil)
		close(served)
	}()
	r := bufio.NewReader(theirs)
	for _, last := range []bool{false, true} {
		go func() {
			io.WriteString(theirs, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
			io.WriteString(theirs, "body")
		}()
		answer, err := http.ReadResponse(r, nil)
		if err != nil || answer.Close != last {
			t.Fatalf("%+v, %v", answer, err)
		}
		if body, err := io.ReadAll(answer.Body); string(body) != "body" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
	}
	theirs.Close()
	<-served
}
