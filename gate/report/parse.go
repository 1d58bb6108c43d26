package report

import (
	"bytes"
	"encoding/binary"
)

// member is a member of a line that the reader uses.
type member uint8

const (
	memberV member = iota
	memberTime
	memberBoot
	memberSeq
	memberEvent
	memberSite
	memberHost
	memberPath
	memberProto
	memberClientIP
	memberClaim
	memberVerdict
	memberCause
	memberPTR
	memberRule
	memberState
	memberAction
	memberReason
	memberStatus
	memberRequestID
	memberLost
	memberLeftOut
	memberRemoved
	memberUnsynced
	memberFrom
	memberTo
	memberWhat
	memberBy
	memberCrawler
	memberMessage // systemd's journal as JSON: the line that was written
	memberOutput  // Docker's json-file: likewise
	members       // how many there are
	unwanted      = members
)

// memberOf finds the member of a name. Names are compared exactly, as JSON has them.
func memberOf(name []byte) member {
	switch string(name) {
	case "v":
		return memberV
	case "time":
		return memberTime
	case "boot":
		return memberBoot
	case "seq":
		return memberSeq
	case "event":
		return memberEvent
	case "site":
		return memberSite
	case "host":
		return memberHost
	case "path":
		return memberPath
	case "proto":
		return memberProto
	case "client_ip":
		return memberClientIP
	case "claim":
		return memberClaim
	case "verdict":
		return memberVerdict
	case "verdict_cause":
		return memberCause
	case "ptr":
		return memberPTR
	case "rule":
		return memberRule
	case "state":
		return memberState
	case "action":
		return memberAction
	case "reason":
		return memberReason
	case "status":
		return memberStatus
	case "request_id":
		return memberRequestID
	case "lost":
		return memberLost
	case "left_out":
		return memberLeftOut
	case "removed":
		return memberRemoved
	case "unsynced":
		return memberUnsynced
	case "from":
		return memberFrom
	case "to":
		return memberTo
	case "what":
		return memberWhat
	case "by":
		return memberBy
	case "crawler":
		return memberCrawler
	case "MESSAGE":
		return memberMessage
	case "log":
		return memberOutput
	}
	return unwanted
}

// kind is what sort of value a member has.
type kind uint8

const (
	absent     kind = iota
	characters      // start and end are those of the characters between the quotes
	number
	other // true, false, null, an object, an array
)

// value is where a member's value stands in its line.
type value struct {
	start, end uint32
	kind       kind
}

