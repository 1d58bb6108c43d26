package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"gate421/gate/http1"
)

// Head is what of a response's head decides how to go on.
type Head struct {
	Status  int
	Size    int   // of the head, in bytes
	Length  int64 // of the body; -1: chunked, or until the connection ends
	Chunked bool
	Keep    bool   // the connection may serve another request
	Upgrade string // the protocol that a 101 changes to
	Login   Login
	KeptFor time.Duration // how long the server keeps an idle connection; 0: it does not say
	Names   http1.Spelling
}

const (
	// MaxHead is the largest head, or trailer section, of a response, in bytes.
	MaxHead   = 256 << 10
	maxFields = 1024
	// keptAtMost is the longest time that a server is believed to keep an idle connection.
	keptAtMost = 3 * time.Minute
)

// ErrMalformed is the root of everything that is not HTTP/1.1 as RFC 9112 has it.
var ErrMalformed = errors.New("malformed answer")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// FieldsError is why a response is malformed that began as HTTP: what an application repeats of a request may do that.
type FieldsError struct{ error }

// Unwrap gives the cause.
func (f *FieldsError) Unwrap() error { return f.error }

// ReadHead reads one head into header, without the fields that are about the connection.
func (c *Conn) ReadHead(header http.Header, method string) (Head, error) {
	raw, err := c.block()
	if err != nil {
		return Head{}, err
	}
	block := string(raw)
	line, rest := http1.CutLine(block)
	h := Head{Size: len(raw), Length: -1}
	minor := byte(0)
	if h.Status, minor, err = statusLine(line); err != nil {
		return Head{}, err
	}
	f := responseFields{header: header}
	if err := f.parse(rest); err != nil {
		return Head{}, &FieldsError{err}
	}
	h.Login, h.KeptFor, h.Names = f.login, f.keptFor, f.names
	h.Keep = !f.close && !f.last && (minor == '1' || f.alive)
	if h.Status == http.StatusSwitchingProtocols && f.changes {
		h.Upgrade = f.upgrade
	}
	bodiless := method == http.MethodHead || h.Status < 200 || h.Status == http.StatusNoContent ||
		h.Status == http.StatusNotModified
	if bodiless && method != http.MethodHead {
		delete(
			header,
			"Content-Length",
		) // 204 must not have it; over HTTP/2 some clients miss the body then, in a 304 too
	}
	announceable(header)
	switch {
	case f.encoded && (f.sized || minor == '0'):
		return Head{}, malformed("Transfer-Encoding beside Content-Length or in HTTP/1.0")
	case bodiless:
		h.Length = 0
	case f.encoded:
		h.Chunked = true
	case f.sized:
		h.Length = f.length
	default:
		h.Keep = false // the body ends with the connection
	}
	return h, nil
}

// block reads lines up to and including an empty one, for as long as nothing else is read. As a rule they have come
// together.
func (c *Conn) block() ([]byte, error) {
	if _, err := c.r.Peek(1); err != nil {
		return nil, err
	}
	c.Heard = true
	there, _ := c.r.Peek(c.r.Buffered())
	if end := blockEnd(there); end > 0 {
		c.r.Discard(end)
		return there[:end], nil
	}
	var err error
	c.in, err = c.readBlock(c.in[:0])
	return c.in, err
}

// blockEnd is where lines end that an empty one follows, that one included; 0: they do not, or the first one is empty.
func blockEnd(there []byte) int {
	if there[0] == '\n' || there[0] == '\r' {
		return 0
	}
	for end := 0; ; {
		line := bytes.IndexByte(there[end:], '\n')
		if line < 0 {
			return 0
		}
		end += line + 1
		switch rest := there[end:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return end + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return end + 2
		}
	}
}

// readBlock appends lines up to and including an empty one.
func (c *Conn) readBlock(dst []byte) ([]byte, error) {
	start := 0 // of the line
	for {
		piece, err := c.r.ReadSlice('\n')
		c.Heard = c.Heard || len(piece) > 0
		dst = append(dst, piece...)
		if len(dst) > MaxHead {
			return dst, malformed("a head of more than %d bytes", MaxHead)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && len(dst) > 0 && !strings.HasPrefix(string(dst), "HTTP/"):
			return dst, malformed("%.60q", dst)
		case err == io.EOF && len(dst) > 0:
			return dst, io.ErrUnexpectedEOF
		case err != nil:
			return dst, err
		}
		if line := dst[start:]; len(line) == 1 || len(line) == 2 && line[0] == '\r' {
			return dst, nil
		}
		start = len(dst)
	}
}

