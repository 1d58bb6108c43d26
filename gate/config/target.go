package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// target is where an origin is.
type target struct {
	origin string // as Site.Origin has it
	scheme string
	host   string // without brackets; "" for a folder and a socket
	port   uint16
}

// parseOrigin reads the origins that are served.
func parseOrigin(s string) (target, *fault) {
	scheme, rest, ok := strings.Cut(s, ":")
	lower := strings.ToLower(scheme)
	network := lower == "http" || lower == "https" || lower == "h2c" || lower == "h2"
	switch {
	case ok && lower == "file":
		return parseFolder(rest)
	case ok && lower == "unix":
		return parseSocket(rest)
	case ok && network && strings.HasPrefix(rest, "//"):
		return parseURL(lower, lower+":"+rest)
	case ok && network:
		return target{}, faultf("write "+lower+"://"+strings.TrimLeft(rest, "/"), "%s: wants two slashes behind it",
			lower)
	case ok && strings.HasPrefix(rest, "//"):
		return target{}, faultf("write http://…, https://…, h2c://…, h2://…, unix:/socket or file:/folder",
			"an origin cannot be reached by %s", quote(lower+"://"))
	case strings.HasPrefix(s, ":"):
		return target{}, faultf("write http://127.0.0.1"+s, "has no http:// and no host before the port")
	case strings.HasPrefix(s, "/") && (strings.HasSuffix(s, ".sock") || strings.HasSuffix(s, ".socket")):
		return target{}, faultf("write unix:"+s, "has no unix: before it")
	case strings.HasPrefix(s, "/"):
		return target{}, faultf("write file:"+s+" to serve a folder", "has no http://, https:// or file: before it")
	}
	return target{}, faultf("write http://"+s, "has no http://, https:// or file: before it")
}

func parseFolder(folder string) (target, *fault) {
	if host, ok := strings.CutPrefix(folder, "//"); ok {
		if !strings.HasPrefix(host, "/") {
			return target{}, faultf("write file:/"+host+" if that is the folder",
				"a folder on another machine cannot be served")
		}
		folder = host
	}
	if !strings.HasPrefix(folder, "/") {
		return target{}, faultf("write the whole path: file:/var/www/site", "the folder is not an absolute path")
	}
	clean := path.Clean(folder)
	if clean == "/" {
		return target{}, faultf("write the site's own folder: file:/var/www/site",
			"the folder / would put every file of this machine on the web")
	}
	return target{origin: "file:" + clean, scheme: "file"}, nil
}

// maxSocket is the longest path that every system takes for a socket.
const maxSocket = 103

func parseSocket(socket string) (target, *fault) {
	if rest, ok := strings.CutPrefix(socket, "//"); ok {
		socket = rest
	}
	clean := path.Clean(socket)
	switch {
	case !strings.HasPrefix(socket, "/"):
		return target{}, faultf("write the whole path: unix:/run/app.sock", "the socket is not an absolute path")
	case clean == "/" || strings.HasSuffix(socket, "/"):
		return target{}, faultf("write the socket's path: unix:/run/app.sock", "is a folder, not a socket")
	case len(clean) > maxSocket:
		return target{}, faultf("let the server make it in another folder, such as /run",
			"a socket's path has at most %d bytes, not %d", maxSocket, len(clean))
	}
	return target{origin: "unix:" + clean, scheme: "unix"}, nil
}

// secure says whether TLS leads to it.
func (t target) secure() bool { return t.scheme == "https" || t.scheme == "h2" }

func parseURL(scheme, s string) (target, *fault) {
	if f := unbracketed(scheme, strings.TrimPrefix(s, scheme+"://")); f != nil {
		return target{}, f
	}
	u, err := url.Parse(s)
	if err != nil {
		return target{}, faultf("write it as http://127.0.0.1:3000", "is not a URL")
	}
	bare := scheme + "://" + u.Host
	const asTheyAre = "the request's path is passed on as it is"
	switch {
	case u.User != nil:
		return target{}, faultf("write "+bare, "a user name and a password cannot stand in it")
	case u.Host == "" || u.Hostname() == "":
		return target{}, faultf("write it as http://127.0.0.1:3000", "has no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return target{}, faultf("write "+bare, "what begins with ? or # cannot stand in it")
	case u.Path != "" && u.Path != "/":
		return target{}, faultf("write "+bare+"; "+asTheyAre, "cannot have a path (%s)", u.Path)
	}
	t := target{scheme: scheme, host: strings.ToLower(u.Hostname()), port: 80}
	if t.secure() {
		t.port = 443
	}
	if strings.HasSuffix(u.Host, ":") {
		return target{}, faultf("write the port, or leave out the colon", "has a colon without a port")
	}
	if port := u.Port(); port != "" {
		number, f := parsePort(port)
		if f == nil && number == 0 {
			f = faultf("", "the port must be a number from 1 to 65535, not 0")
		}
		if f != nil {
			return target{}, f
		}
		t.port = number
	}
	if addr, err := netip.ParseAddr(t.host); err == nil {
		if addr.Zone() != "" {
			return target{}, faultf("write an address without it", "an address with a zone (%%%s) cannot stand in it",
				addr.Zone())
		}
		t.host = addr.String()
	} else if name, ok := originName(t.host); ok {
		t.host = name
	} else {
		return target{}, faultf("write it as http://127.0.0.1:3000", "%s is not a host name or an address", quote(u.Hostname()))
	}
	host := t.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port() != "" {
		host = net.JoinHostPort(t.host, u.Port())
	}
	t.origin = scheme + "://" + host
	return t, nil
}

// unbracketed is the fault of an IPv6 address without its brackets; nil where there is none.
func unbracketed(scheme, rest string) *fault {
	host, _, _ := strings.Cut(rest, "/")
	if strings.Count(host, ":") < 2 || strings.ContainsAny(host, "[]@") {
		return nil
	}
	end := strings.LastIndexByte(host, ':')
	address, err := netip.ParseAddr(host[:end])
	if _, f := parsePort(host[end+1:]); err == nil && f == nil && address.Is6() {
		return faultf("write "+scheme+"://["+host[:end]+"]:"+host[end+1:],
			"an IPv6 address wants brackets, so that its port can be told from it")
	}
	if address, err := netip.ParseAddr(host); err == nil && address.Is6() {
		return faultf("write "+scheme+"://["+host+"], with its port behind that: "+scheme+"://["+host+"]:3000",
			"an IPv6 address wants brackets")
	}
	return nil
}

// originName is a name as a site's host may have it; container networks also use underscores.
func originName(s string) (name string, ok bool) {
	if _, f := parseName(strings.ReplaceAll(strings.TrimSuffix(s, "."), "_", "-")); f != nil {
		return "", false
	}
	if strings.Contains(s, "_") {
		return s, true
	}
	name, _ = parseName(strings.TrimSuffix(s, "."))
	return name, true
}

// address is where a request to the origin goes to, as far as it is known without asking DNS.
func (t target) address() (listenAddress, bool) {
	host := t.host
	if host == "localhost" {
		host = "127.0.0.1"
	}
	addr, err := netip.ParseAddr(host)
	return listenAddress{host: addr.Unmap(), port: t.port}, err == nil
}
