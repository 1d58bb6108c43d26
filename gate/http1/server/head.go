package server

import (
	"bufio"
	"bytes"
	"net/http"
	"net/url"
	"strings"

	"gate421/gate/http1"
)

// head is what a request's head says.
type head struct {
	method, target string
	minor          int // of the version, 1.x
	url            *url.URL
	host           string
	header         http.Header
	length         int64 // of the body; -1: chunked
	close          bool  // the client wants the connection to end
	keepAlive      bool  // HTTP/1.0: it wants it to go on
	trailer        http.Header
	spelling       http1.Spelling
}

// rejection is the error response to a malformed request. Its text is for the client; the connection ends.
type rejection struct {
	status int // 0: none is sent
	text   string
}

func bad(text string) *rejection { return &rejection{http.StatusBadRequest, text} }

// emptyLines is how many may come before a request (RFC 9112 section 2.2): some clients end a body with one.
const emptyLines = 4

// readHead reads one head.
func (c *conn) readHead() (*head, *rejection) {
	if f := c.readBlock(); f != nil {
		return nil, f
	}
	block := string(c.head)
	if lf := strings.Count(block, "\n"); strings.Count(block, "\r") > lf {
		return nil, bad("a carriage return that ends no line")
	}
	line, rest := http1.CutLine(block)
	h := &head{}
	if f := h.requestLine(line); f != nil {
		return nil, f
	}
	if f := h.fields(rest); f != nil {
		return nil, f
	}
	return h, h.resolveHost()
}

// readBlock reads up to and including the empty line, into head.
func (c *conn) readBlock() *rejection {
	c.head = c.head[:0]
	empty := 0
	for start := 0; ; {
		piece, err := c.r.ReadSlice('\n')
		if len(c.head)+len(piece) > c.server.HeaderBytes {
			if start == 0 && bytes.IndexByte(c.head, ' ') > 0 {
				return &rejection{http.StatusRequestURITooLong, "the request's target is too long"}
			}
			return &rejection{http.StatusRequestHeaderFieldsTooLarge, "the request's header is too large"}
		}
		c.head = append(c.head, piece...)
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil:
			return &rejection{} // it ended, or took too long
		}
		line := c.head[start:]
		switch {
		case len(line) > 2 || len(line) == 2 && line[0] != '\r':
			start = len(c.head)
		case start > 0:
			return nil
		default:
			if empty++; empty > emptyLines {
				return bad("empty lines before the request")
			}
			c.head = c.head[:0]
		}
	}
}

