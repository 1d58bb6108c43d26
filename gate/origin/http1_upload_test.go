package origin

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// No request leaves a goroutine behind, whatever became of it.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		flag.Set("test.parallel", sideBySide)
	}
	goleak.VerifyTestMain(m)
}

// An answer that begins before the body has ended is passed on at once, and neither connection serves another request.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprint(chunked), func(t *testing.T) {
			connections, ended := make(chan struct{}, 8), make(chan error, 8)
			both(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				connections <- struct{}{}
				for head(r) != "" {
					io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
					_, err := io.Copy(io.Discard, r)
					ended <- err
				}
			})}}, func(t *testing.T, g *gateway) {
				reader, writer := io.Pipe()
				defer writer.Close()
				request := g.request(t, "POST", "/", reader)
				if !chunked {
					request.ContentLength = 1 << 20
				}
				go io.WriteString(writer, "part")
				answer := g.do(t, request)
				if body := content(t, answer); answer.StatusCode != 413 || body != "big" ||
					answer.ProtoMajor == 1 && !answer.Close {
					t.Errorf("%s %q, close %v", answer.Status, body, answer.Close)
				}
				if result := receive(t, g.outcomes); result.err != nil || result.status != 413 {
					t.Errorf("%+v", result)
				}
				receive(t, ended) // the connection to the origin
				if answer := g.get(t, "/"); answer.StatusCode != 413 {
					t.Error(answer.Status)
				}
				receive(t, connections)
				receive(t, connections)
			})
		})
	}
}

// What is small has come whole by the time that the origin has turned it down: connections live on.
func TestEarlyAnswerToASmallBody(t *testing.T) {
	var connections atomic.Int32
	g := open(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		connections.Add(1)
		for head(r) != "" {
			io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			io.ReadFull(r, make([]byte, 4))
		}
	})}}, true)
	for range 20 {
		content(t, g.do(t, g.request(t, "POST", "/", strings.NewReader("body"))))
		if result := receive(t, g.outcomes); result.err != nil {
			t.Fatal(result.err)
		}
	}
	if n := connections.Load(); n > 10 { // a machine under load may lose some
		t.Errorf("%d connections", n)
	}
}

func TestConnectionIsReusedAfterABody(t *testing.T) {
	connections := make(chan struct{}, 16)
	both(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		connections <- struct{}{}
		for {
			r, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})}}, func(t *testing.T, g *gateway) {
		for i, body := range []io.Reader{strings.NewReader("sized"), io.MultiReader(strings.NewReader("chunk"), strings.NewReader("ed")), nil, strings.NewReader(strings.Repeat("x", 100_000))} {
			answer := g.do(t, g.request(t, "POST", "/", body))
			if got := content(t, answer); len(got) != []int{5, 7, 0, 100_000}[i] {
				t.Errorf("%d: %d bytes", i, len(got))
			}
			receive(t, g.outcomes)
		}
		receive(t, connections)
		if n := len(connections); n > 0 {
			t.Errorf("%d more connections", n)
		}
	})
}

// Only what the origin holds up is bounded, not what the client takes its time over.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	const wait = 500 * time.Millisecond
	bothAtOnce(
		t,
		Config{
			Wait:    wait,
			Servers: []string{handling(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })},
		},
		func(t *testing.T, g *gateway) {
			reader, writer := io.Pipe()
			go func() {
				for range 3 {
					time.Sleep(2 * wait)
					io.WriteString(writer, "part")
				}
				writer.Close()
			}()
			if got := content(t, g.do(t, g.request(t, "POST", "/", reader))); got != "partpartpart" {
				t.Errorf("%q", got)
			}
		},
	)
}

func TestUploadThatTheOriginHoldsUp(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	defer close(end)
	for name, server := range map[string]script{
		"reads nothing":   func(c net.Conn, r *bufio.Reader) { c.(*net.TCPConn).SetReadBuffer(4096); head(r); <-end },
		"answers nothing": func(c net.Conn, r *bufio.Reader) { head(r); go io.Copy(io.Discard, r); <-end },
		"answers, reads 0": func(c net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
			<-end
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(
				t,
				Config{Wait: 100 * time.Millisecond, Servers: []string{"http://" + listen(t, nil, server)}},
				true,
			)
			size := int64(32 << 20)
			if name == "answers nothing" {
				size = 1 << 10
			}
			request := g.request(t, "POST", "/", io.LimitReader(zeros{}, size))
			request.ContentLength = size
			if answer, err := g.Client().Do(request); err == nil {
				if _, err := io.ReadAll(answer.Body); answer.StatusCode != 504 && err == nil {
					t.Error(answer.Status)
				}
				answer.Body.Close()
			}
			if result := receive(t, g.outcomes); result.word() != Timeout {
				t.Errorf("%+v", result)
			}
		})
	}
}

