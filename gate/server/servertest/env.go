// Package servertest has what tests of a running gateway need around it: a DNS server, a site's own servers, clients, a
// standard output that can be full or stuck, and a reader of the decision log.
//
// It is meant for tests only. A test writes a configuration with [Env.Write], starts a gateway with it in whatever way
// it tests, puts the gateway's addresses into the Env, and sends requests with [Env.Do] and its kin.
package servertest

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Patience bounds every wait of a test. Nothing takes as long unless it is broken.
const Patience = 20 * time.Second

// Env is what surrounds one gateway of one test.
type Env struct {
	T       *testing.T
	Folder  string
	File    string // the configuration
	DNS     *DNS
	Origins *Origins
	Stdout  *Stdout     // of the gateway: the decision log where its file is "-"
	Stderr  *Transcript // of the gateway
	Log     *Log        // the decision log at its usual place

	// Who starts the gateway sets these.
	HTTPS, HTTP, Admin string         // its addresses; "" where a listener is off
	Roots              *x509.CertPool // nil without a local authority

	Late bool // a line came too late for its refusal, so that there may be gaps
}

// New prepares everything but the gateway.
func New(t *testing.T) *Env {
	e := &Env{T: t, Folder: t.TempDir(), DNS: NewDNS(t), Origins: NewOrigins(t), Stderr: &Transcript{}}
	e.File = filepath.Join(e.Folder, "gate421.yaml")
	e.Stdout = &Stdout{Path: filepath.Join(e.Folder, "stdout.log")}
	e.Log = NewLog(t, filepath.Join(e.Folder, "decisions.log"))
	if err := os.Mkdir(e.State(), 0o700); err != nil {
		t.Fatal(err)
	}
	return e
}

// State is the state folder.
func (e *Env) State() string { return filepath.Join(e.Folder, "state") }

// RootFile is where the local authority keeps its certificate.
func (e *Env) RootFile() string { return filepath.Join(e.State(), "local-ca", "root.pem") }

// Write makes a configuration of text: "$echo" and its kin are origins, "$dns" the DNS server, "$state" and "$folder"
// folders. Keys that every test needs are added where the text leaves them out.
func (e *Env) Write(text string) {
	e.T.Helper()
	for _, key := range []string{
		`listen: {https: "127.0.0.1:0", http: ""}`, `admin: ""`, `state: $state`, `certificates: {source: local}`,
		`verify: {resolver: "$dns", wait: 5s, ranges: embedded}`,
		`log: {file: $folder/decisions.log}`, `limits: {drain_grace: 0s, drain_time: 2s}`,
	} {
		name, _, _ := strings.Cut(key, ":")
		if !regexp.MustCompile(`(?m)^` + name + `:`).MatchString(text) {
			text = key + "\n" + text
		}
	}
	text = regexp.MustCompile(`\$[a-z]+`).ReplaceAllStringFunc(text, func(word string) string {
		switch word {
		case "$dns":
			return e.DNS.Addr()
		case "$state":
			return e.State()
		case "$folder":
			return e.Folder
		}
		return e.Origins.URL(word[1:])
	})
	if err := os.WriteFile(e.File, []byte(text), 0o600); err != nil {
		e.T.Fatal(err)
	}
}

// Local is the address itself where this machine's loopback has it, else the one that every machine has; the last byte
// 0, a network, stays.
func Local(address string) string {
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

// Unused is an address at which nobody listens: its port was free a moment ago.
func Unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

// WaitFor waits until what is so, and fails the test where it does not become so.
func (e *Env) WaitFor(what string, holds func() bool) {
	e.T.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			e.T.Fatalf("not within %v: %s", Patience, what)
		}
	}
}
