package audit

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// encoder makes lines, one at a time, in a buffer that it uses again. A line is complete but for the number behind
// "seq":, which the writer puts in at the very end: so the numbers in the file have no hole where no line was lost.
// Decisions are written by hand, because every request pays for one; zerolog writes the rest.
type encoder struct {
	logger zerolog.Logger
	object []byte // what zerolog made last
	line   []byte
	cut    []string
	// bounds are those of what is written; see bounds
	encoded bool

	boot   string
	second int64  // Unix time of the text in stamp
	stamp  []byte // 2006-01-02T15:04:05
}

func newEncoder(boot string) *encoder {
	e := &encoder{boot: boot, second: -1 << 63}
	e.logger = zerolog.New(e)
	return e
}

// Write receives the finished JSON object of an event; it serves zerolog, which calls it synchronously and lets more
// characters stand than a line may have.
func (e *encoder) Write(object []byte) (int, error) {
	e.object = e.object[:0]
	for _, c := range string(object) {
		switch {
		case c == 0x7f:
			e.object = append(e.object, `\u007f`...)
		case deceives(c):
			e.object = utf8.AppendRune(e.object, utf8.RuneError)
		default:
			e.object = utf8.AppendRune(e.object, c)
		}
	}
	return len(object), nil
}

// begin starts a line and returns how long it is up to the place of its number.
func (e *encoder) begin(at time.Time) (head int) {
	at = at.UTC()
	if second := at.Unix(); second != e.second {
		e.second, e.stamp = second, at.AppendFormat(e.stamp[:0], "2006-01-02T15:04:05")
	}
	e.line = append(e.line[:0], `{"v":1,"time":"`...)
	e.line = append(e.line, e.stamp...)
	e.line = append(e.line, '.')
	e.line = sixDigits(e.line, at.Nanosecond()/1000)
	e.line = append(e.line, `Z","boot":"`...)
	e.line = append(e.line, e.boot...)
	e.line = append(e.line, `","seq":`...)
	return len(e.line)
}

// decision makes the line of a record and returns where its number belongs. The line is valid until the next call.
func (e *encoder) decision(at time.Time, r *Record, privacy Privacy, most bounds) (line []byte, head int) {
	head = e.begin(at)
	e.cut, e.encoded = e.cut[:0], most.encoded
	e.line = append(e.line, `,"event":"decision"`...)
	e.text(`,"site":"`, r.Site, maxName)
	e.text(`,"host":"`, r.Host, most.name)
	e.text(`,"method":"`, r.Method, most.method)
	e.text(`,"path":"`, privacy.Path(r), most.path)
	e.word(`,"proto":"`, r.Proto)
	e.word(`,"alpn":"`, r.ALPN)
	e.text(`,"sni":"`, r.SNI, most.name)
	if ip := privacy.Client(r); ip.IsValid() {
		e.line = append(e.line, `,"client_ip":"`...)
		e.line = ip.WithZone("").AppendTo(e.line)
		e.line = append(e.line, '"')
	}
	e.text(`,"agent":"`, r.Agent, most.agent)
	e.word(`,"claim":"`, r.Claim)
	e.word(`,"verdict":"`, r.Verdict)
	e.word(`,"verdict_source":"`, r.VerdictSource)
	e.word(`,"verdict_cause":"`, r.VerdictCause)
	e.text(`,"ptr":"`, r.PTR, maxName)
	e.seconds(`,"verify_seconds":`, r.Verify)
	e.text(`,"rule":"`, r.Rule, maxPath)
	e.word(`,"state":"`, r.State)
	e.word(`,"action":"`, r.Action)
	e.word(`,"reason":"`, r.Reason)
	e.word(`,"would":"`, r.Would)
	e.number(`,"status":`, int64(r.Status))
	e.number(`,"bytes_out":`, r.BytesOut)
	e.seconds(`,"seconds":`, r.Took)
	e.text(`,"origin":"`, r.Origin, maxName)
	e.number(`,"origin_status":`, int64(r.OriginStatus))
	e.seconds(`,"origin_seconds":`, r.OriginTook)
	e.text(`,"origin_error":"`, r.OriginError, maxWord)
	e.word(`,"request_id":"`, r.RequestID)
	e.word(`,"config":"`, r.Config)
	if len(e.cut) > 0 {
		e.line = append(e.line, `,"cut":["`...)
		e.line = append(e.line, strings.Join(e.cut, `","`)...)
		e.line = append(e.line, `"]`...)
	}
	e.line = append(e.line, '}', '\n')
	return e.line, head
}

