//go:build peers

package peers

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// endless is random bytes that are the same every time, without end: AES in counter mode.
type endless struct{ cipher.Stream }

func newEndless() io.Reader {
	block, err := aes.NewCipher([]byte("gate421's bulk!!"))
	if err != nil {
		panic(err) // the key has 16 bytes
	}
	return endless{cipher.NewCTR(block, make([]byte, aes.BlockSize))}
}

// Read serves io.Reader.
func (e endless) Read(p []byte) (int, error) {
	clear(p)
	e.XORKeyStream(p, p)
	return len(p), nil
}

// sumOf reads to the end.
func sumOf(r io.Reader) (sum string, n int64, err error) {
	hash := sha256.New()
	n, err = io.CopyBuffer(struct{ io.Writer }{hash}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return hex.EncodeToString(hash.Sum(nil)), n, err
}

// bulkBytes is how much goes through: BYTES in the environment, as in 10GiB or 512MiB, or 512 MiB.
func bulkBytes(t *testing.T) int64 {
	t.Helper()
	number, unit := cmp.Or(os.Getenv("BYTES"), "512MiB"), int64(1)
	for suffix, size := range map[string]int64{"GiB": 1 << 30, "MiB": 1 << 20} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = rest, size
		}
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 1 {
		t.Fatalf("BYTES=%q: want a number, MiB or GiB", os.Getenv("BYTES"))
	}
	return n * unit
}

// warehouse is an origin that sends so many bytes and answers what it gets with its sum.
func warehouse(t *testing.T, size int64) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			sum, n, err := sumOf(r.Body)
			fmt.Fprintf(w, "%s %d %v", sum, n, err)
			return
		}
		n := size
		if r.URL.Path != "/bulk" {
			n = 5
		}
		w.Header().Set("Content-Length", fmt.Sprint(n))
		io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(newEndless(), n), make([]byte, 256<<10))
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String()
}

// peak is the most memory that a process has held, in bytes, since forget.
func (p *process) peak(t *testing.T) int64 {
	t.Helper()
	for line := range strings.Lines(string(read(t, fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)))) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatalf("%s has no peak", p.name)
	return 0
}

func (p *process) forget(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// Much goes through unchanged in both directions over both protocols, and nothing of it stays: BYTES=10GiB for more.
func TestBulk(t *testing.T) {
	const most = 32 << 20
	size := bulkBytes(t)
	want, _, _ := sumOf(io.LimitReader(newEndless(), size))
	g := serve(t, setup{sites: fmt.Sprintf("  - {hosts: [%s], origin: %q, http2_crawl: refuse}\n", shop, warehouse(t, size))})
	trusted, report := g.trusted(t), ""
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		g.bulk(t, trusted, proto, "/small", 5)
	}
	idle := g.resident(t)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, direction := range []string{"down", "up"} {
			path, up := "/bulk", int64(0)
			if direction == "up" {
				up = size
			}
			g.forget(t)
			began := time.Now()
			sum := g.bulk(t, trusted, proto, path, up)
			took, peak := time.Since(began), g.peak(t)
			report += fmt.Sprintf("%s %-4s %d MiB in %v, %.0f MiB/s; memory %.1f MiB idle, at most %.1f MiB meanwhile\n",
				proto, direction, size>>20, took.Round(time.Millisecond), float64(size>>20)/took.Seconds(), float64(idle)/(1<<20), float64(peak)/(1<<20))
			if wanted := fmt.Sprintf("%s %d <nil>", want, size); sum != wanted {
				t.Errorf("%s %s: got %s, want %s", proto, direction, sum, wanted)
			}
			if peak-idle > most {
				t.Errorf("%s %s: memory grew from %d to %d KiB", proto, direction, idle>>10, peak>>10)
			}
		}
	}
	write(t, filepath.Join(t.ArtifactDir(), "bulk.txt"), []byte(report))
	t.Logf("\n%s", report)
	for _, r := range g.finish(t) {
		if r.Status != 200 || r.OriginError != "" {
			t.Errorf("%+v", r)
		}
	}
}

// bulk downloads, or uploads so many bytes, and returns the sum of what came over as who received it has it.
func (g *gateway) bulk(t *testing.T, trusted *x509.CertPool, proto, path string, up int64) string {
	t.Helper()
	v := g.visitor(trusted, "127.0.0.1", browserAgent, proto)
	defer v.leave()
	v.client.Timeout = 0
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+shop+path, nil)
	if up > 0 {
		req, err = http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+shop+path, io.LimitReader(newEndless(), up))
		req.ContentLength = up
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := v.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != int(proto[5]-'0') || res.StatusCode != http.StatusOK {
		t.Errorf("%s: answered %d over %s", path, res.StatusCode, res.Proto)
	}
	if up > 0 {
		said, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		return string(said)
	}
	sum, n, err := sumOf(res.Body)
	return fmt.Sprintf("%s %d %v", sum, n, err)
}
