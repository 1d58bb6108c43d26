//go:build peers

package peers

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gate421/gate"
	"gate421/gate/audit"
	"gate421/gate/front"
	"gate421/gate/policy"
	"gate421/verify"
)

// What h2spec has to show.
const (
	h2specCases = 145
	h2specLeast = 141
)

// knownFailures are the cases that fail, each with its cause. All lie in the HTTP/2 engine; ending says whether the
// gateway ends the connection with each answer.
func knownFailures(ending bool) map[string]string {
	known := map[string]string{
		"http2/6.5.3: Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE": "on purpose: the engine hangs up on a SETTINGS frame that names a " +
			"setting twice (processSettings, HasDuplicates), with a connection error PROTOCOL_ERROR, where the RFC has the last value win",
		"http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field": "the request is malformed, and the engine " +
			"answers it with a 400 of its own (checkValidHTTP2RequestHeaders, new400Handler) instead of RST_STREAM; no handler sees it",
		"http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than \"trailers\"": "as above: a 400 instead of RST_STREAM",
	}
	if ending {
		known["http2/5.1.2: Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded"] = "the first 421 brought " +
			"GOAWAY, after which the engine discards frames of newer streams (processFrame, inGoAway), as RFC 9113 section 6.8 lets it, so that the " +
			"limit is never exceeded; the case does not expect a GOAWAY with NO_ERROR"
	}
	return known
}

// overtaken are the cases that send the frame in question after a request's header. The answer does not wait for the
// request's body. Where it is complete before that frame comes, the stream is closed by then, and what comes on a
// closed stream is no error any more (RFC 9113 section 5.1; the engine's processWindowUpdate, processData). Such a case
// is tried again.
func overtaken() []string {
	return []string{
		"http2/6.9.1: Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
		"http2/8.1.2.6: Sends a HEADERS frame with the \"content-length\" header field which does not equal the DATA frame payload length",
		"http2/8.1.2.6: Sends a HEADERS frame with the \"content-length\" header field which does not equal the sum of the multiple DATA frames payload length",
	}
}

// try runs h2spec's cases, or those of one section, against localhost and returns by name "" or what was expected in
// vain.
func try(t *testing.T, port string, section ...string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.xml")
	said, err := run(t, tool(t, "h2spec", fromH2spec), append(section, "-t", "-k", "-h", "localhost", "-p", port, "-o", "5", "-j", file)...)
	var report struct {
		Cases []struct {
			Package string `xml:"package,attr"`
			Title   string `xml:"classname,attr"`
			Inside  string `xml:",innerxml"` // an error, a failure or a skip
		} `xml:"testsuite>testcase"`
	}
	content, readErr := os.ReadFile(file)
	if readErr != nil || xml.Unmarshal(content, &report) != nil {
		t.Fatalf("h2spec left no report: %v, %v\n%s", err, readErr, said)
	}
	results := map[string]string{}
	for _, c := range report.Cases {
		results[c.Package+": "+c.Title] = strings.TrimSpace(c.Inside)
	}
	return results
}

// h2spec runs all cases and fails the test for each that is not known to fail.
func h2spec(t *testing.T, port string, ending bool) {
	t.Helper()
	results := try(t, port)
	known, passed := knownFailures(ending), 0
	for _, name := range slices.Sorted(maps.Keys(results)) {
		section, _, _ := strings.Cut(name, ":")
		for n := 0; n < 5 && results[name] != "" && slices.Contains(overtaken(), name); n++ {
			t.Logf("the answer overtook the frame, again: %s", name)
			results[name] = try(t, port, section)[name]
		}
		switch trouble := results[name]; {
		case trouble == "":
			passed++
		case known[name] != "":
			t.Logf("failed as known: %s\n\tcause: %s", name, known[name])
		default:
			t.Errorf("failed, and nobody knows why: %s\n%s", name, trouble)
		}
	}
	t.Logf("%d of %d cases passed", passed, len(results))
	if len(results) != h2specCases || passed < h2specLeast {
		t.Errorf("%d of %d cases passed, want %d of %d", passed, len(results), h2specLeast, h2specCases)
	}
}

