//go:build peers

package peers

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// pieceCounter is an origin that counts in how many pieces bodies come.
type pieceCounter struct {
	address string
	reads   atomic.Int64
	bytes   atomic.Int64
}

func newPieceCounter(t *testing.T) *pieceCounter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &pieceCounter{address: l.Addr().String()}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		o.bytes.Add(n)
		fmt.Fprint(w, n, " ", err)
	})}
	go server.Serve(counting{l, o})
	t.Cleanup(func() { server.Close() })
	return o
}

type counting struct {
	net.Listener
	reader *pieceCounter
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	return &countingConn{conn, c.reader}, err
}

type countingConn struct {
	net.Conn
	reader *pieceCounter
}

func (c *countingConn) Read(p []byte) (int, error) {
	c.reader.reads.Add(1)
	return c.Conn.Read(p)
}

// frontOf is a server in front of an origin.
type frontOf struct {
	name, address string
	roots         *x509.CertPool // nil: without TLS
	pid           int            // 0: not known
	origin        *pieceCounter
}

// fronts starts the gateway, nginx and HAProxy, each in front of an origin of its own.
func fronts(t *testing.T) []frontOf {
	t.Helper()
	origins := []*pieceCounter{newPieceCounter(t), newPieceCounter(t), newPieceCounter(t)}
	site := fmt.Sprintf("\n  - {hosts: [site.test], origin: \"http://%s\", http2_crawl: refuse}\n", origins[0].address)
	g := serve(t, setup{sites: site})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read(t, g.root))
	dir, balancer, web := folder(t), freePort(t), freePort(t)
	nginx(t, dir, fmt.Sprintf(`server { listen %s; client_max_body_size 0; location / {
		proxy_pass http://%s; proxy_http_version 1.1; proxy_request_buffering off; } }`, web, origins[1].address))
	start(t, "Loading success", tool(t, "haproxy", fromHAProxy), "-W", "-db", "-f",
		write(t, filepath.Join(dir, "haproxy.cfg"), fmt.Appendf(nil, `
defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 5s
frontend in
	bind %s
	default_backend site
backend site
	server site %s
`, balancer, origins[2].address)))
	return []frontOf{
		{"gate421", "127.0.0.1:" + g.port, roots, g.cmd.Process.Pid, origins[0]},
		{"nginx", web, nil, 0, origins[1]}, {"HAProxy", balancer, nil, 0, origins[2]},
	}
}

// dial connects to speak HTTP/1.1 by hand.
func (f frontOf) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	if f.roots != nil {
		c = tls.Client(c, &tls.Config{RootCAs: f.roots, ServerName: "site.test", NextProtos: []string{"http/1.1"}})
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

const tinyPost = "POST /up HTTP/1.1\r\nHost: site.test\r\nTransfer-Encoding: chunked\r\n\r\n"

// processorTime is what a process has had of the processors.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// A body in one-byte chunks goes on in as many pieces as it comes in, and not in as many as it has chunks; and each
// goes on at once where the client waits for an answer to it.
func TestTinyChunks(t *testing.T) {
	const many = 1 << 20
	for _, f := range fronts(t) {
		for name, piece := range map[string]int{"at once": many * 6, "in 1 KiB": 1 << 10, "each alone": 6} {
			bodyBytes := many
			if piece == 6 {
				bodyBytes /= 4
			}
			wire := strings.Repeat("1\r\nx\r\n", bodyBytes) + "0\r\n\r\n"
			c, reads := f.dial(t), f.origin.reads.Load()
			var busy time.Duration
			if f.pid > 0 {
				busy = processorTime(t, f.pid)
			}
			io.WriteString(c, tinyPost)
			for rest := wire; rest != ""; rest = rest[min(piece, len(rest)):] {
				if _, err := io.WriteString(c, rest[:min(piece, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			reads = f.origin.reads.Load() - reads
			if f.pid > 0 {
				busy = processorTime(t, f.pid) - busy
			}
			t.Logf("%s, %d bytes %s: %d %q, %d reads at the origin, %v of the gateway's processor time",
				f.name, bodyBytes, name, answer.StatusCode, body, reads, busy)
			if f.pid == 0 {
				continue
			}
			if string(body) != fmt.Sprint(bodyBytes, " <nil>") || piece > 6 && reads > int64(len(wire)/(1<<10)) {
				t.Errorf("%s: %d %q in %d reads", name, answer.StatusCode, body, reads)
			}
		}
	}
}

// Extensions of chunks that are far more than the body are not taken.
func TestChunkExtensionsWithoutABody(t *testing.T) {
	const many, length = 20_000, 3900
	chunk := "1;" + strings.Repeat("x", length) + "\r\nx\r\n"
	for _, f := range fronts(t) {
		c := f.dial(t)
		io.WriteString(c, tinyPost)
		sent := 0
		go func() {
			for range many {
				n, err := io.WriteString(c, chunk)
				if sent += n; err != nil {
					return
				}
			}
			io.WriteString(c, "0\r\n\r\n")
		}()
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		status := 0
		if err == nil {
			status = answer.StatusCode
		}
		t.Logf("%s: %d %v, %d bytes of bodies came to the origin", f.name, status, err, f.origin.bytes.Load())
		if f.pid > 0 && (status != 400 || f.origin.bytes.Load() > 64) {
			t.Errorf("%s: %d %v", f.name, status, err)
		}
	}
}
