package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// listenAddress is an address to listen on.
type listenAddress struct {
	name    string // "listen.https"
	address string // as written
	node    *node  // nil: the default
	host    netip.Addr
	port    uint16
}

// overlaps says whether two addresses cannot both be listened on. Port 0 is a free one each time.
func (l listenAddress) overlaps(other listenAddress) bool {
	return l.port != 0 && l.port == other.port &&
		(l.host == other.host || l.host.IsUnspecified() || other.host.IsUnspecified())
}

func (l listenAddress) portText() string { return strconv.Itoa(int(l.port)) }

// parseListenAddress reads "host:port" or ":port", where host is an IP address or localhost. Without a host it is every
// address. The fault's message goes on after the address. standard is the default address, for hints.
func parseListenAddress(s, standard string) (listenAddress, *fault) {
	_, usual, _ := net.SplitHostPort(standard)
	if strings.Contains(s, "://") {
		return listenAddress{}, faultf("leave out what stands before the host",
			"is not an address to listen on but a URL")
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
			return listenAddress{}, faultf("write "+strconv.Quote(net.JoinHostPort(addr.String(), usual)),
				"has no port")
		}
		if _, err := strconv.ParseUint(s, 10, 16); err == nil {
			return listenAddress{}, faultf("write "+strconv.Quote(":"+s), "has no colon before the port")
		}
		return listenAddress{}, faultf(
			`write ":`+usual+`" for every address of this machine, or "127.0.0.1:`+usual+`" for one`,
			"is not an address with a port",
		)
	}
	a := listenAddress{}
	number, f := parsePort(port)
	if f != nil {
		return listenAddress{}, f
	}
	a.port = number
	switch host {
	case "", "*":
		if host == "*" {
			return listenAddress{}, faultf("write "+strconv.Quote(":"+port),
				"has a star; without a host, every address is meant")
		}
		a.host = netip.IPv6Unspecified()
	case "localhost":
		a.host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		a.host, err = netip.ParseAddr(host)
		if err != nil {
			return listenAddress{}, faultf("write an IP address of this machine, or none: "+strconv.Quote(":"+port),
				"does not begin with an IP address")
		}
		a.host = a.host.Unmap()
	}
	return a, nil
}

func parsePort(s string) (uint16, *fault) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, faultf("", "the port must be a number up to 65535, not %s", quote(s))
	}
	return uint16(n), nil
}

// parseResolver reads a DNS server and returns it with its port.
func parseResolver(s string) (string, *fault) {
	if s == "system" {
		return s, nil
	}
	const example = "system, 192.0.2.53:53 or tls://192.0.2.53:853#dns.example"
	rest, tls := strings.CutPrefix(s, "tls://")
	if !tls && strings.Contains(s, "://") {
		return "", faultf("write "+example, "only tls:// is known")
	}
	rest, name, named := strings.Cut(rest, "#")
	standard := uint16(53)
	if tls {
		standard = 853
	}
	address, f := parseServer(rest, standard)
	if f != nil {
		return "", f
	}
	switch {
	case tls && name == "":
		return "", faultf("write it after a #: "+s+"#dns.example",
			"the name that the server's certificate must say is missing")
	case !tls && named:
		return "", faultf("write tls://"+s+", or leave out the # and the name", "a name counts with tls:// only")
	case !tls:
		return address, nil
	}
	if net.ParseIP(name) == nil {
		ascii, f := parseName(name)
		if f != nil {
			return "", faultf(f.hint, "the name %s: %s", quote(name), f.message)
		}
		name = ascii
	}
	return "tls://" + address + "#" + name, nil
}

// parseServer reads "ip" or "ip:port".
func parseServer(s string, standard uint16) (string, *fault) {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return netip.AddrPortFrom(addr, standard).String(), nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, strconv.Itoa(int(standard))
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "", faultf("write the server's address: a name could not be looked up without a server",
			"%s is not an IP address", quote(host))
	}
	number, f := parsePort(port)
	if f != nil {
		return "", f
	}
	if number == 0 {
		return "", faultf("", "the port must be a number from 1 to 65535, not 0")
	}
	return netip.AddrPortFrom(addr, number).String(), nil
}
