package policy

import (
	"errors"
	"fmt"
	"strings"
)

// The canonical form makes two spellings of one path, or of one pattern, the same bytes (RFC 9309 section 2.2.2): what
// may be written plainly is written plainly, everything else as %XX with upper-case digits. In it a path holds no "*"
// and no "$", so that in a pattern they can only be the wildcards.

// CheckPattern says what is wrong with a pattern, or nil. The error does not repeat the pattern.
func CheckPattern(pattern string) error {
	switch {
	case pattern == "":
		return errors.New("is empty")
	case pattern[0] == '*':
		return fmt.Errorf("must begin with %q: write %q", "/", "/"+pattern)
	case pattern[0] != '/':
		return fmt.Errorf("must begin with %q", "/")
	case strings.Contains(pattern, "**"):
		return fmt.Errorf("has two wildcards in a row: one %q already stands for any run of characters", "*")
	case len(pattern) > maxPattern:
		return fmt.Errorf("is %d bytes long: at most %d", len(pattern), maxPattern)
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c < 0x20 || c == 0x7f:
			return fmt.Errorf("has the control character %q", c)
		case c == '#':
			return fmt.Errorf("can match nothing: what begins with %q is never sent to a server", "#")
		case c == ' ':
			return fmt.Errorf("has a space: in an address a space is %q", "%20")
		case c == '%' && !escaped(pattern, i):
			return fmt.Errorf("has a %q without two hexadecimal digits behind it: a percent sign itself is %q", "%",
				"%25")
		}
	}
	return nil
}

const maxPattern = 2048 // RFC 9309 asks for 500 KiB a file; no URL that Google indexes is longer than this

// CanonicalPattern is the form in which two patterns that say the same are equal: canonical bytes, and no "*" at the
// end, where a pattern is open anyway. The pattern has passed CheckPattern.
func CanonicalPattern(pattern string) string {
	end := strings.HasSuffix(pattern, "$")
	if end {
		pattern = pattern[:len(pattern)-1]
	}
	canonical := string(appendCanonical(nil, pattern, true))
	if strings.HasSuffix(canonical, "*") { // "/a*" and "/a*$" are both "/a"
		return strings.TrimSuffix(canonical, "*")
	}
	if end {
		canonical += "$"
	}
	return canonical
}

// What the canonical form does with a byte.
const (
	plain   = iota // stays
	encode         // is written %XX
	percent        // may begin an encoded byte
)

// kind sorts a byte. Reserved characters that have a meaning somewhere in a URL stay; "*" and "$" are kept apart for
// the wildcards; "#", "[" and "]" cannot stand in a path or query (RFC 3986 section 3.3).
func kind(c byte) int {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return plain
	case c == '%':
		return percent
	case strings.IndexByte("/-._~?=&:@!'()+,;", c) >= 0:
		return plain
	}
	return encode
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' ||
		c == '~'
}

// appendCanonical appends the canonical form of s. With wildcards, "*" stays what it is.
func appendCanonical(dst []byte, s string, wildcards bool) []byte {
	const hex = "0123456789ABCDEF"
	query := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch kind(c) {
		case plain:
			query = query || c == '?'
			dst = append(dst, c)
		case percent:
			if !escaped(s, i) {
				dst = append(dst, "%25"...)
				continue
			}
			b := unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
			if unreserved(b) || query && strings.IndexByte("/:?@", b) >= 0 {
				dst = append(dst, b)
			} else {
				dst = append(dst, '%', hex[b>>4], hex[b&15])
			}
		default:
			if c == '*' && wildcards {
				dst = append(dst, c)
			} else {
				dst = append(dst, '%', hex[c>>4], hex[c&15])
			}
		}
	}
	return dst
}

func escaped(s string, i int) bool {
	return i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// Matching compiles one pattern by itself: the result says whether a path with its query, as it stands in a request, is
// matched by it. It is safe for any number of goroutines. The error does not repeat the pattern.
func Matching(pattern string) (func(path string) bool, error) {
	if err := CheckPattern(pattern); err != nil {
		return nil, err
	}
	m := newMatcher([]Rule{{Pattern: pattern}})
	return func(path string) bool { return m.match(path) != nil }, nil
}
