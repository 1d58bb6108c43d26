package verify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Resolver asks recursive DNS servers. Its fields are set before first use and then left alone; its methods are safe
// for concurrent use. It must not be copied after first use.
type Resolver struct {
	// Servers are asked in order, host:port each. A server that fails is asked last from then on.
	Servers []string

	// TLSName, if not empty, is the name that the servers' certificates must have: queries go over TLS (RFC 7858).
	// Empty: over UDP, and over TCP where UDP does not do.
	TLSName string

	// RootCAs are the authorities trusted with TLSName. Nil: the system's.
	RootCAs *x509.CertPool

	// Timeout bounds one try at one server; without TLS the first try at a question ends after 0.4 seconds and the second
	// after 0.8 if that is sooner, so that a lost datagram or a dead server costs little of the caller's patience.
	// 0: 1 second.
	Timeout time.Duration

	// Dial opens connections; network is "udp" or "tcp". A connection that is no net.PacketConn gets messages with the
	// length prefix of RFC 1035 section 4.2.2. Nil: a zero net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	first atomic.Uint32 // index into Servers of the one that answered last
}

const (
	acceptedForms = `want "system", "192.0.2.53:53" or "tls://192.0.2.53:853#dns.example"`
	systemConfig  = "/etc/resolv.conf"
	portPlain     = 53
	portTLS       = 853
)

// ParseResolver reads the three ways to name a resolver:
//
//	system                             the servers of /etc/resolv.conf, read now; search domains and the hosts file play no part
//	192.0.2.53:53                      one server, over UDP and TCP; the port may be left out, IPv6 is written [2001:db8::53]:53
//	tls://192.0.2.53:853#dns.example   one server, over TLS; the port may be left out, the certificate's name may not
//
// Servers are given by address, because a name would have to be resolved first. Errors quote s and list the forms.
func ParseResolver(s string) (*Resolver, error) {
	if s == "system" {
		return systemResolver(systemConfig)
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

func systemResolver(path string) (*Resolver, error) {
	config, err := dns.ClientConfigFromFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("resolver %q: there is no %s here; name a server: %s", "system", path, acceptedForms)
	case err != nil:
		return nil, fmt.Errorf("resolver %q: %w; %s", "system", err, acceptedForms)
	case len(config.Servers) == 0:
		return nil, fmt.Errorf("resolver %q: %s names no server; name one: %s", "system", path, acceptedForms)
	}
	r := &Resolver{}
	for _, server := range config.Servers {
		r.Servers = append(r.Servers, net.JoinHostPort(server, config.Port))
	}
	return r, nil
}

// timeout of the try with the given number, from 0.
func (r *Resolver) timeout(try int) time.Duration {
	most := time.Second
	if r.Timeout > 0 {
		most = r.Timeout
	}
	if r.TLSName != "" {
		return most
	}
	return min(most, 400*time.Millisecond<<try)
}

func (r *Resolver) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if r.Dial != nil {
		return r.Dial(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// Tries at one question: every server twice, a single one three times, and never so many that the sum is absurd.
func (r *Resolver) tries() int {
	return min(max(3, 2*len(r.Servers)), 6)
}

// ask returns the first definite answer that a server gives, NOERROR or NXDOMAIN, or the trouble, a Cause constant.
func (r *Resolver) ask(ctx context.Context, name string, qtype uint16) (*dns.Msg, string) {
	if r == nil || len(r.Servers) == 0 {
		return nil, CauseResolver
	}
	cause, servers, edns := CauseTimeout, uint32(len(r.Servers)), true
	first := r.first.Load() % servers
	for i := range r.tries() {
		if ctx.Err() != nil {
			break
		}
		at := (first + uint32(i)) % servers
		m, trouble := r.exchange(ctx, r.Servers[at], question{name: name, qtype: qtype, edns: edns, timeout: r.timeout(i)})
		if trouble == "" && m.Rcode != dns.RcodeFormatError {
			trouble = troubleOf(m)
		} else if trouble == "" {
			// RFC 6891 section 7: a server that knows no EDNS0 says so.
			trouble, edns = CauseGarbage, false
		}
		if trouble == "" {
			return m, ""
		}
		cause = trouble
		r.first.CompareAndSwap(at, (at+1)%servers)
	}
	return nil, cause
}

// troubleOf tells the answers that are definite, "", from the ones that say nothing about the name.
func troubleOf(m *dns.Msg) string {
	switch m.Rcode {
	case dns.RcodeNameError, dns.RcodeSuccess:
		if isLame(m) {
			return CauseLame
		}
		return ""
	case dns.RcodeServerFailure:
		return CauseServfail
	case dns.RcodeRefused:
		return CauseRefused
	default:
		return CauseGarbage
	}
}

// isLame reports whether m says nothing about the name because its server does not know and does not ask: it sends us to
// other servers (RFC 2308 section 2.2), or it is empty, from a server that has no authority and offers no recursion.
// Taken for "no such name" or "no data" that would make impostors of everyone.
func isLame(m *dns.Msg) bool {
	if len(m.Answer) > 0 {
		return false
	}
	referral := false
	for _, rr := range m.Ns {
		switch rr.Header().Rrtype {
		case dns.TypeSOA:
			return false
		case dns.TypeNS:
			referral = true
		}
	}
	return referral || !m.Authoritative && !m.RecursionAvailable
}
