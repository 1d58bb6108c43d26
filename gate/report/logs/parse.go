package logs

import (
	"bytes"
	"encoding/binary"
)

// kind is what sort of value a field has.
type kind uint8

const (
	absent      kind = iota
	stringValue      // start and end are those of the text between the quotes
	numberValue
	otherValue // true, false, null, an object, an array
)

// value is where a field's value stands in its line.
type value struct {
	start, end uint32
	kind       kind
}

// line finds the fields of one line, which must be shorter than 4 GiB. It takes as JSON what encoding/json takes, and
// of a field that is there twice the last counts. It is reused for the next line and keeps no copy of the text.
type line struct {
	text   []byte
	plain  bool // no backslash and no control character: a string ends at the next quote
	ascii  bool
	values [fields]value
	name   []byte // of a field, where it had to be unescaped
	open   []byte // the closing brackets still to come
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// scan finds out which shortcuts the text allows; see line.
func scan(text []byte) (plain, ascii bool) {
	var odd, high uint64
	for len(text) >= 8 {
		x := binary.LittleEndian.Uint64(text)
		y := x ^ ones*'\\'
		odd |= (x-ones*0x20)&^x | (y-ones)&^y
		high |= x
		text = text[8:]
	}
	for _, c := range text {
		if c < 0x20 || c == '\\' {
			odd = highs
		}
		high |= uint64(c)
	}
	return odd&highs == 0, high&highs == 0
}

// parse says whether text is one valid JSON object, and finds its fields.
func (l *line) parse(text []byte) bool {
	l.text = text
	l.plain, l.ascii = scan(text)
	l.values = [fields]value{}
	at := l.skipSpace(0)
	if l.byteAt(at) != '{' {
		return false
	}
	if at = l.skipSpace(at + 1); l.byteAt(at) == '}' {
		return l.skipSpace(at+1) == len(text)
	}
	for {
		end := l.skipString(at)
		if end < 0 {
			return false
		}
		name := l.text[at+1 : end-1]
		if !l.plain && bytes.IndexByte(name, '\\') >= 0 {
			l.name = unescape(l.name[:0], name)
			name = l.name
		}
		f := fieldOf(name)
		if at = l.skipSpace(end); l.byteAt(at) != ':' {
			return false
		}
		at = l.skipSpace(at + 1)
		end, kind := l.skipValue(at)
		if end < 0 {
			return false
		}
		if f != unknownField {
			v := value{uint32(at), uint32(end), kind}
			if kind == stringValue {
				v.start, v.end = v.start+1, v.end-1
			}
			l.values[f] = v
		}
		at = l.skipSpace(end)
		switch l.byteAt(at) {
		case ',':
			at = l.skipSpace(at + 1)
		case '}':
			return l.skipSpace(at+1) == len(text)
		default:
			return false
		}
	}
}

// byteAt is the byte at an index, 0 behind the end. A 0 in the text is not valid wherever byteAt is called.
func (l *line) byteAt(i int) byte {
	if i < len(l.text) {
		return l.text[i]
	}
	return 0
}

func (l *line) skipSpace(i int) int {
	for i < len(l.text) && l.text[i] <= ' ' {
		if c := l.text[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			break
		}
		i++
	}
	return i
}

// skipString returns the index behind a string that begins at i, or -1.
func (l *line) skipString(i int) int {
	if l.byteAt(i) != '"' {
		return -1
	}
	i++
	if l.plain {
		n := bytes.IndexByte(l.text[i:], '"')
		if n < 0 {
			return -1
		}
		return i + n + 1
	}
	for i < len(l.text) {
		switch c := l.text[i]; {
		case c == '"':
			return i + 1
		case c < 0x20:
			return -1
		case c == '\\':
			if i = l.skipEscape(i + 1); i < 0 {
				return -1
			}
		default:
			i++
		}
	}
	return -1
}

// skipEscape returns the index behind an escape whose backslash stands before i, or -1.
func (l *line) skipEscape(i int) int {
	switch l.byteAt(i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if i+5 <= len(l.text) && hex4(l.text[i+1:]) >= 0 {
			return i + 5
		}
	}
	return -1
}

// skipValue returns the index behind a value that begins at i, or -1, and its kind.
func (l *line) skipValue(i int) (int, kind) {
	switch c := l.byteAt(i); {
	case c == '"':
		return l.skipString(i), stringValue
	case c == '-' || c >= '0' && c <= '9':
		return l.skipNumber(i), numberValue
	case c == '{' || c == '[':
		return l.skipNested(i), otherValue
	}
	return l.skipLiteral(i), otherValue
}

func (l *line) skipLiteral(i int) int {
	for _, word := range [...]string{"true", "false", "null"} {
		if i+len(word) <= len(l.text) && string(l.text[i:i+len(word)]) == word {
			return i + len(word)
		}
	}
	return -1
}

func (l *line) skipDigits(i int) int {
	for c := l.byteAt(i); c >= '0' && c <= '9'; c = l.byteAt(i) {
		i++
	}
	return i
}

func (l *line) skipNumber(i int) int {
	if l.byteAt(i) == '-' {
		i++
	}
	start := i
	if i = l.skipDigits(i); i == start || l.text[start] == '0' && i > start+1 {
		return -1
	}
	if l.byteAt(i) == '.' {
		start = i + 1
		if i = l.skipDigits(start); i == start {
			return -1
		}
	}
	if c := l.byteAt(i); c == 'e' || c == 'E' {
		i++
		if c := l.byteAt(i); c == '+' || c == '-' {
			i++
		}
		start = i
		if i = l.skipDigits(i); i == start {
			return -1
		}
	}
	return i
}

// maxNesting is how deep encoding/json nests objects and arrays, the line's own object included.
const maxNesting = 10000

// skipNested returns the index behind an object or an array that begins at i, or -1. It keeps a stack of its own, so
// that a hostile line cannot exhaust the goroutine's.
func (l *line) skipNested(i int) int {
	l.open = l.open[:0]
	for { // i is where a value begins
		if c := l.byteAt(i); c == '{' || c == '[' {
			if len(l.open)+2 > maxNesting {
				return -1
			}
			l.open = append(l.open, c+2) // in ASCII a closing bracket stands two behind its opening one
			if i = l.skipSpace(i + 1); l.byteAt(i) != c+2 {
				if i = l.skipName(i); i < 0 {
					return -1
				}
				continue
			}
		} else {
			if i, _ = l.skipValue(i); i < 0 {
				return -1
			}
			i = l.skipSpace(i)
		}
		for l.byteAt(i) == l.open[len(l.open)-1] {
			l.open = l.open[:len(l.open)-1]
			i++
			if len(l.open) == 0 {
				return i
			}
			i = l.skipSpace(i)
		}
		if l.byteAt(i) != ',' {
			return -1
		}
		if i = l.skipName(l.skipSpace(i + 1)); i < 0 {
			return -1
		}
	}
}

// skipName steps over a name and its colon, if it is an object that is open.
func (l *line) skipName(i int) int {
	if l.open[len(l.open)-1] == ']' {
		return i
	}
	if i = l.skipString(i); i < 0 {
		return -1
	}
	if i = l.skipSpace(i); l.byteAt(i) != ':' {
		return -1
	}
	return l.skipSpace(i + 1)
}
