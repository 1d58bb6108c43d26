//go:build peers

package peers

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// stubborn is an origin that works for two seconds on each request but ordinary ones, and does not look whether anybody
// waits for it.
type stubborn struct {
	url                    string
	conns, asked, now, top atomic.Int64
}

func startStubborn(t *testing.T, scheme string) *stubborn {
	t.Helper()
	o := &stubborn{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(scheme == "http")
	protocols.SetUnencryptedHTTP2(scheme == "h2c")
	server := &http.Server{
		Protocols: protocols,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				o.conns.Add(1)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/ordinary" {
				o.asked.Add(1)
				now := o.now.Add(1)
				for top := o.top.Load(); now > top && !o.top.CompareAndSwap(top, now); top = o.top.Load() {
				}
				time.Sleep(2 * time.Second)
				o.now.Add(-1)
			}
			io.WriteString(w, "hello")
		}),
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	o.url = scheme + "://" + listener.Addr().String()
	return o
}

// knock connects to the gateway from an address, without a look at its certificate.
func (g *gateway) knock(from, protocol string) (*tls.Conn, error) {
	dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0)), Timeout: patience}
	raw, err := dialer.Dial("tcp", "127.0.0.1:"+g.port)
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(time.Now().Add(patience))
	c := tls.Client(raw, &tls.Config{ServerName: shop, InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err := c.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

// resets are the ways to have a stream reset as soon as its request is under way: by the client (CVE-2023-44487), and
// by the server for what the client then does wrong (CVE-2025-8671).
var resets = map[string]struct {
	more   bool   // a body is to come
	length string // that it says it has; "": none
	then   func(f *http2.Framer, stream uint32) error
}{
	"reset": {then: func(f *http2.Framer, stream uint32) error { return f.WriteRSTStream(stream, http2.ErrCodeCancel) }},
	"a window of nothing": {then: func(f *http2.Framer, stream uint32) error {
		return f.WriteRawFrame(http2.FrameWindowUpdate, 0, stream, make([]byte, 4))
	}},
	"priority of itself": {then: func(f *http2.Framer, stream uint32) error {
		return f.WritePriority(stream, http2.PriorityParam{StreamDep: stream})
	}},
	"data behind the end":    {then: func(f *http2.Framer, stream uint32) error { return f.WriteData(stream, true, []byte("x")) }},
	"a length that is wrong": {more: true, length: "1", then: func(f *http2.Framer, stream uint32) error { return f.WriteData(stream, true, []byte("xx")) }},
}

// resetAll opens so many streams and has each reset, fifty at a time with a PING between them where it is paced. It
// returns how many it could open before the connection ended, and the code of the GOAWAY.
func (g *gateway) resetAll(t *testing.T, from, how string, n int, paced bool) (opened int, code http2.ErrCode) {
	c, err := g.knock(from, "h2")
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	defer c.NetConn().Close()
	f := http2.NewFramer(c, c)
	f.AllowIllegalWrites = true
	gone := make(chan http2.ErrCode, 1)
	go func() {
		code := http2.ErrCodeNo
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				gone <- code
				return
			}
			if away, ok := frame.(*http2.GoAwayFrame); ok {
				code = away.ErrCode
			}
		}
	}()
	io.WriteString(c, http2.ClientPreface)
	f.WriteSettings()
	var packed bytes.Buffer
	packer := hpack.NewEncoder(&packed)
	for way := resets[how]; opened < n; opened++ {
		packed.Reset()
		fields := get2("/work", "user-agent", "reset")
		if way.length != "" {
			fields = append(fields, "content-length", way.length)
		}
		for pair := range slices.Chunk(fields, 2) {
			packer.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]})
		}
		stream := uint32(2*opened + 1)
		if f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: packed.Bytes(), EndStream: !way.more, EndHeaders: true}) != nil || way.then(f, stream) != nil {
			break
		}
		if paced && opened%50 == 49 {
			f.WritePing(false, [8]byte{})
			time.Sleep(20 * time.Millisecond)
		}
	}
	select {
	case code = <-gone:
	case <-time.After(patience):
		t.Errorf("%s: the connection is still open", how)
	}
	return opened, code
}

