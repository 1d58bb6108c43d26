//go:build peers

package peers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// answersEarly is an origin that answers as soon as it has read a request's head, with the status in its path, and
// reads no body.
func answersEarly(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				status := strings.TrimPrefix(r.URL.Path, "/")
				fmt.Fprintf(c, "HTTP/1.1 %s No\r\nContent-Type: text/plain\r\nContent-Length: 8\r\nConnection: close\r\n\r\n%s then", status, status)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// slowPython sends its body as it is told to: with a length or in chunks, at once or with pauses.
const slowPython = `
import sys, time, socket, requests
socket.getaddrinfo = lambda host, port, *rest: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
url, root, size, pause, framing = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
class Body:
    def __init__(self): self.left = size
    def __len__(self): return size
    def read(self, n=-1):
        time.sleep(pause)
        n = min(65536, self.left)
        self.left -= n
        return b"x" * n
def pieces():
    b = Body()
    while b.left: yield b.read()
r = requests.post(url, data=Body() if framing == "sized" else pieces(), verify=root, timeout=60)
print(r.status_code, r.text)
`

// slowNode does the same.
const slowNode = `
const [url, root, size, pause, framing, port] = process.argv.slice(2)
const { request } = require('https'), { setTimeout: sleep } = require('timers/promises')
const at = new URL(url)
const headers = framing === 'sized' ? { 'content-length': size } : {}
const r = request({ host: '127.0.0.1', port, servername: at.hostname, path: at.pathname, method: 'POST', ca: require('fs').readFileSync(root), headers: { host: at.hostname, ...headers } }, async answer => {
  let text = ''
  for await (const piece of answer) text += piece
  console.log(answer.statusCode, text)
  process.exit(0)
})
r.on('error', e => { console.log(e.code); process.exit(1) });
(async () => {
  for (let left = +size; left > 0; left -= 65536) { await sleep(pause * 1000); r.write('x'.repeat(Math.min(65536, left))) }
  r.end()
})()
`

// A client that is still sending gets its answer, whoever made it: the origin (413, 401, 417) or the gateway (404 and
// 421, for a host that it has not), whether it reads before it has sent everything or not, at once and at a slow pace.
func TestEarlyAnswers(t *testing.T) {
	const size = 3 << 19
	g := serve(t, setup{listen: "127.0.0.1:0", certificates: "{source: local, unknown_host: default}",
		sites: fmt.Sprintf("  - {hosts: [%s], origin: %q, http2_crawl: observe}\n", shop, answersEarly(t))})
	dir := folder(t)
	body := write(t, filepath.Join(dir, "body"), make([]byte, size))
	python, node := write(t, filepath.Join(dir, "slow.py"), []byte(slowPython)), write(t, filepath.Join(dir, "slow.js"), []byte(slowNode))
	curl := func(proto, rate, framing, host, path string) (string, error) {
		args := []string{"-sS", "--max-time", "60", proto, "--cacert", g.root, "--connect-to", "::127.0.0.1:" + g.port, "-o", "-", "-w", "\n%{http_code}",
			"-H", "Expect:", "-X", "POST", "-T", body}
		if host != shop {
			args = append(args, "--insecure")
		}
		if framing == "chunked" {
			args[len(args)-1] = "-"
		}
		if rate != "" {
			args = append(args, "--limit-rate", rate)
		}
		cmd := exec.CommandContext(t.Context(), tool(t, "curl", fromCurl), append(args, "https://"+host+path)...)
		if framing == "chunked" {
			cmd.Stdin = strings.NewReader(strings.Repeat("x", size))
		}
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	const tries = 2
	var mu sync.Mutex
	outcome := map[string]int{}
	t.Cleanup(func() { t.Log(outcome) })
	for _, slow := range []string{"", "400k"} {
		for proto, status := range map[string]string{"--http1.1": "404", "--http2": "421"} {
			t.Run(fmt.Sprintf("curl, another host, rate %q, %s", slow, proto), func(t *testing.T) {
				t.Parallel()
				if said, err := curl(proto, slow, "sized", "other.test", "/"); err != nil || !strings.HasPrefix(said, status+": ") {
					t.Errorf("%q, %v", said, err)
				}
			})
		}
	}
	for _, framing := range []string{"sized", "chunked"} {
		for _, slow := range []bool{false, true} {
			rate, pause := "", "0"
			if slow {
				rate, pause = "400k", "0.15"
			}
			for _, path := range []string{"/413", "/401", "/417"} {
				clients := map[string]func() (string, error){
					"curl over HTTP/1.1": func() (string, error) { return curl("--http1.1", rate, framing, shop, path) },
					"curl over HTTP/2":   func() (string, error) { return curl("--http2", rate, framing, shop, path) },
					"python-requests": func() (string, error) {
						return runsUntil(t, "/usr/bin/python3", python, "https://"+shop+":"+g.port+path, g.root, fmt.Sprint(size), pause, framing)
					},
					"node": func() (string, error) {
						return runsUntil(t, tool(t, "node", fromNode), node, "https://"+shop+path, g.root, fmt.Sprint(size), pause, framing, g.port)
					},
				}
				for name, client := range clients {
					t.Run(fmt.Sprintf("%s, %s, slow %v, %s", name, framing, slow, path), func(t *testing.T) {
						t.Parallel()
						for range tries {
							said, err := client()
							mu.Lock()
							outcome[fmt.Sprintf("%s, slow %v: %v", name, slow, err == nil)]++
							mu.Unlock()
							if !strings.Contains(said, path[1:]) || !strings.Contains(said, "then") || err != nil {
								t.Errorf("%q, %v", said, err)
							}
						}
					})
				}
			}
		}
	}
}

func runsUntil(t *testing.T, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	said, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	return string(said), err
}
