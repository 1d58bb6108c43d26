package front

import (
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// A client that is still sending reads its whole response before anything else: the reset that ends its upload comes a
// second later, and what it sends until then is not answered with resets. If it has ended the stream by then there is
// none.
func TestUploadEndsAfterItsResponse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		ends   func(w *wire) error // what the client does half a second later; nil: it goes on sending
		resets int
	}{
		{"it goes on sending", nil, 1},
		{"it ends its body", func(w *wire) error { return w.framer.WriteData(1, true, []byte("end")) }, 0},
		{"it resets the stream", func(w *wire) error { return w.framer.WriteRSTStream(1, http2.ErrCodeNo) }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			certificate := one(t)
			synctest.Test(t, func(t *testing.T) {
				s := &Server{Certificate: certificate,
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						http.Error(w, "no", http.StatusRequestEntityTooLarge)
					})}
				bubble(t, s, func(w *wire, _ *atomic.Int64) {
					w.greet(1<<20, 1<<20)
					w.must(w.ask(1, true, "100000"))
					if got := w.headers(1).fields[":status"]; got != "413" {
						t.Fatal(got)
					}
					w.until("the end", func(f frame) bool { return f.end })
					began, resets := time.Now(), 0
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						for f, more := w.read(); more; f, more = w.read() {
							if f.kind != http2.FrameRSTStream {
								continue
							}
							if resets++; f.code != http2.ErrCodeNo || f.stream != 1 || time.Since(began) < resetTime {
								t.Errorf("%+v after %v", f, time.Since(began))
							}
						}
					}()
					for range 3 {
						w.must(w.framer.WriteData(1, false, make([]byte, 1000)))
					}
					time.Sleep(resetTime / 2)
					if test.ends != nil {
						w.must(test.ends(w))
					}
					time.Sleep(resetTime)
					synctest.Wait()
					if resets != test.resets {
						t.Errorf("%d resets, want %d", resets, test.resets)
					}
					w.conn.NetConn().Close()
					<-ended
				})
			})
		})
	}
}

// A reset that is to follow a frame of which the client has taken a part only is given up with the connection, and no
// timer goes on asking for the rest of that frame.
func TestPostponedResetEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, f := held(0, func() bool { return false })
		c.out.seen = func(h *frameHead) {
			if !c.postpone(h) {
				c.sent(h)
			}
		}
		f.WriteRSTStream(1, http2.ErrCodeNo)
		c.write([]byte{0, 0, 100, frameData, 0, 0, 0, 0, 3, 'd'})
		s.failed = net.ErrClosed
		if _, err := c.write([]byte("dd")); err == nil {
			t.Fatal("the write did not fail")
		}
		time.Sleep(resetTime)
		synctest.Wait()
		asked := c.postponed.streams
		time.Sleep(2 * heldTime)
		synctest.Wait()
		if len(asked) != 0 {
			t.Errorf("%d resets are still to come", len(asked))
		}
	})
}
