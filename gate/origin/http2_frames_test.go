package origin

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	//lint:file-ignore SA1019 frames are made with the library that the engine is of.
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frameOrigin is an HTTP/2 origin that is told every frame it sends.
type frameOrigin struct {
	address     string
	connections atomic.Int32
	requests    atomic.Int32
	pings       chan struct{} // of all connections; each is answered
}

// stream is a request as an origin has it: its header has come, the rest comes to frames.
type stream struct {
	*frames
	id     uint32
	path   string
	method string
	ended  bool // there is no body
}

// frames is one of its connections.
type frames struct {
	t *testing.T
	*http2.Framer
	mu     sync.Mutex // for writing
	nth    int32      // connection of the origin
	hangUp func()
	bodies sync.Map // of *bytes.Buffer, by stream
}

// serveFrames starts an origin that calls answer with every request, in the connection's own goroutine, and ended when
// the body of one has come, which may be nil.
func serveFrames(
	t *testing.T,
	secure *tls.Config,
	settings []http2.Setting,
	answer func(s stream),
	ended func(s stream, body string),
) *frameOrigin {
	t.Helper()
	o := &frameOrigin{pings: make(chan struct{}, 64)}
	o.address = listen(t, secure, func(c net.Conn, r *bufio.Reader) {
		if _, err := io.ReadFull(r, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := &frames{t: t, Framer: http2.NewFramer(c, r), nth: o.connections.Add(1), hangUp: func() { c.Close() }}
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		f.AllowIllegalWrites = true
		f.write(func() { f.WriteSettings(settings...) })
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if !frame.IsAck() {
					f.write(func() { f.WriteSettingsAck() })
				}
			case *http2.PingFrame:
				if !frame.IsAck() {
					o.pings <- struct{}{}
					f.write(func() { f.WritePing(true, frame.Data) })
				}
			case *http2.MetaHeadersFrame:
				if frame.PseudoValue("method") == "" { // trailers
					f.end(frame.StreamID, ended)
					continue
				}
				o.requests.Add(1)
				f.bodies.Store(frame.StreamID, &bytes.Buffer{})
				answer(stream{f, frame.StreamID, frame.PseudoValue("path"), frame.PseudoValue("method"), frame.StreamEnded()})
				if frame.StreamEnded() {
					f.end(frame.StreamID, ended)
				}
			case *http2.DataFrame:
				body, ok := f.bodies.Load(frame.StreamID)
				if !ok {
					continue
				}
				body.(*bytes.Buffer).Write(frame.Data())
				if n := frame.Length; n > 0 {
					f.write(func() { f.WriteWindowUpdate(0, n) })
					if !frame.StreamEnded() {
						f.write(func() { f.WriteWindowUpdate(frame.StreamID, n) })
					}
				}
				if frame.StreamEnded() {
					f.end(frame.StreamID, ended)
				}
			}
		}
	})
	return o
}

func (f *frames) write(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *frames) end(id uint32, ended func(stream, string)) {
	body, ok := f.bodies.LoadAndDelete(id)
	if ok && ended != nil {
		ended(stream{frames: f, id: id}, body.(*bytes.Buffer).String())
	}
}

// headers sends a header block of name, value, …
func (s stream) headers(end bool, fields ...string) {
	var block bytes.Buffer
	packer := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		packer.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	s.write(func() {
		s.WriteHeaders(
			http2.HeadersFrameParam{StreamID: s.id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end},
		)
	})
}

func (s stream) data(end bool, p string) {
	s.write(func() { s.WriteData(s.id, end, []byte(p)) })
}

func (s stream) reset(code http2.ErrCode) {
	s.bodies.Delete(s.id)
	s.write(func() { s.WriteRSTStream(s.id, code) })
}

func (s stream) goAway(last uint32, code http2.ErrCode) {
	s.write(func() { s.WriteGoAway(last, code, nil) })
}

// url is where it is.
func (o *frameOrigin) url() string { return "h2c://" + o.address }

// counter counts what is written to it.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// rest waits until something was written and nothing more is.
func (c *counter) rest(t *testing.T) {
	t.Helper()
	end := time.Now().Add(2 * patience)
	for last, since := int64(0), time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if n := c.n.Load(); n == 0 || n != last {
			last, since = n, time.Now()
		} else if time.Since(since) > 200*time.Millisecond {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes written", last)
		}
	}
}
