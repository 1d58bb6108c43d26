package report

import "bytes"

// lineBegin is how every line of a decision log begins.
const lineBegin = `{"v":`

// find finds the log's line in a line of text. It is there as it is; or behind what syslog, journalctl, a container's runtime or
// a shipper puts before it; or in the MESSAGE or log of the JSON object that systemd's journal or Docker makes of it. Where ok,
// l is that line, parsed, or a JSON object that is none. It begins at an index of text or, where it had to be unescaped, of
// side, which is returned grown.
func (l *line) find(text, side []byte) (at int, unescaped bool, grown []byte, ok bool) {
	if !l.parse(text) {
		at = bytes.Index(text, []byte(lineBegin))
		return max(at, 0), false, side, at > 0 && l.parse(text[at:])
	}
	if l.values[memberV].kind != absent {
		return 0, false, side, true
	}
	for _, m := range [...]member{memberMessage, memberOutput} {
		begin := len(side)
		var inner []byte
		if inner, side = l.decoded(m, side); len(side) == begin {
			continue
		}
		if inner = bytes.TrimRight(inner, "\r\n"); l.parse(inner) {
			return begin, true, side, true
		}
		l.parse(text)
	}
	return 0, false, side, true
}

// torn says whether a line that is no JSON object, and holds none of the log's, is a piece of one: its beginning, its end, or
// what a file system leaves of it after the power went.
func torn(text []byte) bool {
	return text[0] == '{' || text[len(text)-1] == '}' || bytes.Contains(text, []byte(lineBegin)) || bytes.IndexByte(text, 0) >= 0
}
