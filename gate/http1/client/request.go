package client

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gate421/gate/forwarding"
	"gate421/gate/http1"
)

// WellFormed says whether a request can be written in HTTP/1.1 so that everybody reads it in the same way. HTTP/2's
// server lets any text pass as a method, and spaces in a target; both protocols' let pass what is no host, and targets
// of no path.
func WellFormed(r *http.Request) bool {
	if !http1.Token(r.Method) || !http1.Host(r.Host) || !isTarget(r) || !isLength(r) {
		return false
	}
	for name, values := range r.Header {
		if !http1.Token(name) {
			return false
		}
		for _, value := range values {
			if !http1.Printable(value) {
				return false
			}
		}
	}
	return true
}

// isTarget says whether a request's target is in origin form, in absolute form, or the asterisk that is OPTIONS' own
// (RFC 9112 section 3.2), with every percent sign of its path before two digits, as not everybody reads others alike,
// and without a fragment, which some servers cut off and others do not. Of absolute forms http's and https' are taken,
// without userinfo (RFC 9110 section 4.2.4).
func isTarget(r *http.Request) bool {
	t := r.RequestURI
	for i := 0; i < len(t); i++ {
		if t[i] <= ' ' || t[i] == 0x7f || t[i] == '#' {
			return false
		}
	}
	if !http1.Escaped(t) {
		return false
	}
	return strings.HasPrefix(t, "/") || t == "*" && r.Method == http.MethodOptions ||
		(r.URL.Scheme == "http" || r.URL.Scheme == "https") && r.URL.Host != "" && r.URL.User == nil
}

// isLength says whether a Content-Length is the body's (RFC 9113 section 8.1.1). HTTP/2's server takes the first of
// several, and none for what is no number or comes with a header that ends the stream.
func isLength(r *http.Request) bool {
	for _, value := range r.Header["Content-Length"] {
		if n, ok := http1.Decimal(value); !ok || n != r.ContentLength {
			return false
		}
	}
	return true
}

// AppendRequest appends the request's head as the server gets it: the target byte for byte as it came, the host as the
// client named it, end-to-end fields, and who the client is. announced is whether the fields of r.Trailer are
// announced: they are not where something else may still be adding to r.Trailer. names is room to sort in.
func AppendRequest(dst []byte, r *http.Request, announced bool, names *[]string) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, http1.OriginForm(r.RequestURI)...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Host...)
	dst = append(dst, "\r\n"...)
	named := r.Header["Connection"]
	sorted := (*names)[:0]
	for name := range r.Header {
		if plain := forwarding.Fold(name); !Framing(plain) && !forwarding.Name(plain) &&
			(named == nil || !http1.Lists(named, name)) {
			sorted = append(sorted, name)
		}
	}
	slices.Sort(sorted)
	var spelling http1.Spelling
	if r.ProtoMajor == 1 {
		spelling = http1.SpellingOf(r.Context())
	}
	for _, name := range sorted {
		written := spelling.Of(name)
		for _, value := range r.Header[name] {
			dst = AppendField(dst, written, value)
		}
	}
	clear(sorted)
	*names = sorted
	if http1.Lists(r.Header["Te"], "trailers") {
		dst = AppendField(dst, "TE", "trailers")
	}
	var room forwarding.Buffer
	for _, field := range forwarding.Of(r, &room) {
		dst = AppendField(dst, http1.Registered(field.Name), field.Value)
	}
	return append(appendFraming(dst, r, announced), "\r\n"...)
}

// appendFraming appends where the body ends, and an upgrade. Whatever the client said of these in its own words stays
// behind.
func appendFraming(dst []byte, r *http.Request, announced bool) []byte {
	switch {
	case r.ContentLength == 0:
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		default: // where a body may be missed
			if r.Header["Content-Length"] != nil || mayHaveBody(r.Method) {
				dst = AppendField(dst, "Content-Length", "0")
			}
		}
	case Sized(r):
		dst = AppendField(dst, "Content-Length", strconv.FormatInt(r.ContentLength, 10))
	default:
		if announced {
			for _, name := range slices.Sorted(maps.Keys(r.Trailer)) {
				if AllowedTrailer(name) {
					dst = AppendField(dst, "Trailer", http1.Registered(name))
				}
			}
		}
		dst = AppendField(dst, "Transfer-Encoding", "chunked")
	}
	if r.Header["Upgrade"] != nil {
		if protocol := Upgrade(r); protocol != "" {
			dst = append(dst, "Connection: Upgrade\r\n"...)
			dst = AppendField(dst, "Upgrade", protocol)
		}
	}
	return dst
}

// mayHaveBody says whether a method's requests have a body as a rule, so that one without says so (RFC 9110 section
// 8.6).
func mayHaveBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// Sized says whether a body goes on with its length; HTTP/1.1 has trailers on chunked bodies only.
func Sized(r *http.Request) bool { return r.ContentLength > 0 && len(r.Trailer) == 0 }

// Upgrade is the protocol that a request may be answered with a change to, "" for none. No origin may turn a connection
// into another version of HTTP: other requests would walk past the gate. Nor into TLS (RFC 2817), which is ours.
func Upgrade(r *http.Request) string {
	if r.ProtoMajor != 1 || r.ProtoMinor == 0 || r.ContentLength != 0 ||
		!http1.Lists(r.Header["Connection"], "upgrade") ||
		len(r.Header["Upgrade"]) != 1 {
		return ""
	}
	protocol := r.Header["Upgrade"][0]
	name, _, _ := strings.Cut(protocol, "/")
	switch lower := strings.ToLower(name); {
	case !http1.Token(name),
		strings.Contains(protocol, ","),
		lower == "http",
		lower == "tls",
		lower == "h2",
		lower == "h3",
		strings.Contains(lower, "h2c"):
		return ""
	}
	return protocol
}

func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// Framing says whether a field is about one connection or the limits of one message: the origin gets ours.
func Framing(name string) bool {
	return HopByHop(name) || name == "Content-Length" || name == "Host"
}

// HopByHop says whether a field is about one connection only (RFC 9110 section 7.6.1), or turns it into another
// protocol.
func HopByHop(name string) bool {
	switch name {
	case "Connection",
		"Proxy-Connection",
		"Keep-Alive",
		"Proxy-Authenticate",
		"Proxy-Authorization",
		"Te",
		"Trailer",
		"Transfer-Encoding",
		"Upgrade",
		"Http2-Settings":
		return true
	}
	return false
}