// zeros is as long as it is read.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// An origin that breaks off while the client still sends is to blame, and not the client.
func TestResetWhileTheClientSends(t *testing.T) {
	for name, said := range map[string]string{"before the answer": "", "in the answer": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"} {
		t.Run(name, func(t *testing.T) {
			both(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				head(r)
				io.ReadFull(r, make([]byte, 4))
				io.WriteString(c, said)
			})}}, func(t *testing.T, g *gateway) {
				reader, writer := io.Pipe()
				request := g.request(t, "POST", "/", reader)
				request.ContentLength = 1 << 20
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if answer, err := g.Client().Do(request); err == nil {
						if io.Copy(io.Discard, answer.Body); said == "" && answer.StatusCode != 502 {
							t.Error(answer.Status)
						}
						answer.Body.Close()
					}
				}()
				io.WriteString(writer, "part")
				if result := receive(t, g.outcomes); result.word() != Reset {
					t.Errorf("%+v", result)
				}
				writer.Close()
				receive(t, ended)
			})
		})
	}
}

func TestResetAfterTheBody(t *testing.T) {
	var requests atomic.Int32
	both(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		requests.Add(1)
		head(r)
		io.ReadFull(r, make([]byte, 4))
	})}}, func(t *testing.T, g *gateway) {
		requests.Store(0)
		if answer := g.do(t, g.request(t, "PUT", "/", strings.NewReader("body"))); answer.StatusCode != 502 ||
			requests.Load() != 1 {
			t.Errorf("%s, %d requests", answer.Status, requests.Load())
		}
		if result := receive(t, g.outcomes); result.word() != Reset {
			t.Errorf("%+v", result)
		}
	})
}

// A client that waits for a 100 gets one, or the answer; nobody waits for ever. Over HTTP/2 Go's servers keep the
// Expect to themselves, and say 100 when the body is read.
func TestExpect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, hint, answer string
		body               bool
	}{
		{"asked for", "HTTP/1.1 100 Continue\r\n\r\n", plainOK, true},
		{"hinted before", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", plainOK, true},
		{"twice", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", plainOK, true},
		{"ignored", "", plainOK, true},
		{"turned down", "", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			bodies := make(chan string, 4)
			both(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				for request := head(r); request != ""; request = head(r) {
					if strings.Contains(
						request,
						"\r\nUser-Agent: Go-http-client/1.1\r\n",
					) != strings.Contains(
						request,
						"\r\nExpect: 100-continue\r\n",
					) {
						bodies <- request
					}
					io.WriteString(c, test.hint)
					body := make([]byte, 4)
					if test.body {
						io.ReadFull(r, body)
						bodies <- string(body)
					}
					io.WriteString(c, test.answer)
				}
			})}}, func(t *testing.T, g *gateway) {
				g.Client().Transport.(*http.Transport).ExpectContinueTimeout = patience
				var read atomic.Bool
				request := g.request(t, "POST", "/", &noted{strings.NewReader("body"), &read}, "Expect: 100-continue")
				request.ContentLength = 4
				answer := g.do(t, request)
				content(t, answer)
				want, _, _ := strings.Cut(strings.TrimPrefix(test.answer, "HTTP/1.1 "), "\r")
				if answer.Status != want || answer.ProtoMajor == 1 && read.Load() != test.body {
					t.Errorf("%s, body read %v", answer.Status, read.Load())
				}
				if test.body {
					if body := receive(t, bodies); body != "body" {
						t.Errorf("the origin got %q", body)
					}
				}
				if result := receive(t, g.outcomes); result.err != nil {
					t.Errorf("%+v", result)
				}
			})
		})
	}
}

// noted notes that it was read.
type noted struct {
	io.Reader
	read *atomic.Bool
}

func (n *noted) Read(p []byte) (int, error) {
	n.read.Store(true)
	return n.Reader.Read(p)
}

func TestExpectOfHTTP10(t *testing.T) {
	url, heads := answering(t, "HTTP/1.1 100 Continue\r\n\r\n"+plainOK)
	g := open(t, Config{Servers: []string{url}}, false)
	c, r := g.dial(t)
	io.WriteString(c, "POST / HTTP/1.0\r\nHost: shop.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody")
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 200 {
		t.Errorf("%v, %v", answer, err)
	}
	if request := receive(t, heads); strings.Contains(request, "Expect") {
		t.Errorf("the origin got %q", request)
	}
}

