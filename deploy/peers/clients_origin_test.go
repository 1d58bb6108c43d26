//go:build peers

package peers

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The hosts of the clients' tests: two sites, three hosts.
const (
	hostOne   = "one.test"
	hostWWW   = "www.one.test"
	hostTwo   = "two.test"
	partCount = 20 // subresources of a page
)

var clientHosts = []string{hostOne, hostWWW, hostTwo}

// asked is what a client asks for. url has the client's name as its query.
type asked struct{ method, url string }

// arrivals are the requests of one kind that came to the origin.
type arrivals struct {
	count  int
	protos map[string]bool
	bodies map[string]bool // SHA-256
}

// clientsOrigin answers for every host, each with pages of its own, and remembers who came.
type clientsOrigin struct {
	*httptest.Server
	reports chan string // what pages report from inside a browser

	mu   sync.Mutex
	came map[asked]*arrivals
}

func serveClients(t *testing.T) *clientsOrigin {
	t.Helper()
	o := &clientsOrigin{reports: make(chan string, 16), came: map[asked]*arrivals{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

// ServeHTTP lets pages of one site use the answers of the other and see over which protocol they came.
func (o *clientsOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	host := strings.TrimSuffix(r.Host, ":443") // Node's HTTP/2 says it, and it is passed on as it came
	o.note(asked{r.Method, "https://" + host + r.RequestURI}, r.Proto, fmt.Sprintf("%x", sha256.Sum256(body)))
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Timing-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	switch {
	case r.URL.Path == "/report":
		o.reports <- string(body)
	case r.URL.Path == "/page":
		h.Set("Content-Type", "text/html; charset=utf-8")
	case strings.HasSuffix(r.URL.Path, ".js"):
		h.Set("Content-Type", "text/javascript")
	default:
		h.Set("Content-Type", "text/plain")
	}
	answer := clientsAnswer(r.Method, host, r.URL.Path, r.URL.RawQuery, body)
	h.Set("Content-Length", strconv.Itoa(len(answer))) // to HEAD, too: without it Node closes the connection
	w.Write(answer)
}

func (o *clientsOrigin) note(a asked, proto, hash string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.came[a] == nil {
		o.came[a] = &arrivals{protos: map[string]bool{}, bodies: map[string]bool{}}
	}
	o.came[a].count++
	o.came[a].protos[proto], o.came[a].bodies[hash] = true, true
}

// clientsAnswer is the body of an answer. No two addresses have the same, and a POST learns what arrived.
func clientsAnswer(method, host, path, query string, body []byte) []byte {
	switch {
	case path == "/page":
		return clientsPage(host, query)
	case strings.HasSuffix(path, ".js"):
		return fmt.Appendf(nil, "parts.push(%q);\n", host+path)
	case method == http.MethodPost:
		return fmt.Appendf(nil, "%s %s?%s: %x\n", host, path, query, sha256.Sum256(body))
	}
	return bytes.Repeat(fmt.Appendf(nil, "%s %s?%s\n", host, path, query), 100)
}

// clientsBody is what clients post.
func clientsBody() []byte {
	body := make([]byte, 100<<10)
	for i := range body {
		body[i] = byte(i % 251)
	}
	return body
}

// clientsPage loads its parts from all hosts, then makes the same requests as every client does, and reports.
func clientsPage(host, query string) []byte {
	page := "<!doctype html><title>" + host + "</title><link rel=icon href=data:,>\n<script>var parts = [];</script>\n"
	for i := range partCount {
		page += fmt.Sprintf("<script src=\"https://%s/part/%d.js?%s\"></script>\n", clientHosts[i%len(clientHosts)], i, query)
	}
	return []byte(page + strings.NewReplacer("HOSTS", strings.Join(clientHosts, " "), "QUERY", query).Replace(pageScript))
}

const pageScript = `<script type="module">
const hex = (bytes) => [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, '0')).join('');
const body = new Uint8Array(100 << 10).map((_, i) => i % 251);
const lines = ['version ' + navigator.userAgent, 'parts ' + parts.length];
try {
	for (const host of 'HOSTS'.split(' ')) {
		for (const [method, path] of [['GET', '/'], ['GET', '/second'], ['HEAD', '/second'], ['POST', '/form']]) {
			const url = 'https://' + host + path + '?QUERY';
			performance.clearResourceTimings();
			const answer = await fetch(url, { method, cache: 'no-store', body: method === 'POST' ? new Blob([body]) : undefined });
			const content = await answer.arrayBuffer();
			const seen = performance.getEntriesByName(url).map((entry) => entry.nextHopProtocol)[0];
			const proto = { 'h2': 'HTTP/2.0', 'http/1.1': 'HTTP/1.1' }[seen] || '-';
			lines.push([method, url, answer.status, proto, hex(await crypto.subtle.digest('SHA-256', content))].join(' '));
		}
	}
} catch (trouble) {
	lines.push('trouble ' + trouble);
}
const next = new URLSearchParams(location.hash.slice(1)).get('next');
await fetch('/report?QUERY', { method: 'POST', body: lines.join('\n') });
if (next) location.href = next;
</script>
`
