//go:build peers

package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// closing is a server that closes connections that are idle for a while.
type closing struct {
	name    string
	address string
	after   time.Duration
}

// closers starts servers as their makers ship them, but for a shorter time where theirs is long.
func closers(t *testing.T) []closing {
	t.Helper()
	dir := folder(t)
	all := []closing{
		{"Node, timeout=1", freePort(t), time.Second},
		{"Node, its own 5 s", freePort(t), 5 * time.Second},
		{"gunicorn", freePort(t), 2 * time.Second},
		{"Apache", freePort(t), time.Second},
		{"nginx", freePort(t), time.Second},
	}
	for i, keepAlive := range []string{"server.keepAliveTimeout = 1000;", ""} {
		script := write(t, filepath.Join(dir, fmt.Sprintf("node%d.js", i)), fmt.Appendf(nil, `
const server = require("http").createServer((request, response) => {
	request.resume().on("end", () => response.end("taken\n"));
});
%s
server.listen(%s, "127.0.0.1", () => console.log("ready"));
`, keepAlive, portOf(t, all[i].address)))
		start(t, "ready", tool(t, "node", fromNode), script)
	}
	write(t, filepath.Join(dir, "app.py"), []byte(`
def app(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "6")])
    return [b"taken\n"]
`))
	start(t, "Booting worker", tool(t, "gunicorn", fromGunicorn), "-b", all[2].address,
		"-k", "gthread", "--threads", "64", "--chdir", dir, "app:app")
	config := fmt.Appendf(nil, `
ServerRoot %[1]q
ServerName localhost
PidFile "%[1]s/apache.pid"
DefaultRuntimeDir %[1]q
User www-data
Group www-data
Listen %[2]s
ErrorLog /dev/stderr
LogLevel notice
KeepAliveTimeout 1
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
Redirect /form http://elsewhere.test/
`, dir, all[3].address)
	start(t, "resuming normal operations", tool(t, "apache2", fromApache),
		"-f", write(t, filepath.Join(dir, "apache.conf"), config), "-DFOREGROUND")
	site := fmt.Sprintf("server { listen %s; location / { return 200 taken; } }", all[4].address)
	nginx(t, dir, "keepalive_timeout 1s; "+site)
	return all
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// distant is a way to a server that takes a while in each direction, as over a network: what both sides say at the
// same time crosses.
func distant(t *testing.T, to string) (address string) {
	t.Helper()
	const takes = 25 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	carry := func(to, from *net.TCPConn) {
		type piece struct {
			said []byte
			at   time.Time
		}
		under := make(chan piece, 1024)
		go func() {
			defer close(under)
			for {
				buffer := make([]byte, 32<<10)
				n, err := from.Read(buffer)
				under <- piece{buffer[:n], time.Now().Add(takes)}
				if err != nil {
					return
				}
			}
		}()
		for p := range under {
			time.Sleep(time.Until(p.at))
			if len(p.said) == 0 {
				to.CloseWrite()
			} else {
				to.Write(p.said) // a server that has gone is seen by its end
			}
		}
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				far, err := net.Dial("tcp", to)
				if err != nil {
					near.Close()
					return
				}
				go carry(far.(*net.TCPConn), near.(*net.TCPConn))
				carry(near.(*net.TCPConn), far.(*net.TCPConn))
				near.Close()
				far.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// Forms that come just when the server closes the connection that the last ones came on: none of them is lost.
func TestFormsAtTheEndOfIdleConnections(t *testing.T) {
	servers := closers(t)
	for i := range servers {
		servers[i].address = distant(t, servers[i].address)
	}
	var sites strings.Builder
	for i, s := range servers {
		fmt.Fprintf(&sites, "\n  - {hosts: [site%d.test], origin: \"http://%s\", http2_crawl: refuse}", i, s.address)
	}
	g := serve(t, setup{sites: sites.String() + "\n"})
	dir, balancer := folder(t), freePort(t)
	haproxyTo := `
defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 5s
	http-reuse always
`
	haproxyTo += "frontend in\n\tbind " + balancer + "\n"
	for i := range servers {
		haproxyTo += fmt.Sprintf("\tuse_backend b%d if { hdr_beg(host) site%d. }\n", i, i)
	}
	for i, s := range servers {
		haproxyTo += fmt.Sprintf("backend b%d\n\tserver s %s\n", i, s.address)
	}
	start(t, "Loading success", tool(t, "haproxy", fromHAProxy), "-W", "-db", "-f",
		write(t, filepath.Join(dir, "haproxy.cfg"), []byte(haproxyTo)))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read(t, g.root))

	var all sync.WaitGroup
	for i, s := range servers {
		for _, through := range []struct {
			name, url, dial string
			ours            bool
		}{
			{"gate421", fmt.Sprintf("https://site%d.test/form", i), "127.0.0.1:" + g.port, true},
			{"HAProxy", fmt.Sprintf("http://site%d.test/form", i), balancer, false},
		} {
			all.Go(func() {
				sent, lost := forms(t, roots, through.url, through.dial, s.after)
				t.Logf("%s through %s: %d of %d forms lost", s.name, through.name, lost, sent)
				if through.ours && lost > 0 {
					t.Errorf("%s: %d of %d forms lost", s.name, lost, sent)
				}
			})
		}
	}
	all.Wait()
}

// forms sends forms many at once, again and again, with about as long between them as the server keeps connections.
func forms(t *testing.T, roots *x509.CertPool, url, dial string, after time.Duration) (sent, lost int64) {
	const clients, rounds = 40, 3
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: clients,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, dial)
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var missed atomic.Int64
	for round := range rounds {
		if round > 0 {
			time.Sleep(after - 60*time.Millisecond)
		}
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				switch spread := time.Duration(i) * time.Millisecond; {
				case round == 0:
				case i%2 == 0:
					time.Sleep(3 * spread)
				default: // servers look at their clock once in a while
					time.Sleep(30 * spread)
				}
				answer, err := client.Post(url, "text/plain", strings.NewReader("a form"))
				if err != nil {
					missed.Add(1)
					return
				}
				defer answer.Body.Close()
				io.Copy(io.Discard, answer.Body)
				if answer.StatusCode >= 400 {
					missed.Add(1)
				}
			})
		}
		all.Wait()
	}
	return clients * rounds, missed.Load()
}
