package front

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// drain reads what the server sends until the connection ends, and returns the code of its GOAWAY.
func (w *wire) drain() <-chan http2.ErrCode {
	ended := make(chan http2.ErrCode, 1)
	go func() {
		code := http2.ErrCodeNo
		for {
			f, err := w.framer.ReadFrame()
			if err != nil {
				ended <- code
				return
			}
			if away, ok := f.(*http2.GoAwayFrame); ok {
				code = away.ErrCode
			}
		}
	}()
	return ended
}

// ask opens a stream; with more the client has a body to send.
func (w *wire) ask(stream uint32, more bool, length string) error {
	w.packed.Reset()
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "one.example"},
		{":path", "/"}, {"content-length", length}} {
		if field[1] != "" {
			w.packer.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
	}
	return w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: w.packed.Bytes(),
		EndStream: !more, EndHeaders: true})
}

// attacks are the ways to have a stream reset before its response, each a number of frames on a stream of its own: by
// the client (CVE-2023-44487) and by the server, for an error that the client makes (CVE-2025-8671).
func attacks() map[string]func(w *wire, stream uint32) error {
	return map[string]func(w *wire, stream uint32) error{
		"reset": func(w *wire, stream uint32) error {
			w.ask(stream, false, "")
			return w.framer.WriteRSTStream(stream, http2.ErrCodeCancel)
		},
		"a window of nothing": func(w *wire, stream uint32) error {
			w.ask(stream, false, "")
			return w.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, stream, []byte{0, 0, 0, 0})
		},
		"a window without end": func(w *wire, stream uint32) error {
			w.ask(stream, false, "")
			return w.framer.WriteWindowUpdate(stream, 1<<31-1)
		},
		"priority of itself": func(w *wire, stream uint32) error {
			w.ask(stream, false, "")
			return w.framer.WritePriority(stream, http2.PriorityParam{StreamDep: stream})
		},
		"data behind the end": func(w *wire, stream uint32) error {
			w.ask(stream, false, "")
			return w.framer.WriteData(stream, true, []byte("x"))
		},
		"a length that is wrong": func(w *wire, stream uint32) error {
			w.ask(stream, true, "1")
			return w.framer.WriteData(stream, true, []byte("xx"))
		},
	}
}

// A connection on which streams are reset before they are answered, by either side, ends soon, at full speed or in
// groups with a PING between them. Others are served meanwhile.
func TestEarlyResets(t *testing.T) {
	t.Parallel()
	for name, attack := range attacks() {
		for _, paced := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, paced %v", name, paced), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var began, now, most atomic.Int64
					s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/ordinary" {
							io.WriteString(w, "hello")
							return
						}
						began.Add(1)
						most.Store(max(most.Load(), now.Add(1)))
						defer now.Add(-1)
						<-r.Context().Done()
					})}
					d := openVirtual(t, s)
					w := d.wire(t)
					ended := w.drain()
					var sending sync.WaitGroup
					sending.Go(func() {
						for i := range 20_000 {
							if attack(w, uint32(2*i+1)) != nil {
								return
							}
							if paced && i%50 == 49 {
								w.framer.WritePing(false, [8]byte{})
								time.Sleep(5 * time.Millisecond)
							}
						}
					})
					client := d.client(t, true)
					for range 5 {
						if _, body := get(t, client, "https://one.example/ordinary"); body != "hello" {
							t.Errorf("an ordinary client got %q", body)
						}
					}
					if code := receive(t, ended); code != http2.ErrCodeEnhanceYourCalm {
						t.Errorf("the connection ended with %v", code)
					}
					w.conn.NetConn().Close()
					sending.Wait()
					if n := began.Load(); n > 2*mostEarlyResets || most.Load() > 100 {
						t.Errorf("%d handlers ran, %d at once", n, most.Load())
					}
				})
			})
		}
	}
}

// Who leaves some pages early and stays on others is left alone: responses make up for resets.
func TestResetsOfAnOrdinaryClient(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			<-r.Context().Done()
		}
	})})
	w := d.wire(t)
	stream := uint32(1)
	for range 40 {
		for range 25 {
			w.must(w.ask(stream, false, ""))
			w.must(w.framer.WriteRSTStream(stream, http2.ErrCodeCancel))
			w.request(stream+2, "/")
			w.headers(stream + 2)
			stream += 4
		}
	}
}

