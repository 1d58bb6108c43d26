package front

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

const stall = 300 * time.Millisecond

// site responds to /N with N bytes in one write, and says when a handler has ended.
func site(ended chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var size int
		fmt.Sscanf(r.URL.Path, "/%d", &size)
		_, err := w.Write(make([]byte, size))
		if size >= 4<<10 { // less than that goes out after the handler
			ended <- err
		}
	})
}

// closed connects with this initial window for streams.
func (d *deployment) closed(t *testing.T, window uint32) *wire {
	t.Helper()
	w := d.wire(t)
	w.until("SETTINGS", func(f frame) bool { return f.kind == http2.FrameSettings && !f.ack })
	w.must(w.framer.WriteSettingsAck())
	w.must(w.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}))
	w.until("the ack", func(f frame) bool { return f.kind == http2.FrameSettings && f.ack })
	return w
}

// A stream whose window stays closed is reset; another on the same connection goes on, however slowly it is read.
func TestClosedWindows(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 5000, 300_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan error, 2)
				s := &Server{Handler: site(ended), Limits: Limits{StallTime: stall, StallBytes: 4 << 10}}
				d := openVirtual(t, s)
				w := d.closed(t, 0)
				w.request(1, fmt.Sprint("/", size))
				w.request(3, "/16000")
				begun := time.Now()
				reset, got := time.Duration(0), 0
				for step := 0; got < 16_000; step++ {
					w.must(w.framer.WriteWindowUpdate(3, 2000))
					for part := 0; part < 2000; {
						f := w.until("data or a reset", func(f frame) bool {
							return f.kind == http2.FrameData ||
								f.kind == http2.FrameRSTStream
						})
						switch {
						case f.kind == http2.FrameData && f.stream == 3:
							part += len(f.data)
						case f.kind == http2.FrameRSTStream && f.stream == 1 && f.code == http2.ErrCodeInternal:
							reset = time.Since(begun)
						default:
							t.Fatalf("got %+v, want data of stream 3, or stream 1 reset with INTERNAL_ERROR", f)
						}
					}
					got += 2000
					time.Sleep(stall / 4)
				}
				if reset < stall {
					t.Errorf("got a reset after %v, want it after %v at least", reset, stall)
				}
				w.request(5, "/0")
				w.headers(5)
				shows(t, s, map[string]map[string]uint64{"Limits": {"stall_write": 1}, "Resets": {"server": 1},
					"Connections": {"http2": 1}, "Open": {"http2": 1}})
			})
		})
	}
}

// The window of the connection may be what is closed.
func TestClosedWindowOfTheConnection(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 100)
	s := &Server{Handler: site(ended), Limits: Limits{StallTime: stall, StallBytes: 1000}}
	w := open(t, s).closed(t, 1<<20)
	for stream := uint32(1); stream < 100; stream += 2 {
		w.request(stream, "/3000") // the first 21 of 50 fit
	}
	resets := 0
	for resets < 29 {
		if f := w.until("a reset",
			func(f frame) bool { return f.kind == http2.FrameRSTStream }); f.code != http2.ErrCodeInternal {
			t.Errorf("got %+v, want INTERNAL_ERROR", f)
		}
		resets++
	}
	shows(t, s, map[string]map[string]uint64{"Limits": {"stall_write": 29}, "Resets": {"server": 29},
		"Connections": {"http2": 1}, "Open": {"http2": 1}})
}

// Ordinary clients get small responses in as few frames as without limits.
func TestOpenWindowsCostNothing(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	w := open(t, &Server{Handler: site(ended)}).closed(t, 1<<20)
	w.must(w.framer.WriteWindowUpdate(0, 1<<20))
	w.must(w.framer.WritePing(false, [8]byte{}))
	w.until("the pong", func(f frame) bool { return f.kind == http2.FramePing })
	w.request(1, "/10")
	if f := w.until("data", func(f frame) bool { return f.kind == http2.FrameData }); !f.end || len(f.data) != 10 {
		t.Errorf("got %+v, want 10 bytes and the end in one frame", f)
	}
}

// Over HTTP/1.1 it is the socket that takes nothing.
func TestResponseThatIsNotTaken(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	s := &Server{Limits: Limits{StallTime: stall},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for part := make([]byte, 64<<10); ; {
				if _, err := w.Write(part); err != nil {
					ended <- err
					return
				}
			}
		})}
	d := open(t, s)
	c, _ := d.http1(t)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
	receive(t, ended)
	shows(t, s, map[string]map[string]uint64{"Limits": {"stall_write": 1}, "Connections": {"http1": 1}})
}

