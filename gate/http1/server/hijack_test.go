package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// A connection that was taken over has no deadlines but its owner's, also when its handler has returned.
func TestTakenConnectionAfterItsHandler(t *testing.T) {
	t.Parallel()
	taken, returned := make(chan net.Conn, 1), make(chan bool, 1)
	s := &Server{
		HeaderBytes: 8 << 10,
		HeaderTime:  patience,
		IdleTime:    patience,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Context().Done()
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
			}
			taken <- c
		}),
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	theirs.SetDeadline(time.Now().Add(patience))
	go func() { returned <- s.Serve(context.Background(), ours, nil) }()
	io.WriteString(theirs, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c := <-taken
	defer c.Close()
	if !<-returned {
		t.Error("it was not taken")
	}
	go io.WriteString(theirs, "x")
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