// Streams that are opened to be reset, RESETS=100000 of them on a connection for more than a look, make little work at
// an origin that goes on working: never more at once than a connection may have streams, or an address requests. Such a
// connection ends, and an ordinary client is served meanwhile.
func TestResets(t *testing.T) {
	if !inside(t) {
		return
	}
	for _, scheme := range []string{"http", "h2c"} {
		t.Run(scheme, func(t *testing.T) { resetAgainst(t, startStubborn(t, scheme)) })
	}
}

func resetAgainst(t *testing.T, o *stubborn) {
	perConnection, perAddress := 100, 150
	n := times(t, "RESETS", 5000)
	g := serve(t, setup{listen: ":8443", more: fmt.Sprintf("limits: {requests_per_address: %d}", perAddress),
		sites: fmt.Sprintf("  - {hosts: [%s], origin: %q, http2_crawl: observe}\n", shop, o.url)})
	if strings.HasPrefix(o.url, "h2c:") { // over HTTP/2 it does not say when it has ended, and one of its two seconds is allowed for
		perConnection, perAddress = 2*perConnection, 2*perAddress
	}
	report := ""
	for how := range resets {
		for _, paced := range []bool{false, true} {
			client, began := g.visits(t), time.Now()
			conns, asked := o.conns.Load(), o.asked.Load()
			o.top.Store(0)
			opened, code := g.resetAll(t, forgedBack, how, n, paced)
			visits, p99 := client.end()
			report += fmt.Sprintf("%-22s paced %-5v %6d opened in %5.1f s, ended with %v: %d connections to the origin, %d requests, %d at once; the ordinary client: %d requests, p99 %v\n",
				how, paced, opened, time.Since(began).Seconds(), code, o.conns.Load()-conns, o.asked.Load()-asked, o.top.Load(), visits, p99.Round(100*time.Microsecond))
			if code != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("%s, paced %v: ended with %v", how, paced, code)
			}
			if top := o.top.Load(); top > int64(perConnection) {
				t.Errorf("%s, paced %v: %d requests at once at the origin", how, paced, top)
			}
			eventually(t, "the origin's rest", func() error {
				if left := o.now.Load(); left > 0 {
					return fmt.Errorf("%d requests are under way", left)
				}
				return nil
			})
		}
	}

	// The same from many connections of one address, and over HTTP/1.1: connect, ask and leave.
	for name, attack := range map[string]func(){
		"many connections": func() { g.resetAll(t, forgedDead, "reset", n, true) },
		"over HTTP/1.1": func() {
			if c, err := g.knock(forgedDead, "http/1.1"); err == nil {
				fmt.Fprintf(c, "GET /work HTTP/1.1\r\nHost: %s\r\n\r\n", shop)
				c.NetConn().Close()
			}
		},
	} {
		client := g.visits(t)
		conns, asked, attacks := o.conns.Load(), o.asked.Load(), atomic.Int64{}
		o.top.Store(0)
		var group sync.WaitGroup
		end := time.Now().Add(3 * time.Second)
		for range 8 {
			group.Go(func() {
				for time.Now().Before(end) {
					attack()
					attacks.Add(1)
				}
			})
		}
		group.Wait()
		visits, p99 := client.end()
		report += fmt.Sprintf("%-22s %d in 3 s: %d connections to the origin, %d requests, %d at once; the ordinary client: %d requests, p99 %v\n",
			name, attacks.Load(), o.conns.Load()-conns, o.asked.Load()-asked, o.top.Load(), visits, p99.Round(100*time.Microsecond))
		if top := o.top.Load(); top > int64(perAddress) {
			t.Errorf("%s: %d requests at once at the origin", name, top)
		}
	}
	write(t, filepath.Join(t.ArtifactDir(), "resets.txt"), []byte(report))
	t.Logf("\n%s", report)
	for _, r := range g.finish(t) {
		if r.Path == "/ordinary" && !served(r) {
			t.Errorf("the ordinary client: %+v", r)
		}
	}
}
