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

// ServersEvent says which servers a Resolver with a File asks from now on.
type ServersEvent struct {
	Servers []string // host:port each
	Before  []string // those until now; nil: the file was read for the first time
	Err     error    // why the file names none, so that Servers are Before and the local one; nil: it names them
}

// Bounds of resolv.conf(5), and on reading it.
const (
	maxServers    = 3
	maxSeconds    = 30
	maxRounds     = 5
	maxResolvConf = 64 << 10               // bytes
	lookAfter     = 100 * time.Millisecond // until the next look whether the file is another one
	rereadAfter   = 2 * time.Second        // until it is read whatever a look shows: times of files are coarse
	localServer   = "127.0.0.1:53"         // if the file names no server
)

// resolvFile is what a Resolver knows of its File.
type resolvFile struct {
	mu          sync.Mutex
	lookedAt    time.Time
	readAt      time.Time   // zero: never
	info        os.FileInfo // just before it was read; nil: there was none
	text        string      // that is in use
	unconfirmed string      // what was read once and may be half written
	reported    string      // the problem that OnServers was called with last; "": none
	noReload    bool        // the file says no-reload
}

// rereadFile looks at the file, and reads it if it has changed or was read two seconds ago. It does nothing if that was
// done a moment ago or is being done by another goroutine, which is waited for only the first time. The servers hold
// from the next query on; running queries keep theirs.
func (r *Resolver) rereadFile() {
	f := &r.file
	switch {
	case r.current.Load() == nil:
		f.mu.Lock()
	case !f.mu.TryLock():
		return
	}
	defer f.mu.Unlock()
	before, now := r.current.Load(), time.Now()
	if before != nil && (f.noReload || now.Sub(f.lookedAt) < lookAfter) {
		return
	}
	f.lookedAt = now
	info, err := os.Stat(r.File)
	if before != nil && now.Sub(f.readAt) < rereadAfter && unchanged(f.info, info) {
		return
	}
	f.readAt, f.info = now, info
	text := ""
	if err == nil {
		text, err = readResolvConf(r.File, info)
	}
	next := parseResolvConf(text, before)
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
		case problem == f.reported && text == f.text:
			f.unconfirmed = ""
			return
		case !whole && seen != f.unconfirmed: // half a file would name no server, and half a line another one
			f.unconfirmed = seen
			return
		}
	}
	f.unconfirmed, f.text, f.noReload = "", text, next.noReload
	if err != nil {
		next = withLocalServer(before)
	}
	r.current.Store(next)
	first := before == nil
	e := ServersEvent{Servers: next.addresses(), Err: err}
	if !first {
		e.Before = before.addresses()
	}
	if r.OnServers != nil && (first || problem != f.reported || !slices.Equal(e.Servers, e.Before)) {
		r.OnServers(e)
	}
	f.reported = problem
}

// unchanged reports whether a file is the same as before, for all that its metadata says. Nil is no file.
func unchanged(before, now os.FileInfo) bool {
	if before == nil || now == nil {
		return before == nil && now == nil
	}
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// readResolvConf reads a regular file; a pipe might never end.
func readResolvConf(path string, info os.FileInfo) (string, error) {
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxResolvConf))
	return string(text), err
}

// withLocalServer returns the servers of before, which may be nil, and the local one, for a file that names none.
func withLocalServer(before *upstream) *upstream {
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

// parseResolvConf parses resolv.conf(5) as the C library does: keywords stand at the beginning of a line, the first
// three servers count, and what it does not know is skipped. Of the options those count that concern one query for a
// fully qualified name: timeout, attempts, rotate, use-vc and no-reload. The others, such as ndots, edns0, trust-ad and
// single-request, change nothing here.
func parseResolvConf(text string, old *upstream) *upstream {
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
			if addr, err := netip.ParseAddr(address); err == nil && len(addresses) < maxServers {
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
				u.timeout = time.Duration(min(max(n, 1), maxSeconds)) * time.Second
			}
		case "attempts":
			if n, err := strconv.Atoi(value); err == nil {
				u.attempts = min(max(n, 1), maxRounds)
			}
		case "rotate":
			u.rotate = true
		case "use-vc":
			u.tcp = true
		case "no-reload":
			u.noReload = true
		}
	}
	return u
}
