package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// framed is an origin that tells how each request's body was framed, how long it was, and what came behind it.
func framed(t *testing.T) (url string, heard chan string) {
	t.Helper()
	heard = make(chan string, 64)
	address := listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, err := io.ReadAll(request.Body)
			how := fmt.Sprint(
				request.TransferEncoding,
				request.Header.Get("Content-Length"),
				" ",
				len(body),
				" ",
				request.Trailer,
			)
			if err != nil {
				how = err.Error()
			}
			heard <- how
			io.WriteString(c, plainOK)
		}
	})
	return "http://" + address, heard
}

// A body that has come whole is sent with its length, as applications want it that take chunks for nothing.
func TestSmallBodyOfUnknownLength(t *testing.T) {
	url, heard := framed(t)
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
			for _, size := range []int{1, 4 << 10, 4<<10 + 1, 20_000, gatherBytes} {
				request := g.request(t, method, "/", io.MultiReader(strings.NewReader(strings.Repeat("x", size))))
				if answer := g.do(t, request); answer.StatusCode != 200 {
					t.Fatal(answer.Status)
				}
				if got, want := receive(t, heard), fmt.Sprintf("[]%d %d map[]", size, size); got != want {
					t.Errorf("%s of %d bytes: %s", method, size, got)
				}
				receive(t, g.outcomes)
			}
		}
		request := g.request(t, "POST", "/", io.MultiReader(strings.NewReader(strings.Repeat("x", gatherBytes+1))))
		g.do(t, request)
		if got := receive(t, heard); got != fmt.Sprintf("[chunked] %d map[]", gatherBytes+1) {
			t.Errorf("a larger one: %s", got)
		}
	})
}

// A body of unknown length that turns out to be empty is an empty one.
func TestEmptyBodyOfUnknownLength(t *testing.T) {
	url, heads := answering(t, plainOK)
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for method, want := range map[string]int{"POST": 1, "PUT": 1, "PATCH": 1, "DELETE": 0, "GET": 0} {
			request := g.request(t, method, "/", io.MultiReader(strings.NewReader("")))
			request.ContentLength = -1
			g.do(t, request)
			got := receive(t, heads)
			if strings.Count(got, "\r\nContent-Length: 0\r\n") != want || strings.Contains(got, "Transfer-Encoding") {
				t.Errorf("%s: %q", method, got)
			}
			receive(t, g.outcomes)
		}
	})
}

// A body that takes its time is passed on piece by piece, and none of it is lost.
func TestSlowBodyOfUnknownLength(t *testing.T) {
	t.Parallel()
	pieces := make(chan string, 8)
	url := handling(t, func(w http.ResponseWriter, r *http.Request) {
		buffer := make([]byte, 100)
		for {
			n, err := r.Body.Read(buffer)
			if n > 0 {
				pieces <- string(buffer[:n])
			}
			if err != nil {
				pieces <- err.Error()
				return
			}
		}
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for _, first := range []string{"first", ""} {
			reader, writer := io.Pipe()
			done := make(chan *http.Response, 1)
			request := g.request(t, "POST", "/", reader)
			go func() {
				answer, err := g.Client().Do(request)
				if err == nil {
					answer.Body.Close()
				}
				done <- answer
			}()
			if first != "" {
				io.WriteString(writer, first)
				if got := receive(t, pieces); got != first {
					t.Errorf("first came %q", got)
				}
			} else {
				time.Sleep(gatherTime)
			}
			io.WriteString(writer, "second")
			if got := receive(t, pieces); got != "second" {
				t.Errorf("then came %q", got)
			}
			writer.Close()
			if got := receive(t, pieces); got != "EOF" {
				t.Errorf("at the end came %q", got)
			}
			if answer := receive(t, done); answer == nil || answer.StatusCode != 200 {
				t.Errorf("%v", answer)
			}
		}
	})
}

// ending is a body at whose end something happens.
type ending struct {
	io.Reader
	atEnd func()
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err == io.EOF {
		e.atEnd()
	}
	return n, err
}

func (e *ending) Close() error { return nil }

// Fields behind a body need chunks, announced or not.
func TestTrailersOfAGatheredBody(t *testing.T) {
	t.Parallel()
	url, heard := framed(t)
	o := several(t, url)
	for _, announced := range []bool{true, false} {
		for _, slow := range []bool{true, false} {
			r := httptest.NewRequest("POST", "/", nil).WithContext(t.Context())
			reader, writer := io.Pipe()
			go func() {
				io.WriteString(writer, "body")
				if slow {
					time.Sleep(2 * gatherTime)
				}
				writer.Close()
			}()
			if announced {
				r.Trailer = http.Header{"X-Sum": nil}
			}
			r.ContentLength, r.Body = -1, &ending{reader, func() { r.Trailer = http.Header{"X-Sum": {"1"}} }}
			w := httptest.NewRecorder()
			if _, _, _, err := o.Serve(w, r); err != nil || w.Code != 200 {
				t.Errorf("%d, %v", w.Code, err)
			}
			if got := receive(t, heard); got != "[chunked] 4 map[X-Sum:[1]]" {
				t.Errorf("announced %v, slow %v: %s", announced, slow, got)
			}
		}
	}
}

