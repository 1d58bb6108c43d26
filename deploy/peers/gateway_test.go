//go:build peers

package peers

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gateway is the program under test, serving.
type gateway struct {
	*process
	port string
	root string // the certificate that clients trust
	log  string // the decision log's path

	config string // the path of the configuration
}

// setup is what a test wants of the configuration.
type setup struct {
	listen   string // default 127.0.0.1:0
	door     string // further keys of listen, behind a comma
	resolver string // default one that nobody listens on, for tests without crawlers
	wait     string // default 5s
	more     string // further keys, whole lines
	sites    string // the list below sites
	admin    string // default none

	certificates string // default the local authority's, one for each host
	root         string // the path of the certificate that clients trust, where certificates is set

	log     string   // the decision log's path; "": one in the test's folder
	logging []string // further keys of the log

	through []string // a command that ends by becoming its last arguments, the program; nil: none
}

// serve writes a configuration, starts the program with it and waits until it says where it listens.
func serve(t *testing.T, s setup) *gateway {
	t.Helper()
	for _, field := range []struct {
		value    *string
		standard string
	}{{&s.listen, "127.0.0.1:0"}, {&s.resolver, "127.0.0.1:9"}, {&s.wait, "5s"}, {&s.certificates, "{source: local}"}} {
		if *field.value == "" {
			*field.value = field.standard
		}
	}
	dir := folder(t)
	g := &gateway{log: cmp.Or(s.log, filepath.Join(dir, "decisions.json"))}
	logging := strings.Join(append([]string{fmt.Sprintf("file: %q", g.log)}, s.logging...), ", ")
	g.config = write(t, filepath.Join(dir, "gate421.yaml"), fmt.Appendf(nil, `
listen: {https: %q, http: ""%s}
admin: %q
state: %q
certificates: %s
verify: {resolver: %q, wait: %s, ranges: embedded}
log: {%s}
%s
sites:
%s`, s.listen, s.door, s.admin, filepath.Join(dir, "state"), s.certificates, s.resolver, s.wait, logging, s.more, s.sites))
	command := slices.Concat(s.through, []string{program(t), "run", "--config", g.config})
	g.process = start(t, "serving https on ", command[0], command[1:]...)
	if g.root = s.root; g.root == "" {
		_, g.root, _ = strings.Cut(g.await(t, "clients must trust "), "clients must trust ")
	}
	_, address, _ := strings.Cut(g.await(t, "serving https on "), "serving https on ")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	g.port = port
	return g
}

// record is what a line of the log says and a test can foresee. Of events that are no decisions only the name counts.
type record struct {
	Event         string `json:"event"`
	Site          string `json:"site"`
	Host          string `json:"host"`
	Method        string `json:"method"`
	Path          string `json:"path"`
	Proto         string `json:"proto"`
	ALPN          string `json:"alpn"`
	SNI           string `json:"sni"`
	ClientIP      string `json:"client_ip"`
	Agent         string `json:"agent"`
	Claim         string `json:"claim"`
	Verdict       string `json:"verdict"`
	VerdictSource string `json:"verdict_source"`
	VerdictCause  string `json:"verdict_cause"`
	PTR           string `json:"ptr"`
	Rule          string `json:"rule"`
	State         string `json:"state"`
	Action        string `json:"action"`
	Reason        string `json:"reason"`
	Would         string `json:"would"`
	Status        int    `json:"status"`
	BytesOut      int64  `json:"bytes_out"`
	OriginStatus  int    `json:"origin_status"`
	OriginError   string `json:"origin_error"`
}

// finish stops the program, requires that its log ends with the stop line, but for how many lines were left out, and
// returns the decisions.
func (g *gateway) finish(t *testing.T) []record {
	t.Helper()
	g.stop(t)
	all := lines(t, g.log)
	for len(all) > 2 && all[len(all)-1].Event == "gap" && all[len(all)-2].Event == "stop" {
		all = all[:len(all)-1]
	}
	if len(all) < 2 || all[0].Event != "start" && all[0].Event != "certificate" || all[len(all)-1].Event != "stop" {
		t.Errorf("the log does not go from start to stop: %+v", all)
	}
	return decisions(all)
}

// lines decodes a log of which every line must be whole.
func lines(t *testing.T, path string) []record {
	t.Helper()
	var out []record
	for line := range bytes.Lines(read(t, path)) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil || line[len(line)-1] != '\n' {
			t.Errorf("line %d of the log is not whole: %v: %q", len(out)+1, err, line)
		}
		out = append(out, r)
	}
	return out
}

func decisions(all []record) []record {
	var out []record
	for _, r := range all {
		if r.Event == "decision" {
			out = append(out, r)
		}
	}
	return out
}

// count counts the records that hold.
func count(records []record, holds func(record) bool) int {
	n := 0
	for _, r := range records {
		if holds(r) {
			n++
		}
	}
	return n
}

func refused(r record) bool { return r.Reason == "refused" && r.Status == 421 && r.Action == "refuse" }

// served says whether a request that claimed nothing was passed on and answered well.
func served(r record) bool {
	r = r.parted(r.BytesOut)
	return r.Action == "serve" && r.Status == 200 && r.OriginStatus == 200 && r.OriginError == "" && (r.Reason == "no_claim" || r.Reason == "http1")
}

// parted allows for a client that has the whole answer, bytes long, and leaves with its last byte: over HTTP/2 that
// byte comes before the end of the stream, and the HTTP/2 engine may see the connection's end before it tells the
// writer that the last bytes went out (writeDataFromHandler, doneServing). Such a client is on record as gone. Whoever
// calls this has seen that the client got everything.
func (r record) parted(bytes int64) record {
	if r.Proto == "HTTP/2.0" && r.OriginError == "client_gone" {
		r.OriginError, r.BytesOut = "", bytes
	}
	return r
}

// early allows for lookups that begin before the request does: an address in the published ranges is looked up from the
// moment it connects, and by the time its request asks, the answer may be on its way or in the cache.
func (r record) early() record {
	published := strings.HasPrefix(r.ClientIP, "66.249.66.") || strings.HasPrefix(r.ClientIP, "2001:4860:4801:")
	if published && r.VerdictSource == "dns" {
		r.VerdictSource = "cache"
	}
	return r
}

// byPath indexes the records of requests that all had different paths.
func byPath(t *testing.T, records []record) map[string]record {
	t.Helper()
	index := map[string]record{}
	for _, r := range records {
		if _, twice := index[r.Path]; twice {
			t.Errorf("a second record for %s: %+v", r.Path, r)
		}
		index[r.Path] = r
	}
	return index
}
