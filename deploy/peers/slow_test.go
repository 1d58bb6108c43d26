//go:build peers

package peers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const fromSlow = "apt-get install slowhttptest"

const (
	slowEach = 250 // connections of an address, which may have 256
	slowRate = 600 // new connections in a second, of all addresses; their handshakes are work for both sides
)

// assault is how many slow connections come, and how fast. The limits leave them alone until all are there.
type assault struct {
	connections, rate int
	hold              time.Duration // before the gateway's limits end a connection
}

func (a assault) limits() string {
	return fmt.Sprintf("limits: {header_time: %v, stall_time: %v, idle_time: %v}", a.hold, a.hold, 2*a.hold)
}

// lives is how long slowhttptest lets its connections live.
func (a assault) lives() time.Duration { return 3*a.hold + 30*time.Second }

// slowModes are slowhttptest's, each with its arguments and what its requests are for. A slow reader does not see that
// it was cut off until it has read what came before, and is ended when the gateway has no connection of its kind.
var slowModes = []struct {
	name, path string
	args       []string
}{
	{"slow headers", "/", []string{"-H", "-i", "1", "-x", "24"}},
	{"slow bodies", "/", []string{"-B", "-i", "1", "-s", "8192", "-x", "10"}},
	{"ranges", "/", []string{"-R", "-a", "5", "-b", "2000"}},
	{"slow reading", "/big", []string{"-X", "-w", "128", "-y", "256", "-n", "1", "-z", "32"}},
}

// twoPages is an origin with a short page and a long one, which takes and forgets bodies.
func twoPages(t *testing.T) string {
	t.Helper()
	long := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		page := long[:4096]
		if r.URL.Path == "/big" {
			page = long
		}
		http.ServeContent(w, r, "page.txt", time.Time{}, bytes.NewReader(page))
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String()
}

// ordinary is a client that asks for a page again and again until it is told to stop.
type ordinary struct {
	stop  chan struct{}
	group sync.WaitGroup
	took  []time.Duration
}

// visits begins: over both protocols in turn, each on a connection of its own.
func (g *gateway) visits(t *testing.T) *ordinary {
	t.Helper()
	o := &ordinary{stop: make(chan struct{})}
	trusted := g.trusted(t)
	o.group.Go(func() {
		both := []*visitor{g.visitor(trusted, "127.0.0.1", browserAgent, "HTTP/2.0"), g.visitor(trusted, "127.0.0.1", browserAgent, "HTTP/1.1")}
		for pause := time.Tick(5 * time.Millisecond); ; {
			for _, v := range both {
				status, took, err := v.get(context.WithoutCancel(t.Context()), "/ordinary")
				if status != 200 || err != nil {
					t.Errorf("the ordinary client over %s: status %d after %v, %v", v.proto, status, took, err)
				}
				o.took = append(o.took, took)
			}
			select {
			case <-o.stop:
				both[0].leave()
				both[1].leave()
				return
			case <-pause:
			}
		}
	})
	return o
}

// end ends the visits and returns how many there were, and how long the slowest hundredth took at least.
func (o *ordinary) end() (n int, p99 time.Duration) {
	close(o.stop)
	o.group.Wait()
	slices.Sort(o.took)
	return len(o.took), o.took[len(o.took)*99/100]
}

// The four attacks of slowhttptest, each from so many connections, SLOW=5000 for more, RATE=200 new ones in a second:
// all are cut off in time, and an ordinary client is always served. What it feels is reported and not required. The
// attackers work on the same processors, but only when nobody else wants to.
func TestSlow(t *testing.T) {
	if !inside(t) {
		return
	}
	a := assault{connections: times(t, "SLOW", 500), rate: times(t, "RATE", slowRate)}
	a.hold = time.Duration(a.connections/a.rate)*time.Second + 5*time.Second
	connections := a.connections
	attackers := (connections + slowEach - 1) / slowEach
	output(t, tool(t, "ip", fromIproute), "route", "add", "local", "10.9.0.0/16", "dev", "lo")
	names, hosts := []string{shop}, ""
	for i := range attackers {
		names = append(names, fmt.Sprintf("slow%d.test", i))
		hosts += fmt.Sprintf("10.9.%d.%d slow%d.test\n", i/250, i%250+1, i)
	}
	g := serve(t, setup{listen: ":8443", admin: "127.0.0.1:0", certificates: "{source: local, unknown_host: default}", more: a.limits(), sites: fmt.Sprintf(`
  - {hosts: [%s], origin: %q, http2_crawl: refuse}
`, strings.Join(names, ", "), twoPages(t))})
	_, page, _ := strings.Cut(g.await(t, "metrics and health on "), "metrics and health on ")
	file := write(t, filepath.Join(folder(t), "hosts"), []byte(hosts))

	rest, looks := g.visits(t), g.watch(t, page, 1)
	<-time.After(5 * time.Second) // what it feels when nothing is the matter is measured for so long
	n, quiet := rest.end()
	looks.end()
	report := fmt.Sprintf("%d connections of %d addresses; the ordinary client's p99 is %v when all is quiet (%d requests)\n", connections, attackers, quiet, n)
	for _, mode := range slowModes {
		client := g.visits(t)
		w := g.watch(t, page, int64(connections)/2)
		longest := g.attackSlowly(t, file, attackers, a, mode.path, mode.args, w.gone)
		w.end()
		n, p99 := client.end()
		report += fmt.Sprintf("%-12s at most %4d open at once, the last one until %.1f s after the first began; the attackers' end after %.1f s; the ordinary client: %4d requests, p99 %v, %.1f times the quiet one\n",
			mode.name, w.most, w.busy.Seconds(), longest.Seconds(), n, p99.Round(10*time.Microsecond), float64(p99)/float64(quiet))
		if mode.name != "ranges" && w.most < int64(connections)/2 {
			t.Errorf("%s: only %d connections were open at once: the attack proves nothing", mode.name, w.most)
		}
		eventually(t, "the end of the last slow connection", func() error {
			if left := openNow(t, page); left > usualOpen {
				return fmt.Errorf("%d connections are open", left)
			}
			return nil
		})
	}
	write(t, filepath.Join(t.ArtifactDir(), "slow.txt"), []byte(report))
	t.Logf("\n%s", report)
	ordinarily := 0
	for _, r := range g.finish(t) {
		if r.Path == "/ordinary" {
			ordinarily++
			if !served(r) {
				t.Errorf("the ordinary client: %+v", r)
			}
		}
	}
	t.Logf("%d requests of the ordinary client are on record, all served", ordinarily)
}

