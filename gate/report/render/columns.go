package render

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// columnsIn is how many columns of a terminal a text takes: two for a wide character of East Asia and for emoji, none
// for a combining mark. The text has no control characters, here and below.
func columnsIn(s string) int {
	n := 0
	for _, c := range s {
		n += columnsOf(c)
	}
	return n
}

func columnsOf(c rune) int {
	switch {
	case c < 0x300:
		return 1
	case unicode.Is(unicode.Mn, c):
		return 0
	case c < 0x1100:
		return 1
	case c <= 0x115f, c >= 0x231a && c <= 0x231b, c >= 0x23e9 && c <= 0x23f3, c >= 0x25fd && c <= 0x25fe, c >= 0x2614 &&
		c <= 0x2615,
		c >= 0x2648 && c <= 0x2653, c >= 0x2693 && c <= 0x27bf && unicode.Is(unicode.So, c), c >= 0x2b1b &&
			c <= 0x2b55 && unicode.Is(unicode.So, c),
		c >= 0x2e80 && c <= 0x303e, c >= 0x3041 && c <= 0x4dbf, c >= 0x4e00 && c <= 0xa4cf, c >= 0xa960 && c <= 0xa97c,
		c >= 0xac00 && c <= 0xd7a3,
		c >= 0xf900 && c <= 0xfaff, c >= 0xfe10 && c <= 0xfe19, c >= 0xfe30 && c <= 0xfe6f, c >= 0xff00 && c <= 0xff60,
		c >= 0xffe0 && c <= 0xffe6,
		c >= 0x16fe0 && c <= 0x1b2ff, c >= 0x1d300 && c <= 0x1d376, c >= 0x1f000 && c <= 0x1faff, c >= 0x20000 &&
			c <= 0x3fffd:
		return 2
	}
	return 1
}

// cutEnd cuts a text to a number of columns; what does not fit ends in ….
func cutEnd(s string, room int) string {
	if columnsIn(s) <= room {
		return s
	}
	if room < 1 {
		return ""
	}
	return headOf(s, room-1) + "…"
}

// cutMiddle cuts a text to a number of columns, in the middle: the ends of a path say most.
func cutMiddle(s string, room int) string {
	if columnsIn(s) <= room {
		return s
	}
	if room < 1 {
		return ""
	}
	end := tailOf(s, (room-1)*2/5)
	return headOf(s, room-1-columnsIn(end)) + "…" + end
}

// headOf is as much of the beginning as fits into a number of columns.
func headOf(s string, room int) string {
	for i, c := range s {
		if room -= columnsOf(c); room < 0 {
			return s[:i]
		}
	}
	return s
}

// tailOf is as much of the end as fits into a number of columns; it does not begin with a combining mark.
func tailOf(s string, room int) string {
	at := len(s)
	for i := len(s); i > 0; {
		c, size := utf8.DecodeLastRuneInString(s[:i])
		i -= size
		width := columnsOf(c)
		if room -= width; room < 0 {
			break
		}
		if width > 0 {
			at = i
		}
	}
	return s[at:]
}

// wrapText breaks a text into lines of at most so many columns, between words where it can.
func wrapText(s string, room int) []string {
	room = max(room, 2)
	var lines []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		for width := columnsIn(word); ; {
			switch {
			case used == 0 && width <= room:
				line, used = word, width
			case used > 0 && used+1+width <= room:
				line, used = line+" "+word, used+1+width
			case used > 0:
				lines = append(lines, line)
				line, used = "", 0
				continue
			default:
				piece := headOf(word, room)
				lines = append(lines, piece)
				word = word[len(piece):]
				width = columnsIn(word)
				continue
			}
			break
		}
	}
	if used > 0 {
		lines = append(lines, line)
	}
	return lines
}
