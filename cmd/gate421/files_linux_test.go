package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gate421/gate/server/servertest"
)

// The program may open few files, and strangers hold what they can: connections to the admin page, silent ones and idle
// ones to the sites, requests that an origin does not answer. Whoever comes then is served, on record, and health
// answers.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	const files, crowd = 400, 420
	s := newProgram(t)
	s.Write(`
listen: {https: "127.0.0.1:0", http: "127.0.0.1:0"}
admin: "127.0.0.1:0"
limits: {header_time: 1s, drain_grace: 0s, drain_time: 1s}
sites:
  - {hosts: [slow.test], origin: $slow, http2_crawl: observe}
  - {hosts: [shop.test], origin: $echo, http2_crawl: observe}
`)
	stderr := &servertest.Transcript{}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command("/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files), self, "run", "--config",
		s.File)
	program.Env = append(os.Environ(), asProgram+"=1")
	program.Stdout, program.Stderr = stderr, stderr
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if program.ProcessState == nil {
			program.Process.Kill()
			program.Wait()
		}
	})
	s.Log = servertest.NewLog(t, filepath.Join(s.Folder, "decisions.log"))
	start := s.Log.Wait(map[string]string{"event": "start"})
	address := func(key string) string { return fmt.Sprint(start[key]) }
	s.HTTPS = address("https")
	s.Roots = servertest.Trusted(t, filepath.Join(s.State(), "local-ca", "root.pem"))

	hold := func(to, says string) {
		c, err := net.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, says)
	}
	for i := range crowd {
		hold(address("admin"), "GET / HTTP/1.1\r\nHost: localhost\r\n")
		if i%20 == 0 {
			hold(address("https"), "")
			hold(address("http"), "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for range 2 { // each over one connection
		transport := s.transport(address("https"), true, false)
		defer transport.CloseIdleConnections()
		for range 50 {
			go func() {
				r, _ := http.NewRequestWithContext(ctx, "GET", "https://slow.test/", nil)
				if resp, err := transport.RoundTrip(r); err == nil {
					resp.Body.Close()
				}
			}()
		}
	}
	for range 20 {
		fresh := s.transport(address("https"), true, true)
		if err := ask(fresh); err != nil {
			t.Errorf("not served: %v", err)
		}
		fresh.CloseIdleConnections()
		resp, err := http.Get("http://" + address("admin") + "/health")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("health: %v, %v; want 200", resp, err)
			continue
		}
		resp.Body.Close()
	}
	s.Log.Wait(map[string]string{"event": "decision", "host": "shop.test", "status": "200"})
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", program.Process.Pid))
	t.Logf("%d files are open", len(open))
	if err != nil || len(open) >= files || strings.Contains(stderr.String(), "too many open files") {
		t.Errorf("%d files are open, %v; want less than %d\n%s", len(open), err, files, stderr)
	}
	leave()
	quit(t, program, stderr)
}