// usualOpen are the ordinary client's connections.
const usualOpen = 2

var openMetric = regexp.MustCompile(`(?m)^gate421_connections_open\{protocol="(?:http1|http2|none)"\} (\d+)`)

// openNow counts the connections that the gateway says it has.
func openNow(t *testing.T, page string) (n int64) {
	for _, found := range openMetric.FindAllStringSubmatch(fetch(t, page+"metrics"), -1) {
		m, _ := strconv.ParseInt(found[1], 10, 64)
		n += m
	}
	return n
}

// watch is an eye on the connections that the gateway has. Its looks cost the ordinary client more than the attack if
// there are many.
type watch struct {
	most int64         // at once
	busy time.Duration // until when there were more than usual
	gone chan struct{} // closed when many have been open, and none has been for two seconds
	over chan struct{}
	done sync.WaitGroup
}

func (g *gateway) watch(t *testing.T, page string, many int64) *watch {
	w := &watch{gone: make(chan struct{}), over: make(chan struct{})}
	w.done.Go(func() {
		began, told := time.Now(), false
		for pause := time.Tick(time.Second / 2); ; {
			n := openNow(t, page)
			w.most = max(w.most, n)
			if n > usualOpen {
				w.busy = time.Since(began)
			}
			if !told && w.most >= many && time.Since(began)-w.busy > 2*time.Second {
				told = true
				close(w.gone)
			}
			select {
			case <-w.over:
				return
			case <-pause:
			}
		}
	})
	return w
}

func (w *watch) end() {
	close(w.over)
	w.done.Wait()
}

// attackSlowly runs a slowhttptest for each address, and requires that each ends because it has no connection left, or
// that all are gone before its time is up. A client that connects to a local address has that address itself, where the
// route names no other.
func (g *gateway) attackSlowly(t *testing.T, hosts string, attackers int, a assault, path string, args []string, gone <-chan struct{}) (longest time.Duration) {
	t.Helper()
	slow, unshare := tool(t, "slowhttptest", fromSlow), tool(t, "unshare", fromUtilLinux)
	ctx, cancel := context.WithTimeout(t.Context(), 2*a.lives())
	defer cancel()
	reads := args[0] == "-X"
	var group sync.WaitGroup
	took := make([]time.Duration, attackers)
	began := time.Now()
	for i := range attackers {
		each := min(slowEach, a.connections-i*slowEach)
		command := slices.Concat([]string{"--mount", "sh", "-ec", `mount --bind "$1" /etc/hosts; shift; exec chrt --idle 0 "$@"`, "sh", hosts, slow,
			"-c", fmt.Sprint(each), "-r", fmt.Sprint(max(a.rate/attackers, 1)), "-l", fmt.Sprint(int(a.lives().Seconds())), "-p", "30",
			"-u", fmt.Sprintf("https://slow%d.test:%s%s", i, g.port, path)}, args)
		group.Go(func() {
			said, err := exec.CommandContext(ctx, unshare, command...).CombinedOutput()
			took[i] = time.Since(began)
			if cut := reads && ctx.Err() != nil && took[i] < a.lives(); !cut && (err != nil || !strings.Contains(string(said), "No open connections left")) {
				t.Errorf("slowhttptest %q: %v after %v:\n%s", command[7:], err, took[i], last(said, 1500))
			}
		})
	}
	ended := make(chan struct{})
	go func() {
		group.Wait()
		close(ended)
	}()
	if reads {
		select {
		case <-gone:
			cancel()
		case <-ended:
		}
	}
	<-ended
	return slices.Max(took)
}

// last is the end of what was said.
func last(said []byte, n int) []byte { return said[max(0, len(said)-n):] }