// statusLine reads "HTTP/1.1 200 OK".
func statusLine(line string) (status int, minor byte, err error) {
	if len(line) < 12 || line[:7] != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' ||
		len(line) > 12 && line[12] != ' ' {
		return 0, 0, malformed("status line %.60q", line)
	}
	for _, c := range []byte(line[9:12]) {
		if c < '0' || c > '9' {
			return 0, 0, malformed("status line %.60q", line)
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 || status > 999 {
		return 0, 0, malformed("status %d", status)
	}
	return status, line[7], nil
}

// responseFields reads the fields of a head.
type responseFields struct {
	header  http.Header
	names   http1.Spelling
	sized   bool // Content-Length
	length  int64
	encoded bool // Transfer-Encoding: chunked
	close   bool // Connection: close
	alive   bool // Connection: keep-alive
	changes bool // Connection: upgrade
	upgrade string
	login   Login
	last    bool          // Keep-Alive: no further request is taken
	keptFor time.Duration // Keep-Alive: timeout
}

func (r *responseFields) parse(block string) error {
	values := make([]string, 0, strings.Count(block, "\n"))
	if cap(values) > maxFields {
		return malformed("more than %d fields", maxFields)
	}
	var named []string
	for {
		line, rest := http1.CutLine(block)
		if line == "" {
			break
		}
		block = rest
		name, behind := http1.Name(line)
		spaced := behind != "" && behind[0] != ':'
		if spaced {
			behind = http1.TrimBlanks(behind) // a proxy removes blanks before the colon (RFC 9112 section 5.1)
		}
		if name == "" || behind == "" || behind[0] != ':' {
			return malformed("field %.60q", line) // a folded line, too
		}
		value := http1.TrimBlanks(behind[1:])
		if !http1.Printable(value) {
			return malformed("field %.60q has a control character", name)
		}
		if spaced && Framing(name) {
			return malformed("field %.60q", line)
		}
		if name == "Connection" && !http1.Same(value, "keep-alive") {
			named = append(named, value)
		}
		if pass, err := r.framing(name, value); err != nil {
			return err
		} else if !pass {
			continue
		}
		if others := r.header[name]; others != nil {
			r.header[name] = append(others, value)
			continue
		}
		r.names.Note(line[:len(name)], name)
		values = append(values, value)
		r.header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	for _, value := range named {
		for token := range strings.SplitSeq(value, ",") {
			if name := textproto.CanonicalMIMEHeaderKey(strings.Trim(token, " \t")); name != "Content-Length" &&
				name != "Trailer" {
				delete(r.header, name)
			}
		}
	}
	return nil
}

// framing looks at the fields that say where the body ends and what becomes of the connection, a login included;
// pass is whether the client gets the field.
func (r *responseFields) framing(name, value string) (pass bool, err error) {
	switch name {
	case "Content-Length":
		n, ok := http1.Decimal(value)
		if !ok || r.sized && n != r.length {
			return false, malformed("Content-Length %.60q", value)
		}
		pass = !r.sized
		r.sized, r.length = true, n
		return pass, nil
	case "Transfer-Encoding":
		if r.encoded || !http1.Same(value, "chunked") {
			return false, malformed("Transfer-Encoding %.60q", value)
		}
		r.encoded = true
		return false, nil
	case "Connection":
		r.close = r.close || http1.Lists([]string{value}, "close")
		r.alive = r.alive || http1.Lists([]string{value}, "keep-alive")
		r.changes = r.changes || http1.Lists([]string{value}, "upgrade")
		return false, nil
	case "Keep-Alive":
		r.keepAlive(value)
		return false, nil
	case "Upgrade":
		r.upgrade = value
		return false, nil
	case "Trailer":
		return true, nil // announced to the client, who gets them
	case "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Proxy-Authentication-Info",
		"Persistent-Auth":
		r.login.note(name, value)
	}
	return !HopByHop(name), nil
}

// keepAlive reads what a server says of how long its connection stays open (RFC 2068 section 19.7.1.1). What is no
// number says nothing.
func (r *responseFields) keepAlive(value string) {
	for item := range strings.SplitSeq(value, ",") {
		name, said, _ := strings.Cut(http1.TrimBlanks(item), "=")
		n, ok := http1.Decimal(strings.Trim(http1.TrimBlanks(said), `"`))
		switch name = http1.TrimBlanks(name); {
		case !ok:
		case http1.Same(name, "timeout"):
			r.last = r.last || n == 0
			r.keptFor = time.Duration(min(n, int64(keptAtMost/time.Second))) * time.Second
		case http1.Same(name, "max"):
			r.last = r.last || n == 0
		}
	}
}
