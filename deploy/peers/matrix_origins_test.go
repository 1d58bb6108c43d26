//go:build peers

package peers

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const fromHAProxy = "apt-get install haproxy"

// column is one arrangement.
type column struct {
	name    string
	direct  *lane
	through []*lane
}

type matrix struct{ columns []*column }

// arrange starts the origins, two gateways and HAProxy, which all end with the test.
func arrange(t *testing.T) matrix {
	dir := folder(t)
	a := newApp(dir)
	for name, size := range map[string]int{"page.html": 100_000, "small.bin": 1000} {
		path := write(t, filepath.Join(dir, "files", name), filling(size))
		if err := os.Chtimes(path, fileTime, fileTime); err != nil {
			t.Fatal(err)
		}
	}
	plain, unencrypted := goOrigin(t, a, false), goOrigin(t, a, true)
	hosts := []string{"nginx", "apache", "go"}
	origins := map[string][2]string{"go": {plain, unencrypted}, "nginx": matrixNginx(t, dir, plain, unencrypted), "apache": matrixApache(t, dir, plain, unencrypted)}
	sites := ""
	for _, name := range hosts {
		sites += fmt.Sprintf(`
  - {hosts: [%[1]s.test], origin: "http://%[2]s", http2_crawl: refuse}
  - {hosts: [open.%[1]s.test], origin: "http://%[2]s", http2_crawl: allow}
  - {hosts: [rpc.%[1]s.test], origin: "h2c://%[3]s", http2_crawl: refuse}
`, name, origins[name][0], origins[name][1])
	}
	near := serve(t, setup{sites: sites})
	behind := serve(t, setup{sites: sites, door: ", proxy_protocol: [127.0.0.0/8]"})
	balancer := haproxy(t, dir, "127.0.0.1:"+behind.port)
	var m matrix
	for _, name := range append(hosts, "haproxy") {
		host, gateway, trusted := name+".test", "127.0.0.1:"+near.port, near.trusted(t)
		if name == "haproxy" {
			host, gateway, trusted = "go.test", balancer, behind.trusted(t)
		}
		addresses := origins[strings.TrimSuffix(host, ".test")]
		c := &column{name: name, direct: newLane(name, "HTTP/1.1", host, nil, a, func(to string) string {
			if strings.HasPrefix(to, "rpc.") {
				return addresses[1]
			}
			return addresses[0]
		})}
		for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
			c.through = append(c.through, newLane(name, proto, host, trusted, a, func(string) string { return gateway }))
		}
		m.columns = append(m.columns, c)
	}
	return m
}

// goOrigin serves the app with net/http, over HTTP/1.1 or unencrypted HTTP/2.
func goOrigin(t *testing.T, a *app, two bool) string {
	s := httptest.NewUnstartedServer(a)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(!two)
	s.Config.Protocols.SetUnencryptedHTTP2(two)
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.Listener.Addr().String()
}

func haproxy(t *testing.T, dir, to string) string {
	address := freePort(t)
	config := write(t, filepath.Join(dir, "haproxy.cfg"), fmt.Appendf(nil, `
global
	maxconn 1000
defaults
	mode tcp
	timeout connect 5s
	timeout client 60s
	timeout server 60s
listen front
	bind %s
	server gate %s send-proxy-v2
`, address, to))
	start(t, "Loading success", tool(t, "haproxy", fromHAProxy), "-W", "-db", "-f", config)
	return address
}

// nativeStatuses are what nginx and Apache answer themselves under /native/.
var nativeStatuses = []int{301, 302, 307, 401, 403, 404, 410, 421, 500, 503}

func matrixNginx(t *testing.T, dir, plain, unencrypted string) [2]string {
	one, two := freePort(t), freePort(t)
	native := ""
	for _, status := range nativeStatuses {
		how := fmt.Sprintf("return %d;", status)
		switch {
		case status == 401:
			how = fmt.Sprintf("auth_basic 'the back room'; auth_basic_user_file %s;", write(t, filepath.Join(dir, "passwords"), nil))
		case status/100 == 3:
			how = fmt.Sprintf("return %d /elsewhere?x=%%2F;", status)
		}
		native += fmt.Sprintf("\t\tlocation = /native/%d { %s }\n", status, how)
	}
	nginx(t, dir, fmt.Sprintf(`
	map $http_upgrade $change { default upgrade; '' ''; }
	upstream app { server %[4]s; keepalive 16; }
	server {
		listen %[1]s;
		absolute_redirect off;
		client_max_body_size 0;
		location /files/ { root %[3]s; gzip on; gzip_vary on; }
%[6]s
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_request_buffering off;
			proxy_buffering off;
			proxy_redirect off;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $change;
			proxy_pass_header Date;
			proxy_pass_header Server;
		}
	}
	server {
		listen %[2]s http2;
		location / { grpc_pass grpc://%[5]s; }
	}`, one, two, dir, plain, unencrypted, native))
	return [2]string{one, two}
}

func matrixApache(t *testing.T, dir, plain, unencrypted string) [2]string {
	one, two := freePort(t), freePort(t)
	config := fmt.Appendf(nil, `
ServerRoot %[2]q
ServerName localhost
PidFile %[1]q
DefaultRuntimeDir %[2]q
User www-data
Group www-data
Listen %[3]s
Listen %[4]s
ErrorLog /dev/stderr
LogLevel notice
`, filepath.Join(dir, "apache.pid"), dir, one, two)
	for _, module := range []string{"mpm_event", "authn_core", "authz_core", "authn_file", "authz_user", "auth_basic", "mime", "filter", "deflate", "rewrite", "proxy", "proxy_http", "http2", "proxy_http2"} {
		config = fmt.Appendf(config, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	rewrites := ""
	for _, status := range nativeStatuses {
		if status == 401 {
			continue
		}
		to := "-"
		if status/100 == 3 {
			to = "/elsewhere?x=%2F"
		}
		rewrites += fmt.Sprintf("RewriteRule ^/native/%d$ %s [R=%d,NE,L]\n", status, strings.ReplaceAll(to, "%", `\%`), status)
	}
	config = fmt.Appendf(config, `
StartServers 1
ServerLimit 2
ThreadLimit 256
ThreadsPerChild 256
MinSpareThreads 16
MaxSpareThreads 512
MaxRequestWorkers 512
MaxKeepAliveRequests 0
LimitRequestFields 200
LimitRequestLine 9000
TypesConfig /dev/null
AddType text/html .html
ProxyPreserveHost On
ProxyAddHeaders Off
<VirtualHost %[1]s>
DocumentRoot %[3]q
AllowEncodedSlashes NoDecode
RewriteEngine On
%[6]s
<Location /native/401>
AuthType Basic
AuthName "the back room"
AuthUserFile %[7]q
Require valid-user
</Location>
<Location /files/>
SetOutputFilter DEFLATE
</Location>
ProxyPass /files/ !
ProxyPass /native/ !
ProxyPass / http://%[4]s/ nocanon flushpackets=on upgrade=websocket
</VirtualHost>
<VirtualHost %[2]s>
Protocols h2c http/1.1
ProxyPass / h2c://%[5]s/ nocanon flushpackets=on
</VirtualHost>
`, one, two, dir, plain, unencrypted, rewrites, write(t, filepath.Join(dir, "passwords"), nil))
	start(t, "resuming normal operations", tool(t, "apache2", fromApache), "-f", write(t, filepath.Join(dir, "apache.conf"), config), "-DFOREGROUND")
	return [2]string{one, two}
}