// Whatever a client says of its body's end in several ways, the origin hears one.
func TestOneFraming(t *testing.T) {
	messages := make(chan string, 64)
	g := open(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		message := head(r)
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // whatever comes
		rest, _ := io.ReadAll(r)
		messages <- message + string(rest)
		c.SetReadDeadline(time.Time{})
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	})}}, false)
	const chunks = "4\r\nbody\r\n0\r\n\r\n"
	for _, test := range []struct {
		name, sent string
		framing    string // "": the request is refused
		body       string
	}{
		{"a length", "Content-Length: 4\r\n\r\nbody", "Content-Length: 4", "body"},
		{"chunks", "Transfer-Encoding: chunked\r\n\r\n" + chunks, "Content-Length: 4", "body"},
		{"chunks with extensions", "Transfer-Encoding: chunked\r\n\r\n4;a=b\r\nbody\r\n0;c\r\n\r\n", "Content-Length: 4", "body"},
		{"both", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, "Content-Length: 4", "body"},
		{"both, the other way round", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + chunks, "Content-Length: 4", "body"},
		{"the same length twice", "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", "Content-Length: 4", "body"},
		{"two lengths", "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody", "", ""},
		{"a coding that is unknown", "Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\nbody", "", ""},
		{"two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunks, "", ""},
		{"a list of codings", "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks, "", ""},
		{"an underscore", "Content-Length: 4\r\nTransfer_Encoding: chunked\r\n\r\nbody", "Content-Length: 4", "body"},
		{"another underscore", "Transfer-Encoding: chunked\r\nContent_Length: 3\r\n\r\n" + chunks, "Content-Length: 4", "body"},
		{"named as hop-by-hop", "Connection: Content-Length, Transfer-Encoding\r\nContent-Length: 4\r\n\r\nbody", "Content-Length: 4", "body"},
		{"a request behind", "Connection: close\r\nContent-Length: 4\r\n\r\nbodyGET /evil HTTP/1.1\r\nHost: shop.example\r\n\r\n", "Content-Length: 4", "body"},
		{"trailers that say how to read", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nX-Forwarded-For: 66.249.66.1\r\nHost: evil\r\nX_Real_IP: 1\r\nX-Sum: 1\r\n\r\n",
			"Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"announced trailers", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\nTrailer: X-Real-IP\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n",
			"Trailer: X-Sum\r\nTransfer-Encoding: chunked", "4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, r := g.dial(t)
			io.WriteString(c, "POST /a HTTP/1.1\r\nHost: shop.example\r\n"+test.sent)
			answer, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.framing == "" {
				if answer.StatusCode < 400 || len(messages) > 0 {
					t.Errorf("%s, the origin heard %d requests", answer.Status, len(messages))
				}
				return
			}
			head, body, _ := strings.Cut(receive(t, messages), "\r\n\r\n")
			var framing []string
			for line := range strings.SplitSeq(head, "\r\n") {
				name, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(line), "_", "-"), ":")
				if name == "content-length" || name == "transfer-encoding" || name == "trailer" {
					framing = append(framing, line)
				}
			}
			if got := strings.Join(framing, "\r\n"); got != test.framing || body != test.body ||
				answer.StatusCode != 200 {
				t.Errorf("%s: %q and %q", answer.Status, got, body)
			}
		})
	}
}

// A client's body is not what it was said to be: the origin gets no whole request.
func TestBodyIsNotAsLongAsItSays(t *testing.T) {
	whole := make(chan bool, 8)
	o := several(t, "http://"+listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		request, err := http.ReadRequest(r)
		if err == nil {
			_, err = io.Copy(io.Discard, request.Body)
		}
		whole <- err == nil
		io.Copy(
			io.Discard,
			r,
		) // it does not hang up by itself: that would be another failure, and whichever is seen first counts
	}))
	for _, test := range []struct {
		length int64
		body   io.Reader
	}{
		{10, strings.NewReader("short")}, {4, strings.NewReader("too long")}, {-1, io.MultiReader(strings.NewReader(strings.Repeat("x", gatherBytes+1)), failing{})}, {10, io.MultiReader(strings.NewReader("x"), failing{})},
	} {
		r := httptest.NewRequest("POST", "/", nil).WithContext(t.Context())
		r.ContentLength, r.Body = test.length, io.NopCloser(test.body)
		w := httptest.NewRecorder()
		_, _, _, err := o.Serve(w, r)
		if got := (outcome{err: err}); w.Code != 400 || got.word() != ClientGone {
			t.Errorf("%d: %d %v", test.length, w.Code, err)
		}
		if complete := receive(t, whole); complete && test.length != 4 { // the origin may have what was announced
			t.Errorf("%d: a whole request", test.length)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

// Bodies of any size take the same memory. GATE421_BODY is the size in MiB to try.
func TestLargeBodies(t *testing.T) {
	size := int64(64 << 20)
	if text := os.Getenv("GATE421_BODY"); text != "" {
		fmt.Sscan(text, &size)
		size <<= 20
	}
	for name, c := range kinds(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
		io.CopyN(w, zeros{}, n)
	}) {
		t.Run(name, func(t *testing.T) {
			size := size
			if name != "http" && name != "h2c" { // the others have their clients
				size = min(size, 1<<20)
			}
			both(t, c, func(t *testing.T, g *gateway) {
				g.Client().Timeout = 0
				runtime.GC() // what tests before this one have left
				var most atomic.Uint64
				ctx, stop := context.WithCancel(t.Context())
				var watching sync.WaitGroup
				watching.Go(func() {
					for ctx.Err() == nil {
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						most.Store(max(most.Load(), m.HeapInuse))
						time.Sleep(10 * time.Millisecond)
					}
				})
				answer := g.do(t, g.request(t, "POST", "/", io.LimitReader(zeros{}, size)))
				n, err := io.Copy(io.Discard, answer.Body)
				stop()
				watching.Wait()
				if want := size + int64(len(fmt.Sprint(size))); n != want || err != nil || most.Load() > 48<<20 {
					t.Errorf("%d bytes, want %d; %v; %d MiB in use", n, want, err, most.Load()>>20)
				}
			})
		})
	}
}
