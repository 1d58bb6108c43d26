package origin

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gate421/gate/http1"
	"gate421/gate/http1/client"
)

// tape is an origin's side of a connection that says what it has to say, in pieces, whatever it is asked.
type tape struct {
	net.Conn
	said   []byte
	piece  int  // at most so many bytes a read
	silent bool // at the end nothing comes, instead of the end of the connection
	until  time.Time
	closed atomic.Bool
	reads  int
	asked  bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error) {
	t.reads++
	switch {
	case t.closed.Load():
		return 0, net.ErrClosed
	case !t.until.IsZero() && time.Now().After(t.until):
		return 0, os.ErrDeadlineExceeded
	case len(t.said) > 0:
		n := copy(p[:min(len(p), t.piece)], t.said)
		t.said = t.said[n:]
		return n, nil
	case t.silent:
		return 0, os.ErrDeadlineExceeded
	}
	return 0, io.EOF
}

func (t *tape) Write(p []byte) (int, error)        { return t.asked.Write(p) }
func (t *tape) Close() error                       { t.closed.Store(true); return nil }
func (t *tape) SetDeadline(at time.Time) error     { t.until = at; return nil }
func (t *tape) SetReadDeadline(at time.Time) error { t.until = at; return nil }
func (t *tape) SetWriteDeadline(time.Time) error   { return nil }

// wire notes what a server would have to put on the wire.
type wire struct {
	header http.Header
	hints  int
	status int
	head   http.Header // at the time of the final status
	body   bytes.Buffer
}

func (c *wire) Header() http.Header { return c.header }

func (c *wire) WriteHeader(status int) {
	switch {
	case status < 100 || status > 999 || c.status != 0:
		panic("status " + strconv.Itoa(status) + " after " + strconv.Itoa(c.status))
	case status < 200:
		c.hints++
	default:
		c.status, c.head = status, c.header.Clone()
	}
}

func (c *wire) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.WriteHeader(200)
	}
	return c.body.Write(p)
}

func (c *wire) Flush() {}

// readByOthers reads an answer as net/http does.
func readByOthers(said []byte, r *http.Request) (answer *http.Response, body []byte, left int, err error) {
	rest := bytes.NewReader(said)
	reader := bufio.NewReader(rest)
	for {
		if answer, err = http.ReadResponse(reader, r); err != nil {
			return nil, nil, 0, err
		}
		if answer.StatusCode >= 200 {
			break
		}
	}
	body, err = io.ReadAll(answer.Body)
	return answer, body, rest.Len() + reader.Buffered(), err
}

// Whatever an origin says, the client gets one answer that is whole, or is told that it is not; and no connection is
// used again that has more to say.
func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, said []byte, ask string, piece uint16, silent bool) {
		method, protocol, _ := strings.Cut(ask, " ")
		if !http1.Token(method) || method == http.MethodConnect {
			return
		}
		r := httptest.NewRequest("GET", "/", nil).WithContext(t.Context())
		r.Method = method
		if protocol == "2" {
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		}
		origin := &tape{said: said, piece: int(piece) + 1, silent: silent}
		d := &http1Proxy{address: "127.0.0.1:0", wait: time.Minute} // nobody can listen there
		d.idle.put(newConn(origin, "", d.wait))
		defer d.idle.close()
		d.idle.oldest.Used = false
		w := &wire{header: http.Header{}}
		_, status, _, err := alone(d).Serve(w, r)

		if origin.reads > 4*(len(said)+8) {
			t.Errorf("%d reads of %d bytes", origin.reads, len(said))
		}
		if bytes.Count(origin.asked.Bytes(), []byte("\r\n\r\n")) != 1 {
			t.Errorf("asked %q", origin.asked.Bytes())
		}
		if w.status == 0 {
			t.Fatal("no answer")
		}
		for name, values := range w.header {
			if !http1.Token(strings.TrimPrefix(name, http.TrailerPrefix)) ||
				client.HopByHop(name) && name != "Transfer-Encoding" && name != "Trailer" {
				t.Errorf("field %q", name)
			}
			for _, value := range values {
				if !http1.Printable(value) {
					t.Errorf("%s: %q", name, value)
				}
			}
		}
		cut := errors.Is(err, http.ErrAbortHandler)
		if err == nil || cut {
			if w.status != status {
				t.Errorf("status %d, the client has %d", status, w.status)
			}
		} else if w.status != 502 && w.status != 504 || w.head.Get("Content-Length") != "" || w.head.Get("Cache-Control") != "no-store" {
			t.Errorf("%v is answered %d %v", err, w.status, w.head)
		}
		if w.status == http.StatusMisdirectedRequest {
			t.Error("421 is passed on")
		}
		if lengths := w.head["Content-Length"]; len(lengths) > 1 ||
			len(lengths) > 0 && w.head["Transfer-Encoding"] != nil {
			t.Errorf("ambiguous: %v", w.head)
		} else if len(lengths) > 0 && err == nil && method != http.MethodHead && status != 204 && status != 304 {
			if n, err := strconv.Atoi(lengths[0]); err != nil || n != w.body.Len() {
				t.Errorf("%q, and %d bytes", lengths[0], w.body.Len())
			}
		}
		kept := d.idle.count > 0
		if kept != !origin.closed.Load() {
			t.Errorf("kept %v, closed %v", kept, origin.closed.Load())
		}
		if err != nil {
			if kept {
				t.Errorf("kept after %v", err)
			}
			return
		}
		answer, body, left, failure := readByOthers(said, r)
		if failure != nil {
			t.Fatalf("net/http: %v", failure)
		}
		if answer.StatusCode != status || !bytes.Equal(body, w.body.Bytes()) {
			t.Errorf("%d %q, net/http has %d %q", status, w.body.Bytes(), answer.StatusCode, body)
		}
		if !kept {
			return
		}
		if in, out := inside(d.idle.oldest, "in").Cap(), inside(d.idle.oldest, "out").Cap(); d.idle.oldest.Ready() ||
			guarded(d.idle.oldest) || in > 8<<10 || out > 8<<10 {
			t.Errorf(
				"kept with bytes buffered: %v, guard: %v, %d and %d bytes of buffers; want none, none, 8 KiB at most",
				d.idle.oldest.Ready(),
				guarded(d.idle.oldest),
				in,
				out,
			)
		}
		if len(origin.said) != left {
			t.Errorf("kept after %d bytes, net/http has read %d", len(said)-len(origin.said), len(said)-left)
		}
		if answer.Close {
			t.Error("net/http would close the connection")
		}
	})
}
