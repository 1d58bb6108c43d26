package front

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// shows waits until a Server's counts are as wanted, by the names of Stats' fields; a word that is not named must be
// 0.
func shows(t *testing.T, s *Server, want map[string]map[string]uint64) {
	t.Helper()
	var got map[string]map[string]uint64
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		got = map[string]map[string]uint64{}
		stats := reflect.ValueOf(s.Stats())
		for i := range stats.NumField() {
			counted := stats.Field(i).Interface().(map[string]uint64)
			maps.DeleteFunc(counted, func(_ string, n uint64) bool { return n == 0 })
			if len(counted) > 0 {
				got[stats.Type().Field(i).Name] = counted
			}
		}
		if reflect.DeepEqual(got, want) {
			return
		}
	}
	t.Errorf("counted %v\nwant    %v", got, want)
}

type counted = map[string]uint64

func TestStatsOfConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := one(t)
		s := &Server{
			Limits: Limits{HeaderTime: 300 * time.Millisecond},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/taken" {
					return
				}
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(conn, "x")
				go func() {
					defer conn.Close()
					io.Copy(conn, conn)
				}()
			}),
			Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				if hello.ServerName == "broken.example" {
					return nil, errors.New("no certificate yet")
				}
				return own(hello)
			},
		}
		d := openVirtual(t, s)
		for _, c := range []*tls.Config{
			{ServerName: "other.example"}, {},
			{ServerName: "broken.example"},
			{ServerName: "one.example", NextProtos: []string{"h3"}},
			{ServerName: "one.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		} {
			if _, err := d.tls(t, c); err == nil {
				t.Errorf("%+v: a handshake", c)
			}
		}
		for _, says := range []string{"", "GET / HTTP/1.1\r\n\r\n",
			"\x16\x03\x01"} { // the last one waits for its time to be over
			conn, err := d.dialTo(d.secure)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if io.WriteString(conn, says); says == "" {
				conn.Close()
			}
		}
		for _, alpn := range []string{"h2", "http/1.1", "acme-tls/1"} { // and not a word
			conn, err := d.tls(t, &tls.Config{ServerName: "one.example", NextProtos: []string{alpn}})
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
		handshakes := counted{"no_hello": 3, "unknown_name": 2, "certificate": 1, "other": 2}
		shows(t, s, map[string]map[string]uint64{"Handshakes": handshakes, "Connections": {"none": 3}})

		first, second := d.client(t, false), d.client(t, true)
		for range 3 {
			get(t, first, "https://one.example/")
			get(t, second, "https://one.example/")
		}
		plain, err := d.dialTo(d.plain)
		if err != nil {
			t.Fatal(err)
		}
		taken, r := d.http1(t)
		io.WriteString(taken, "GET /taken HTTP/1.1\r\nHost: one.example\r\n\r\n")
		if _, err := r.ReadByte(); err != nil {
			t.Fatal(err)
		}
		silent, err := d.tls(t, &tls.Config{ServerName: "one.example", NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		shows(t, s, map[string]map[string]uint64{
			"Handshakes": handshakes, "Connections": {"none": 3, "http1": 2, "http2": 1, "plain": 1},
			"Open": {"none": 1, "http1": 2, "http2": 1, "plain": 1},
		})
		for _, c := range []io.Closer{plain, taken, silent} {
			c.Close()
		}
		first.CloseIdleConnections()
		second.CloseIdleConnections()
		shows(t, s, map[string]map[string]uint64{
			"Handshakes": handshakes, "Connections": {"none": 4, "http1": 2, "http2": 1, "plain": 1},
		})
	})
}

func TestStatsOfRequests(t *testing.T) {
	t.Parallel()
	wait := make(chan struct{})
	s := &Server{}
	s.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-wait })
	s.Plain = s.Handler
	d := open(t, s)
	w := d.wire(t)
	for i := range 7 {
		w.request(uint32(1+2*i), "/")
	}
	for range 2 {
		conn, _ := d.http1(t)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
	}
	plain, err := d.dialTo(d.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	io.WriteString(plain, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
	connections := counted{"http1": 2, "http2": 1, "plain": 1}
	shows(t, s, map[string]map[string]uint64{
		"Requests": {"http1": 2, "http2": 7, "plain": 1}, "Open": connections, "Connections": connections,
	})
	w.must(w.framer.WriteRSTStream(1, http2.ErrCodeCancel))
	close(wait)
	shows(t, s, map[string]map[string]uint64{"Resets": {"client": 1}, "Open": connections, "Connections": connections})
}

// Streams are reset while their handlers run, after they have answered, and faster than handlers can start.
func TestStatsOfResets(t *testing.T) {
	t.Parallel()
	s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
	})}
	d := open(t, s)
	w := d.wire(t)
	for i := range 60 {
		w.request(uint32(1+2*i), "/slow")
		w.must(w.framer.WriteRSTStream(uint32(1+2*i), http2.ErrCodeCancel))
	}
	w.request(201, "/")
	w.headers(201)
	w.must(w.framer.WriteRSTStream(201, http2.ErrCodeNo))
	w.request(203, "/slow")
	w.must(w.framer.WriteWindowUpdate(203, 1<<31-1)) // more than a window can be: the server resets this stream
	w.until("a reset", func(f frame) bool { return f.kind == http2.FrameRSTStream && f.stream == 203 })
	connections := counted{"http2": 1}
	shows(t, s, map[string]map[string]uint64{"Resets": {"client": 61, "server": 1}, "Open": connections,
		"Connections": connections})
}

func TestStatsOfErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Handler: http.NotFoundHandler()}
		d := openVirtual(t, s)
		for _, wrong := range []func(w *wire) error{
			func(w *wire) error { return w.framer.WriteRawFrame(http2.FramePing, 0, 1, make([]byte, 8)) },
			// on a stream
			func(w *wire) error { return w.framer.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")) },
			// on none
			func(w *wire) error { return w.framer.WriteRawFrame(http2.FramePing, 0, 0, make([]byte, 7)) },
			// too short
			func(w *wire) error { return w.framer.WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 17<<10)) },
			// too long
			func(w *wire) error { return w.framer.WriteWindowUpdate(0, 1<<31-1) },
			// too much
			func(w *wire) error { return w.framer.WriteRawFrame(http2.FrameHeaders, 0x5, 1, []byte{0xff}) },
			// no HPACK
		} {
			w := d.wire(t)
			w.until("the answer to SETTINGS", func(f frame) bool { return f.kind == http2.FrameSettings && f.ack })
			w.must(wrong(w))
			w.goAway()
			w.conn.Close()
		}
		w := d.wire(t) // well
		w.request(1, "/")
		w.headers(1)
		w.conn.Close()
		shows(t, s, map[string]map[string]uint64{
			"Errors": {"protocol_error": 2, "frame_size_error": 2, "flow_control_error": 1,
				"compression_error": 1},
			"Connections": {"http2": 7},
		})
	})
}

func TestStatsOfPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Handler: http.NotFoundHandler(), Limits: Limits{PingAfter: 50 * time.Millisecond,
			PingTime: 100 * time.Millisecond}}
		d := openVirtual(t, s)
		d.wire(t).ended()
		shows(t, s, map[string]map[string]uint64{"Errors": {"ping_timeout": 1}, "Connections": {"http2": 1}})
	})
}

func TestStatsOfNilServer(t *testing.T) {
	var s *Server
	if got := s.Stats(); len(got.Open) != protocols || len(got.Requests) != protocols-1 ||
		len(got.Errors) != errorKinds-1 {
		t.Errorf("got %+v, want every word", got)
	}
}

