package front

import (
	"crypto/tls"
	"encoding/binary"
)

// framed is an HTTP/2 connection that reads along: the engine tells nobody which streams were reset and why a connection
// had to end, and the frames do. Nothing is held up, copied or changed.
type framed struct {
	*tls.Conn
	in, out frames // by the goroutine that reads, by the one that writes
}

// Read serves net.Conn.
func (c *framed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.follow(p[:n])
	return n, err
}

// Write serves net.Conn.
func (c *framed) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.follow(p[:n])
	return n, err
}

// The two types of frames that end something (RFC 9113 sections 6.4 and 6.8).
const (
	frameResetStream = 0x3
	frameGoAway      = 0x7
)

const headBytes = 9

// frames finds the heads of frames (RFC 9113 section 4.1) in one direction of a connection, however it is cut into pieces.
type frames struct {
	seen func(kind byte, code uint32) // told of every RST_STREAM and GOAWAY and its error code
	skip int                          // bytes until the next head begins
	head [headBytes + 8]byte          // a head, and up to the error code of the two
	have int                          // bytes of head
}

func (f *frames) follow(p []byte) {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(p))
			f.skip -= n
			p = p[n:]
			continue
		}
		want := f.want()
		n := copy(f.head[f.have:want], p)
		f.have += n
		p = p[n:]
		if f.have == want && f.want() == want {
			f.whole()
		}
	}
}

// want is how many bytes of head are needed, as far as those that came say.
func (f *frames) want() int {
	if f.have < headBytes {
		return headBytes
	}
	switch length := f.length(); {
	case f.head[3] == frameResetStream && length >= 4:
		return headBytes + 4
	case f.head[3] == frameGoAway && length >= 8:
		return headBytes + 8
	}
	return headBytes
}

// length is that of the payload.
func (f *frames) length() int {
	return int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
}

// whole ends a head.
func (f *frames) whole() {
	if f.have > headBytes { // the last four bytes are the code
		f.seen(f.head[3], binary.BigEndian.Uint32(f.head[f.have-4:f.have]))
	}
	f.skip = headBytes + f.length() - f.have
	f.have = 0
}
