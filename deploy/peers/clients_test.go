//go:build peers

package peers

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Folders that a test in a namespace has from the one outside: the packages of Node's clients and the test's artifacts.
const (
	packagesVariable  = "GATE421_PEERS_PACKAGES"
	artifactsVariable = "GATE421_PEERS_ARTIFACTS"
)

// client is a program that speaks one protocol.
type client struct {
	name        string
	proto       string
	connections int // the most that it may need; 0: its own business
	visit       func(t *testing.T, w *tour) visited
}

// tour is what all clients have in common, and where each of them goes.
type tour struct {
	*gateway
	origin *clientsOrigin
	id     string // the client's name, the query of all its requests
	body   string // the path of what is posted
	proto  string
}

// visited is what came of a client's visit.
type visited struct {
	version string
	seen    []seen
	want    map[asked]int // requests; nil: those that every client makes
}

// seen is an answer as the client saw it. What the client does not say is "" or "-".
type seen struct {
	asked
	status      int
	proto, hash string
}

// Real clients over every protocol they speak: nobody but a verified crawler may ever meet a 421, least of all because
// of a certificate or a connection that the gateway got wrong. Every answer comes whole, over the client's protocol,
// and the log says so.
//
// There is no way out of the namespace, and the clients find the hosts in a hosts file that only this test sees.
func TestClientsMeetNo421(t *testing.T) {
	if !prepared(t) {
		return
	}
	origin, report := serveClients(t), &clientsReport{wants: map[string]map[asked]int{}}
	defer report.write(t)
	separate := tourOf(t, origin, setup{})
	separate.all(t, everyClient(), report, "a certificate a host")
	for name, n := range separate.judge(t, everyClient(), report) {
		t.Errorf("%s: %d requests came over a connection that was opened for another host, and no certificate covers both", name, n)
	}
	authority := newAuthority(t, folder(t))
	cert, key := authority.issue(t, hostOne, hostWWW, hostTwo)
	shared := tourOf(t, origin, setup{certificates: fmt.Sprintf("{source: files, files: [{cert: %q, key: %q}]}", cert, key), root: authority.path})
	shared.all(t, coalescers(), report, "one certificate for all hosts")
	if len(shared.judge(t, coalescers(), report)) == 0 {
		t.Error("no client coalesced its connections: it proves nothing")
	}
}

// prepared is inside, and outside it fetches first what the namespace has no way to.
func prepared(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaceVariable) == "" {
		installPackages(t)
		t.Setenv(artifactsVariable, t.ArtifactDir())
	}
	if !inside(t) {
		return false
	}
	// ip netns exec has given this process a mount namespace, too.
	dir := folder(t)
	hosts := write(t, filepath.Join(dir, "hosts"), fmt.Appendf(nil, "127.0.0.1 localhost %s\n", strings.Join(clientHosts, " ")))
	nobody := write(t, filepath.Join(dir, "resolv.conf"), []byte("nameserver 127.0.0.1\n"))
	output(t, tool(t, "mount", fromUtilLinux), "--bind", hosts, "/etc/hosts")
	output(t, tool(t, "mount", fromUtilLinux), "--bind", nobody, "/etc/resolv.conf")
	return true
}

// tourOf starts a gateway on the port that addresses do not name.
func tourOf(t *testing.T, origin *clientsOrigin, s setup) *tour {
	t.Helper()
	s.listen, s.admin = "127.0.0.1:443", "127.0.0.1:9421"
	s.sites = fmt.Sprintf(`
  - {hosts: [%s, %s], origin: %q, http2_crawl: refuse}
  - {hosts: [%s], origin: %q, http2_crawl: refuse}
`, hostOne, hostWWW, origin.URL, hostTwo, origin.URL)
	w := &tour{gateway: serve(t, s), origin: origin, body: write(t, filepath.Join(folder(t), "body"), clientsBody())}
	t.Setenv("NODE_EXTRA_CA_CERTS", w.root)
	return w
}

// all sends the clients, one after the other.
func (w *tour) all(t *testing.T, clients []client, report *clientsReport, way string) {
	report.head(way)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			before := w.connections(t)
			visit := *w
			visit.id, visit.proto = c.name, c.proto
			v := c.visit(t, &visit)
			if v.want == nil {
				v.want = visit.standard()
			}
			used := w.connections(t) - before
			if c.connections > 0 && used > c.connections {
				t.Errorf("%d connections, want %d at most", used, c.connections)
			}
			if visit.wrong(t, v); t.Failed() {
				t.Logf("it saw %+v", v.seen)
			}
			report.add(c, v, used, !t.Failed())
		})
	}
}

var connectionMetric = regexp.MustCompile(`(?m)^gate421_connections_total\{protocol="http[12]"\} (\d+)$`)

// connections says how many there have been over TLS.
func (w *tour) connections(t *testing.T) int {
	t.Helper()
	total := 0
	for _, found := range connectionMetric.FindAllStringSubmatch(fetch(t, "http://127.0.0.1:9421/metrics"), -1) {
		n, _ := strconv.Atoi(found[1])
		total += n
	}
	return total
}