// event makes a line that is not a decision.
func (e *encoder) event(at time.Time, event string, fields Fields) (line []byte, head int) {
	ev := e.logger.Log().Str("event", event)
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch v := fields[name].(type) {
		case time.Time:
			if !v.IsZero() {
				ev.Str(name, v.UTC().Format(time.RFC3339))
			}
		case string:
			if v != "" {
				ev.Str(name, v)
			}
		default:
			ev.Interface(name, v)
		}
	}
	ev.Send()
	head = e.begin(at)
	e.line = append(e.line, ',')
	e.line = append(e.line, e.object[1:]...)
	return e.line, head
}

// text appends a member, unless it is empty. A value that is longer than its bound is cut there, and that is noted.
// before is all that stands before the value: comma, name, colon and quote.
func (e *encoder) text(before, value string, bound int) {
	if value == "" {
		return
	}
	if e.encoded && len(value) > bound/3 && beyond(value, bound, bound) > 0 {
		bound /= 3
	}
	if len(value) > bound {
		value = e.shortened(before[2:len(before)-3], value, bound)
	}
	e.line = append(e.line, before...)
	from := len(e.line)
	e.line = append(e.line, value...)
	if !printable(e.line[from:]) {
		e.line = appendEscaped(e.line[:from], value)
	}
	e.line = append(e.line, '"')
}

// word appends a member whose value is the gateway's own, as Record has it, unless it is empty.
func (e *encoder) word(before, value string) {
	if value != "" {
		e.line = append(append(append(e.line, before...), value...), '"')
	}
}

// shortened cuts a value between characters, and notes that it did.
func (e *encoder) shortened(name, value string, bound int) string {
	e.cut = append(e.cut, name)
	for back := 0; back < utf8.UTFMax && !utf8.RuneStart(value[bound]); back++ {
		bound--
	}
	return value[:bound]
}

func (e *encoder) number(before string, n int64) {
	if n != 0 {
		e.line = append(e.line, before...)
		e.line = strconv.AppendInt(e.line, n, 10)
	}
}

// seconds appends a duration to the microsecond, unless it is none.
func (e *encoder) seconds(before string, d time.Duration) {
	micros := int64((d + 500) / 1000)
	if micros <= 0 {
		return
	}
	e.line = append(e.line, before...)
	if micros < 1e6 {
		e.line = append(e.line, '0')
	} else {
		e.line = strconv.AppendInt(e.line, micros/1e6, 10)
	}
	if fraction := int(micros % 1e6); fraction > 0 {
		e.line = append(e.line, '.')
		e.line = sixDigits(e.line, fraction)
		for e.line[len(e.line)-1] == '0' {
			e.line = e.line[:len(e.line)-1]
		}
	}
}

func sixDigits(line []byte, n int) []byte {
	return append(line, byte('0'+n/100000), byte('0'+n/10000%10), byte('0'+n/1000%10), byte('0'+n/100%10),
		byte('0'+n/10%10), byte('0'+n%10))
}

// printable says whether text can stand in a JSON string as it is: printable ASCII without quote and backslash. It
// looks at eight bytes at once; a byte is found by what a subtraction borrows from it.
func printable(text []byte) bool {
	if len(text) < 8 {
		for _, c := range text {
			if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
				return false
			}
		}
		return true
	}
	last := binary.LittleEndian.Uint64(text[len(text)-8:]) // may overlap with those before it
	for ; len(text) > 8; text = text[8:] {
		if !printable8(binary.LittleEndian.Uint64(text)) {
			return false
		}
	}
	return printable8(last)
}

func printable8(x uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, slash, del := x^(ones*'"'), x^(ones*'\\'), x^(ones*0x7f)
	return (x|(x-ones*0x20)|(quote-ones)&^quote|(slash-ones)&^slash|(del-ones)&^del)&tops == 0
}

// appendEscaped appends a value as the inside of a JSON string. Invalid UTF-8 and characters that deceive are replaced.
func appendEscaped(line []byte, value string) []byte {
	const hex = "0123456789abcdef"
	for _, c := range value { // invalid UTF-8 comes as U+FFFD
		switch {
		case c == '"' || c == '\\':
			line = append(line, '\\', byte(c))
		case c < 0x20 || c == 0x7f:
			line = append(line, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case deceives(c):
			line = utf8.AppendRune(line, utf8.RuneError)
		default:
			line = utf8.AppendRune(line, c)
		}
	}
	return line
}

// deceives says whether a character beyond ASCII moves a terminal's cursor, ends a line or turns the direction of what
// follows; JSON lets them stand. They are replaced.
func deceives(r rune) bool {
	return r >= 0x80 &&
		(r <= 0x9f || r == 0x2028 || r == 0x2029 || r == 0x200e || r == 0x200f || r == 0x061c || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069)
}
