// Package http1 answers one question: what do these bytes say in HTTP/1.1 (RFC 9110, RFC 9112)?
//
// The side that reads clients' requests and the side that reads origins' answers have to understand a message alike, so
// both ask here. Every function is pure, and strict: what two readers could understand in two ways is not understood.
package http1

import (
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
)

// Token says whether s is a token (RFC 9110 section 5.6.2), which methods and names of fields are.
func Token(s string) bool {
	for i := 0; i < len(s); i++ {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// tokenByte looks into a set of two words, one for each half of ASCII.
func tokenByte(c byte) bool {
	const (
		digits = 1<<('9'+1) - 1<<'0'
		marks  = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
		upper  = 1<<('Z'+1-64) - 1<<('A'-64)
		lower  = 1<<('z'+1-64) - 1<<('a'-64)
		others = 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
	)
	return (uint64(1)<<c&(digits|marks) | uint64(1)<<(c-64)&(upper|lower|others)) != 0
}

// Printable says whether a field's value has no control characters but tabs. Bytes above ASCII are let pass, as obs-text.
func Printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c-' ' >= 0x7f-' ' && c < 0x80 && c != '\t' { // one comparison for most
			return false
		}
	}
	return true
}

// Decimal reads a length: digits alone, below 10^18.
func Decimal(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// Host says whether s is what a Host field may be: a name or an address, with or without a port. The empty one is too.
func Host(s string) bool {
	name := s
	if colon := strings.LastIndexByte(s, ':'); colon >= 0 && strings.IndexByte(s[colon:], ']') < 0 {
		name = s[:colon]
		if port := s[colon+1:]; port != "" {
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '+' {
				return false
			}
		}
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		address, err := netip.ParseAddr(inner)
		return ok && err == nil && address.Is6() && address.Zone() == ""
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return name != "" || s == ""
}

// Same says whether two words are the same whatever the case of their ASCII letters. In Unicode a Kelvin sign is a k, too.
func Same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// Lists says whether a comma-separated list, in one field or several, has an item, whatever its case.
func Lists(values []string, item string) bool {
	for _, value := range values {
		if len(value) <= len(item) { // as most are
			if Same(value, item) {
				return true
			}
			continue
		}
		for token := range strings.SplitSeq(value, ",") {
			if Same(TrimBlanks(token), item) {
				return true
			}
		}
	}
	return false
}

// CutLine takes the first line off, without its end. A line may end in LF alone (RFC 9112 section 2.2).
func CutLine(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

// Field reads a line of a header: a token, a colon right behind it, and a value, which is returned without the blanks around
// it. The name comes in the form that net/http's Header has it.
func Field(line string) (name, value string, ok bool) {
	name, rest := Name(line)
	if name == "" || rest == "" || rest[0] != ':' {
		return "", "", false
	}
	value = TrimBlanks(rest[1:])
	return name, value, Printable(value)
}

// Name takes the token off that a line begins with, "" where it begins with none. It comes in the form that net/http's Header
// has it.
func Name(line string) (name, rest string) {
	end, canonical := 0, true
	upper := true // is what comes a capital?
	for end < len(line) && tokenByte(line[end]) {
		c := line[end]
		if upper && 'a' <= c && c <= 'z' || !upper && 'A' <= c && c <= 'Z' {
			canonical = false
		}
		upper = c == '-'
		end++
	}
	if name = line[:end]; !canonical {
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	return name, line[end:]
}

// TrimBlanks takes blanks and tabs off both ends.
func TrimBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// ChunkSize reads the hexadecimal size before a chunk's extensions, which may be set off by blanks (RFC 9112 section 7.1.1).
func ChunkSize(line string) (n int64, ok bool) {
	digits := 0
	for ; digits < len(line); digits++ {
		d, hex := hexDigit(line[digits])
		if !hex {
			rest := strings.TrimLeft(line[digits:], " \t")
			return n, digits > 0 && rest != "" && rest[0] == ';' && Printable(rest)
		}
		if digits == 15 {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, digits > 0
}

func hexDigit(c byte) (d byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Bodiless says whether an answer of a status has no body, whatever its header says (RFC 9112 section 6.3).
func Bodiless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}
