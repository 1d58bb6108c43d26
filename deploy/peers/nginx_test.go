//go:build peers

package peers

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// nginx starts nginx with these server blocks and waits until it listens.
func nginx(t *testing.T, dir, servers string) {
	t.Helper()
	config := write(t, filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, `
daemon off;
user www-data;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr notice;
events { worker_connections 512; }
http {
	access_log off;
	keepalive_requests 100000;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	%[2]s
}
`, dir, servers))
	start(t, "start worker process ", tool(t, "nginx", fromNginx), "-p", dir, "-c", config)
}

// page writes a page that no other host has.
func page(t *testing.T, root, host, name string, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	rand.Read(content)
	content = append([]byte(host+"\n"), content...)
	write(t, filepath.Join(root, host, name), content)
	return content
}

// onePage starts nginx with one site of one page, whatever the host, and returns its address.
func onePage(t *testing.T) string {
	t.Helper()
	dir, address := folder(t), freePort(t)
	page(t, dir, "www", "index.html", 1024)
	write(t, filepath.Join(dir, "www", "robots.txt"), []byte("User-agent: *\nAllow: /\n"))
	nginx(t, dir, fmt.Sprintf("server { listen %s; root %s/www; location / { try_files $uri /index.html; } }", address, dir))
	return address
}

// The gateway in front of nginx, once over http and once over https, with several virtual hosts each: every host gets
// its own pages, byte for byte, and over https its own name in the handshake. nginx refuses a handshake without a name
// or with a strange one, and each virtual host has a certificate of its own.
func TestNginxVirtualHosts(t *testing.T) {
	dir := folder(t)
	authority := newAuthority(t, dir)
	plain, secure := freePort(t), freePort(t)
	plainHosts, secureHosts := []string{"one.test", "two.test"}, []string{"alpha.test", "beta.test", "gamma.test"}
	pages := map[string][]byte{}
	servers := fmt.Sprintf("server { listen %s default_server; return 500; }\nserver { listen %s ssl default_server; ssl_reject_handshake on; }\n", plain, secure)
	for _, host := range append(plainHosts, secureHosts...) {
		pages[host] = page(t, dir, host, "page.bin", 200_000)
		listen := plain + ";"
		if strings.HasSuffix(host, "a.test") {
			cert, key := authority.issue(t, host)
			listen = fmt.Sprintf("%s ssl; ssl_certificate %s; ssl_certificate_key %s;", secure, cert, key)
		}
		servers += fmt.Sprintf("server { server_name %s; root %s/%s; add_header X-Vhost %s; add_header X-Handshake $ssl_server_name; add_header X-Asked-For $http_host; listen %s }\n",
			host, dir, host, host, listen)
	}
	nginx(t, dir, servers)
	g := serve(t, setup{sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse}
  - {hosts: [%s], origin: "https://%s", origin_tls: {ca: %q}, http2_crawl: refuse}
`, strings.Join(plainHosts, ", "), plain, strings.Join(secureHosts, ", "), secure, authority.path)})

	var want []record
	for range 2 { // on new connections to the origin, and on kept ones
		for _, proto := range []string{"HTTP/2.0", "HTTP/1.1"} {
			for _, host := range append(plainHosts, secureHosts...) {
				handshake, site := "", "one.test"
				if strings.HasSuffix(host, "a.test") {
					handshake, site = host, "alpha.test"
				}
				path := fmt.Sprintf("/page.bin?%d", len(want))
				got := g.curl(t, visit{url: "https://" + host + path, proto: proto, agent: browserAgent})
				if got.status != 200 || !bytes.Equal(got.body, pages[host]) {
					t.Errorf("%s over %s: status %d, %d bytes, the right ones: %v", host, proto, got.status, len(got.body), bytes.Equal(got.body, pages[host]))
				}
				if h := got.header; h.Get("X-Vhost") != host || h.Get("X-Handshake") != handshake || h.Get("X-Asked-For") != host {
					t.Errorf("%s over %s: answered by %q, handshake for %q, Host %q", host, proto, h.Get("X-Vhost"), h.Get("X-Handshake"), h.Get("X-Asked-For"))
				}
				want = append(want, passed(site, host, path, proto, len(pages[host])))
			}
		}
	}
	got := byPath(t, g.finish(t))
	if len(got) != len(want) {
		t.Errorf("%d records for %d requests", len(got), len(want))
	}
	for _, want := range want {
		if got := got[want.Path]; got.parted(want.BytesOut) != want {
			t.Errorf("record\ngot  %+v\nwant %+v", got, want)
		}
	}
}

// passed is the record of a browser's request that the origin answered with 200.
func passed(site, host, path, proto string, bytes int) record {
	r := record{
		Event: "decision", Site: site, Host: host, Method: "GET", Path: path, Proto: proto, ALPN: "h2", SNI: host, ClientIP: "127.0.0.1",
		Agent: browserAgent, Action: "serve", Reason: "no_claim", Status: 200, BytesOut: int64(bytes), OriginStatus: 200,
	}
	if proto == "HTTP/1.1" {
		r.ALPN, r.Reason = "http/1.1", "http1"
	}
	return r
}

// Ordinary visitors' traffic: nothing is refused, nothing fails, each request has its line.
func TestOrdinaryTraffic(t *testing.T) {
	g := serve(t, setup{sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse}
`, shop, onePage(t))})
	const requests, looks = 1000, 5
	for _, how := range [][]string{{"-c", "10", "-m", "10"}, {"-c", "10", "--h1"}} {
		l := g.h2load(t, "127.0.0.1", shop, browserAgent, append(how, "-n", fmt.Sprint(requests))...)
		if l.err != nil || l.statuses[200] != requests || len(l.statuses) != 1 {
			t.Errorf("h2load %q: %v; by status %v, want %d times 200", how, l.err, l.statuses, requests)
		}
	}
	said := output(t, tool(t, "nghttp", fromNghttp2), "--verbose", "--null-out", fmt.Sprintf("--multiply=%d", looks), "-H", ":authority: "+shop, "https://127.0.0.1:"+g.port+"/")
	if n := strings.Count(said, ":status: 200"); n != looks {
		t.Errorf("nghttp saw %d times 200, want %d:\n%s", n, looks, said)
	}
	records := g.finish(t)
	well := count(records, served)
	overHTTP2 := count(records, func(r record) bool { return r.Proto == "HTTP/2.0" && r.ALPN == "h2" })
	t.Logf("%d records, %d served by the origin with 200, %d over HTTP/2", len(records), well, overHTTP2)
	if len(records) != 2*requests+looks || well != len(records) || overHTTP2 != requests+looks {
		t.Errorf("%d records, %d served with 200, %d over HTTP/2", len(records), well, overHTTP2)
	}
}
