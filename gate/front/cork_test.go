package front

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// sink is what a cork writes to.
type sink struct {
	net.Conn
	mu     sync.Mutex
	all    []string
	failed error
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return 0, s.failed
	}
	s.all = append(s.all, string(p))
	return len(p), nil
}

func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func (s *sink) took() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.all, "|")
}

// held is a cork by itself, that expects so many small answers.
func held(expected int, narrow func() bool) (*cork, *sink, *http2.Framer) {
	s := &sink{}
	c := &cork{tls: s, narrow: narrow, spare: &sync.Pool{New: func() any { return new([heldBytes]byte) }}}
	c.out = frames{seen: c.sent}
	for range expected {
		c.expect()
	}
	return c, s, http2.NewFramer(writes(c.write), nil)
}

type writes func([]byte) (int, error)

func (w writes) Write(p []byte) (int, error) { return w(p) }

// What is held back goes at once when nothing is to come behind it, and after heldTime in any case.
func TestCork(t *testing.T) {
	wide := func() bool { return false }
	head := func(f *http2.Framer, stream uint32) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte("h"), EndHeaders: true})
	}
	for _, test := range []struct {
		name     string
		expected int
		more     func(c *cork, f *http2.Framer) // behind the header of stream 1
		writes   int
	}{
		{"its end", 1, func(_ *cork, f *http2.Framer) { f.WriteData(1, true, []byte("d")) }, 1},
		{"its trailers", 1, func(_ *cork, f *http2.Framer) {
			f.WriteData(1, false, []byte("d"))
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("t"), EndHeaders: true,
				EndStream: true})
		}, 1},
		{"the ends of two", 2, func(_ *cork, f *http2.Framer) {
			head(f, 3)
			f.WriteData(1, true, []byte("d"))
			f.WriteData(3, true, []byte("d"))
		}, 1},
		{"another's end", 1, func(_ *cork, f *http2.Framer) {
			f.WriteData(3, true, []byte("d"))
			f.WriteData(1, true, []byte("d"))
		}, 2},
		{"a header in the place of another's", 1, func(_ *cork, f *http2.Framer) {
			head(f, 3)
			f.WriteData(3, true, []byte("d"))
			f.WriteData(1, true, []byte("d"))
		}, 2},
		{"another's data", 1, func(_ *cork, f *http2.Framer) {
			f.WriteData(3, false, []byte("d"))
			f.WriteData(1, true, []byte("d"))
		}, 1},
		{"too much", 1, func(_ *cork, f *http2.Framer) { f.WriteData(3, false, make([]byte, heldBytes-headBytes)) }, 2},
		{"nothing expected", 0, func(_ *cork, f *http2.Framer) { f.WriteData(1, true, []byte("d")) }, 2},
		{"a reset, ours", 1, func(_ *cork, f *http2.Framer) { f.WriteRSTStream(1, http2.ErrCodeInternal) }, 1},
		{"a reset, the client's", 1, func(c *cork, f *http2.Framer) {
			f.WriteData(3, false, []byte("d"))
			c.received(&frameHead{kind: frameResetStream, id: 1, initial: -1})
		}, 1},
		{"the end of the connection announced", 1, func(_ *cork, f *http2.Framer) {
			f.WriteGoAway(1, http2.ErrCodeProtocol, nil)
		}, 1},
		{"the end of the connection", 1, func(c *cork, _ *http2.Framer) { c.close() }, 1},
		{"windows made narrow", 1, func(c *cork, _ *http2.Framer) {
			c.received(&frameHead{kind: frameSettings, initial: smallBytes - 1})
		}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				c, s, f := held(test.expected, wide)
				f.AllowIllegalWrites = true
				head(f, 1)
				if now := s.took(); now == "" != (test.expected > 0) {
					t.Errorf("the header: %q", now)
				}
				test.more(c, f)
				if s.took(); len(s.all) != test.writes {
					t.Errorf("%d writes, want %d", len(s.all), test.writes)
				}
				if waited := time.Since(begun); waited > 0 {
					t.Errorf("waited for %v", waited)
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.held != 0 || c.waiting != 0 || c.holding.Load() {
					t.Errorf("%d bytes are left, and %d are waited for", c.held, c.waiting)
				}
			})
		})
	}
	for name, before := range map[string]func(c *cork) func() bool{
		"a client's reset before the header": func(c *cork) func() bool {
			c.received(&frameHead{kind: frameResetStream, initial: -1})
			return wide
		},
		"narrow windows": func(c *cork) func() bool { return func() bool { return true } },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, s, f := held(1, nil)
			c.narrow = before(c)
			head(f, 1)
			if s.took(); len(s.all) != 1 || c.expected.Load() != 0 {
				t.Errorf("%s: %d writes, %d expected", name, len(s.all), c.expected.Load())
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // a client's reset is told of to nobody else
		c, s, f := held(2, wide)
		head(f, 1)
		f.WriteData(3, false, []byte("d"))
		if s.took() != "" {
			t.Error("not held back")
		}
		time.Sleep(heldTime)
		if s.took(); len(s.all) != 1 || c.expected.Load() != 0 {
			t.Errorf("%d writes, %d expected", len(s.all), c.expected.Load())
		}
		s.failed = errors.New("gone")
		c.expect()
		if err := head(f, 5); err != nil || s.took() == "" {
			t.Errorf("held back: %v", err)
		}
		time.Sleep(heldTime)
		synctest.Wait()
		c.expect()
		if err := head(f, 7); err != s.failed {
			t.Errorf("the write after one that failed: %v", err)
		}
		c.close()
	})
}

