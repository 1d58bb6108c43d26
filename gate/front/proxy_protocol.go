package front

import (
	"bufio"
	"errors"
	"io"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// errProxyHeader says that a PROXY header names a source that cannot be a client's.
var errProxyHeader = errors.New("no PROXY header")

// RemoteAddr is the client's address. On a balancer's connection it waits for the PROXY header, for HeaderTime at
// most, so the accept loop must not call it.
func (c *conn) RemoteAddr() net.Addr {
	if !c.behindBalancer {
		return c.Conn.RemoteAddr()
	}
	c.headerOnce.Do(c.readProxyHeader)
	return c.client
}

// Read serves net.Conn. A connection with a rejected PROXY header reads as ended, so that nothing is written in
// response.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if n > 0 && !c.gotBytes.Load() {
		c.gotBytes.Store(true)
	}
	return n, err
}

func (c *conn) read(p []byte) (int, error) {
	if !c.behindBalancer {
		return c.Conn.Read(p)
	}
	c.headerOnce.Do(c.readProxyHeader)
	if c.rejected {
		return 0, io.EOF
	}
	if c.buffered != nil {
		if c.buffered.Buffered() > 0 {
			return c.buffered.Read(p)
		}
		c.buffered = nil
	}
	return c.Conn.Read(p)
}

// readProxyHeader reads the PROXY header, once.
func (c *conn) readProxyHeader() {
	c.client = c.Conn.RemoteAddr()
	c.buffered = bufio.NewReaderSize(c.Conn, 256)
	c.Conn.SetReadDeadline(time.Now().Add(c.admission.headerTime))
	defer c.Conn.SetReadDeadline(time.Time{})
	if _, err := c.buffered.Peek(1); errors.Is(err, io.EOF) {
		c.rejected = true // a balancer's health check of the port
		return
	}
	line(c.buffered)
	named, err := client(c.buffered)
	switch {
	case err != nil:
		c.rejected = true
		c.counts.limited[limitedProxyHeader].Add(1)
		c.admission.notices.add(limitedProxyHeader, address(addressOf(c.Conn.RemoteAddr())))
	case named != nil:
		c.client = named
		c.rejected = !c.setClient(addressOf(named))
	}
}

// line waits for a whole header of version 1: the parser expects it in one packet, and the specification (section 2)
// wants receivers to be patient. The deadline bounds the wait.
func line(r *bufio.Reader) {
	const longest = 107
	for n := 1; n <= longest; n++ {
		if head, err := r.Peek(n); err != nil || head[0] != 'P' || head[n-1] == '\n' {
			return // the parser rejects what is malformed
		}
	}
}

// client reads a PROXY header and returns the client. That is nil if the header names none and the connection is the
// balancer's own: LOCAL, UNKNOWN, or a client of a Unix socket.
func client(r *bufio.Reader) (*net.TCPAddr, error) {
	header, err := proxyproto.Read(r)
	if err != nil {
		return nil, err
	}
	if header.Command.IsLocal() { // the rest of the header must be skipped (section 2.2)
		return nil, nil
	}
	if _, err := header.TLVs(); err != nil {
		return nil, err
	}
	if header.TransportProtocol.IsUnspec() || header.TransportProtocol == proxyproto.UnixStream {
		return nil, nil
	}
	source, ok := header.SourceAddr.(*net.TCPAddr)
	if !ok || addressOf(source).IsUnspecified() || addressOf(source).IsMulticast() {
		return nil, errProxyHeader
	}
	return source, nil
}
