package verify

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ServersEvent says whom a Resolver that follows a file asks from now on.
type ServersEvent struct {
	Servers []string // host:port each
	Before  []string // that were asked until now; nil: the file was read for the first time
	Err     error    // why the file names nobody, so that Servers are those of before and the machine's own; nil: it does
}

// The bounds of resolv.conf(5), and of reading it.
const (
	mostServers    = 3
	mostSeconds    = 30
	mostRounds     = 5
	mostConfig     = 64 << 10 // bytes
	readAgainAfter = 2 * time.Second
	localServer    = "127.0.0.1:53" // where the file names no server
)

// followed is what is known of a file that is followed.
type followed struct {
	mu     sync.Mutex
	read   time.Time // when it was read last; zero: never
	text   string    // that is in use
	doubt  string    // what was seen once and may still be being written
	told   string    // the problem that was told of last
	static bool      // the file says no-reload
}

// follow reads the file, unless that was done a moment ago or is being done. Only the first time does anybody wait for
// another one who reads it. What it finds holds from the next query on; queries under way go on.
func (r *Resolver) follow() {
	f := &r.file
	switch {
	case r.current.Load() == nil:
		f.mu.Lock()
	case !f.mu.TryLock():
		return
	}
	defer f.mu.Unlock()
	before := r.current.Load()
	if before != nil && (f.static || time.Since(f.read) < readAgainAfter) {
		return
	}
	f.read = time.Now()
	text, err := readConfig(r.File)
	next := parseConfig(text, before)
	if err == nil && len(next.servers) == 0 {
		err = fmt.Errorf("%s names no server", r.File)
	}
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if before != nil {
		seen := problem + "\n" + text
		whole := err == nil && strings.HasSuffix(text, "\n")
		switch {
		case problem == f.told && text == f.text:
			f.doubt = ""
			return
		case !whole && seen != f.doubt: // half a file would name nobody, and half a line another server
			f.doubt = seen
			return
		}
	}
	f.doubt, f.text, f.static = "", text, next.static
	if err != nil {
		next = withLocal(before)
	}
	r.current.Store(next)
	first := before == nil
	e := ServersEvent{Servers: next.addresses(), Err: err}
	if !first {
		e.Before = before.addresses()
	}
	if r.OnServers != nil && (first || problem != f.told || !slices.Equal(e.Servers, e.Before)) {
		r.OnServers(e)
	}
	f.told = problem
}

// readConfig reads a file that is one; a pipe would never end.
func readConfig(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostConfig))
	return string(text), err
}

// withLocal asks the machine's own server where a file names none, after those that it named before.
func withLocal(before *upstream) *upstream {
	addresses := []string{localServer}
	if before != nil {
		addresses = before.addresses()
		if !slices.Contains(addresses, localServer) {
			addresses = append(addresses, localServer)
		}
	}
	u := newUpstream(addresses, before)
	if before != nil {
		u.timeout, u.attempts, u.rotate, u.tcp = before.timeout, before.attempts, before.rotate, before.tcp
	}
	return u
}

// parseConfig reads resolv.conf(5) as the C library does: keywords stand at the beginning of a line, the first three
// servers count, and what it does not know is passed over. Of the options those count that concern one question with a
// complete name: timeout, attempts, rotate, use-vc and no-reload. The others, as ndots, edns0, trust-ad and
// single-request, change nothing here.
func parseConfig(text string, old *upstream) *upstream {
	var addresses []string
	var options []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(line, fields[0]) {
			continue
		}
		switch fields[0] {
		case "nameserver":
			address := fields[1]
			if end := strings.IndexAny(address, "#;"); end >= 0 {
				address = address[:end]
			}
			if addr, err := netip.ParseAddr(address); err == nil && len(addresses) < mostServers {
				addresses = append(addresses, net.JoinHostPort(addr.String(), strconv.Itoa(portPlain)))
			}
		case "options":
			options = append(options, fields[1:]...)
		}
	}
	u := newUpstream(addresses, old)
	for _, option := range options {
		name, value, _ := strings.Cut(option, ":")
		switch name {
		case "timeout":
			if n, err := strconv.Atoi(value); err == nil {
				u.timeout = time.Duration(min(max(n, 1), mostSeconds)) * time.Second
			}
		case "attempts":
			if n, err := strconv.Atoi(value); err == nil {
				u.attempts = min(max(n, 1), mostRounds)
			}
		case "rotate":
			u.rotate = true
		case "use-vc":
			u.tcp = true
		case "no-reload":
			u.static = true
		}
	}
	return u
}
