package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A client that waits for "100 Continue" gets it when its body is read, and not otherwise.
func TestContinue(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			w.WriteHeader(http.StatusForbidden)
			w.(http.Flusher).Flush()
		}
		if r.URL.Path != "/unread" {
			io.Copy(w, r.Body)
		}
	})
	for path, want := range map[string][]string{
		"/":       {"HTTP/1.1 100 Continue\r\n", "\r\n", "HTTP/1.1 200 OK\r\n"},
		"/early":  {"HTTP/1.1 403 Forbidden\r\n"},
		"/unread": {"HTTP/1.1 200 OK\r\n"},
	} {
		c, r := d.dial(t)
		io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n")
		for i, line := range want {
			got, err := r.ReadString('\n')
			if got != line {
				t.Errorf("%s: %q, %v, want %q", path, got, err, line)
			}
			if i == 1 {
				io.WriteString(c, "body")
			}
		}
		c.CloseWrite()
		rest, _ := io.ReadAll(r)
		if path == "/" && !strings.HasSuffix(string(rest), "\r\n\r\nbody") ||
			path == "/unread" && !strings.Contains(string(rest), "Connection: close\r\n") {
			t.Errorf("%s: %q", path, rest)
		}
	}
}

// Whoever says it, the client hears "100 Continue" once, and only if it waits for it.
func TestContinueOnce(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		for range 2 {
			if r.URL.Path == "/said" {
				w.WriteHeader(http.StatusContinue)
			}
			r.Body.Read(make([]byte, 1))
		}
		w.WriteHeader(http.StatusContinue)
		io.WriteString(w, "end")
		w.WriteHeader(http.StatusContinue)
	})
	for _, path := range []string{"/", "/said"} {
		for field, want := range map[string]string{
			"Expect: 100-continue\r\n": "HTTP/1.1 100 Continue\r\n\r\n", "": "",
		} {
			for _, body := range []string{
				"Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
			} {
				heard := d.say(t, "POST "+path+" HTTP/1.1\r\nHost: a\r\n"+field+body)
				if got, _, _ := strings.Cut(heard, "HTTP/1.1 200 OK\r\n"); got != want || got == heard {
					t.Errorf("%s, %q: %q before the answer, want %q", path, field+body, got, want)
				}
			}
		}
	}
}

// HTTP/1.0 knows no expectations.
func TestContinueInHTTP10(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	if heard := d.say(t, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"); !strings.HasPrefix(heard, "HTTP/1.1 200 ") ||
		!strings.HasSuffix(heard, "hi") {
		t.Errorf("%q", heard)
	}
}

// A handler may answer while it reads: each part goes out before the next comes.
func TestFullDuplex(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		part := make([]byte, 1)
		for {
			n, err := r.Body.Read(part)
			w.Write(part[:n])
			control.Flush()
			if err != nil {
				return
			}
		}
	})
	c, r := d.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	io.WriteString(c, "1\r\na\r\n")
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1)
	for _, want := range "abc" {
		if want != 'a' {
			io.WriteString(c, "1\r\n"+string(want)+"\r\n")
		}
		if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != string(want) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	io.WriteString(c, "0\r\n\r\n")
	if rest, err := io.ReadAll(answer.Body); err != nil || len(rest) != 0 {
		t.Errorf("%q, %v", rest, err)
	}
	io.WriteString(c, "POST /again HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nz")
	if rest, err := io.ReadAll(r); err != nil || !strings.Contains(string(rest), "z") {
		t.Errorf("%q, %v", rest, err)
	}
}

// A request's context ends when its client leaves, once its body has been read; a request behind it is not lost.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	begun, ended := make(chan bool), make(chan error, 1)
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/next" {
			io.WriteString(w, "next")
			return
		}
		done := r.Context().Done() // before the body is read
		io.Copy(io.Discard, r.Body)
		begun <- true
		select {
		case <-done:
			ended <- context.Cause(r.Context())
		case <-begun:
		case <-time.After(patience):
			t.Error("nothing came")
		}
	})
	for _, said := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"} {
		c, _ := d.dial(t)
		io.WriteString(c, said)
		<-begun
		c.Close()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("the context did not end")
		}
		c, r := d.dial(t)
		io.WriteString(c, said)
		<-begun
		io.WriteString(c, "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		begun <- true
		if all, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(all), "next") {
			t.Errorf("%q, %v", all, err)
		}
	}
}