// standard are the requests that every client makes to every host: two pages, the second one's header, and a form.
func (w *tour) standard() map[asked]int {
	want := map[asked]int{}
	for _, host := range clientHosts {
		for _, a := range []asked{{"GET", "/"}, {"GET", "/second"}, {"HEAD", "/second"}, {"POST", "/form"}} {
			want[asked{a.method, "https://" + host + a.url + "?" + w.id}] = 1
		}
	}
	return want
}

// wrong compares what the client saw, and what came to the origin, with what there was to see.
func (w *tour) wrong(t *testing.T, v visited) {
	t.Helper()
	for _, s := range v.seen {
		u, err := url.Parse(s.url)
		if err != nil {
			t.Fatal(err)
		}
		var content []byte
		if s.method != "HEAD" {
			content = clientsAnswer(s.method, u.Host, u.Path, u.RawQuery, clientsBody())
		}
		if s.status != 200 || s.proto != w.proto && s.proto != "-" || s.hash != "-" && s.hash != fmt.Sprintf("%x", sha256.Sum256(content)) {
			t.Errorf("%s %s: %d over %s, or not the right content", s.method, s.url, s.status, s.proto)
		}
		if v.want[s.asked] == 0 {
			t.Errorf("%s %s was not asked for", s.method, s.url)
		}
	}
	posted := fmt.Sprintf("%x", sha256.Sum256(clientsBody()))
	w.origin.mu.Lock()
	defer w.origin.mu.Unlock()
	for a, n := range v.want {
		came := w.origin.came[a]
		if came == nil || came.count != n || len(came.protos) != 1 || !came.protos["HTTP/1.1"] {
			t.Errorf("%s %s: the origin saw %+v, want it %d times over HTTP/1.1", a.method, a.url, came, n)
		} else if strings.Contains(a.url, "/form?") && (len(came.bodies) != 1 || !came.bodies[posted]) {
			t.Errorf("%s %s: the origin got another body", a.method, a.url)
		}
	}
}

// judge ends the gateway and looks at its log. It returns how many requests came over a connection of another host's,
// by client.
func (w *tour) judge(t *testing.T, clients []client, report *clientsReport) map[string]int {
	t.Helper()
	coalesced := map[string]int{}
	protos, logged := map[string]string{}, map[string]map[asked]int{}
	for _, c := range clients {
		protos[c.name], logged[c.name] = c.proto, map[asked]int{}
	}
	records := w.finish(t)
	for _, r := range records {
		_, name, _ := strings.Cut(r.Path, "?")
		if r.SNI != r.Host {
			coalesced[name]++
		}
		proto, known := protos[name]
		switch {
		case r.Status/100 != 2 || r.Action != "serve" || r.OriginStatus != 200:
			t.Errorf("answered %d: %+v", r.Status, r)
		case known && (!served(r) || r.Proto != proto):
			t.Errorf("over %s: %+v", r.Proto, r)
		case known:
			logged[name][asked{r.Method, "https://" + r.Host + r.Path}]++
		}
	}
	for _, c := range clients {
		if want := report.wants[c.name]; !maps.Equal(logged[c.name], want) {
			t.Errorf("%s: the log has %v, want %v", c.name, logged[c.name], want)
		}
	}
	misses := count(records, func(r record) bool { return r.Status == 421 })
	report.lines = append(report.lines, fmt.Sprintf("%d decisions in the log, %d of them 421; coalesced requests, by client: %v", len(records), misses, coalesced))
	return coalesced
}

// clientsReport is the table.
type clientsReport struct {
	lines []string
	wants map[string]map[asked]int // by client
}

const clientsColumns = "%-24s %-9s %9s %12s  %-6s %s"

func (r *clientsReport) head(way string) {
	r.lines = append(r.lines, "", way, fmt.Sprintf(clientsColumns, "client", "protocol", "requests", "connections", "result", "version"))
}

func (r *clientsReport) add(c client, v visited, connections int, well bool) {
	r.wants[c.name] = v.want
	requests := 0
	for _, n := range v.want {
		requests += n
	}
	result := map[bool]string{true: "2xx", false: "WRONG"}[well]
	r.lines = append(r.lines, fmt.Sprintf(clientsColumns, c.name, c.proto, strconv.Itoa(requests), strconv.Itoa(connections), result, v.version))
}

func (r *clientsReport) write(t *testing.T) {
	text := strings.Join(r.lines, "\n") + "\n"
	t.Logf("clients\n%s", text)
	write(t, filepath.Join(os.Getenv(artifactsVariable), "clients.txt"), []byte(text))
}

// told reads what a script of testdata/clients says.
func told(t *testing.T, text string) visited {
	t.Helper()
	var v visited
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if version, found := strings.CutPrefix(line, "version "); found {
			v.version = version
			continue
		}
		var s seen
		if _, err := fmt.Sscan(line, &s.method, &s.url, &s.status, &s.proto, &s.hash); err != nil {
			t.Errorf("the client says %q", line)
		}
		v.seen = append(v.seen, s)
	}
	if n := len(clientHosts) * 4; len(v.seen) != n {
		t.Errorf("the client tells of %d answers, want %d", len(v.seen), n)
	}
	slices.SortFunc(v.seen, func(a, b seen) int { return cmp.Compare(a.url, b.url) })
	return v
}
