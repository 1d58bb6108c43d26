//go:build peers

package peers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// apache starts Apache with a virtual host over https for each host, each with a certificate and a page of its own.
func apache(t *testing.T, hosts []string) (address, ca string, pages map[string][]byte) {
	t.Helper()
	dir := folder(t)
	authority := newAuthority(t, dir)
	address, pages = freePort(t), map[string][]byte{}
	config := fmt.Appendf(nil, `
ServerRoot %[2]q
ServerName localhost
PidFile %[1]q
DefaultRuntimeDir %[2]q
User www-data
Group www-data
Listen %[3]s
ErrorLog /dev/stderr
LogLevel notice
MaxKeepAliveRequests 0
`, filepath.Join(dir, "apache.pid"), dir, address)
	for _, module := range []string{"mpm_event", "authz_core", "ssl"} {
		config = fmt.Appendf(config, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	config = append(config, "SSLSessionCache none\n"...)
	for _, host := range hosts {
		pages[host] = page(t, dir, host, "page.bin", 20_000)
		cert, key := authority.issue(t, host)
		config = fmt.Appendf(config, `
<VirtualHost %s>
ServerName %s
DocumentRoot %q
SSLEngine on
SSLCertificateFile %q
SSLCertificateKeyFile %q
</VirtualHost>
`, address, host, filepath.Join(dir, host), cert, key)
	}
	start(t, "resuming normal operations", tool(t, "apache2", fromApache), "-f", write(t, filepath.Join(dir, "apache.conf"), config), "-DFOREGROUND")
	return address, authority.path, pages
}

// Apache answers 421 where the name in the handshake and the Host differ. Behind the gateway it never has a reason to:
// many requests that alternate between hosts, one after the other and many at a time, over both protocols.
func TestApacheNeverMisdirected(t *testing.T) {
	hosts := []string{"alpha.test", "beta.test", "gamma.test"}
	address, ca, pages := apache(t, hosts)
	curl := tool(t, "curl", fromCurl)
	probe := output(t, curl, "-sS", "--cacert", ca, "--connect-to", "::"+address, "-o", os.DevNull, "-w", "%{http_code}", "-H", "Host: beta.test", "https://alpha.test/page.bin")
	if probe != "421" {
		t.Fatalf("this Apache answers %s where handshake and Host differ: the test would prove nothing; Debian's 2.4.64 and later answer 421", probe)
	}
	g := serve(t, setup{sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "https://%s", origin_tls: {ca: %q}, http2_crawl: refuse}
`, strings.Join(hosts, ", "), address, ca)})

	const requests = 60
	for _, protocol := range []string{"--http2", "--http1.1"} {
		for _, order := range []string{"", "parallel\nparallel-max = 12\n"} {
			dir := t.TempDir()
			script := fmt.Sprintf("silent\nshow-error\nmax-time = 60\ncacert = %q\nconnect-to = \"::127.0.0.1:%s\"\n%s", g.root, g.port, order)
			for i := range requests {
				script += fmt.Sprintf("url = \"https://%s/page.bin?%d\"\noutput = \"%s/%d\"\n", hosts[i%len(hosts)], i, dir, i)
			}
			said := output(t, curl, protocol, "-K", write(t, filepath.Join(dir, "script"), []byte(script)), "-w", `%{http_code}\n`)
			if ok := strings.Count(said, "200\n"); ok != requests {
				t.Errorf("%s %q: %d of %d answered 200:\n%s", protocol, order, ok, requests, said)
			}
			for i := range requests {
				if !bytes.Equal(read(t, filepath.Join(dir, fmt.Sprint(i))), pages[hosts[i%len(hosts)]]) {
					t.Errorf("%s %q: request %d did not get the page of %s", protocol, order, i, hosts[i%len(hosts)])
				}
			}
		}
	}
	records := g.finish(t)
	well := count(records, served)
	if len(records) != 4*requests || well != len(records) {
		t.Errorf("%d records, %d of them served by the origin with 200; want %d", len(records), well, 4*requests)
	}
	for _, proto := range []string{"HTTP/2.0", "HTTP/1.1"} {
		if n := count(records, func(r record) bool { return r.Proto == proto }); n != 2*requests {
			t.Errorf("%d records over %s, want %d", n, proto, 2*requests)
		}
	}
	t.Logf("%d requests to %d virtual hosts of Apache, %d answered 200, none 421", len(records), len(hosts), well)
}