// A client that gives up on slow responses, again and again, keeps its connection.
func TestResetsOfAPatientClient(t *testing.T) {
	t.Parallel()
	certificate := one(t)
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Certificate: certificate,
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })}
		bubble(t, s, func(w *wire, _ *atomic.Int64) {
			w.greet(1<<20, 1<<20)
			ended := w.drain()
			for i := range 2 * mostEarlyResets {
				stream := uint32(2*i + 1)
				if w.ask(stream, false, "") != nil {
					break
				}
				time.Sleep(earlyTime)
				if w.framer.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
					break
				}
				w.framer.WriteRawFrame(http2.FramePing, http2.FlagPingAck, 0, make([]byte, 8))
			}
			select {
			case code := <-ended:
				t.Errorf("the connection ended with %v", code)
			default:
			}
			w.conn.NetConn().Close()
			<-ended
		})
	})
}

// A stream whose response the engine makes, or whose response is ours to a request that was not looked at further,
// ends although its client takes nothing.
func TestResponsesThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fields []string
		status string
		shown  map[string]map[string]uint64
	}{
		{"too many fields", fill(140, "f%d", "x"), "431", map[string]map[string]uint64{
			"Limits": {"header_fields": 20, "stall_write": 20}, "Rejections": {"431": 20}, "Resets": {"server": 20},
			"Open": {"http2": 1}, "Connections": {"http2": 1}}},
		{"too large", slices.Repeat([]string{"x", strings.Repeat("x", 1<<10)}, 60), "431", map[string]map[string]uint64{
			"Limits": {"stall_write": 1}, "Connections": {"http2": 1}}},
		{"malformed", []string{"connection", "x"}, "400", map[string]map[string]uint64{
			"Limits": {"stall_write": 1}, "Connections": {"http2": 1}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			certificate := one(t)
			synctest.Test(t, func(t *testing.T) {
				s := &Server{Certificate: certificate,
					Handler: text(func(http.ResponseWriter, *http.Request) string { return "no" })}
				bubble(t, s, func(w *wire, _ *atomic.Int64) {
					w.greet(0, 0)
					for i := range 20 {
						w.request(uint32(2*i+1), "/", test.fields...)
						if got := w.headers(uint32(2*i + 1)).fields[":status"]; got != test.status {
							t.Fatal(got)
						}
					}
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						for f, more := w.read(); more; f, more = w.read() {
							if f.kind == http2.FramePing && !f.ack {
								w.framer.WritePing(true, f.opaque)
							}
						}
					}()
					time.Sleep(100 * time.Second)
					synctest.Wait()
					if test.shown["Open"] == nil {
						time.Sleep(2 * time.Minute)
					}
					select {
					case <-ended:
						if test.shown["Open"] != nil {
							t.Error("the connection has ended")
						}
					default:
						if test.shown["Open"] == nil {
							t.Error("the connection is still open")
						}
					}
					synctest.Wait()
					shows(t, s, test.shown)
				})
			})
		})
	}
}

func fill(n int, name, value string) (pairs []string) {
	for i := range n {
		pairs = append(pairs, fmt.Sprintf(name, i), value)
	}
	return pairs
}

// Handlers that take long, and streams that a GOAWAY leaves out, are no reason to end a connection.
func TestLongRequestsGoOn(t *testing.T) {
	t.Parallel()
	certificate := one(t)
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Certificate: certificate, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/last" {
				w.Header().Set("Connection", "close")
				return
			}
			time.Sleep(10 * time.Minute)
			io.WriteString(w, "done")
		})}
		bubble(t, s, func(w *wire, _ *atomic.Int64) {
			w.greet(1<<20, 1<<20)
			for i := range 50 {
				w.request(uint32(2*i+1), "/long")
			}
			w.request(101, "/last")
			w.goAway()
			w.request(103, "/too late")
			for left := 50; left > 0; {
				f, more := w.read()
				switch {
				case !more:
					t.Fatalf("%d requests were cut off", left)
				case f.kind == http2.FramePing && !f.ack:
					w.must(w.framer.WritePing(true, f.opaque))
				case f.data == "done":
					left--
				}
			}
		})
	})
}
