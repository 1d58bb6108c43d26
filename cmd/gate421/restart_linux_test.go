package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gate421/gate/server/servertest"
)

// activated starts the program as systemd does: with sockets that are open already. names may be "".
func activated(t *testing.T, stderr io.Writer, names string, sockets []*os.File, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, self}, args...)...)
	c.Env = append(os.Environ(), asProgram+"=1", fmt.Sprint("LISTEN_FDS=", len(sockets)))
	if names != "" {
		c.Env = append(c.Env, "LISTEN_FDNAMES="+names)
	}
	c.ExtraFiles, c.Stdout, c.Stderr = sockets, stderr, stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.ProcessState == nil {
			c.Process.Kill()
			c.Wait()
		}
	})
	return c
}

// socket opens one for a program and returns its address, too.
func socket(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // the file keeps it open
	t.Cleanup(func() { file.Close() })
	return file, l.Addr().String()
}

// quit ends a program as systemd does.
func quit(t *testing.T, c *exec.Cmd, stderr fmt.Stringer) {
	t.Helper()
	c.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the program ended with %v\n%s", err, stderr)
		}
	case <-time.After(servertest.Patience):
		t.Fatalf("the program does not end\n%s", stderr)
	}
}

// Sockets come by their names or in their order, and what systemd does not have is bound.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, names string
		order       []int  // of https, http, page among the sockets
		says        string // on stderr; "" starts
	}{
		{"in order", "", []int{0, 1, 2}, ""},
		{"in order under the name of the unit", "gate421.socket:gate421.socket:gate421.socket", []int{0, 1, 2}, ""},
		{"by name", "admin:https:http", []int{1, 2, 0}, ""},
		{"one by name and the others in order", "x:https:x", []int{1, 0, 2}, ""},
		{"too many", "", []int{0, 1, 2, 3}, "is one too many"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newProgram(t)
			s.Write("listen: {https: \":443\", http: \":80\"}\nadmin: \"127.0.0.1:9421\"\n" +
				"sites: [{hosts: [shop.test], origin: $echo, http2_crawl: observe}]\n")
			var sockets []*os.File
			var addresses []string
			for range test.order {
				f, address := socket(t)
				sockets, addresses = append(sockets, f), append(addresses, address)
			}
			stderr := &servertest.Transcript{}
			c := activated(t, stderr, test.names, sockets, "run", "--config", s.File)
			if test.says != "" {
				if err := c.Wait(); err == nil || !strings.Contains(stderr.String(), test.says) {
					t.Errorf("%v, %s", err, stderr)
				}
				return
			}
			s.Log = servertest.NewLog(t, filepath.Join(s.Folder, "decisions.log"))
			start := s.Log.Wait(map[string]string{"event": "start"})
			for i, key := range []string{"https", "http", "admin"} {
				if got := fmt.Sprint(start[key]); got != addresses[test.order[i]] {
					t.Errorf("%s is %s, want %s", key, got, addresses[test.order[i]])
				}
			}
			s.HTTPS = addresses[test.order[0]]
			s.Roots = servertest.Trusted(t, filepath.Join(s.State(), "local-ca", "root.pem"))
			if got := s.Get(t, "https://shop.test/", "127.0.0.1", "HTTP/2.0", "browser"); got.Status != 200 {
				t.Errorf("status %d, want 200", got.Status)
			}
			if !strings.Contains(stderr.String(),
				`gate421: listen.https: systemd's socket `+addresses[test.order[0]]+` is used, not ":443"`) {
				t.Errorf("stderr: %s", stderr)
			}
			quit(t, c, stderr)
		})
	}
}

// The program is ended and started again and again while clients come, on new connections and on old ones, over both
// protocols. systemd has the socket all the time: not one is refused, reset or left without its answer.
func TestRestartsLoseNobody(t *testing.T) {
	t.Parallel()
	restarts := usualRestarts
	if n, err := strconv.Atoi(os.Getenv("RESTARTS")); err == nil {
		restarts = n
	}
	s := newProgram(t)
	s.Write("limits: {drain_time: 10s}\nsites: [{hosts: [shop.test], origin: $echo, http2_crawl: observe}]\n")
	file, address := socket(t)
	stderr := &servertest.Transcript{}
	program := activated(t, stderr, "https", []*os.File{file}, "run", "--config", s.File)
	s.Log = servertest.NewLog(t, filepath.Join(s.Folder, "decisions.log"))
	s.Log.Wait(map[string]string{"event": "start"})
	s.Roots = servertest.Trusted(t, filepath.Join(s.State(), "local-ca", "root.pem"))

	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var answered, failed atomic.Int64
	client := func(http2, fresh bool) {
		clients.Go(func() {
			transport := s.transport(address, http2, fresh)
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				if err := ask(transport); err != nil {
					failed.Add(1)
					t.Errorf("HTTP/2 %v, new connection %v: %v", http2, fresh, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for range 2 {
		for _, http2 := range []bool{true, false} {
			client(http2, true)
			client(http2, false)
		}
	}
	begun := time.Now()
	for range restarts {
		before := answered.Load()
		quit(t, program, stderr)
		program = activated(t, stderr, "https", []*os.File{file}, "run", "--config", s.File)
		s.WaitFor("clients are answered again", func() bool { return answered.Load() > before+100 || failed.Load() > 0 })
	}
	cancel()
	clients.Wait()
	quit(t, program, stderr)
	t.Logf("%d restarts in %v, %d requests answered, %d failed", restarts, time.Since(begun).Round(time.Millisecond),
		answered.Load(), failed.Load())
}

// transport leads to one address, over a new connection for every request or not.
func (p *program) transport(address string, http2, fresh bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
		TLSClientConfig: &tls.Config{RootCAs: p.Roots}, Protocols: protocols, DisableKeepAlives: fresh,
	}
}

func ask(transport *http.Transport) error {
	client := &http.Client{Transport: transport, Timeout: servertest.Patience}
	resp, err := client.Get("https://shop.test/")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
