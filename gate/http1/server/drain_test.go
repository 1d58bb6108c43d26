package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// A goroutine that outlives its handler may begin to read a body that has to be asked for at the worst moment: the
// answer ends all the same.
func TestBodyIsAskedForWhileTheAnswerEnds(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	theirs.SetDeadline(time.Now().Add(patience))
	requested := make(chan *http.Request, 1)
	s := &Server{
		HeaderBytes: 8 << 10,
		HeaderTime:  patience,
		IdleTime:    patience,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, "end")
			requested <- r
		}),
	}
	served := make(chan bool)
	go func() {
		s.Serve(context.Background(), ours, nil)
		close(served)
	}()
	io.WriteString(theirs, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	r := bufio.NewReader(theirs)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	request := <-requested
	b := request.Body.(*body)
	for b.x.response.mu.TryLock() { // until the end is being sent, which takes until it is read
		b.x.response.mu.Unlock()
		runtime.Gosched()
	}
	read := make(chan error, 1)
	go func() {
		_, err := b.Read(make([]byte, 4))
		read <- err
	}()
	for b.awaitsContinue.Load() {
		runtime.Gosched()
	}
	go io.Copy(io.Discard, r)
	select {
	case <-served:
	case <-time.After(patience / 2):
		t.Fatal("the answer does not end")
	}
	if err := <-read; err == nil {
		t.Error("the body was read after the end")
	}
}