// Frames are found however a connection is cut into pieces.
func TestFramesInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream bytes.Buffer
		framer := http2.NewFramer(&stream, nil)
		framer.AllowIllegalWrites = true
		stream.WriteString(http2.ClientPreface)
		var want []string
		for range rapid.IntRange(0, 20).Draw(t, "frames") {
			code := http2.ErrCode(rapid.Uint32().Draw(t, "code"))
			switch payload := make([]byte, rapid.IntRange(0, 40).Draw(t, "length")); rapid.IntRange(0, 7).Draw(t,
				"kind") {
			case 0:
				framer.WriteRSTStream(1, code)
				want = append(want, fmt.Sprint(frameResetStream, code))
			case 1:
				framer.WriteGoAway(1, code, payload)
				want = append(want, fmt.Sprint(frameGoAway, code))
			case 2:
				framer.WriteRawFrame(http2.FrameGoAway, 0, 0, payload[:min(len(payload), 7)]) // too short to say why
			case 3:
				framer.WriteRawFrame(http2.FrameData, 0, 1, payload)
			case 4:
				more := rapid.Uint32Range(1, 1<<31-1).Draw(t, "more")
				framer.WriteWindowUpdate(0, more)
				want = append(want, fmt.Sprint("more ", more))
			case 5:
				framer.WriteWindowUpdate(7, 1)
			case 6:
				settings := slices.Repeat([]http2.Setting{{ID: http2.SettingMaxFrameSize,
					Val: 1 << 14}}, rapid.IntRange(0, 12).Draw(t, "settings"))
				initial := int64(rapid.Uint32Range(0, 1<<31-1).Draw(t, "initial"))
				framer.WriteSettings(append(settings, http2.Setting{ID: http2.SettingInitialWindowSize,
					Val: uint32(initial)})...)
				if len(settings) >= mostSettings {
					initial = 0
				}
				want = append(want, fmt.Sprint("initial ", initial))
			default:
				framer.WriteSettingsAck()
			}
		}
		var got []string
		f := frames{skip: len(http2.ClientPreface), seen: func(h *frameHead) {
			switch {
			case h.kind == frameResetStream, h.kind == frameGoAway && h.length >= 8:
				got = append(got, fmt.Sprint(h.kind, http2.ErrCode(h.code)))
			case h.kind == frameWindowUpdate && h.id == 0:
				got = append(got, fmt.Sprint("more ", h.more))
			case h.initial >= 0:
				got = append(got, fmt.Sprint("initial ", h.initial))
			}
		}}
		for stream.Len() > 0 {
			f.follow(stream.Next(rapid.IntRange(0, 30).Draw(t, "piece")))
		}
		if !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	})
}

func BenchmarkFrames(b *testing.B) {
	var stream bytes.Buffer
	framer := http2.NewFramer(&stream, nil)
	framer.WriteData(1, false, make([]byte, 1000))
	f := frames{seen: func(*frameHead) {}}
	b.ReportAllocs()
	for b.Loop() {
		f.follow(stream.Bytes()[:headBytes])
		f.follow(stream.Bytes()[headBytes:])
	}
}

func TestStatsOfRejections(t *testing.T) {
	t.Parallel()
	s := &Server{Handler: remote(), Plain: remote(), Limits: Limits{HeaderBytes: 4 << 10}}
	d := open(t, s)
	for _, said := range []string{
		"GET / HTTP/1.1\r\n\r\n", "GET /#x HTTP/1.1\r\nHost: one.example\r\n\r\n",
		"GET /" + strings.Repeat("x", 4<<10) + " HTTP/1.1\r\n",
		"GET / HTTP/1.1\r\nHost: one.example\r\nExpect: tea\r\n\r\n",
		"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 4<<10),
		"POST / HTTP/1.1\r\nHost: one.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"GET / HTTP/3.0\r\nHost: one.example\r\n\r\n",
	} {
		conn, r := d.http1(t)
		fmt.Fprint(conn, said)
		if _, err := io.ReadAll(r); err != nil {
			t.Errorf("%.60q: got %v, want a response", said, err)
		}
		conn.Close()
	}
	shows(t, s, map[string]map[string]uint64{
		"Rejections": {"400": 2, "414": 1, "417": 1, "431": 1, "501": 1, "505": 1}, "Connections": {"http1": 7},
	})
}
