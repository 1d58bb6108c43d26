//go:build peers

package peers

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// SIGTERM in the middle of two slow downloads, one over HTTP/2 and one over HTTP/1.1: nobody new is let in, both
// downloads come to their end, the program exits 0, and its last line says that it stopped.
func TestDrainLetsDownloadsFinish(t *testing.T) {
	content := make([]byte, 3<<20)
	rand.Read(content)
	const half = 1 << 20
	begun, release := make(chan string, 2), make(chan struct{})
	var once sync.Once
	finish := func() { once.Do(func() { close(release) }) }
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content[:half])
		http.NewResponseController(w).Flush()
		begun <- r.URL.Path
		<-release
		w.Write(content[half:])
	}))
	defer origin.Close()
	defer finish()
	g := serve(t, setup{more: "limits: {drain_time: 5m}", sites: fmt.Sprintf(`
  - {hosts: [%s], origin: %q, http2_crawl: refuse}
`, shop, origin.URL)})

	protos := []string{"HTTP/2.0", "HTTP/1.1"}
	var downloads []*download
	for _, proto := range protos {
		downloads = append(downloads, g.begin(t, visit{url: "https://" + shop + "/" + proto, proto: proto, agent: browserAgent}))
	}
	for range protos {
		select {
		case <-begun:
		case <-time.After(patience):
			t.Fatal("the downloads did not begin")
		}
	}
	g.signal(t, syscall.SIGTERM)
	awaitClosed(t, "127.0.0.1:"+g.port)
	select {
	case <-g.ended:
		t.Error("the program ended before the downloads did")
	default:
	}
	finish()
	for _, d := range downloads {
		got := d.end(t)
		if got.status != 200 || !bytes.Equal(got.body, content) {
			t.Errorf("%s: status %d, %d bytes of %d", d.proto, got.status, len(got.body), len(content))
		}
		t.Logf("%s: %d, %d bytes of %d, SIGTERM after the first %d", d.proto, got.status, len(got.body), len(content), half)
	}
	g.wait(t)
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the program ended with %v", g.cmd.ProcessState)
	}
	all := lines(t, g.log)
	if len(all) == 0 || all[len(all)-1].Event != "stop" {
		t.Errorf("the log does not end with the stop line: %+v", all)
	}
	whole := func(r record) bool { return served(r) && r.parted(int64(len(content))).BytesOut == int64(len(content)) }
	if records := decisions(all); len(records) != 2 || count(records, whole) != 2 {
		t.Errorf("records: %+v", records)
	}
}

// awaitClosed waits until nobody listens there any more.
func awaitClosed(t *testing.T, address string) {
	t.Helper()
	for limit := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(limit) {
			t.Fatalf("%s still accepts connections", address)
		}
	}
}

// No refusal without its line, also when the program dies in the middle of many: SIGKILL leaves it no time to write
// anything. The client may have seen fewer refusals than the log has, never more.
func TestKilledUnderLoadEveryRefusalHasItsLine(t *testing.T) {
	if !inside(t) {
		return
	}
	g := serveShop(t, googleZone(t), "10s", "/kept/: allow")
	killed := make(chan error, 1)
	go func() { killed <- killAt(g.process, g.log, 4<<20) }()
	// Far more than there will be time for; h2load gives up when its connections are lost.
	l := g.h2load(t, googlebot4, shop, googlebotAgent, "-n", "500000", "-c", "8", "-m", "20")
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	g.wait(t)
	b := balance(t, g.log)
	t.Logf("killed: %d answers of 421 began at the client, %d came whole; the log: %+v", l.began, l.statuses[421], b)
	if l.began == 0 || max(l.began, l.statuses[421]) > b.refusals {
		t.Errorf("the client saw %d times 421, the log has %d lines", max(l.began, l.statuses[421]), b.refusals)
	}
	if b.torn > 1 {
		t.Errorf("%d lines are torn; only the last one can be", b.torn)
	}
	// The next run closes what was torn and goes on in the same file.
	again := start(t, "clients must trust ", program(t), "run", "--config", filepath.Join(filepath.Dir(g.log), "gate421.yaml"))
	again.stop(t)
	tail := bytes.Split(bytes.TrimSpace(read(t, g.log)), []byte("\n"))
	var last record
	if err := json.Unmarshal(tail[len(tail)-1], &last); err != nil || last.Event != "stop" {
		t.Errorf("after another run the log ends with %q", tail[len(tail)-1])
	}
}

// killAt kills a process when its log has grown to a size.
func killAt(p *process, log string, size int64) error {
	limit, look := time.After(patience), time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if info, err := os.Stat(log); err == nil && info.Size() >= size {
				return p.cmd.Process.Kill()
			}
		case <-limit:
			return fmt.Errorf("%s did not grow to %d bytes", log, size)
		}
	}
}
