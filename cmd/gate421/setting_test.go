package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gate421/gate/config"

	"go.uber.org/goleak"
)

// asProgram in the environment makes the test's own binary the program.
const asProgram = "GATE421_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m,
		// Ends by itself within 5 s of its lock file's disappearance, and touches nothing after that.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		// One for each authority and account that the process has ever used.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"))
}

// setting is a running gateway with all that is around it: a nameserver, origins, a state folder, a decision log.
type setting struct {
	t       *testing.T
	folder  string
	file    string // the configuration
	dns     *nameserver
	origins *origins
	gateway *gateway
	roots   *x509.CertPool // nil without a local authority
	stdout  *spout         // of the gateway: the decision log where its file is "-"
	trouble *transcript    // of the gateway's stderr
	log     *logbook
	late    bool // a line came too late for its refusal, so that there may be gaps
	end     context.CancelFunc
	ended   chan error
}

// newSetting prepares everything but the gateway, which open starts.
func newSetting(t *testing.T) *setting {
	s := &setting{t: t, folder: t.TempDir(), dns: newNameserver(t), origins: newOrigins(t), trouble: &transcript{}, ended: make(chan error, 1)}
	s.file = filepath.Join(s.folder, "gate421.yaml")
	s.stdout = &spout{path: filepath.Join(s.folder, "stdout.log")}
	if err := os.Mkdir(s.state(), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *setting) state() string { return filepath.Join(s.folder, "state") }

// write makes a configuration of text: "$echo" and its kin are origins, "$dns" the nameserver, "$state" and "$folder"
// folders. Keys that every test needs are added where the text leaves them out.
func (s *setting) write(text string) {
	s.t.Helper()
	for _, key := range []string{
		`listen: {https: "127.0.0.1:0", http: ""}`, `admin: ""`, `state: $state`, `certificates: {source: local}`,
		`verify: {resolver: "$dns", wait: 5s, ranges: embedded}`, `log: {file: $folder/decisions.log}`, `limits: {drain_time: 2s}`,
	} {
		name, _, _ := strings.Cut(key, ":")
		if !regexp.MustCompile(`(?m)^` + name + `:`).MatchString(text) {
			text = key + "\n" + text
		}
	}
	text = regexp.MustCompile(`\$[a-z]+`).ReplaceAllStringFunc(text, func(word string) string {
		switch word {
		case "$dns":
			return s.dns.address()
		case "$state":
			return s.state()
		case "$folder":
			return s.folder
		}
		return s.origins.url(word[1:])
	})
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// open starts the gateway as the command run does. It ends with the test, if not before, and then must have ended well.
func (s *setting) open() {
	s.t.Helper()
	loaded, err := s.load()
	if err != nil {
		s.t.Fatal(message(err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	s.t.Cleanup(s.close)
	if s.gateway, err = openGateway(ctx, loaded, s.stdout, s.trouble); err != nil {
		s.t.Fatal(message(err))
	}
	if root := s.gateway.certs.Load().Root(); root != "" {
		s.roots = trusted(s.t, root)
	}
	s.log = &logbook{t: s.t, path: loaded.Log.File}
	if loaded.Log.File == "-" {
		s.log.path = s.stdout.path
	}
	s.gateway.announce()
	gateway := s.gateway // which close forgets
	go func() { s.ended <- gateway.serve(ctx) }()
}

func (s *setting) load() (*config.Config, error) { return config.Load(s.file, crawlerNames()) }

// close ends the gateway in good order; the second call does nothing.
func (s *setting) close() {
	s.t.Helper()
	s.end()
	if s.gateway == nil {
		return
	}
	s.gateway = nil
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Errorf("the gateway ended with %v", err)
		}
	case <-time.After(patience):
		s.t.Fatal("the gateway does not end")
	}
}

// startGateway is a setting with a gateway of this configuration, in which 127.0.0.2 is Googlebot.
func startGateway(t *testing.T, text string) *setting {
	t.Helper()
	s := newSetting(t)
	s.dns.googlebotAt(t, local("127.0.0.2"))
	s.write(text)
	s.open()
	return s
}

// local is the address itself where this machine's loopback has it, else the one that every machine has; the last byte 0, a
// network, stays.
func local(address string) string {
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err == nil {
		l.Close()
		return address
	}
	if strings.HasSuffix(address, ".0") {
		return "127.0.0.0"
	}
	return "127.0.0.1"
}

// transcript collects what is written, from any goroutine.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// spout is a standard output that ends in a file and can be full or stuck.
type spout struct {
	path  string
	mu    sync.Mutex
	full  bool
	stuck chan struct{} // nil: it flows
}

func (s *spout) Write(p []byte) (int, error) {
	s.mu.Lock()
	full, stuck := s.full, s.stuck
	s.mu.Unlock()
	if full {
		return 0, errors.New("no space left on device")
	}
	if stuck != nil {
		<-stuck
	}
	f, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Write(p)
}

// become makes it "full", "stuck" or "well".
func (s *spout) become(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = state == "full"
	if s.stuck != nil {
		close(s.stuck)
		s.stuck = nil
	}
	if state == "stuck" {
		s.stuck = make(chan struct{})
	}
}

// logbook reads a decision log line by line while it is written.
type logbook struct {
	t     *testing.T
	path  string
	read  int // bytes
	lines []map[string]any
	taken []bool // of lines: a test has seen it
}

// poll reads what is new.
func (l *logbook) poll() {
	l.t.Helper()
	text, err := os.ReadFile(l.path)
	if err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
	for l.read < len(text) {
		end := bytes.IndexByte(text[l.read:], '\n')
		if end < 0 {
			return
		}
		var line map[string]any
		if err := json.Unmarshal(text[l.read:l.read+end], &line); err != nil {
			l.t.Fatalf("line %d of the decision log: %v", len(l.lines)+1, err)
		}
		l.read += end + 1
		l.lines, l.taken = append(l.lines, line), append(l.taken, false)
	}
}

// wait is the first line that has these fields, among those that nobody has waited for.
func (l *logbook) wait(fields map[string]string) map[string]any {
	l.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		l.poll()
		for i, line := range l.lines {
			if !l.taken[i] && maps.Equal(only(line, fields), fields) {
				l.taken[i] = true
				return line
			}
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("after %v the decision log has no other line with %v; it has %v", patience, fields, l.lines)
		}
	}
}

// decision is the line of the next request.
func (l *logbook) decision() map[string]any {
	l.t.Helper()
	return l.wait(map[string]string{"event": "decision"})
}

// only is the part of a line that wanted names, as text with "_" for spaces; a field that the line does not have is "".
// A wanted value that ends in "*" is a beginning.
func only(line map[string]any, wanted map[string]string) map[string]string {
	got := map[string]string{}
	for name := range wanted {
		got[name] = ""
		if value, ok := line[name]; ok {
			got[name] = strings.ReplaceAll(fmt.Sprint(value), " ", "_")
			if beginning, open := strings.CutSuffix(wanted[name], "*"); open && strings.HasPrefix(got[name], beginning) {
				got[name] = wanted[name]
			}
		}
	}
	return got
}

// quiet runs a command and returns what it printed.
func quiet(ctx context.Context, args []string, stdin string) (stdout, stderr string, err error) {
	var out, trouble transcript
	err = run(ctx, args, strings.NewReader(stdin), &out, &trouble)
	return out.String(), trouble.String(), err
}