// A body that comes too slowly is cut off where it is read; one that comes steadily is not, however long it takes.
func TestBodiesThatStall(t *testing.T) {
	t.Parallel()
	bubbles(t, func(t *testing.T, over2 bool) {
		ended := make(chan error, 1)
		s := &Server{Limits: Limits{StallTime: stall, StallBytes: 10},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				ended <- err
			})}
		d := openVirtual(t, s)
		for _, test := range []struct {
			size int
			ok   bool
		}{{10, true}, {1, false}} {
			body, stop := trickle(test.size, stall/3, 8)
			r, err := http.NewRequest("POST", "https://one.example/", body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = 8 * int64(test.size)
			answered := make(chan error, 1)
			client := d.client(t, over2)
			go func() {
				answer, err := client.Do(r)
				if err == nil {
					answer.Body.Close()
				}
				answered <- err
			}()
			if err := receive(t, ended); (err == nil) != test.ok {
				t.Errorf("%d bytes each %v: got %v, want success %v", test.size, stall/3, err, test.ok)
			}
			stop()
			receive(t, answered)
		}
		if got := s.Stats().Limits["stall_read"]; got != 1 {
			t.Errorf("got %d stalls, want 1", got)
		}
	})
}

// trickle is a body of so many parts.
func trickle(size int, pause time.Duration, parts int) (body io.Reader, stop func()) {
	r, w := io.Pipe()
	go func() {
		for range parts {
			if _, err := w.Write(bytes.Repeat([]byte("x"), size)); err != nil {
				return
			}
			time.Sleep(pause)
		}
		w.Close()
	}()
	return r, func() { r.Close() }
}

// A response may pause for as long as it likes: a long poll, a stream of events, a hijacked connection.
func TestSilenceIsNoStall(t *testing.T) {
	t.Parallel()
	bubbles(t, func(t *testing.T, over2 bool) {
		s := &Server{Limits: Limits{StallTime: stall / 3},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				for range 3 {
					time.Sleep(stall)
					io.WriteString(w, "data: news\n\n")
					http.NewResponseController(w).Flush()
				}
				time.Sleep(stall)
			})}
		d := openVirtual(t, s)
		answer, err := d.client(t, over2).Post("https://one.example/", "text/plain",
			strings.NewReader("since yesterday"))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if text, err := io.ReadAll(answer.Body); err != nil || strings.Count(string(text), "news") != 3 {
			t.Errorf("got %q, %v; want news three times", text, err)
		}
		shows(t, s, map[string]map[string]uint64{"Connections": {map[bool]string{true: "http2",
			false: "http1"}[over2]: 1}, "Open": {map[bool]string{true: "http2", false: "http1"}[over2]: 1}})
	})
	t.Run("taken over", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			d := openVirtual(t, &Server{Limits: Limits{StallTime: stall / 3},
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					time.Sleep(stall)
					io.WriteString(c, "news")
				})})
			c, _ := d.http1(t)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
			if text, err := io.ReadAll(c); err != nil || string(text) != "news" {
				t.Errorf("got %q, %v; want news", text, err)
			}
		})
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		watch := func() *pace {
			cut.Store(false)
			return &pace{time: time.Second, bytes: 10, cut: func() { cut.Store(true) }}
		}
		step := func(p *pace, took time.Duration, n int) {
			p.begin()
			time.Sleep(took)
			synctest.Wait()
			p.end(n)
		}
		for _, test := range []struct {
			name  string
			pause time.Duration
			took  time.Duration
			n     int
			steps int
			want  bool
		}{
			{"enough", 0, 500 * time.Millisecond, 5, 50, false},
			{"not enough", 0, 500 * time.Millisecond, 4, 8, true},
			{"all at once", 0, 999 * time.Millisecond, 10, 50, false},
			{"nothing", 0, time.Second, 0, 1, true},
			{"little, in no time", 100 * time.Millisecond, 0, 1, 500, false},
			{"little, slowly, between rests", 999 * time.Millisecond, 300 * time.Millisecond, 1, 6, true},
			{"little, slowly, seldom", time.Second, 300 * time.Millisecond, 1, 50, false},
		} {
			p := watch()
			for range test.steps {
				step(p, test.took, test.n)
				time.Sleep(test.pause)
			}
			if cut.Load() != test.want {
				t.Errorf("%s: cut %v, want %v", test.name, cut.Load(), test.want)
			}
			p.stop()
		}
	})
}

func BenchmarkPace(b *testing.B) {
	p := &pace{time: time.Minute, bytes: 64 << 10}
	b.ReportAllocs()
	for b.Loop() {
		p.begin()
		p.end(100)
	}
	p.stop()
}
