package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// pipes is a listener without sockets, for a bubble of synctest: time stands still there while anything is under way,
// so what waited for a timer shows.
type pipes struct {
	clients chan net.Conn
	closing sync.Once
	closed  chan struct{}
	writes  atomic.Int64 // of the server
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.clients:
		return piped{c, &p.writes}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.closing.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

type piped struct {
	net.Conn
	writes *atomic.Int64
}

func (c piped) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// bubble serves over pipes, and asks test to be their one client.
func bubble(t *testing.T, s *Server, test func(w *wire, writes *atomic.Int64)) {
	t.Helper()
	p := &pipes{clients: make(chan net.Conn), closed: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(ctx, p, nil)
	}()
	ours, theirs := net.Pipe()
	defer func() {
		ours.Close()
		stop()
		<-served
	}()
	p.clients <- theirs
	conn := tls.Client(ours, &tls.Config{ServerName: "one.example", InsecureSkipVerify: true,
		NextProtos: []string{"h2"}})
	w := &wire{t: t, conn: conn, framer: http2.NewFramer(conn, conn), scheme: "https"}
	w.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.packer = hpack.NewEncoder(&w.packed)
	_, err := io.WriteString(conn, http2.ClientPreface)
	w.must(err)
	test(w, &p.writes)
}

// greet agrees on windows: of each stream, and how much more than the default of the connection.
func (w *wire) greet(window, more uint32) {
	w.t.Helper()
	w.must(w.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}))
	w.until("the ack", func(f frame) bool { return f.kind == http2.FrameSettings && f.ack })
	w.must(w.framer.WriteSettingsAck())
	if more > 0 {
		w.must(w.framer.WriteWindowUpdate(0, more))
	}
	w.must(w.framer.WritePing(false, [8]byte{}))
	w.until("the pong", func(f frame) bool { return f.kind == http2.FramePing })
	synctest.Wait()
}

// A small answer is one write to the socket. Where there are several, each is whole.
func TestSmallAnswersLeaveAtOnce(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers int
		most    int64
		serve   http.HandlerFunc
	}{
		{"one", 1, 1, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }},
		{"ten", 10, 10, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }},
		{"with trailers", 1, 1, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "Sum")
			io.WriteString(w, "hello")
			w.Header().Set("Sum", "1")
			w.Header().Set(http.TrailerPrefix+"Other", "2")
		}},
		{"in pieces", 1, 1, func(w http.ResponseWriter, _ *http.Request) {
			for range 5 {
				w.Write([]byte("h"))
			}
		}},
		{"without a body", 1, 1, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		{"flushed", 1, 3, func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("hello"))
			http.NewResponseController(w).Flush()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bubble(t, &Server{Certificate: one(t), Handler: test.serve}, func(w *wire, writes *atomic.Int64) {
					w.greet(1<<20, 1<<20)
					before, begun := writes.Load(), time.Now()
					for i := range test.answers {
						w.request(uint32(2*i+1), "/")
					}
					for range test.answers {
						w.until("an end", func(f frame) bool { return f.end })
					}
					synctest.Wait()
					if n := writes.Load() - before; n < 1 || n > test.most {
						t.Errorf("%d writes, want %d at most", n, test.most)
					}
					if waited := time.Since(begun); waited > 0 {
						t.Errorf("got a wait of %v, want none", waited)
					}
				})
			})
		})
	}
}

// Only what is sure to come is expected, or others would wait for it.
func TestNothingStaysExpected(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"small": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, smallBytes)) },
		"large": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, smallBytes+1)) },
		"large, in pieces": func(w http.ResponseWriter, _ *http.Request) {
			w.Write(make([]byte, 10))
			w.Write(make([]byte, smallBytes))
		},
		"empty": func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) },
		"HEAD":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
		"panic": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w,
				"hello")
			panic(http.ErrAbortHandler)
		},
		"hints":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); io.WriteString(w, "hello") },
		"not modified": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304); io.WriteString(w, "hello") },
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "hello")
			http.NewResponseController(w).Flush() // its DATA waits until HEADERS is out
			io.WriteString(w, "hello")
		},
		"reset": func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			io.WriteString(w, "hello")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked *conn
				bubble(t, &Server{Certificate: one(t),
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						asked = connOf(r)
						serve(w, r)
					})}, func(w *wire, _ *atomic.Int64) {
					w.greet(1<<20, 1<<20)
					begun := time.Now()
					if name == "HEAD" {
						w.method = name
					}
					w.request(1, "/")
					if name == "reset" {
						w.must(w.framer.WriteRSTStream(1, http2.ErrCodeCancel))
					} else {
						w.until("the end", func(f frame) bool { return f.end || f.kind == http2.FrameRSTStream })
					}
					synctest.Wait()
					if n := asked.cork.expected.Load(); n != 0 {
						t.Errorf("got %d expected, want 0", n)
					}
					if waited := time.Since(begun); waited > 0 {
						t.Errorf("got a wait of %v, want none", waited)
					}
				})
			})
		})
	}
}

