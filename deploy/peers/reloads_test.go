//go:build peers

package peers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gate421/gate/config"
)

// edition is one of the two configurations that follow each other: nothing in it is as in the other one, and the
// records and answers of a request say which one it was that decided and which one that served.
type edition struct {
	site, rule, origin string
	sites              string
}

// turning is a gateway whose configuration is never the same for long.
type turning struct {
	*gateway
	base     string
	editions [2]edition          // their origins answer with 0 and 1
	versions map[string]*edition // by the name of the version

	made     atomic.Int64 // requests
	failures atomic.Int64 // of them; of h2load's, batches
	enough   int64
	reloaded chan struct{} // closed when all reloads are made
	mu       sync.Mutex
	answers  map[string]string // by path
}

// naming is an origin that answers everything with its name.
func naming(t *testing.T, name string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String()
}

func startTurning(t *testing.T, enough int) *turning {
	t.Helper()
	tr := &turning{versions: map[string]*edition{}, answers: map[string]string{}, enough: int64(enough), reloaded: make(chan struct{})}
	for i, e := range []edition{{site: shop, rule: "/r/"}, {site: "b.test", rule: "/r*"}} {
		e.origin = naming(t, fmt.Sprint(i))
		others := [2]string{shop + ", a.test", "b.test, " + shop}[i]
		e.sites = fmt.Sprintf("\n  - {hosts: [%s], origin: %q, http2_crawl: refuse, paths: {%s: allow}}\n", others, e.origin, e.rule)
		tr.editions[i] = e
	}
	tr.gateway = serve(t, setup{logging: []string{"rotate: null"}, sites: tr.editions[0].sites})
	text := string(read(t, tr.config))
	tr.versions[config.Version([]byte(text))] = &tr.editions[0]
	tr.base, _, _ = strings.Cut(text, "sites:\n")
	return tr
}

// bad are ways to spoil a configuration.
var bad = []func(text string) string{
	func(text string) string { return text + "unknown: key\n" },
	func(text string) string { return text[:len(text)/2] },
	func(text string) string {
		return strings.Replace(text, "http2_crawl: refuse", "http2_crawl: perhaps", 1)
	},
	func(text string) string { return strings.Replace(text, "http://127", "gopher://127", 1) },
	func(text string) string { return strings.Replace(text, "hosts: [", "hosts: [[", 1) },
	func(string) string { return "" },
}

// turn replaces the file so many times, every other time with a bad one, and waits each time until the gateway says
// what it makes of it.
func (tr *turning) turn(t *testing.T, times int) {
	t.Helper()
	for i := range times {
		e := &tr.editions[1-i/2%2]
		text := fmt.Sprintf("# number %d\n%ssites:\n%s", i, tr.base, e.sites)
		wanted, often := "the configuration so far stays in use", i/2+1
		if i%2 == 0 {
			text = fmt.Sprintf("# number %d\n", i) + bad[i/2%len(bad)](text)
		} else {
			version := config.Version([]byte(text))
			tr.mu.Lock()
			tr.versions[version] = e
			tr.mu.Unlock()
			wanted, often = "configuration "+version+" is in use", 1
		}
		next := write(t, tr.config+".next", []byte(text))
		if err := os.Rename(next, tr.config); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("reload %d: %q %d times", i, wanted, often), func() error {
			if n := strings.Count(tr.text(), wanted); n != often {
				return fmt.Errorf("%d times:\n%s", n, tr.text())
			}
			return nil
		})
	}
}

// on says whether more requests are wanted.
func (tr *turning) on() bool {
	select {
	case <-tr.reloaded:
		return tr.made.Load() < tr.enough
	default:
		return true
	}
}

// visit makes requests, each for a path of its own, and remembers the answers.
func (tr *turning) visit(t *testing.T, trusted *x509.CertPool, number int) {
	agent, proto := browserAgent, "HTTP/1.1"
	if number%2 == 0 {
		agent, proto = googlebotAgent, "HTTP/2.0" // its records name the rule
	}
	v := tr.visitor(trusted, "127.0.0.1", agent, proto)
	defer v.leave()
	for i := 0; tr.on() && !t.Failed(); i++ {
		path := fmt.Sprintf("/r/%d/%d", number, i)
		body, err := v.body(t.Context(), path)
		if err != nil {
			tr.failures.Add(1)
			t.Errorf("%s over %s: %v", path, proto, err)
		}
		tr.made.Add(1)
		tr.mu.Lock()
		tr.answers[path] = body
		tr.mu.Unlock()
	}
}