// timeless is a test in a bubble, whose deadline is of another time.
type timeless struct{ rapid.TB }

// Whatever is written, expected, recalled and waited for, the bytes come in their order, none later than heldTime.
func TestCorkLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(timeless{t}, func(r *rapid.T) {
			c, s, _ := held(0, func() bool { return false })
			var want bytes.Buffer
			f := http2.NewFramer(io.MultiWriter(&want, writes(c.write)), nil)
			f.AllowIllegalWrites = true
			late := time.Now()
			for range rapid.IntRange(0, 60).Draw(r, "steps") {
				stream := uint32(2*rapid.IntRange(0, 5).Draw(r, "stream") + 1)
				body := make([]byte, rapid.SampledFrom([]int{0, 1, 1000, 5000, 40_000}).Draw(r, "body"))
				end := rapid.Bool().Draw(r, "end")
				switch rapid.IntRange(0, 8).Draw(r, "step") {
				case 0, 1:
					c.expect()
				case 2, 3:
					f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: body[:min(len(body), 1000)],
						EndHeaders: true, EndStream: end})
				case 4:
					f.WriteData(stream, end, body)
				case 5:
					f.WriteRSTStream(stream, http2.ErrCodeCancel)
				case 6:
					c.received(&frameHead{kind: frameResetStream, initial: -1})
				case 7:
					f.WritePing(end, [8]byte{})
				default:
					time.Sleep(heldTime / 3)
				}
				synctest.Wait()
				c.mu.Lock()
				held, waiting, expected := c.held, c.waiting, c.expected.Load()
				c.mu.Unlock()
				if held == 0 {
					late = time.Now().Add(heldTime)
				} else if !time.Now().Before(late) {
					r.Fatalf("%d bytes are held back for too long", held)
				}
				if expected < 0 || waiting < 0 || (waiting > 0) != (held > 0) {
					r.Fatalf("%d expected, %d waited for, %d held back", expected, waiting, held)
				}
			}
			c.close()
			if got := strings.Join(s.all, ""); got != want.String() {
				r.Fatalf("%d bytes came of %d, or others", len(got), want.Len())
			}
		})
	})
}
