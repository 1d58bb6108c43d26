package verify

import "strings"

// Limits of RFC 1035 section 2.3.4, for a name without its trailing dot.
const (
	maxName  = 253
	maxLabel = 63
)

// cleanName returns name in lower case without its trailing dot, and whether it is a host name: labels of letters,
// digits and hyphens (RFC 1123 section 2.1), none of them empty, none of them too long. Backslash escapes, which stand
// for other bytes of a DNS message, are none of these.
func cleanName(name string) (clean string, ok bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return "", false
	}
	label, upper := 0, false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = 0
			continue
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			return "", false
		}
		if label++; label > maxLabel {
			return "", false
		}
	}
	if label == 0 {
		return "", false
	}
	if upper {
		name = strings.ToLower(name)
	}
	return name, true
}

// printableName replaces the bytes of name that do not belong in one, so that it can be shown on a terminal.
func printableName(name string) string {
	if clean, ok := cleanName(name); ok {
		return clean
	}
	if len(name) > maxName {
		name = name[:maxName]
	}
	shown := []byte(strings.TrimSuffix(name, "."))
	for i, c := range shown {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			shown[i] = '?'
		}
	}
	return string(shown)
}