// many answers /KIND/BYTES.
func many(w http.ResponseWriter, r *http.Request) {
	var kind string
	var size int
	fmt.Sscanf(strings.ReplaceAll(r.URL.Path, "/", " "), "%s %d", &kind, &size)
	body := bytes.Repeat([]byte("x"), size)
	switch kind {
	case "none":
		w.WriteHeader(http.StatusNoContent)
		return
	case "trailers":
		defer w.Header().Set(http.TrailerPrefix+"Sum", "1")
	case "flush":
		w.Write(body[:size/2])
		http.NewResponseController(w).Flush()
		body = body[size/2:]
	case "hints":
		w.WriteHeader(http.StatusEarlyHints)
	case "abort":
		w.Write(body)
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}

// Every answer that is not reset comes whole, whatever the others do. In the bubble nothing takes time but what waits
// for a timer, and that is a stream that was reset at a bad moment, at most.
func TestAnswersComeWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		certificate := one(t)
		rapid.Check(timeless{t}, func(r *rapid.T) {
			window := rapid.SampledFrom([]uint32{1, 100, 65_535, 1 << 20}).Draw(r, "window")
			most := 100 << 10
			if window <= 100 {
				most = 50 * int(window)
			}
			more := rapid.SampledFrom([]uint32{0, 450 << 10, 1 << 20, 1 << 30}).Draw(r, "more")
			type asked struct {
				size, got int
				reset     bool
				ended     bool
			}
			streams := map[uint32]*asked{}
			bubble(t, &Server{Certificate: certificate,
				Handler: http.HandlerFunc(many)}, func(w *wire, _ *atomic.Int64) {
				w.greet(window, more)
				begun, resets := time.Now(), 0
				for i := range rapid.IntRange(1, 20).Draw(r, "streams") {
					id, a := uint32(2*i+1), &asked{}
					streams[id] = a
					kind := rapid.SampledFrom([]string{"plain", "plain", "plain", "flush", "trailers", "hints", "none",
						"head", "abort"}).Draw(r, "kind")
					size := rapid.OneOf(rapid.IntRange(0, min(most, 5000)), rapid.IntRange(0, most)).Draw(r, "size")
					path := fmt.Sprintf("/%s/%d", kind, size)
					switch kind {
					case "head":
						w.method = http.MethodHead
					case "none":
					case "abort":
						a.reset = true
						resets++
					default:
						a.size = size
					}
					w.request(id, path)
					w.method = ""
					if rapid.IntRange(0, 4).Draw(r, "reset") == 0 {
						a.reset = true
						resets++
						w.must(w.framer.WriteRSTStream(id, http2.ErrCodeCancel))
					}
				}
				w.must(w.framer.WritePing(false, [8]byte{1}))
				for left, pong := 1, false; left > 0 || !pong; {
					f, ok := w.read()
					if !ok {
						t.Fatal("the connection ended")
					}
					pong = pong || f.kind == http2.FramePing && f.ack
					if a := streams[f.stream]; a != nil {
						a.got += len(f.data)
						a.ended = a.ended || f.end
						if n := uint32(len(f.data)); n > 0 {
							w.must(w.framer.WriteWindowUpdate(0, n))
							if !a.ended && !a.reset {
								w.must(w.framer.WriteWindowUpdate(f.stream, n))
							}
						}
					}
					left = 0
					for _, a := range streams {
						if !a.reset && !a.ended {
							left++
						}
					}
				}
				if waited := time.Since(begun); waited > time.Duration(resets)*heldTime {
					t.Errorf("%d resets: got a wait of %v, want %v at most", resets, waited,
						time.Duration(resets)*heldTime)
				}
			})
			for id, a := range streams {
				if !a.reset && a.got != a.size {
					t.Errorf("stream %d: got %d bytes, want %d", id, a.got, a.size)
				}
			}
		})
	})
}
