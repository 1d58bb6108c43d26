//go:build peers

package peers

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	googlebotAgent = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) Chrome/140.0.0.0 Safari/537.36"
	browserAgent   = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// visit is one request of curl's on a connection of its own.
type visit struct {
	to    string // the gateway's address, default 127.0.0.1
	from  string // curl's own address; "": the system's choice
	agent string // default curl's own
	url   string // https://host/path
	proto string // HTTP/2.0 or HTTP/1.1
}

// answer is what curl got.
type answer struct {
	proto  string
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

// curl makes one request and waits for its answer.
func (g *gateway) curl(t *testing.T, v visit) answer {
	t.Helper()
	return g.begin(t, v).end(t)
}

// download is a request of curl's under way.
type download struct {
	visit
	dir           string
	cmd           *exec.Cmd
	said, trouble strings.Builder
}

// begin starts curl and does not wait for it. curl offers HTTP/1.1 alone, or HTTP/2 beside it.
func (g *gateway) begin(t *testing.T, v visit) *download {
	t.Helper()
	d := &download{visit: v, dir: t.TempDir()}
	args := []string{"-sS", "--max-time", "90", "--cacert", g.root, "--connect-to", "::" + cmp.Or(v.to, "127.0.0.1") + ":" + g.port,
		"-D", filepath.Join(d.dir, "header"), "-o", write(t, filepath.Join(d.dir, "body"), nil), "-w", "%{http_version} %{http_code} %{time_total}"}
	args = append(args, map[string]string{"HTTP/2.0": "--http2", "HTTP/1.1": "--http1.1"}[v.proto])
	if v.from != "" {
		args = append(args, "--interface", "host!"+v.from)
	}
	if v.agent != "" {
		args = append(args, "-A", v.agent)
	}
	d.cmd = exec.CommandContext(t.Context(), tool(t, "curl", fromCurl), append(args, v.url)...)
	d.cmd.Stdout, d.cmd.Stderr = &d.said, &d.trouble
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return d
}

// end waits for the answer.
func (d *download) end(t *testing.T) answer {
	t.Helper()
	if err := d.cmd.Wait(); err != nil {
		t.Fatalf("curl %s: %v: %s", d.url, err, d.trouble.String())
	}
	var a answer
	var version string
	var seconds float64
	if _, err := fmt.Sscan(d.said.String(), &version, &a.status, &seconds); err != nil {
		t.Fatalf("curl says %q: %v", d.said.String(), err)
	}
	a.proto = map[string]string{"2": "HTTP/2.0", "1.1": "HTTP/1.1"}[version]
	if a.proto != d.proto {
		t.Errorf("%s: answered over HTTP/%s, not %s", d.url, version, d.proto)
	}
	a.took = time.Duration(seconds * float64(time.Second))
	a.header, a.body = headerOf(t, read(t, filepath.Join(d.dir, "header"))), read(t, filepath.Join(d.dir, "body"))
	return a
}

func headerOf(t *testing.T, raw []byte) http.Header {
	t.Helper()
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(raw)))
	if _, err := r.ReadLine(); err != nil { // the status line
		t.Fatalf("curl noted no header: %v", err)
	}
	h, err := r.ReadMIMEHeader()
	if err != nil {
		t.Fatalf("curl noted the header %q: %v", raw, err)
	}
	return http.Header(h)
}

// load is what h2load counted.
type load struct {
	statuses map[int]int // answers that came whole, by status
	began    int         // answers of 4xx that began: at least as many
	summary  string
	err      error // of its exit
}

// h2load makes many requests. The address is the gateway's; over IPv4 it is the client's, too, where it is a local one.
func (g *gateway) h2load(t *testing.T, address, host, agent string, args ...string) load {
	t.Helper()
	log := filepath.Join(t.TempDir(), "h2load.log")
	args = append([]string{"--connect-to", address + ":" + g.port, "--log-file", log, "-H", "user-agent: " + agent}, args...)
	said, err := run(t, tool(t, "h2load", fromNghttp2), append(args, "https://"+host+"/")...)
	l := load{statuses: map[int]int{}, err: err}
	l.summary = strings.Join(regexp.MustCompile(`(?m)^(requests|status codes|finished in)[: ].*$`).FindAllString(said, -1), "\n")
	if found := regexp.MustCompile(`(\d+) 4xx`).FindStringSubmatch(l.summary); found != nil {
		l.began, _ = strconv.Atoi(found[1])
	}
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatalf("h2load %q left no log: %v\n%s", args, l.err, said)
	}
	for line := range strings.Lines(string(content)) {
		var began, status int
		if _, err := fmt.Sscan(line, &began, &status); err != nil {
			t.Fatalf("h2load's log has the line %q", line)
		}
		l.statuses[status]++
	}
	t.Logf("h2load %s\n%s\nby status: %v", strings.Join(args[6:], " "), l.summary, l.statuses)
	return l
}
