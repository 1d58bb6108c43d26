package client

import (
	"net/http"
	"slices"
	"strings"

	"gate421/gate/forwarding"
	"gate421/gate/http1"
)

// AllowedTrailer says whether a field may come behind a body, announced or not, in either direction. RFC 9110 section
// 6.5.1 lets only those come there that are made for it, and warns of receivers that put them with the others without a
// thought. Which are made for it only applications know (gRPC's, checksums, timings), so it is those that are known not
// to be that are dropped: what says how the message is to be read, for whom it is, who sent it, what is to be done with
// it, or what else its content is.
func AllowedTrailer(name string) bool {
	folded := forwarding.Fold(name)
	if !http1.Token(name) || Framing(folded) || forwarding.Name(folded) {
		return false
	}
	switch folded {
	case "Content-Digest", "Content-Md5": // which are known at the end alone
		return true
	case "Authorization", "Www-Authenticate", "Cookie", "Cookie2", "Set-Cookie", "Set-Cookie2", "Realm", // who
		"Expect", "Max-Forwards", "Range", "Pragma", "Cache-Control", "Prefer", "Early-Data", "Http-Method",
		"X-Http-Method-Override", "X-Http-Method",
		"X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "Depth", "Destination", "Overwrite", "Soapaction", // what
		"User-Agent", "Referer", "Origin", "From", "Via", "Accept", "Status",
		"Age", "Date", "Expires", "Last-Modified", "Location", "Refresh", "Retry-After", "Vary", "Warning", "Allow",
		"Alt-Svc", "Clear-Site-Data",
		"Strict-Transport-Security", "X-Frame-Options", "X-Accel-Redirect", "X-Sendfile", "Link", "Mime-Version":
		return false
	}
	for _, kind := range [...]string{"Content-", "If-", "Accept-", "Access-Control-", "Cross-Origin-", "Proxy-", "Sec-",
		"X-Accel-"} {
		if strings.HasPrefix(folded, kind) {
			return false
		}
	}
	return true
}

// StripTrailer removes what may not come behind a body.
func StripTrailer(trailer http.Header) {
	for name := range trailer {
		if !AllowedTrailer(name) {
			delete(trailer, name)
		}
	}
}

// announceable leaves of what is said to come behind a body what may.
func announceable(header http.Header) {
	lines := header["Trailer"]
	if lines == nil {
		return
	}
	var kept []string
	dropped := false
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = http1.TrimBlanks(name); AllowedTrailer(name) {
				kept = append(kept, name)
			} else {
				dropped = true
			}
		}
	}
	switch {
	case !dropped: // it stays as it was written
	case kept == nil:
		delete(header, "Trailer")
	default:
		header["Trailer"] = []string{strings.Join(kept, ", ")}
	}
}

// AppendTrailers appends what came behind the body, and the end of the message.
func AppendTrailers(dst []byte, trailer http.Header) []byte {
	names := make([]string, 0, len(trailer))
	for name := range trailer {
		if AllowedTrailer(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range trailer[name] {
			if http1.Printable(value) {
				dst = AppendField(dst, http1.Registered(name), value)
			}
		}
	}
	return append(dst, "\r\n"...)
}
