package logs

import "bytes"

// lineStart is how every line of a decision log begins.
const lineStart = `{"v":`

// unwrap finds the log's line in a line of text. It is there as it is; or behind what syslog, journalctl, a container's
// runtime or a shipper puts before it; or in the MESSAGE or log of the JSON object that systemd's journal or Docker
// makes of it. Where ok, l is that line, parsed, or a JSON object that is none. It begins at an index of text or, where
// it had to be unescaped, of buffer, which is returned grown.
func (l *line) unwrap(text, buffer []byte) (at int, unescaped bool, grown []byte, ok bool) {
	if !l.parse(text) {
		at = bytes.Index(text, []byte(lineStart))
		return max(at, 0), false, buffer, at > 0 && l.parse(text[at:])
	}
	if l.values[fieldV].kind != absent {
		return 0, false, buffer, true
	}
	for _, f := range [...]Field{fieldMessage, fieldLog} {
		start := len(buffer)
		var inner []byte
		if inner, buffer = l.decoded(f, buffer); len(buffer) == start {
			continue
		}
		if inner = bytes.TrimRight(inner, "\r\n"); l.parse(inner) {
			return start, true, buffer, true
		}
		l.parse(text)
	}
	return 0, false, buffer, true
}

// torn says whether a line that is no JSON object, and holds none of the log's, is a piece of one: its beginning, its
// end, or what a file system leaves of it after a power failure. text is not empty.
func torn(text []byte) bool {
	return text[0] == '{' || text[len(text)-1] == '}' || bytes.Contains(text, []byte(lineStart)) ||
		bytes.IndexByte(text, 0) >= 0
}

// cutLine cuts the first line off text, without its end; whole says whether it had one.
func cutLine(text []byte) (line, rest []byte, whole bool) {
	line, rest, whole = bytes.Cut(text, []byte{'\n'})
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest, whole
}
