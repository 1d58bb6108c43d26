//go:build peers

package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server2 is an HTTP/2 server as a site's own: it hands /big and /echo to an application, and keeps idle connections
// for a second.
type server2 struct {
	name    string
	address string
	process *process
	restart syscall.Signal // lets it begin anew without losing anybody; 0: it cannot
}

// application answers /big with 64 MiB, and everything else with the size of the body.
func application(t *testing.T) string {
	piece := make([]byte, 64<<10)
	return serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			for range 1024 {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
}

func serveHTTP(t *testing.T, h http.HandlerFunc) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

func servers2(t *testing.T) []server2 {
	app := application(t)
	dir := folder(t)
	apacheAt, nginxAt, haproxyAt, nodeAt := freePort(t), freePort(t), freePort(t), freePort(t)
	modules := ""
	for _, module := range []string{"mpm_event", "authz_core", "http2", "proxy", "proxy_http"} {
		modules += fmt.Sprintf("LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	apache := start(t, "resuming normal operations", tool(t, "apache2", fromApache), "-DFOREGROUND", "-f", write(t, filepath.Join(dir, "apache.conf"), fmt.Appendf(nil, `
ServerRoot %[1]q
ServerName localhost
PidFile "%[1]s/apache.pid"
DefaultRuntimeDir %[1]q
User www-data
Group www-data
Listen %[2]s
ErrorLog /dev/stderr
LogLevel notice
%[3]s
Protocols h2c http/1.1
KeepAliveTimeout 1
MaxKeepAliveRequests 0
MaxRequestWorkers 400
ThreadsPerChild 50
ThreadLimit 50
H2MaxSessionStreams 100
ProxyPass / http://%[4]s/
`, dir, apacheAt, modules, app)))
	nginx := start(t, "start worker process ", tool(t, "nginx", fromNginx), "-p", dir, "-c", write(t, filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, `
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr notice;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	server {
		listen %[2]s http2;
		keepalive_timeout 1s;
		keepalive_requests 50;
		client_max_body_size 0;
		location / { proxy_pass http://%[3]s; proxy_max_temp_file_size 0; }
	}
}
`, dir, nginxAt, app)))
	haproxy := start(t, "Loading success", tool(t, "haproxy", fromHAProxy), "-W", "-db", "-f", write(t, filepath.Join(dir, "haproxy.cfg"), fmt.Appendf(nil, `
global
	maxconn 4000
defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s
	timeout http-keep-alive 1s
listen front
	bind %s proto h2
	server app %s
`, haproxyAt, app)))
	_, port, _ := net.SplitHostPort(nodeAt)
	node := start(t, "ready", tool(t, "node", fromNode), "-e", fmt.Sprintf(`
const http2 = require("http2");
const server = http2.createServer({settings: {maxConcurrentStreams: 100}});
server.on("session", session => session.setTimeout(1000, () => session.close()));
server.on("stream", (stream, headers) => {
	stream.on("error", () => {});
	const path = headers[":path"];
	if (path.startsWith("/none/")) {
		const [, , status, length] = path.split("/");
		stream.respond({":status": +status, "content-length": length, etag: '"x"'}, {endStream: true});
		return;
	}
	if (path === "/big") {
		stream.respond({":status": 200});
		const piece = Buffer.alloc(65536);
		let left = 1024;
		const more = () => { while (left-- > 0) if (!stream.write(piece)) { stream.once("drain", more); return; } stream.end(); };
		more();
		return;
	}
	let n = 0;
	stream.on("data", d => n += d.length);
	stream.on("end", () => { if (!stream.destroyed) { stream.respond({":status": 200}); stream.end(String(n)); } });
});
server.listen(%s, "127.0.0.1", () => console.log("ready"));
`, port))
	return []server2{{"apache", apacheAt, apache, syscall.SIGUSR1}, {"nginx", nginxAt, nginx, syscall.SIGHUP}, {"haproxy", haproxyAt, haproxy, syscall.SIGUSR2}, {"node", nodeAt, node, 0}}
}

// site is a visitor of one server's site.
func (g *gateway) site(trusted *x509.CertPool, proto string) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(proto == "HTTP/1.1")
	protocols.SetHTTP2(proto == "HTTP/2.0")
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: trusted}, DisableCompression: true,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 10},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+g.port)
		},
	}}
}

func sites2(t *testing.T, servers []server2) (*gateway, *x509.CertPool) {
	sites := ""
	for _, s := range servers {
		sites += fmt.Sprintf("\n  - {hosts: [%s.test], origin: \"h2c://%s\", http2_crawl: observe}", s.name, s.address)
	}
	g := serve(t, setup{sites: sites + "\n"})
	return g, g.trusted(t)
}

// postTo sends a body and reads the answer, which says its size.
func postTo(c *http.Client, url string, size int) error {
	answer, err := c.Post(url, "application/octet-stream", strings.NewReader(strings.Repeat("x", size)))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if answer.StatusCode != 200 || string(body) != fmt.Sprint(size) {
		return fmt.Errorf("%s %.60q, %v", answer.Status, body, err)
	}
	return nil
}

// apacheAtOnce is how many requests of a connection Apache works on while none of their answers is read; mod_http2
// begins the others as that changes ("delaying request processing" in its log at debug). The gateway cannot make it
// answer more of them.
const apacheAtOnce = 6

// A client that opens 100 answers and reads nothing of them holds up nobody, whatever HTTP/2 server the site has, nor
// do its answers hold up one another: each begins, but for what Apache puts off. HAProxy before 2.9 forgets answers
// that are ready while others on the connection are not read, some of 5 in one of 1000 cases, some of 100 in one of 15.
// These begin after a second, when the gateway sends a ping.
func TestSlowReadersBeforeHTTP2Servers(t *testing.T) {
	servers := servers2(t)
	g, trusted := sites2(t, servers)
	for _, s := range servers {
		for _, unread := range []int{5, 100} {
			t.Run(fmt.Sprint(s.name, unread), func(t *testing.T) {
				slow := g.site(trusted, "HTTP/2.0")
				slow.Timeout = 0
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				var all sync.WaitGroup
				var bodies sync.Map
				heads := make(chan error, unread)
				for i := range unread {
					all.Go(func() {
						r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s.test/big", s.name), nil)
						if err == nil {
							var answer *http.Response
							if answer, err = slow.Do(r); err == nil {
								bodies.Store(i, answer.Body)
								if answer.StatusCode != 200 {
									err = errors.New(answer.Status)
								}
							}
						}
						heads <- err
					})
				}
				begin := unread
				if s.name == "apache" {
					begin = min(unread, apacheAtOnce)
				}
				for n := range begin {
					if err := <-heads; err != nil {
						t.Fatalf("%d of %d answers began, then: %v", n, unread, err)
					}
				}
				for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
					c := g.site(trusted, proto)
					c.Timeout = 20 * time.Second
					for _, size := range []int{0, 1000, 200_000} {
						if err := postTo(c, fmt.Sprintf("https://%s.test/echo", s.name), size); err != nil {
							t.Errorf("%s, %d: %v", proto, size, err)
						}
					}
					c.CloseIdleConnections()
				}
				leave()
				all.Wait()
				bodies.Range(func(_, body any) bool { body.(io.Closer).Close(); return true })
				slow.CloseIdleConnections()
			})
		}
	}
}

// No POST is lost when an HTTP/2 server closes idle connections, or begins anew.
func TestPostsToHTTP2Servers(t *testing.T) {
	servers := servers2(t)
	g, trusted := sites2(t, servers)
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() { // around the second after which connections are closed
			c := g.site(trusted, "HTTP/2.0")
			for i := range 25 {
				if err := postTo(c, fmt.Sprintf("https://%s.test/echo", s.name), 100); err != nil {
					t.Errorf("%s, idle, %d: %v", s.name, i, err)
				}
				time.Sleep(950*time.Millisecond + time.Duration(i)*5*time.Millisecond)
			}
		})
	}
	all.Wait()
	for _, s := range servers {
		if s.restart == 0 {
			continue
		}
		over := make(chan struct{})
		var posts atomic.Int32
		for range 4 {
			all.Go(func() {
				c := g.site(trusted, "HTTP/2.0")
				for {
					select {
					case <-over:
						return
					default:
					}
					if err := postTo(c, fmt.Sprintf("https://%s.test/echo", s.name), 20_000); err != nil {
						t.Errorf("%s, beginning anew: %v", s.name, err)
						return
					}
					posts.Add(1)
				}
			})
		}
		for range 3 {
			time.Sleep(700 * time.Millisecond)
			s.process.signal(t, s.restart)
		}
		time.Sleep(time.Second)
		close(over)
		all.Wait()
		t.Logf("%s: %d POSTs while it began anew three times", s.name, posts.Load())
	}
}

// Answers without a body that say a length are whole for curl, over both protocols.
func TestBodilessWithLengthFromNode(t *testing.T) {
	servers := servers2(t)[3:]
	g, _ := sites2(t, servers)
	for _, protocol := range []string{"--http2", "--http1.1"} {
		for _, status := range []string{"304", "204"} {
			for _, length := range []string{"0", "5", "5000"} {
				said := output(t, tool(t, "curl", fromCurl), protocol, "-sS", "--max-time", "20", "--cacert", g.root, "--connect-to", "::127.0.0.1:"+g.port,
					"-w", "%{http_code} %{size_download} %{exitcode}", fmt.Sprintf("https://node.test/none/%s/%s", status, length))
				if said != status+" 0 0" {
					t.Errorf("%s %s with %s: %q", protocol, status, length, said)
				}
			}
		}
	}
}
