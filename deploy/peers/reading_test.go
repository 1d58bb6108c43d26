//go:build peers

package peers

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// heardRequest is a request as somebody reads it out of a connection's bytes.
type heardRequest struct {
	method, target, version string
	fields                  [][2]string // in their order
	body                    string
}

// reader is one way to read HTTP/1.1. The strict one is RFC 9112's; the others are what servers have been caught at.
// What the gateway sends has to be the same requests to all of them.
type reader struct {
	name       string
	strict     bool // whatever is malformed is an error
	bareCR     bool // CR alone ends a line, too
	lengthWins bool // Content-Length before Transfer-Encoding
	last       bool // of two Content-Length the last one
	underscore bool // Content_Length is Content-Length
	bodiless   bool // GET and its like have no body, whatever they say of one
	folds      bool // a line that begins with a blank belongs to the one before
}

// readers are the ways that are compared; the first one is strict.
var readers = []reader{
	{name: "strict", strict: true},
	{name: "LF ends lines, the first length counts"},
	{name: "the last length counts", last: true},
	{name: "CR ends lines", bareCR: true},
	{name: "length before encoding", lengthWins: true},
	{name: "the last length before encoding", lengthWins: true, last: true},
	{name: "underscores are hyphens", underscore: true},
	{name: "underscores are hyphens, length before encoding", underscore: true, lengthWins: true, last: true},
	{name: "folded lines", folds: true},
}

// bodiless is a server that lets the body of a GET lie where it is, and takes it for the next request. Nobody can
// forward such a body so that this one reads it right, and none that keeps to RFC 9110 section 9.3.1 does so: its
// readings are counted, and are no mistakes of the gateway's.
var bodiless = reader{name: "no body behind GET", strict: true, bodiless: true}

var (
	errUnfinished = errors.New("not whole yet")
	errGarbled    = errors.New("garbled")
)

// all reads every request of a connection. rest is what comes behind the last whole one.
func (p reader) all(stream []byte) (requests []heardRequest, rest []byte, err error) {
	for len(stream) > 0 {
		r, n, err := p.one(stream)
		if err != nil {
			return requests, stream, err
		}
		requests, stream = append(requests, r), stream[n:]
	}
	return requests, nil, nil
}

// line takes a line off, without its end.
func (p reader) headLine(s []byte) (line string, n int, err error) {
	end := bytes.IndexByte(s, '\n')
	if cr := bytes.IndexByte(s, '\r'); p.bareCR && cr >= 0 && cr+1 < len(s) && (end < 0 || cr < end-1) {
		return string(s[:cr]), cr + 1, nil
	}
	if end < 0 {
		return "", 0, errUnfinished
	}
	line = string(s[:end])
	if whole, ok := strings.CutSuffix(line, "\r"); ok {
		line = whole
	} else if p.strict {
		return "", 0, fmt.Errorf("%w: a line ends in LF alone: %.80q", errGarbled, line)
	}
	if p.strict && strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return "", 0, fmt.Errorf("%w: a control character in %.80q", errGarbled, line)
	}
	return line, end + 1, nil
}

// one reads a request; n is how long it is.
func (p reader) one(s []byte) (r heardRequest, n int, err error) {
	if r, n, err = p.head(s); err != nil {
		return r, 0, err
	}
	return p.body(r, s, n)
}

// head reads a request up to its body.
func (p reader) head(s []byte) (r heardRequest, n int, err error) {
	line, n, err := p.headLine(s)
	if err != nil {
		return r, 0, err
	}
	part := strings.Split(line, " ")
	if p.strict && (len(part) != 3 || !isName(part[0]) || !isPath(part[0], part[1]) || part[2] != "HTTP/1.1") {
		return r, 0, fmt.Errorf("%w: request line %.80q", errGarbled, line)
	}
	if !p.strict {
		part = strings.Fields(line)
	}
	if len(part) != 3 {
		return r, 0, fmt.Errorf("%w: request line %.80q", errGarbled, line)
	}
	r.method, r.target, r.version = part[0], part[1], part[2]
	for {
		line, more, err := p.headLine(s[n:])
		if err != nil {
			return r, 0, err
		}
		if n += more; line == "" {
			return r, n, nil
		}
		if p.folds && (line[0] == ' ' || line[0] == '\t') && len(r.fields) > 0 {
			r.fields[len(r.fields)-1][1] += line
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if p.strict && (!ok || !isName(name)) {
			return r, 0, fmt.Errorf("%w: field %.80q", errGarbled, line)
		}
		r.fields = append(r.fields, [2]string{strings.TrimSpace(name), strings.Trim(value, " \t")})
	}
}

// isPath says whether a server that is no proxy may get the target.
func isPath(method, target string) bool {
	return strings.HasPrefix(target, "/") || target == "*" && method == "OPTIONS"
}

// isAuthority says whether a Host names one host.
func isAuthority(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && !strings.ContainsRune("-._:[]", c)
	})
}

