package logs

import (
	"bytes"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// raw is a field's value as it stands in the line.
func (l *line) raw(f Field) []byte { return l.text[l.values[f].start:l.values[f].end] }

// is says whether a field is the string want, which must be ASCII.
func (l *line) is(f Field, want string) bool {
	if l.values[f].kind != stringValue {
		return false
	}
	if l.plain {
		return string(l.raw(f)) == want
	}
	got, _ := l.decoded(f, nil)
	return string(got) == want
}

// decoded is a field's string; nil if it is none. It is a part of the line where that is possible, else it is appended
// to buffer, which is returned grown.
func (l *line) decoded(f Field, buffer []byte) (got, grown []byte) {
	if l.values[f].kind != stringValue {
		return nil, buffer
	}
	raw := l.raw(f)
	if (l.plain || bytes.IndexByte(raw, '\\') < 0) && (l.ascii || utf8.Valid(raw)) {
		return raw, buffer
	}
	start := len(buffer)
	buffer = unescape(buffer, raw)
	return buffer[start:], buffer
}

// unescape appends the text of a valid JSON string, given without its quotes. As in encoding/json, what is not valid
// Unicode becomes U+FFFD.
func unescape(to, raw []byte) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		switch {
		case c == '\\' && raw[i+1] == 'u':
			r := rune(hex4(raw[i+2:]))
			i += 6
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if i+6 <= len(raw) && raw[i] == '\\' && raw[i+1] == 'u' {
					low = rune(hex4(raw[i+2:]))
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			to = utf8.AppendRune(to, r)
		case c == '\\':
			to = append(to, escaped(raw[i+1]))
			i += 2
		case c < utf8.RuneSelf:
			to = append(to, c)
			i++
		default:
			r, n := utf8.DecodeRune(raw[i:])
			to = utf8.AppendRune(to, r)
			i += n
		}
	}
	return to
}

func escaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// hex4 reads four hexadecimal digits; -1 if they are none. text has at least four bytes.
func hex4(text []byte) int {
	n := 0
	for _, c := range text[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		n = n<<4 | int(c)
	}
	return n
}

// version is the line's v. ok is false if it has none.
func (l *line) version() (one, ok bool) {
	if l.values[fieldV].kind != numberValue {
		return false, false
	}
	raw := l.raw(fieldV)
	if len(raw) == 1 {
		return raw[0] == '1', true
	}
	f, _ := strconv.ParseFloat(string(raw), 64)
	return f == 1, true
}

// count is a field that is a whole number, 0 or more; ok is false if it is no such number or does not fit.
func (l *line) count(f Field) (n uint64, ok bool) {
	if l.values[f].kind != numberValue {
		return 0, false
	}
	raw := l.raw(f)
	if len(raw) > 20 {
		return 0, false
	}
	for _, c := range raw {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// Times from 1970 up to 2200 are read: a count of nanoseconds holds them. A line of another time is foreign.
const (
	firstYear = 1970
	lastYear  = 2199
)

// timeParser reads times. It remembers the last day: most lines are of the same one.
type timeParser struct {
	day   [10]byte
	start int64 // of day, in nanoseconds since 1970
}

// parse returns nanoseconds since 1970; ok is false for what is no RFC 3339 time, or of other years.
func (t *timeParser) parse(text []byte) (at int64, ok bool) {
	if at, ok := t.parseUsual(text); ok {
		return at, true
	}
	if len(text) > 64 {
		return 0, false
	}
	parsed, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return 0, false
	}
	parsed = parsed.UTC()
	if year := parsed.Year(); year < firstYear || year > lastYear {
		return 0, false
	}
	return parsed.UnixNano(), true
}

// parseUsual reads the form that the log writes, 2006-01-02T15:04:05.000000Z; ok is false for any other.
func (t *timeParser) parseUsual(text []byte) (at int64, ok bool) {
	if len(text) != 27 || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != '.' || text[26] != 'Z' {
		return 0, false
	}
	if t.day[0] == 0 || string(text[:10]) != string(t.day[:]) {
		day, err := time.Parse(time.DateOnly, string(text[:10]))
		if err != nil || day.Year() < firstYear || day.Year() > lastYear {
			return 0, false
		}
		copy(t.day[:], text)
		t.start = day.UnixNano()
	}
	hour, ok1 := digits(text[11:13])
	minute, ok2 := digits(text[14:16])
	second, ok3 := digits(text[17:19])
	micro, ok4 := digits(text[20:26])
	if !ok1 || !ok2 || !ok3 || !ok4 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	return t.start + (hour*3600+minute*60+second)*1e9 + micro*1e3, true
}

func digits(text []byte) (n int64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
