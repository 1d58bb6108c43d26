package http1

import "strings"

// OriginForm is the path and query of a request's target, byte for byte as they came (RFC 9112 section 3.2): all of
// one in origin form and of the asterisk, and what stands behind the authority of one in absolute form, "/" where
// nothing does.
func OriginForm(target string) string {
	if target == "" || target[0] == '/' || target == "*" {
		return target
	}
	_, rest, absolute := strings.Cut(target, "://")
	end := strings.IndexAny(rest, "/?")
	switch {
	case !absolute:
		return target
	case end < 0:
		return "/"
	case rest[end] == '?':
		return "/" + rest[end:]
	}
	return rest[end:]
}

// Escaped says whether every percent sign in a target's path begins an escaped byte (RFC 3986 section 2.1). Of those
// in a query nobody is sure.
func Escaped(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	for {
		sign := strings.IndexByte(path, '%')
		if sign < 0 {
			return true
		}
		if path = path[sign+1:]; len(path) < 2 || !hexadecimal(path[0]) || !hexadecimal(path[1]) {
			return false
		}
	}
}

func hexadecimal(c byte) bool { return '0' <= c && c <= '9' || 'a' <= lower(c) && lower(c) <= 'f' }
