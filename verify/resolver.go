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

// Resolver asks recursive DNS servers. Its fields are set before first use and then left alone; its methods are safe
// for concurrent use. It must not be copied after first use.
//
// It fails towards silence: whatever a server does, a question that nobody answers properly has no answer, and no
// answer becomes "there is no such name".
type Resolver struct {
	// Servers are asked in order, host:port each. The one that answered last is asked first from then on.
	Servers []string

	// File, if not empty, names a file in the form of resolv.conf(5) that says whom to ask, and how, in place of
	// Servers, Timeout, Attempts, Rotate and TCP. It is followed: before a lookup it is read again if it was not for
	// two seconds. While it names no server or cannot be read, the servers that it named last are asked, and before the
	// first one the machine's own, 127.0.0.1:53, as resolv.conf(5) has it.
	File string

	// OnServers is called when a File names other servers than before, or has another problem, also when it is read for
	// the first time; one call at a time, and not before the servers are asked. It must not block. Nil: nobody is told.
	OnServers func(ServersEvent)

	// TLSName, if not empty, is the name that the servers' certificates must have: queries go over TLS (RFC 7858).
	// Empty: over UDP, and over TCP where UDP does not do.
	TLSName string

	// RootCAs are the authorities trusted with TLSName. Nil: the system's.
	RootCAs *x509.CertPool

	// Timeout is how long a server may be silent before the next one is asked as well; a query ends after Timeout for
	// each server and round. 0: the next one is asked after 0.3 seconds, or twice as long as a slow server took before,
	// and the query ends with its lookup. A response counts however late it comes before the end.
	Timeout time.Duration

	// Attempts are the rounds that silent servers are asked in. 0: as many as there is time for, but 2 with a Timeout.
	Attempts int

	// Rotate makes every query begin with another server.
	Rotate bool

	// TCP keeps UDP from being used at all.
	TCP bool

	// Dial opens connections, several at a time; network is "udp" or "tcp". A connection that is no net.PacketConn gets messages with the
	// length prefix of RFC 1035 section 4.2.2. Nil: a zero net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	once    sync.Once
	current atomic.Pointer[upstream]
	file    followed
	shared  atomic.Int32 // of sharedAttempts
}

const (
	acceptedForms = `want "system", "192.0.2.53:53" or "tls://192.0.2.53:853#dns.example"`
	systemConfig  = "/etc/resolv.conf"
	portPlain     = 53
	portTLS       = 853
)

// ParseResolver reads the three ways to name a resolver:
//
//   - system: the servers of /etc/resolv.conf, followed; search domains and the hosts file play no part
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

// systemResolver follows a file, which need not be there yet. Where the system has no such file at all, it has to be
// there.
func systemResolver(system, path string) (*Resolver, error) {
	if system == "windows" || system == "plan9" {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("resolver %q: there is no %s here; name a server: %s", "system", path, acceptedForms)
		}
	}
	return &Resolver{File: path}, nil
}

// upstream is whom to ask now. It is nil only if there is nobody.
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
		r.follow()
	}
	return r.current.Load()
}

// Addresses are the servers that are asked at the moment, host:port each, in their own order.
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
