//go:build peers

package peers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// The same folder behind the gateway, nginx and Apache. What is no range of bytes gets the whole, what there is no byte
// of gets 416, and nobody says of a page in another charset that it is UTF-8. Where the others differ it is written
// down beside ours.
func TestFilesBesideNginxAndApache(t *testing.T) {
	dir := folder(t)
	www := filepath.Join(dir, "www")
	const page = "0123456789"
	write(t, filepath.Join(www, "a.txt"), []byte(page))
	write(t, filepath.Join(www, "latin.html"), []byte("<meta charset=iso-8859-1><p>Gr\xfc\xdfe"))
	write(t, filepath.Join(www, "latin.css"), []byte("@charset \"iso-8859-1\";"))
	write(t, filepath.Join(www, "latin.xml"), []byte("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a/>"))
	one, two := freePort(t), freePort(t)
	nginx(t, dir, fmt.Sprintf("include /etc/nginx/mime.types; server { listen %s; root %s; }", one, www))
	config := fmt.Appendf(nil, "ServerRoot %[2]q\nServerName localhost\nPidFile %[1]q\nDefaultRuntimeDir %[2]q\nUser www-data\nGroup www-data\n"+
		"Listen %[3]s\nErrorLog /dev/stderr\nLogLevel notice\nDocumentRoot %[4]q\n", filepath.Join(dir, "apache.pid"), dir, two, www)
	for _, module := range []string{"mpm_event", "authz_core", "mime"} {
		config = fmt.Appendf(config, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	config = append(config, "TypesConfig /etc/mime.types\n"...)
	start(t, "resuming normal operations", tool(t, "apache2", fromApache), "-f", write(t, filepath.Join(dir, "apache.conf"), config), "-DFOREGROUND")
	g := serve(t, setup{sites: fmt.Sprintf("  - {hosts: [files.test], origin: %q, http2_crawl: refuse}\n", "file:"+www)})
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(read(t, g.root))
	client := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: "files.test"}}}

	ask := func(url, name, method, said string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "files.test"
		if said != "" {
			r.Header.Set("Range", said)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(body)
	}
	servers := []string{"https://127.0.0.1:" + g.port, "http://" + one, "http://" + two}
	for _, test := range []struct {
		method, said string
		status       int
		alike        bool // all three give that
	}{
		{"GET", "bytes=2-4", 206, true},
		{"GET", "BYTES=2-4", 206, true},
		{"GET", "bytes=-3", 206, true},
		{"GET", "bytes=-99", 206, true},
		{"GET", "bytes=10-", 416, true},
		{"GET", "bytes=0-99999999999999999999999", 206, false},
		{"GET", "bytes=99999999999999999999999-", 416, false},
		{"GET", "bytes=-0", 416, false},
		{"GET", "lines=1-2", 200, true},
		{"GET", "bytes=a-b", 200, false},
		{"GET", "bytes=4-2", 200, false},
		{"GET", "bytes=", 200, false},
		{"GET", "bytes=2 - 4", 200, false},
		{"GET", "bytes=0-1,-2", 206, true},
		{"GET", "bytes=0-1,20-30", 206, true},
		{"GET", "bytes=0-9,0-9,0-9", 200, false},
		{"HEAD", "bytes=2-4", 206, true},
	} {
		var statuses [3]int
		for i, server := range servers {
			answer, _ := ask(server, "/a.txt", test.method, test.said)
			statuses[i] = answer.StatusCode
		}
		t.Logf("%s %s: gate421 %d, nginx %d, Apache %d", test.method, test.said, statuses[0], statuses[1], statuses[2])
		if statuses[0] != test.status || test.alike && (statuses[1] != test.status || statuses[2] != test.status) {
			t.Errorf("%s %s: %d, want %d of the first, alike: %v", test.method, test.said, statuses, test.status, test.alike)
		}
	}
	for _, name := range []string{"/latin.html", "/latin.css", "/latin.xml"} {
		var kinds []string
		for _, server := range servers {
			answer, _ := ask(server, name, "GET", "")
			kinds = append(kinds, answer.Header.Get("Content-Type"))
		}
		t.Logf("%s: gate421 %q, nginx %q, Apache %q", name, kinds[0], kinds[1], kinds[2])
		if strings.Contains(kinds[0], "charset") {
			t.Errorf("%s: %q", name, kinds[0])
		}
	}
}
