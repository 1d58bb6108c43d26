package origin

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// appendRequest appends the request as the origin gets it: the target byte for byte as it came, the host as the client
// named it, end-to-end fields, and who the client is. names is room to sort in.
func appendRequest(dst []byte, r *http.Request, names *[]string) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, target(r)...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Host...)
	dst = append(dst, "\r\n"...)
	named := r.Header["Connection"]
	sorted := (*names)[:0]
	for name := range r.Header {
		if !hopByHop(name) && !forwarding(name) && name != "Content-Length" && name != "Host" && (named == nil || !lists(named, name)) {
			sorted = append(sorted, name)
		}
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		for _, value := range r.Header[name] {
			dst = appendField(dst, name, value)
		}
	}
	clear(sorted)
	*names = sorted
	if lists(r.Header["Te"], "trailers") {
		dst = appendField(dst, "Te", "trailers")
	}
	if ip, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		dst = appendField(dst, "X-Forwarded-For", ip)
	}
	dst = appendField(dst, "X-Forwarded-Host", r.Host)
	dst = appendField(dst, "X-Forwarded-Proto", "https")
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		dst = appendField(dst, "Content-Length", strconv.Itoa(0))
	}
	return append(dst, "\r\n"...)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// target is the request line's target, byte for byte as it came where that is safe.
func target(r *http.Request) string {
	if plain(r.RequestURI) {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// plain says whether a target may go on as it came. One in absolute form, one that an origin could take for an authority,
// or one with a byte that would end the target takes the parsed way, which escapes it.
func plain(target string) bool {
	if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return false
	}
	for i := 0; i < len(target); i++ {
		if target[i] <= ' ' || target[i] == 0x7f {
			return false
		}
	}
	return true
}

// hopByHop says whether a field is about one connection only (RFC 9110 section 7.6.1), or turns it into another protocol.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// lists says whether a Connection field names name.
func lists(values []string, name string) bool {
	for _, value := range values {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), name) {
				return true
			}
		}
	}
	return false
}