// isLength says whether nobody can take the digits for octal, for another number or for too many.
func isLength(s string) bool {
	return s == "0" || s != "" && s[0] != '0' && len(s) <= 18 && strings.Trim(s, "0123456789") == ""
}

// mayTrail says whether a field may stand behind a body: not one about framing, nor one that names the client.
func mayTrail(name string) bool {
	name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	return !strings.HasPrefix(name, "x-forwarded-") && !slices.Contains([]string{"content-length", "transfer-encoding", "trailer", "host", "te",
		"connection", "upgrade", "keep-alive", "expect", "forwarded", "x-real-ip"}, name)
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// values are a field's.
func (p reader) values(r heardRequest, name string) (all []string) {
	for _, f := range r.fields {
		is := f[0]
		if p.underscore {
			is = strings.ReplaceAll(is, "_", "-")
		}
		if strings.EqualFold(is, name) {
			all = append(all, f[1])
		}
	}
	return all
}

// body reads what comes behind the head, which is n bytes long.
func (p reader) body(r heardRequest, s []byte, n int) (heardRequest, int, error) {
	lengths, encodings := p.values(r, "Content-Length"), p.values(r, "Transfer-Encoding")
	if p.strict {
		hosts := p.values(r, "Host")
		if len(hosts) != 1 || !isAuthority(hosts[0]) || len(lengths)+len(encodings) > 1 || len(encodings) == 1 && encodings[0] != "chunked" {
			return r, 0, fmt.Errorf("%w: hosts %q, lengths %q, encodings %q", errGarbled, hosts, lengths, encodings)
		}
	}
	if p.bodiless && slices.Contains([]string{"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"}, r.method) {
		return r, n, nil
	}
	chunked := slices.ContainsFunc(encodings, func(e string) bool { return strings.Contains(strings.ToLower(e), "chunked") })
	if chunked && (!p.lengthWins || len(lengths) == 0) {
		return p.chunks(r, s, n)
	}
	if len(lengths) == 0 {
		return r, n, nil
	}
	said := lengths[0]
	if p.last {
		said = lengths[len(lengths)-1]
	}
	length, err := strconv.ParseUint(said, 10, 62)
	switch {
	case p.strict && (err != nil || !isLength(said)):
		return r, 0, fmt.Errorf("%w: Content-Length %.80q", errGarbled, said)
	case err != nil:
		return r, n, nil
	case uint64(len(s)-n) < length:
		return r, 0, errUnfinished
	}
	r.body = string(s[n : n+int(length)])
	return r, n + int(length), nil
}

// chunks reads a chunked body and its trailers, which become fields.
func (p reader) chunks(r heardRequest, s []byte, n int) (heardRequest, int, error) {
	for {
		line, more, err := p.headLine(s[n:])
		if err != nil {
			return r, 0, err
		}
		n += more
		if !p.strict {
			line, _, _ = strings.Cut(strings.TrimSpace(line), ";")
		}
		size, err := strconv.ParseUint(line, 16, 40)
		if err != nil {
			return r, 0, fmt.Errorf("%w: chunk size %.80q", errGarbled, line)
		}
		if size == 0 {
			break
		}
		if uint64(len(s)-n) < size+2 {
			return r, 0, errUnfinished
		}
		r.body += string(s[n : n+int(size)])
		n += int(size)
		if end, more, err := p.headLine(s[n:]); err != nil || end != "" {
			return r, 0, fmt.Errorf("%w: a chunk ends in %.80q", errGarbled, end)
		} else {
			n += more
		}
	}
	for {
		line, more, err := p.headLine(s[n:])
		if err != nil {
			return r, 0, err
		}
		if n += more; line == "" {
			return r, n, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if p.strict && (!ok || !isName(name) || !mayTrail(name)) {
			return r, 0, fmt.Errorf("%w: trailer %.80q", errGarbled, line)
		}
		r.fields = append(r.fields, [2]string{"trailer " + name, strings.Trim(value, " \t")})
	}
}
