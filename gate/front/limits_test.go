package front

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

func TestSettingsAnnounceTheLimits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		limits Limits
		want   map[http2.SettingID]uint32
		window uint32 // of the connection
	}{
		{"the defaults", Limits{}, map[http2.SettingID]uint32{
			http2.SettingMaxConcurrentStreams: 100, http2.SettingMaxFrameSize: 16 << 10,
			http2.SettingInitialWindowSize: 256 << 10,
			http2.SettingMaxHeaderListSize: 32<<10 + 320}, 1 << 20},
		{"others", Limits{Streams: 7, FrameBytes: 32 << 10, StreamWindow: 70_000, ConnectionWindow: 80_000,
			HeaderBytes: 5000}, map[http2.SettingID]uint32{
			http2.SettingMaxConcurrentStreams: 7, http2.SettingMaxFrameSize: 32 << 10,
			http2.SettingInitialWindowSize: 70_000,
			http2.SettingMaxHeaderListSize: 5320}, 80_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := open(t, &Server{Handler: http.NotFoundHandler(), Limits: test.limits}).wire(t)
			settings, _ := w.read()
			got := map[http2.SettingID]uint32{}
			for id := range test.want {
				got[id] = settings.settings[id]
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("announced %v, want %v", got, test.want)
			}
			window := w.until("the window", func(f frame) bool { return f.kind == http2.FrameWindowUpdate })
			if window.stream != 0 || window.more != test.window-65_535 {
				t.Errorf("window %+v, want %d", window, test.window)
			}
		})
	}
}

func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := open(t, &Server{Limits: Limits{Streams: 2},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })})
	w := d.wire(t)
	w.until("SETTINGS", func(f frame) bool { return f.kind == http2.FrameSettings && !f.ack })
	w.must(w.framer.WriteSettingsAck())
	for stream := uint32(1); stream <= 5; stream += 2 {
		w.request(stream, "/")
	}
	if reset := w.until("a reset", func(f frame) bool { return f.kind == http2.FrameRSTStream }); reset.stream != 5 ||
		reset.code != http2.ErrCodeProtocol {
		t.Errorf("got %+v, want stream 5 reset with PROTOCOL_ERROR", reset)
	}
	close(release)
	w.headers(1)
}

func TestFramesAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := openVirtual(t, &Server{Handler: http.NotFoundHandler()}).wire(t)
		w.must(w.framer.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 16<<10+1)))
		if f := w.goAway(); f.code != http2.ErrCodeFrameSize {
			t.Errorf("got %+v, want FRAME_SIZE_ERROR", f)
		}
	})
}

func TestHeaderBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		served := make(chan int, 8)
		d := openVirtual(t, &Server{Limits: Limits{HeaderBytes: 8 << 10},
			Handler: text(func(_ http.ResponseWriter, r *http.Request) string {
				served <- len(r.Header["X"])
				return ""
			})})
		for _, test := range []struct {
			fields, size int
			http1, http2 string // status; http2 "": the connection is ended
		}{
			{7, 1 << 10, "200", "200"},
			{13, 1 << 10, "431", "431"},
			{1, 13 << 10, "431", ""},
			{1000, 1 << 10, "431", "431"}, // over HTTP/2 a few KiB, and not unpacked
		} {
			value := strings.Repeat("x", test.size)
			conn, r := d.http1(t)
			go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: one.example\r\n%s\r\n", strings.Repeat("X: "+value+"\r\n",
				test.fields))
			if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+test.http1) {
				t.Errorf("%d of %d bytes over HTTP/1.1: got %q, %v; want %s", test.fields, test.size, line, err,
					test.http1)
			}
			w := d.wire(t)
			w.request(1, "/", slices.Repeat([]string{"x", value}, test.fields)...)
			answer := w.until("any answer", func(f frame) bool {
				return f.kind == http2.FrameHeaders ||
					f.kind == http2.FrameGoAway
			})
			if answer.fields[":status"] != test.http2 || test.http2 == "" && answer.code == http2.ErrCodeNo {
				t.Errorf("%d of %d bytes over HTTP/2: got %+v, want %q", test.fields, test.size, answer, test.http2)
			}
		}
		if a, b := receive(t, served), receive(t, served); a != 7 || b != a || len(served) != 0 {
			t.Errorf("got %d and %d fields at the handlers, and %d requests more; want 7, 7, 0", a, b, len(served))
		}
	})
}

// A client that says nothing, or not enough, holds its connection for HeaderTime and not for IdleTime.
func TestHeaderTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openVirtual(t, &Server{Limits: Limits{HeaderTime: 200 * time.Millisecond, IdleTime: time.Hour},
			Handler: http.NotFoundHandler()})
		for name, dial := range map[string]func() (net.Conn, error){
			"no handshake":   func() (net.Conn, error) { return d.dialTo(d.secure) },
			"nothing, plain": func() (net.Conn, error) { return d.dialTo(d.plain) },
			"half a header": func() (net.Conn, error) {
				c, _ := d.http1(t)
				io.WriteString(c,
					"GET / HTTP/1.1\r\nHo")
				return c, nil
			},
			"no header after TLS": func() (net.Conn, error) { c, _ := d.http1(t); return c, nil },
		} {
			c, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(patience))
			if answer, err := io.ReadAll(c); err != nil || len(answer) != 0 &&
				!strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
				t.Errorf("%s: got %q, %v; want nothing, or 400", name, answer, err)
			}
			c.Close()
		}
	})
}

func TestIdleTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openVirtual(t, &Server{Limits: Limits{IdleTime: 100 * time.Millisecond},
			Handler: text(func(http.ResponseWriter, *http.Request) string { return "ok" })})
		conn, r := d.http1(t)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
		if answer, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\nok") {
			t.Errorf("got %q, %v; want one response and the end", answer, err)
		}
		w := d.wire(t)
		w.request(1, "/")
		w.headers(1)
		if f := w.goAway(); f.code != http2.ErrCodeNo || f.last != 1 {
			t.Errorf("got %+v, want GOAWAY with NO_ERROR and last stream 1", f)
		}
		w.ended()
	})
}

func TestPing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openVirtual(t, &Server{Limits: Limits{PingAfter: 50 * time.Millisecond, PingTime: 100 * time.Millisecond},
			Handler: http.NotFoundHandler()})
		w := d.wire(t)
		ping := func(f frame) bool { return f.kind == http2.FramePing && !f.ack }
		w.must(w.framer.WritePing(true, w.until("a ping", ping).opaque))
		w.until("another ping", ping) // it was answered, so the connection stayed
		w.conn.SetDeadline(time.Now().Add(patience))
		w.ended() // this one is not
	})
}

// A socket that takes nothing is not the same as a window that stays closed.
func TestWriteTime(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	d := open(t, &Server{Limits: Limits{WriteTime: 200 * time.Millisecond},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for part := make([]byte, 64<<10); ; {
				if _, err := w.Write(part); err != nil {
					ended <- err
					return
				}
			}
		})})
	w := d.wire(t)
	w.must(w.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}))
	w.must(w.framer.WriteWindowUpdate(0, 1<<31-1-65_535))
	w.request(1, "/") // and nothing is read
	receive(t, ended) // up to 5 s later, for TLS tries to say goodbye
}