// body is that of a good answer.
func (v *visitor) body(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+shop+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", v.agent)
	res, err := v.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.100q", res.StatusCode, body)
	}
	return string(body), err
}

// volume makes requests with h2load, whose answers are counted.
func (tr *turning) volume(t *testing.T, h2load string, args ...string) {
	const batch = 5000
	args = append(args, "-n", fmt.Sprint(batch), "-c", "8", "-m", "8", "--connect-to", "127.0.0.1:"+tr.port, "https://"+shop+"/volume")
	for tr.on() && !t.Failed() {
		said, err := run(t, h2load, args...)
		if err != nil || !strings.Contains(said, fmt.Sprintf("status codes: %d 2xx, 0 3xx, 0 4xx, 0 5xx", batch)) {
			tr.failures.Add(1)
			t.Errorf("h2load %q: %v\n%s", args, err, said)
		}
		tr.made.Add(batch)
	}
}

// Many reloads, half of them of bad files, while requests come over both protocols: RELOADS=1000 and REQUESTS=1000000
// for more. None fails, and none is decided by one version and served by another.
func TestReloadsUnderLoad(t *testing.T) {
	reloads, requests := times(t, "RELOADS", 40), times(t, "REQUESTS", 20_000)
	tr := startTurning(t, requests)
	h2load, trusted := tool(t, "h2load", fromNghttp2), tr.trusted(t)
	began := time.Now()
	var load sync.WaitGroup
	for i := range 6 {
		load.Go(func() { tr.visit(t, trusted, i) })
	}
	load.Go(func() { tr.volume(t, h2load) })
	load.Go(func() { tr.volume(t, h2load, "--h1") })
	tr.turn(t, reloads)
	t.Logf("%d reloads in %v, %d requests meanwhile", reloads, time.Since(began).Round(time.Millisecond), tr.made.Load())
	close(tr.reloaded)
	load.Wait()
	took := time.Since(began)
	tr.stop(t)
	tr.compare(t, reloads, took)
}

// compare holds every record against its version, and every answer against its record.
func (tr *turning) compare(t *testing.T, reloads int, took time.Duration) {
	t.Helper()
	file, err := os.Open(tr.log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decisions, mixed, good, failed := 0, 0, 0, 0
	lost, used := int64(0), map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r struct {
			record
			Config, Origin, Error string
			Lost                  int64
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%v in %q", err, bytes.Clone(lines.Bytes()))
		}
		switch {
		case r.Event == "gap":
			lost += r.Lost
		case r.Event == "reload" && r.Error != "":
			failed++
		case r.Event == "reload":
			good++
		case r.Event != "decision":
		default:
			decisions++
			used[r.Config] = true
			e := tr.versions[r.Config]
			rule := r.Rule == "" && r.Claim == "" || e != nil && r.Rule == e.rule && r.Reason == "allowed"
			if e == nil || r.Site != e.site || r.Origin != e.origin || !rule || r.Status != 200 || r.OriginError != "" {
				if mixed++; mixed < 10 {
					t.Errorf("a record of more than one version, or of a failure: %s", lines.Text())
				}
			}
			if body, visited := tr.answers[r.Path]; visited && e != nil && body != fmt.Sprint(tr.number(e)) {
				t.Errorf("%s was answered by origin %s, and its record says %s", r.Path, body, lines.Text())
			}
		}
	}
	if int64(decisions)+lost != tr.made.Load() || good != reloads/2 || failed != (reloads+1)/2 {
		t.Errorf("%d decisions on record and %d lost of %d requests; %d reloads took and %d did not, of %d", decisions, lost, tr.made.Load(), good, failed, reloads)
	}
	summary := fmt.Sprintf("%d reloads, %d of them of bad files, during %d requests in %v: %d failed, %d mixed; %d versions decided, %d answers were held against their records, %d lines lost",
		reloads, failed, tr.made.Load(), took.Round(time.Second), tr.failures.Load(), mixed, len(used), len(tr.answers), lost)
	write(t, filepath.Join(t.ArtifactDir(), "reloads.txt"), []byte(summary+"\n"))
	t.Log(summary)
}

// number is what an edition's origin answers.
func (tr *turning) number(e *edition) int {
	if e == &tr.editions[0] {
		return 0
	}
	return 1
}