// The context of a request ends with it, and with the server.
func TestContexts(t *testing.T) {
	t.Parallel()
	contexts := make(chan context.Context, 2)
	waiting := make(chan error, 1)
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		contexts <- r.Context()
		if _, has := r.Context().Deadline(); has || r.Context().Err() != nil || r.Context().Value("nothing") != nil {
			t.Error("a new request's context")
		}
		if r.URL.Path == "/wait" {
			child, cancel := context.WithCancel(r.Context())
			defer cancel()
			<-child.Done()
			waiting <- child.Err()
		}
	})
	d.say(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	ctx := <-contexts
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Fatal("it goes on after its request")
	}
	if ctx.Err() != context.Canceled {
		t.Error(ctx.Err())
	}
	c, _ := d.dial(t)
	io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-contexts
	d.stop()
	select {
	case err := <-waiting:
		if err != context.Canceled {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on after the server's end")
	}
}

// A handler that takes the connection over gets what the client has said already, and keeps its context.
func TestHijack(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		done := r.Context().Done()
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := w.Write([]byte("x")); err != http.ErrHijacked {
			t.Error(err)
		}
		if r.Context().Err() != nil {
			t.Error("the context has ended")
		}
		early := make([]byte, 5)
		if _, err := io.ReadFull(buffered, early); err != nil || string(early) != "early" {
			t.Errorf("%q, %v", early, err)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		io.Copy(c, c)
		select {
		case <-done:
			t.Error("the context has ended")
		default:
		}
	})
	c, r := d.dial(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly")
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 101 ") {
		t.Fatalf("%q, %v", line, err)
	}
	r.ReadString('\n')
	io.WriteString(c, "echo")
	c.CloseWrite()
	if rest, err := io.ReadAll(r); err != nil || string(rest) != "echo" {
		t.Errorf("%q, %v", rest, err)
	}
}

// A handler can stop waiting for a body, and a body that is read after its handler's end is none.
func TestBodiesThatEndEarly(t *testing.T) {
	t.Parallel()
	late := make(chan error, 1)
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			reading := make(chan bool)
			go func() {
				close(reading)
				_, err := r.Body.Read(make([]byte, 1))
				late <- err
			}()
			<-reading
			return
		}
		http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
		_, err := io.ReadAll(r.Body)
		var slow interface{ Timeout() bool }
		if !errors.As(err, &slow) || !slow.Timeout() {
			t.Errorf("%v", err)
		}
		r.Body.Close()
		if _, err := r.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
			t.Errorf("%v", err)
		}
	})
	for _, path := range []string{"/", "/late"} {
		c, r := d.dial(t)
		io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
		answer, err := http.ReadResponse(r, nil)
		if err != nil || answer.StatusCode != 200 {
			t.Errorf("%s: %v, %v", path, answer, err)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := <-late; err == nil || err == io.EOF {
		t.Errorf("a late read: %v", err)
	}
}

// A handler that returns while somebody still reads the body that its client has not sent yet is answered for all the
// same.
func TestBodyThatIsReadBehindItsHandler(t *testing.T) {
	t.Parallel()
	var readers sync.WaitGroup
	defer readers.Wait()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			readers.Go(func() { r.Body.Read(make([]byte, 1)) })
		}
		io.WriteString(w, "early")
	})
	for range 50 {
		c, r := d.dial(t)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
		if all, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(all), "\r\n\r\nearly") {
			t.Fatalf("%q, %v", all, err)
		}
		c.Close()
	}
}

// Requests that come in one piece are answered in their order.
func TestPipeline(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.URL.Path+string(body))
	})
	said := strings.Repeat(
		"GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n:xPOST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n:y\r\n0\r\n\r\n",
		100,
	)
	_, bodies := answers(t, "GET", d.say(t, said))
	if got := strings.Join(bodies, " "); got != strings.TrimSpace(strings.Repeat("/a /b:x /c:y ", 100)) {
		t.Errorf("%d answers: %.200s", len(bodies), got)
	}
}

// Who does not go on is not waited for.
func TestTimes(t *testing.T) {
	t.Parallel()
	d := openFor(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, 100*time.Millisecond)
	for _, said := range []string{"", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"} {
		c, r := d.dial(t)
		io.WriteString(c, said)
		if all, err := io.ReadAll(r); err != nil ||
			strings.Count(string(all), "HTTP/1.1 200 OK\r\n") != strings.Count(said, "\r\n\r\n") {
			t.Errorf("%q: %q, %v", said, all, err)
		}
	}
	c, r := d.dial(t) // a body has its time from others
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
	time.AfterFunc(300*time.Millisecond, func() { io.WriteString(c, "b") })
	if all, err := io.ReadAll(bufio.NewReader(r)); err != nil || !strings.HasSuffix(string(all), "\r\n\r\nab") {
		t.Errorf("%q, %v", all, err)
	}
}
