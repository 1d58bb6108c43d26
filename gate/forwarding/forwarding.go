// Package forwarding answers one question: what is an origin told of the client, and who may tell it?
//
// An origin believes what it reads under these names, so nobody but the gate may write there. Of every client the
// origin gets
//
//	X-Forwarded-For    the client's address
//	X-Forwarded-Host   the host that it asked for
//	X-Forwarded-Proto  https
//	X-Real-IP          the client's address
//
// and nothing else that is a [Name], whatever the client has sent. Of a request that came through a listed proxy (see
// package gate) it gets
//
//	X-Forwarded-For    the client's address, those of the listed proxies behind it, and the peer's; nothing that the client
//	                   had put before them
//	X-Forwarded-Host   the proxy's own, if it is a host
//	X-Forwarded-Proto  the proxy's own, if it is http or https
//	X-Forwarded-Port   the proxy's own, if it is a port
//	X-Real-IP          the client's address; the proxy's own where no header names the client
//
// and the header that names the client to the gate, under its own name. A field that a proxy's client can send
// through it is not made better by that: whoever lists a proxy answers for what it lets through.
package forwarding

import (
	"context"
	"net"
	"net/http"
	"strings"

	"gate421/gate/http1"
)

// Field is one that an origin gets. Its name is in the form in which net/http's Header has it.
type Field struct{ Name, Value string }

// Said is what is said of a request that came through a listed proxy. Empty fields are left out.
type Said struct {
	For, Host, Proto, Port, RealIP string
	Client                         Field // the header that names the client to the gate
}

// Buffer has room for all fields of a request, so that Of allocates nothing.
type Buffer [6]Field

// With says it of a request.
func (s *Said) With(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), key{}, s))
}

type key struct{}

// Of lists the fields that an origin gets with a request.
func Of(r *http.Request, buf *Buffer) []Field {
	said, ok := r.Context().Value(key{}).(*Said)
	if !ok {
		fields := append(buf[:0], Field{"X-Forwarded-Host", r.Host}, Field{"X-Forwarded-Proto", "https"})
		if ip, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
			fields = append(fields, Field{"X-Forwarded-For", ip}, Field{"X-Real-Ip", ip})
		}
		return fields
	}
	fields := buf[:0]
	for _, field := range [...]Field{
		{"X-Forwarded-For", said.For}, {"X-Forwarded-Host", said.Host}, {"X-Forwarded-Proto", said.Proto},
		{"X-Forwarded-Port", said.Port}, {"X-Real-Ip", said.RealIP}, said.Client,
	} {
		if field.Value != "" {
			fields = append(fields, field)
		}
	}
	return fields
}

// Name says whether a field, by its name as Fold has it, is one that proxies name the client or its request in, or
// that some application takes for one. Proxy is among them: CGI makes HTTP_PROXY of it, which many libraries take for
// a proxy of their own (CVE-2016-5385 and its kin).
func Name(folded string) bool {
	switch folded {
	case "Forwarded", "X-Forwarded", "Forwarded-For", "Forwarded-Host", "Forwarded-Proto", "X-Original-Forwarded-For",
		"X-Original-Host", "Proxy",
		"X-Real-Ip", "X-Client-Ip", "Client-Ip", "X-Cluster-Client-Ip", "X-Remote-Ip", "X-Remote-Addr", "X-Originating-Ip",
		"Http-Client-Ip",
		"True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "Fastly-Client-Ip", "Fly-Client-Ip",
		"Do-Connecting-Ip",
		"X-Azure-Clientip", "X-Azure-Socketip", "X-Appengine-User-Ip", "X-Envoy-External-Address",
		"X-Nf-Client-Connection-Ip", "X-Vercel-Forwarded-For",
		"Ali-Cdn-Real-Ip", "Cdn-Src-Ip", "Incap-Client-Ip", "X-Sucuri-Clientip", "Wl-Proxy-Client-Ip", "Proxy-Client-Ip":
		return true
	}
	return strings.HasPrefix(folded, "X-Forwarded-")
}

// Fold is a field's name as CGI and what descends from it see it, where all but letters and digits is the same:
// X_Real_IP and X~Real~Ip are X-Real-Ip.
func Fold(name string) string {
	for i := 0; i < len(name); i++ {
		if c := name[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return http.CanonicalHeaderKey(strings.Map(plain, name))
		}
	}
	return name
}

func plain(c rune) rune {
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
		return c
	}
	return '-'
}

// Host is the one that a proxy says the client has asked for; "" where it says none, more than one, or what is none.
// Proto and Port are likewise.
func Host(header http.Header) string {
	if said := header["X-Forwarded-Host"]; len(said) == 1 && http1.Host(said[0]) {
		return said[0]
	}
	return ""
}

// Proto is the scheme that the client has used.
func Proto(header http.Header) string {
	if said := header["X-Forwarded-Proto"]; len(said) == 1 {
		for _, known := range [...]string{"https", "http"} {
			if http1.Same(said[0], known) {
				return known
			}
		}
	}
	return ""
}

// Port is the one that the client has used.
func Port(header http.Header) string {
	if said := header["X-Forwarded-Port"]; len(said) == 1 {
		if n, ok := http1.Decimal(said[0]); ok && n > 0 && n < 1<<16 {
			return said[0]
		}
	}
	return ""
}
