package verify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Resolver queries recursive DNS servers. Its fields must not change after first use; its methods are safe for
// concurrent use. It must not be copied after first use.
//
// It fails towards no answer: whatever a server does wrong is a failure, and never counts as "there is no such name".
type Resolver struct {
	// Servers are asked in order, host:port each. The one that answered last is asked first from then on.
	Servers []string

	// File, if not empty, names a file in the form of resolv.conf(5) that is used in place of Servers, Timeout,
	// Attempts, Rotate and TCP. Before a query it is looked at, every 100 ms at most, and read again if it has changed, or
	// if it was not for two seconds. While it names no server or cannot be read, the servers that it named last are
	// asked; if there are none, the local one, 127.0.0.1:53, as resolv.conf(5) has it.
	File string

	// OnServers is called when File is read for the first time, and when it names other servers than before or has
	// another problem; one call at a time, and not before the servers are in use. It must not block. Nil: no calls.
	OnServers func(ServersEvent)

	// TLSName, if not empty, is the name that the servers' certificates must have: queries go over TLS (RFC 7858).
	// Empty: over UDP, and over TCP where UDP fails.
	TLSName string

	// RootCAs are the certificate authorities trusted with TLSName. Nil: the system's.
	RootCAs *x509.CertPool

	// Timeout is how long a server may be silent before the next one is asked as well; a query ends after Timeout for
	// each server and round. 0: the next one is asked after 0.3 seconds, or twice as long as a slow server took before,
	// and the query ends with its lookup. Responses count until the query ends, however late they come.
	Timeout time.Duration

	// Attempts is how many times a silent server is asked. 0: as often as there is time for, but 2 with a Timeout.
	Attempts int

	// Rotate makes every query begin with the next server in turn.
	Rotate bool

	// TCP turns UDP off.
	TCP bool

	// Dial opens connections, several at a time; network is "udp" or "tcp". On a connection that is no net.PacketConn,
	// messages have the length prefix of RFC 1035 section 4.2.2. Nil: a zero net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	once           sync.Once
	current        atomic.Pointer[upstream]
	file           resolvFile
	sharedAttempts atomic.Int32 // under way, at most maxSharedAttempts
}

const (
	acceptedForms = `want "system", "192.0.2.53:53" or "tls://192.0.2.53:853#dns.example"`
	systemConfig  = "/etc/resolv.conf"
	portPlain     = 53
	portTLS       = 853
)

// ParseResolver parses the three ways to name a resolver:
//
//   - system: the servers of /etc/resolv.conf, which is read again when it changes; not its search domains, and not the
//     hosts file
//   - 192.0.2.53:53: one server, over UDP and TCP; the port may be left out, IPv6 is written [2001:db8::53]:53
//   - tls://192.0.2.53:853#dns.example: one server, over TLS; the port may be left out, the certificate's name may not
//
// Servers are given by address, because a name would have to be resolved first. Errors quote s and list the forms.
func ParseResolver(s string) (*Resolver, error) {
	if s == "system" {
		return systemResolver(runtime.GOOS, systemConfig)
	}
	rest, overTLS := strings.CutPrefix(s, "tls://")
	if !overTLS {
		server, err := parseServer(s, portPlain)
		if err != nil {
			return nil, fmt.Errorf("resolver %q: %w; %s", s, err, acceptedForms)
		}
		return &Resolver{Servers: []string{server}}, nil
	}
	address, name, _ := strings.Cut(rest, "#")
	server, err := parseServer(address, portTLS)
	if err != nil {
		return nil, fmt.Errorf("resolver %q: %w; %s", s, err, acceptedForms)
	}
	clean, ok := cleanName(name)
	if !ok {
		return nil, fmt.Errorf("resolver %q: %q is not a name that a certificate can have; %s", s, name, acceptedForms)
	}
	return &Resolver{Servers: []string{server}, TLSName: clean}, nil
}

func parseServer(s string, port uint16) (string, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		if ap.Port() == 0 {
			return "", errors.New("port 0")
		}
		return ap.String(), nil
	}
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	addr, err := netip.ParseAddr(bare)
	if err != nil {
		return "", fmt.Errorf("%q is not an address", s)
	}
	return netip.AddrPortFrom(addr, port).String(), nil
}

// systemResolver returns a Resolver whose File is path. The file need not exist yet, except on systems that have none
// by default.
func systemResolver(system, path string) (*Resolver, error) {
	if system == "windows" || system == "plan9" {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("resolver %q: there is no %s here; name a server: %s", "system", path, acceptedForms)
		}
	}
	return &Resolver{File: path}, nil
}

// upstream returns the servers to ask now; nil if there are none.
func (r *Resolver) upstream() *upstream {
	if r == nil {
		return nil
	}
	r.once.Do(func() {
		if r.File != "" {
			return
		}
		u := newUpstream(r.Servers, nil)
		u.timeout, u.attempts, u.rotate, u.tcp = r.Timeout, r.Attempts, r.Rotate, r.TCP || r.TLSName != ""
		r.current.Store(u)
	})
	if r.File != "" {
		r.rereadFile()
	}
	return r.current.Load()
}

// Addresses returns the servers that are in use, host:port each, in their own order.
func (r *Resolver) Addresses() []string {
	if u := r.upstream(); u != nil {
		return u.addresses()
	}
	return nil
}

func (r *Resolver) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if r.Dial != nil {
		return r.Dial(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}