// requestLine reads METHOD SP TARGET SP VERSION.
func (h *head) requestLine(line string) *rejection {
	method, rest, ok1 := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok1 || !ok2 || !http1.Token(method) || target == "" {
		return bad("no request line")
	}
	for i := 0; i < len(target); i++ {
		if target[i] <= ' ' || target[i] == 0x7f {
			return bad("a control character in the target")
		}
		if target[i] == '#' {
			return bad("a fragment in the target")
		}
	}
	if len(version) != len("HTTP/1.1") || version[:5] != "HTTP/" || version[6] != '.' || !digit(version[5]) ||
		!digit(version[7]) {
		return bad("no version of HTTP in the request line")
	}
	if version[5] != '1' {
		return &rejection{http.StatusHTTPVersionNotSupported, "HTTP/1.x is spoken here, and over TLS HTTP/2"}
	}
	h.method, h.target = method, target
	if version[7] != '0' {
		h.minor = 1
	}
	return nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// fields reads the fields of the head and what they say of the message.
func (h *head) fields(block string) *rejection {
	n := strings.Count(block, "\n")
	h.header = make(http.Header, min(n, 32))
	values := make([]string, 0, n)
	for {
		line, rest := http1.CutLine(block)
		if line == "" {
			break
		}
		block = rest
		name, value, ok := http1.Field(line)
		if !ok {
			return bad("a malformed header field")
		}
		if others := h.header[name]; others != nil {
			h.header[name] = append(others, value)
			continue
		}
		h.spelling.Note(line[:len(name)], name)
		values = append(values, value)
		h.header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if f := h.framing(); f != nil {
		return f
	}
	connection := h.header["Connection"]
	h.close = connection != nil && http1.Lists(connection, "close")
	h.keepAlive = h.minor == 0 && connection != nil && http1.Lists(connection, "keep-alive")
	return nil
}

// framing finds out where the body ends (RFC 9112 section 6.3).
func (h *head) framing() *rejection {
	lengths, codings := h.header["Content-Length"], h.header["Transfer-Encoding"]
	switch {
	case codings == nil && lengths == nil:
		return nil
	case codings == nil:
		n, ok := http1.Decimal(lengths[0])
		if !ok || len(lengths) > 1 {
			return bad("Content-Length is no number, or said more than once")
		}
		h.length = n
		return nil
	case lengths != nil:
		return bad("Content-Length beside Transfer-Encoding")
	case h.minor == 0:
		return bad("Transfer-Encoding in HTTP/1.0")
	case len(codings) > 1:
		return bad("Transfer-Encoding is said more than once")
	case !http1.Same(codings[0], "chunked"):
		last := ""
		for coding := range strings.SplitSeq(codings[0], ",") {
			if last = strings.Trim(coding, " \t"); !http1.Token(last) {
				return bad("a malformed Transfer-Encoding")
			}
		}
		if !http1.Same(last, "chunked") {
			return bad("a Transfer-Encoding that does not say where the body ends")
		}
		return &rejection{http.StatusNotImplemented, "the only transfer coding that is understood here is chunked"}
	}
	h.length = -1
	delete(h.header, "Transfer-Encoding")
	return h.readTrailerNames()
}

// readTrailerNames notes which fields are to come behind the body.
func (h *head) readTrailerNames() *rejection {
	names := h.header["Trailer"]
	if names == nil {
		return nil
	}
	delete(h.header, "Trailer")
	h.trailer = http.Header{}
	for _, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			switch name = http.CanonicalHeaderKey(strings.Trim(name, " \t")); {
			case name == "",
				name == "Transfer-Encoding",
				name == "Content-Length",
				name == "Trailer": // which cannot come there
			case !http1.Token(name):
				return bad("a malformed Trailer")
			default:
				h.trailer[name] = nil
			}
		}
	}
	return nil
}

// resolveHost finds out which host the request is for: the target's own host wins (RFC 9112 section 3.2.2).
func (h *head) resolveHost() *rejection {
	hosts := h.header["Host"]
	delete(h.header, "Host")
	switch {
	case len(hosts) > 1:
		return bad("more than one Host")
	case len(hosts) == 0 && h.minor == 1:
		return bad("no Host")
	case len(hosts) == 1:
		h.host = hosts[0]
	}
	if !http1.Host(h.host) {
		return bad("a Host that is none")
	}
	if h.method == http.MethodConnect && h.target[0] != '/' {
		h.url = &url.URL{Host: h.target}
		h.host = h.target
		return authority(h.host)
	}
	u, err := h.parseTarget()
	if err != nil {
		return bad("a malformed target")
	}
	h.url = u
	switch {
	case h.target[0] == '/' || h.target == "*":
		return nil
	case u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Host == "" || u.Opaque != "":
		return bad("a target that is neither a path nor an http or https URL")
	}
	h.host = u.Host
	return authority(h.host)
}

// parseTarget reads the target. A path with percent signs that escape nothing is the handler's to reject: it has a
// record to write.
func (h *head) parseTarget() (*url.URL, error) {
	if http1.Escaped(h.target) {
		return url.ParseRequestURI(h.target)
	}
	path := http1.OriginForm(h.target)
	u, err := url.ParseRequestURI(strings.TrimSuffix(h.target, path) + "/")
	if err != nil {
		return nil, err
	}
	u.Path, u.RawQuery, u.ForceQuery = strings.Cut(path, "?")
	return u, nil
}

func authority(host string) *rejection {
	if host == "" || !http1.Host(host) {
		return bad("a host in the target that is none")
	}
	return nil
}
