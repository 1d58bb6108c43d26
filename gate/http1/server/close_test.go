package server

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// An answer that is the last comes whole, also where its client goes on to ask meanwhile.
func TestLastAnswerComesWhole(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	written := make(chan bool, 1)
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Length", strconv.Itoa(size))
		io.WriteString(w, strings.Repeat("x", size))
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