// Nobody waits where waiting would hold something up, or where too many wait already.
func TestBodiesThatAreNotWaitedFor(t *testing.T) {
	for name, change := range map[string]func(*http.Request, *http1Proxy){
		"a length": func(r *http.Request, _ *http1Proxy) { r.ContentLength = 4 },
		"no body":  func(r *http.Request, _ *http1Proxy) { r.ContentLength = 0 },
		"trailers": func(r *http.Request, _ *http1Proxy) { r.Trailer = http.Header{"X": nil} },
		"gRPC":     func(r *http.Request, _ *http1Proxy) { r.Header.Set("Content-Type", "application/grpc+proto") },
		"too many": func(_ *http.Request, d *http1Proxy) { d.held.Store(gatherMost) },
	} {
		d := &http1Proxy{}
		r := httptest.NewRequest("POST", "/", nil)
		r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader("body"))
		r.Header.Set("Expect", "100-continue")
		change(r, d)
		body, held, length := r.Body, d.held.Load(), r.ContentLength
		if g := d.bufferBody(r); g != nil || r.Body != body || d.held.Load() != held || r.ContentLength != length {
			t.Errorf("%s: waited", name)
		}
		if r.Header["Expect"] == nil {
			t.Errorf("%s: the server does not hear of the expectation", name)
		}
	}
}

// What was waited for goes to whichever server takes it.
func TestGatheredBodyForTheNextServer(t *testing.T) {
	t.Parallel()
	url, heard := framed(t)
	nobody := deserted(t)
	o := several(t, nobody, nobody, url)
	for _, slow := range []bool{false, true} {
		for range 3 {
			reader, writer := io.Pipe()
			go func() {
				io.WriteString(writer, "body")
				if slow {
					time.Sleep(2 * gatherTime)
				}
				writer.Close()
			}()
			r := httptest.NewRequest("POST", "/", reader).WithContext(t.Context())
			r.ContentLength = -1
			w := httptest.NewRecorder()
			if _, _, _, err := o.Serve(w, r); err != nil || w.Code != 200 {
				t.Errorf("%d, %v", w.Code, err)
			}
			if got := receive(t, heard); slow != strings.HasPrefix(got, "[chunked] 4") {
				t.Errorf("slow %v: %s", slow, got)
			}
		}
	}
	for _, s := range o.list.servers {
		if n := s.http1.held.Load(); n != 0 {
			t.Errorf("%d are held", n)
		}
	}
}

// A client's body that comes slowly over HTTP/1.1 is read by the server that is reached, and by none that was tried
// before.
func TestSlowBodyForTheNextServer(t *testing.T) {
	t.Parallel()
	url, heard := framed(t)
	for _, kind := range []string{"http", "h2c"} {
		nobody := strings.Replace(deserted(t), "http", kind, 1)
		g := connected(t, several(t, nobody, deserted(t), url), false)
		for range 2 {
			c, r := g.dial(t)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo")
			time.Sleep(2 * gatherTime)
			io.WriteString(c, "\r\n2\r\ndy\r\n0\r\n\r\n")
			if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 200 {
				t.Fatalf("%s: %+v, %v", kind, answer, err)
			}
			if got := receive(t, heard); got != "[chunked] 4 map[]" {
				t.Errorf("%s: %s", kind, got)
			}
		}
	}
	g := connected(
		t,
		several(t, deserted(t), deserted(t)),
		false,
	) // where there is none the client need not end before the answer
	c, r := g.dial(t)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo")
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 502 {
		t.Errorf("%+v, %v", answer, err)
	}
}

// No server hears of a request whose body has broken off by then: who reads no chunks would take it for one without a
// body.
func TestGatheredBodyBreaks(t *testing.T) {
	url, heads := answering(t, plainOK)
	o := several(t, url)
	for _, expects := range []bool{false, true} {
		r := httptest.NewRequest("POST", "/", nil).WithContext(t.Context())
		r.ContentLength, r.Body = -1, io.NopCloser(io.MultiReader(strings.NewReader("x"), failing{}))
		if expects {
			r.Header.Set("Expect", "100-continue")
		}
		w := httptest.NewRecorder()
		asked, _, _, err := o.Serve(w, r)
		if got := (outcome{err: err}); got.word() != ClientGone || w.Code != 400 || asked != url {
			t.Errorf("%d, %v of %s", w.Code, err, asked)
		}
		if n := o.list.servers[0].http1.held.Load(); n != 0 || len(heads) > 0 {
			t.Errorf("%d are held, and the origin got %d requests", n, len(heads))
		}
	}
}

// deserted is an address that nobody listens on, nor will until the test has ended: its port is that of a client.
func deserted(t *testing.T) string {
	t.Helper()
	address := listen(t, nil, func(_ net.Conn, r *bufio.Reader) { r.ReadByte() })
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return "http://" + c.LocalAddr().String()
}
