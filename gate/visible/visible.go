// Package visible answers one question: how is a text that a stranger chose shown, so that it does nothing but show?
//
// User-Agents, paths, reverse names and the like go to terminals, pages and reports. There they must not move the
// cursor, turn the direction of writing, stand over their neighbours or look like nothing at all. All who show such
// texts use [Text], so that one place decides what that is.
package visible

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text makes a text safe to show on a terminal or a page, and its tricks visible: whatever is not a printable character
// or a plain space (control characters, C1, marks that turn the direction of writing, line separators, fillers that
// show nothing, bytes that are no UTF-8) becomes its number, as in \x1b or \u202e. A text that is safe is returned as
// it is, and Text(Text(s)) is Text(s).
func Text(s string) string {
	safe, marks := true, 0
	for i, c := range s {
		if marks = marksAfter(marks, c, i); marks < 0 || Hidden(c) || c == utf8.RuneError {
			safe = false
			break
		}
	}
	if safe {
		return s
	}
	var out strings.Builder
	marks = 0
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		next := marksAfter(marks, c, i)
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, s[i])
		case next >= 0 && !Hidden(c):
			out.WriteRune(c)
		case c < 0x80:
			fmt.Fprintf(&out, `\x%02x`, c)
		case c <= 0xffff:
			fmt.Fprintf(&out, `\u%04x`, c)
		default:
			fmt.Fprintf(&out, `\U%08x`, c)
		}
		marks = max(next, 0)
		i += size
	}
	return out.String()
}

// marksAfter counts combining marks in a row: -1 where one has nothing to stand on, or where they pile up.
func marksAfter(marks int, c rune, at int) int {
	switch {
	case !unicode.Is(unicode.Mn, c):
		return 0
	case at == 0 || marks == 3:
		return -1
	}
	return marks + 1
}

// Hidden says whether a character shows nothing, or does something other than show.
func Hidden(c rune) bool {
	switch {
	case c >= ' ' && c < 0x7f:
		return false
	case c >= 0xfe00 && c <= 0xfe0f,
		c >= 0xe0100 && c <= 0xe01ef,
		c == 0x034f,
		c == 0x17b4,
		c == 0x17b5: // variants, joiners
		return true
	case c == 0x115f, c == 0x1160, c == 0x3164, c == 0xffa0, c == 0x2800: // fillers
		return true
	}
	return !unicode.IsPrint(c) || unicode.Is(unicode.Me, c)
}
