package front

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	//lint:file-ignore SA1019 frames are looked at with the library that the server is of.
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire is an HTTP/2 client that reads and writes frames.
type wire struct {
	t      *testing.T
	conn   *tls.Conn
	framer *http2.Framer
	packed bytes.Buffer
	packer *hpack.Encoder
	scheme string // that requests name
	method string // "": GET
}

// frame is what tests look at in a frame.
type frame struct {
	kind     http2.FrameType
	stream   uint32
	code     http2.ErrCode // GOAWAY, RST_STREAM
	last     uint32        // GOAWAY
	ack, end bool
	fields   map[string]string
	settings map[http2.SettingID]uint32
	more     uint32 // WINDOW_UPDATE
	data     string
	opaque   [8]byte
}

// wire connects and sends the preface and SETTINGS; the server's SETTINGS are the first frame to read.
func (d *deployment) wire(t *testing.T) *wire {
	t.Helper()
	conn, err := d.tls(t, &tls.Config{ServerName: "one.example", NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	return speak(t, conn)
}

// speak sends the preface and SETTINGS on a connection.
func speak(t *testing.T, conn *tls.Conn) *wire {
	t.Helper()
	w := &wire{t: t, conn: conn, framer: http2.NewFramer(conn, conn), scheme: "https"}
	w.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.packer = hpack.NewEncoder(&w.packed)
	io.WriteString(conn, http2.ClientPreface)
	w.must(w.framer.WriteSettings())
	return w
}

func (w *wire) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// request sends a request for path on a stream, with more header fields in pairs.
func (w *wire) request(stream uint32, path string, fields ...string) {
	w.t.Helper()
	w.packed.Reset()
	all := append([]string{":method", cmp.Or(w.method, "GET"), ":scheme", w.scheme, ":authority", "one.example",
		":path", path}, fields...)
	for pair := range slices.Chunk(all, 2) {
		w.must(w.packer.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]}))
	}
	block := w.packed.Bytes()
	first := block[:min(len(block), 16<<10)]
	w.must(w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: first, EndStream: true,
		EndHeaders: len(first) == len(block)}))
	for block = block[len(first):]; len(block) > 0; {
		part := block[:min(len(block), 16<<10)]
		block = block[len(part):]
		if w.framer.WriteContinuation(stream, len(block) == 0, part) != nil {
			return // the server has had enough
		}
	}
}

// read reads a frame; false is the end of the connection.
func (w *wire) read() (frame, bool) {
	w.t.Helper()
	got, err := w.framer.ReadFrame()
	if err != nil {
		if strings.Contains(err.Error(), "timeout") {
			w.t.Fatal(err)
		}
		return frame{}, false
	}
	f := frame{kind: got.Header().Type, stream: got.Header().StreamID}
	switch got := got.(type) {
	case *http2.GoAwayFrame:
		f.code, f.last = got.ErrCode, got.LastStreamID
	case *http2.RSTStreamFrame:
		f.code = got.ErrCode
	case *http2.PingFrame:
		f.ack, f.opaque = got.IsAck(), got.Data
	case *http2.WindowUpdateFrame:
		f.more = got.Increment
	case *http2.DataFrame:
		f.data, f.end = string(got.Data()), got.StreamEnded()
	case *http2.MetaHeadersFrame:
		f.end, f.fields = got.StreamEnded(), map[string]string{}
		for _, field := range got.Fields {
			f.fields[field.Name] = field.Value
		}
	case *http2.SettingsFrame:
		f.ack, f.settings = got.IsAck(), map[http2.SettingID]uint32{}
		got.ForeachSetting(func(s http2.Setting) error { f.settings[s.ID] = s.Val; return nil })
	}
	return f, true
}

// until reads up to the first frame that is wanted and drops those before it.
func (w *wire) until(what string, wanted func(frame) bool) frame {
	w.t.Helper()
	for {
		f, more := w.read()
		if !more {
			w.t.Fatalf("the connection ended before %s", what)
		}
		if wanted(f) {
			return f
		}
	}
}

func (w *wire) goAway() frame {
	w.t.Helper()
	return w.until("GOAWAY", func(f frame) bool { return f.kind == http2.FrameGoAway })
}

func (w *wire) headers(stream uint32) frame {
	w.t.Helper()
	return w.until("an answer", func(f frame) bool { return f.kind == http2.FrameHeaders && f.stream == stream })
}

// ended reads up to the end of the connection.
func (w *wire) ended() {
	w.t.Helper()
	for _, more := w.read(); more; _, more = w.read() {
	}
}

// A request that calls itself plain http is one of HTTP/2 over TLS all the same.
func TestSchemeDoesNotHideTheProtocol(t *testing.T) {
	d := open(t, &Server{Certificate: one(t), Handler: text(func(_ http.ResponseWriter, r *http.Request) string {
		if r.TLS == nil {
			return "no TLS, " + r.Proto
		}
		return r.TLS.NegotiatedProtocol + " " + r.TLS.ServerName + " " + r.Proto
	})})
	w := d.wire(t)
	w.scheme = "http"
	w.request(1, "/")
	if got := w.until("the answer's body",
		func(f frame) bool { return f.kind == http2.FrameData }).data; got != "h2 one.example HTTP/2.0" {
		t.Errorf("got %q at the handler, want h2 one.example HTTP/2.0", got)
	}
}
