package origin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A request whose client has left before the answer has not ended while its server works on it: Serve returns at once,
// and its error says when that is.
func TestServerWorksOnForNobody(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 1), make(chan struct{})
	h := func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-release // and the client's leaving is not looked for
	}
	files := NewDescriptors(3)
	o, err := New(Config{Servers: []string{handling(t, h)}, Descriptors: files})
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

// A server that sends events for as long as it can, and looks for nothing, notices by a write that fails that its
// client has left.
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
	files, release := NewDescriptors(4), make(chan struct{})
	defer close(release)
	address := listen(t, nil, func(net.Conn, *bufio.Reader) { <-release })
	for range 2 { // one for another connection
		if err := files.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := files.dial(t.Context(), dialFunc(nil).or(&net.Dialer{}), "tcp", address)
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

// givenUp is a request that ends before its server has let go of it.
type givenUp struct {
	said   string // what the server says before it works
	length int64  // of the client's body
	body   func(leave func()) io.Reader
	wait   time.Duration
	client func() http.ResponseWriter // nil: one that takes all
	word   string
}

// However a request ends before its server has let go of it, the error says when that is.
func TestServerWorksOnAfterwards(t *testing.T) {
	t.Parallel()
	recorder := func() http.ResponseWriter { return httptest.NewRecorder() }
	broken := func(begins string) func(func()) io.Reader {
		return func(func()) io.Reader { return io.MultiReader(strings.NewReader(begins), failing{}) }
	}
	const begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
	ways := map[string]givenUp{
		"the body breaks off": {length: 10, body: broken("x"), word: ClientGone},
		"the body is too short": {
			length: 10,
			body:   func(func()) io.Reader { return strings.NewReader("short") },
			word:   ClientGone,
		},
		"the body is too long": {
			length: 4,
			body:   func(func()) io.Reader { return strings.NewReader("too long") },
			word:   ClientGone,
		},
		"a chunk is malformed": {
			length: -1,
			body:   broken(strings.Repeat("x", gatherBytes+1)),
			word:   ClientGone,
		},
		"the response begins before": {said: begun, length: 10, body: broken("x"), word: ClientGone},
		"the client leaves in its body": {
			length: 10,
			body:   func(leave func()) io.Reader { return &leaving{leave: leave} },
			word:   ClientGone,
		},
		"the client takes no response": {
			said:   begun,
			client: func() http.ResponseWriter { return deaf{httptest.NewRecorder()} },
			word:   ClientGone,
		},
		"the server is too slow":   {wait: patience / 10, word: Timeout},
		"the response is too slow": {said: begun, wait: patience / 10, word: Timeout},
		"the server reads no body": {
			length: 64 << 20,
			body:   func(func()) io.Reader { return zeros{} },
			wait:   patience / 10,
			word:   Timeout,
		},
	}
	a := newAuthority(t)
	for kind, start := range map[string]func(t *testing.T, server script) Config{
		"http": func(t *testing.T, server script) Config {
			return Config{Servers: []string{"http://" + listen(t, nil, server)}}
		},
		"https": func(t *testing.T, server script) Config {
			return Config{Servers: []string{"https://" + listen(t, a.issue(t, time.Now().Add(time.Hour), "shop.example"), server)}, CA: a.file}
		},
		"unix": func(t *testing.T, server script) Config {
			path := filepath.Join(t.TempDir(), "s")
			listenAt(t, "unix", path, nil, server)
			return Config{Servers: []string{"unix:" + path}}
		},
	} {
		for name, way := range ways {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				release := make(chan struct{})
				c := start(t, func(c net.Conn, r *bufio.Reader) {
					head(r)
					io.WriteString(c, way.said)
					<-release
				})
				c.Wait = way.wait
				o, err := New(c)
				if err != nil {
					t.Fatal(err)
				}
				defer o.Close()
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				r := httptest.NewRequest("POST", "/", nil).WithContext(ctx)
				r.Host = "shop.example"
				if way.body != nil {
					r.ContentLength, r.Body = way.length, io.NopCloser(way.body(leave))
				}
				if way.client == nil {
					way.client = recorder
				}
				_, _, _, err = o.Serve(way.client(), r)
				var later interface{ Ended() <-chan struct{} }
				if got := (outcome{err: err}).word(); got != way.word || !errors.As(err, &later) {
					t.Fatalf("got %q, want %q with its end: %v", got, way.word, err)
				}
				waited := o.list.servers[0].http1.abandoned.count.Load()
				select {
				case <-later.Ended():
					t.Error("it has ended while the server works")
				default:
				}
				if waited != 1 {
					t.Errorf("%d connections are waited for, want the one", waited)
				}
				close(release)
				receive(t, later.Ended())
			})
		}
	}
}

// leaving is the body of a client that leaves in its midst.
type leaving struct {
	leave func()
	begun bool
}

func (l *leaving) Read(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		return copy(p, "x"), nil
	}
	l.leave()
	return 0, errors.New("gone")
}

// deaf is a client that takes no response.
type deaf struct{ *httptest.ResponseRecorder }

func (deaf) Write([]byte) (int, error) { return 0, errors.New("gone") }
