//go:build peers

package peers

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	//lint:file-ignore SA1019 frames are made with the library that the gateway's server is of.
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// washer sends requests that cost it next to nothing and the log as much as they can: its fields are sent once and
// repeated by their index (RFC 7541 section 6.1).
type washer struct {
	from   string
	fields [][2]string // beside method, scheme and authority
	resets bool        // it does not wait for answers
}

// wash sends so many requests, and comes again when it is sent away. It returns how many bytes that took.
func (w washer) wash(t *testing.T, g *gateway, requests int) (wire int64) {
	t.Helper()
	for requests > 0 {
		sent, bytes := w.connection(t, g, requests)
		requests -= sent
		wire += bytes
	}
	return wire
}

// connection sends up to so many requests over one connection, fifty at once.
func (w washer) connection(t *testing.T, g *gateway, requests int) (sent int, wire int64) {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(w.from)}, Timeout: patience}
	socket, err := dialer.Dial("tcp", "127.0.0.1:"+g.port)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	socket.SetDeadline(time.Now().Add(patience))
	count := &countedConn{Conn: socket}
	conn := tls.Client(count, &tls.Config{ServerName: shop, NextProtos: []string{"h2"}, RootCAs: g.trusted(t)})
	framer := http2.NewFramer(conn, conn)
	io.WriteString(conn, http2.ClientPreface)
	framer.WriteSettings()
	var packed bytes.Buffer
	packer := hpack.NewEncoder(&packed)
	stream := uint32(1)
	for sent < requests {
		open := 0
		for ; open < 50 && sent < requests; open++ {
			packed.Reset()
			for _, f := range append([][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", shop}}, w.fields...) {
				packer.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
			framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: packed.Bytes(), EndStream: true, EndHeaders: true})
			if w.resets {
				framer.WriteRSTStream(stream, http2.ErrCodeCancel)
			}
			stream += 2
			sent++
		}
		framer.WritePing(false, [8]byte{1})
		for ended, pong := 0, false; !pong || !w.resets && ended < open; {
			frame, err := framer.ReadFrame()
			if err != nil && sent == 0 {
				t.Fatal(err)
			}
			if err != nil {
				return sent, count.written
			}
			switch f := frame.(type) {
			case *http2.PingFrame:
				pong = pong || f.IsAck()
			case *http2.SettingsFrame:
				if !f.IsAck() {
					framer.WriteSettingsAck()
				}
			case *http2.GoAwayFrame:
				return sent, count.written
			case *http2.HeadersFrame:
				if f.StreamEnded() {
					ended++
				}
			case *http2.DataFrame:
				if n := uint32(len(f.Data())); n > 0 {
					framer.WriteWindowUpdate(0, n)
				}
				if f.StreamEnded() {
					ended++
				}
			}
		}
	}
	return sent, count.written
}

type countedConn struct {
	net.Conn
	written int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written += int64(n)
	return n, err
}

// Nobody washes the decision log: whoever has long values written for a few bytes each, over HTTP/2, gets a bounded
// number of bytes for them, what is left out is counted, and the proof of what was refused before outlives the log's
// files.
func TestNobodyWashesTheLog(t *testing.T) {
	if !inside(t) {
		return
	}
	for _, network := range []string{"203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "198.18.0.0/24"} { // of somebody on the internet
		output(t, tool(t, "ip", fromIproute), "route", "add", "local", network, "dev", "lo")
	}
	long := "/" + strings.Repeat("a", 2047)
	for name, w := range map[string]washer{
		"a path, reset":                 {from: "203.0.113.1", resets: true, fields: [][2]string{{":path", long}, {"user-agent", "x"}}},
		"a path, answered":              {from: "198.51.100.2", fields: [][2]string{{":path", long}, {"user-agent", "x"}}},
		"a path and an agent, answered": {from: "192.0.2.3", fields: [][2]string{{":path", long[:1500]}, {"user-agent", strings.Repeat("b", 512)}}},
		"a claim, reset":                {from: "198.18.0.4", resets: true, fields: [][2]string{{":path", long}, {"user-agent", googlebotAgent}}},
	} {
		t.Run(name, func(t *testing.T) {
			admin := freePort(t)
			g := serve(t, setup{listen: "127.0.0.1:0", admin: admin, logging: []string{"rotate: {size: 1MiB, keep: 2}"}, resolver: googleZone(t).address(), wait: "10s", sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse}
`, shop, onePage(t))})
			googlebot := g.visitor(g.trusted(t), googlebot4, googlebotAgent, "HTTP/2.0")
			const pages = 50
			for i := range pages {
				if status, _, err := googlebot.get(context.Background(), fmt.Sprintf("/page/%d", i)); status != 421 || err != nil {
					t.Fatalf("Googlebot: %d, %v", status, err)
				}
			}
			googlebot.leave()
			const requests = 12_000
			wire := w.wash(t, g, requests)
			number := func(metric string) int64 {
				for line := range strings.Lines(fetch(t, "http://"+admin+"/metrics")) {
					if value, ok := strings.CutPrefix(line, metric+" "); ok {
						n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
						if err != nil {
							t.Fatal(err)
						}
						return int64(n)
					}
				}
				t.Fatalf("there is no %s", metric)
				return 0
			}
			until(t, "the last line", func(int) bool { return number("gate421_log_queue_lines") == 0 }, 0)
			leftOut, written := number("gate421_log_left_out_lines_total"), number("gate421_log_written_bytes_total")
			g.stop(t)
			var report struct {
				Log struct {
					Lines, Missing, Lost, Removed int64
					LeftOut                       int64 `json:"left_out"`
				}
				Crawl struct{ Refused int64 }
			}
			text := output(t, program(t), "audit", "report", "--format", "json", g.log)
			if err := json.Unmarshal([]byte(text), &report); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			files, _ := filepath.Glob(g.log + "*")
			slices.Sort(files)
			t.Logf("%.2f MB on the wire, %.2f MB of log (%.1f times), %d lines left out, %d removed by age, %d files", float64(wire)/1e6,
				float64(written)/1e6, float64(written)/float64(wire), report.Log.LeftOut, report.Log.Removed, len(files))
			if report.Crawl.Refused != pages || report.Log.Missing+report.Log.Lost > 0 || report.Log.LeftOut != leftOut {
				t.Errorf("%+v of %q; %d are said to be left out", report, files, leftOut)
			}
			if report.Log.Removed == 0 {
				t.Error("no file went by its age: nothing is proved")
			}
			if times := float64(written) / float64(wire); times > 20 {
				t.Errorf("%.1f times what was sent", times)
			}
		})
	}
}
