package origin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// A request whose client has left before the answer has not ended while its server works on it: Serve returns at once, and its error
// says when that is.
func TestServerWorksOnForNobody(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 1), make(chan struct{})
	h := func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release // and the client's leaving is not looked for
	}
	files := NewFiles(3)
	o, err := New(Config{Servers: []string{handling(t, h)}, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	r.Host = "shop.example"
	go func() {
		<-asked
		leave()
	}()
	_, _, _, err = o.Serve(httptest.NewRecorder(), r)
	var later interface{ Ended() <-chan struct{} }
	if got := (outcome{err: err}); got.word() != ClientGone || !errors.As(err, &later) {
		t.Fatalf("%+v", got)
	}
	select {
	case <-later.Ended():
		t.Error("it has ended while the server works")
	case <-time.After(2 * abandonedTime):
	}
	if n := len(files.slots); n != 1 {
		t.Errorf("%d descriptors count, want the one that is open", n)
	}
	close(release)
	receive(t, later.Ended())
	if n := len(files.slots); n != 0 {
		t.Errorf("%d descriptors count when it has ended", n)
	}
}

// A server that sends events for as long as it can, and looks for nothing, notices by a write that fails that its client has left.
func TestServerWithoutEndNotices(t *testing.T) {
	t.Parallel()
	noticed := make(chan struct{})
	address := listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		http.ReadRequest(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 100 {
			if _, err := io.WriteString(c, "8\r\ndata: x\n\r\n"); err != nil {
				close(noticed)
				return
			}
			time.Sleep(abandonedTime / 10)
		}
	})
	o, err := New(Config{Servers: []string{"http://" + address}, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
	r.Host = "shop.example"
	time.AfterFunc(abandonedTime/2, leave)
	_, _, _, err = o.Serve(httptest.NewRecorder(), r)
	var later interface{ Ended() <-chan struct{} }
	if got := (outcome{err: err}); got.word() != ClientGone || !errors.As(err, &later) {
		t.Fatalf("%+v", got)
	}
	receive(t, noticed)
	receive(t, later.Ended())
}

// Where descriptors are scarce nobody has one for a server that works on: the time is short then.
func TestServerWorksOnWhereFilesAreScarce(t *testing.T) {
	t.Parallel()
	files, release := NewFiles(4), make(chan struct{})
	defer close(release)
	address := listen(t, nil, func(net.Conn, *bufio.Reader) { <-release })
	for range 2 { // one for another connection
		if err := files.take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := files.dial(t.Context(), connector(nil).or(&net.Dialer{}), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	new(abandoned).close(raw, files, time.Hour, over)
	if n := len(files.slots); n != 1 {
		t.Errorf("%d descriptors", n)
	}
	receive(t, over)
}

// Nobody is asked for a client that has left before.
func TestClientHasLeft(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"http": handling(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }),
		"h2c":  serveH2C(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }),
	} {
		o, err := New(Config{Servers: []string{url}})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		ctx, leave := context.WithCancel(t.Context())
		leave()
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		r.Host = "shop.example"
		if _, _, _, err := o.Serve(httptest.NewRecorder(), r); (outcome{err: err}).word() != ClientGone {
			t.Errorf("%s: %v", name, err)
		}
	}
}