// line finds the members of one line, which must be shorter than 4 GiB. It judges what is JSON as encoding/json does, and
// of a member that is there twice the last counts. It is used again for the next line and keeps no copy of the text.
type line struct {
	text   []byte
	plain  bool // no backslash and no control character: a string ends at the next quote
	ascii  bool
	values [members]value
	name   []byte // a name that had to be unescaped
	nest   []byte // the closing brackets that are waited for
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// look finds out which shortcuts the text allows.
func look(text []byte) (plain, ascii bool) {
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

// parse says whether text is one valid JSON object, and finds its members.
func (l *line) parse(text []byte) bool {
	l.text = text
	l.plain, l.ascii = look(text)
	l.values = [members]value{}
	at := l.space(0)
	if l.at(at) != '{' {
		return false
	}
	if at = l.space(at + 1); l.at(at) == '}' {
		return l.space(at+1) == len(text)
	}
	for {
		end := l.quoted(at)
		if end < 0 {
			return false
		}
		name := l.text[at+1 : end-1]
		if !l.plain && bytes.IndexByte(name, '\\') >= 0 {
			l.name = unescape(l.name[:0], name)
			name = l.name
		}
		m := memberOf(name)
		if at = l.space(end); l.at(at) != ':' {
			return false
		}
		at = l.space(at + 1)
		end, kind := l.value(at)
		if end < 0 {
			return false
		}
		if m != unwanted {
			v := value{uint32(at), uint32(end), kind}
			if kind == characters {
				v.start, v.end = v.start+1, v.end-1
			}
			l.values[m] = v
		}
		at = l.space(end)
		switch l.at(at) {
		case ',':
			at = l.space(at + 1)
		case '}':
			return l.space(at+1) == len(text)
		default:
			return false
		}
	}
}

// at is the byte at an index, 0 behind the end. A 0 in the text is never valid where it is asked for.
func (l *line) at(i int) byte {
	if i < len(l.text) {
		return l.text[i]
	}
	return 0
}

func (l *line) space(i int) int {
	for i < len(l.text) && l.text[i] <= ' ' {
		if c := l.text[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			break
		}
		i++
	}
	return i
}

// quoted returns the index behind a string that begins at i, or -1.
func (l *line) quoted(i int) int {
	if l.at(i) != '"' {
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
			if i = l.escape(i + 1); i < 0 {
				return -1
			}
		default:
			i++
		}
	}
	return -1
}

// escape returns the index behind an escape whose backslash stands before i, or -1.
func (l *line) escape(i int) int {
	switch l.at(i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if i+5 <= len(l.text) && hex4(l.text[i+1:]) >= 0 {
			return i + 5
		}
	}
	return -1
}

// value returns the index behind a value that begins at i, or -1, and its kind.
func (l *line) value(i int) (int, kind) {
	switch c := l.at(i); {
	case c == '"':
		return l.quoted(i), characters
	case c == '-' || c >= '0' && c <= '9':
		return l.number(i), number
	case c == '{' || c == '[':
		return l.nested(i), other
	}
	return l.word(i), other
}

func (l *line) word(i int) int {
	for _, word := range [...]string{"true", "false", "null"} {
		if i+len(word) <= len(l.text) && string(l.text[i:i+len(word)]) == word {
			return i + len(word)
		}
	}
	return -1
}

func (l *line) digits(i int) int {
	for c := l.at(i); c >= '0' && c <= '9'; c = l.at(i) {
		i++
	}
	return i
}

func (l *line) number(i int) int {
	if l.at(i) == '-' {
		i++
	}
	start := i
	if i = l.digits(i); i == start || l.text[start] == '0' && i > start+1 {
		return -1
	}
	if l.at(i) == '.' {
		start = i + 1
		if i = l.digits(start); i == start {
			return -1
		}
	}
	if c := l.at(i); c == 'e' || c == 'E' {
		i++
		if c := l.at(i); c == '+' || c == '-' {
			i++
		}
		start = i
		if i = l.digits(i); i == start {
			return -1
		}
	}
	return i
}

// maxNesting is how deep encoding/json goes, the line's own object included.
const maxNesting = 10000

// nested skips an object or an array that begins at i. It keeps its own stack: a hostile line cannot exhaust another.
func (l *line) nested(i int) int {
	l.nest = l.nest[:0]
	for { // i is where a value begins
		if c := l.at(i); c == '{' || c == '[' {
			if len(l.nest)+2 > maxNesting {
				return -1
			}
			l.nest = append(l.nest, c+2) // in ASCII a closing bracket stands two behind its opening one
			if i = l.space(i + 1); l.at(i) != c+2 {
				if i = l.toValue(i); i < 0 {
					return -1
				}
				continue
			}
		} else {
			if i, _ = l.value(i); i < 0 {
				return -1
			}
			i = l.space(i)
		}
		for l.at(i) == l.nest[len(l.nest)-1] {
			l.nest = l.nest[:len(l.nest)-1]
			i++
			if len(l.nest) == 0 {
				return i
			}
			i = l.space(i)
		}
		if l.at(i) != ',' {
			return -1
		}
		if i = l.toValue(l.space(i + 1)); i < 0 {
			return -1
		}
	}
}

// toValue steps over a name and its colon, if it is an object that is open.
func (l *line) toValue(i int) int {
	if l.nest[len(l.nest)-1] == ']' {
		return i
	}
	if i = l.quoted(i); i < 0 {
		return -1
	}
	if i = l.space(i); l.at(i) != ':' {
		return -1
	}
	return l.space(i + 1)
}