// The protocol holds on all ways through the gateway: where the origin answers, where the gateway refuses and keeps the
// connection, and where it refuses for a whole site and ends the connection each time.
func TestH2spec(t *testing.T) {
	t.Run("proxied", func(t *testing.T) {
		t.Parallel()
		g := serve(t, setup{sites: fmt.Sprintf(`
  - {hosts: [localhost], origin: "http://%s", http2_crawl: refuse}
`, onePage(t))})
		h2spec(t, g.port, false)
		records := g.finish(t)
		passedOn := count(records, func(r record) bool { return r.Reason == "no_claim" && r.OriginStatus != 0 })
		t.Logf("%d requests came through, %d answered by nginx", len(records), passedOn)
		if passedOn < h2specCases/10 {
			t.Errorf("only %d of %d requests were answered by the origin", passedOn, len(records))
		}
	})
	t.Run("refused, connections kept", func(t *testing.T) {
		t.Parallel()
		refusing(t, []policy.Rule{{Pattern: "/kept/", State: policy.Allow}})
	})
	t.Run("refused, the whole site", func(t *testing.T) {
		t.Parallel()
		refusing(t, nil)
	})
}

// refusing runs h2spec where every request is refused. h2spec cannot name itself, so the door and the corridor are
// assembled here, with a resolver that knows 127.0.0.1 as Googlebot's, and every request claims to be Googlebot.
func refusing(t *testing.T, paths []policy.Rule) {
	t.Helper()
	dir := folder(t)
	z := startZone(t, map[string]string{"127.0.0.1": "crawl-127-0-0-1.googlebot.com"}, nil)
	resolver, err := verify.ParseResolver(z.address())
	if err != nil {
		t.Fatal(err)
	}
	verifier := &verify.Verifier{Resolver: resolver, Wait: 10 * time.Second}
	defer verifier.Close()
	file := filepath.Join(dir, "decisions.json")
	log, err := audit.Open(audit.Config{File: file, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	handler := &gate.Handler{Live: new(atomic.Pointer[gate.Live]), Verifier: verifier, Log: log, Covers: front.Covers}
	handler.Live.Store(refusal(t, paths))
	certificate, err := tls.LoadX509KeyPair(newAuthority(t, dir).issue(t, "localhost"))
	if err != nil {
		t.Fatal(err)
	}
	door := &front.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("User-Agent", googlebotAgent)
			handler.ServeHTTP(w, r)
		}),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- door.Serve(ctx, listener, nil) }()

	_, port, _ := net.SplitHostPort(listener.Addr().String())
	h2spec(t, port, paths == nil)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	records := decisions(lines(t, file))
	reasons := map[string]int{}
	for _, r := range records {
		reasons[r.Reason]++
	}
	t.Logf("%d requests reached the gate; by reason: %v", len(records), reasons)
	if len(records) < h2specCases/10 || !slices.Equal(slices.Collect(maps.Keys(reasons)), []string{"refused"}) {
		t.Errorf("%d requests, by reason %v: want refusals only", len(records), reasons)
	}
}

// refusal is a configuration in which localhost refuses.
func refusal(t *testing.T, paths []policy.Rule) *gate.Live {
	t.Helper()
	rules, err := policy.New([]policy.Spec{{Hosts: []string{"localhost"}, State: policy.Refuse, Paths: paths}})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := verify.NewClaims([]string{"googlebot"})
	if err != nil {
		t.Fatal(err)
	}
	return &gate.Live{Policy: rules, Claims: claims, Origins: map[*policy.Site]gate.Origin{rules.Site("localhost"): nobody{}}}
}

// nobody is the origin of a site that answers everything itself.
type nobody struct{}

func (nobody) Serve(w http.ResponseWriter, _ *http.Request) (string, int, time.Duration, error) {
	w.WriteHeader(http.StatusBadGateway)
	return "", 0, 0, errors.New("nobody")
}

func (nobody) String() string { return "nobody" }
