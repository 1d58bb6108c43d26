package front

import (
	"bufio"
	"errors"
	"io"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// errIntroduction says that a balancer's connection did not begin with a PROXY header that can be believed.
var errIntroduction = errors.New("no PROXY header")

// RemoteAddr is the client's address. On a balancer's connection it waits for the PROXY header, HeaderTime at most, so that it
// is nothing for the accept loop; it is asked for first thing in the connection's own goroutine.
func (c *conn) RemoteAddr() net.Addr {
	if !c.balanced {
		return c.Conn.RemoteAddr()
	}
	c.introduction.Do(c.introduce)
	return c.client
}

// Read serves net.Conn. A connection that was not introduced looks like one that has ended, so that nobody answers it.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, err
}

func (c *conn) read(p []byte) (int, error) {
	if !c.balanced {
		return c.Conn.Read(p)
	}
	c.introduction.Do(c.introduce)
	if c.unknown {
		return 0, io.EOF
	}
	if c.rest != nil {
		if c.rest.Buffered() > 0 {
			return c.rest.Read(p)
		}
		c.rest = nil
	}
	return c.Conn.Read(p)
}

// introduce reads who the client is, once.
func (c *conn) introduce() {
	c.client = c.Conn.RemoteAddr()
	c.rest = bufio.NewReaderSize(c.Conn, 256)
	c.Conn.SetReadDeadline(time.Now().Add(c.admission.headerTime))
	defer c.Conn.SetReadDeadline(time.Time{})
	if _, err := c.rest.Peek(1); errors.Is(err, io.EOF) {
		c.unknown = true // a look at the port, as balancers take it: nobody's trouble
		return
	}
	line(c.rest)
	named, err := client(c.rest)
	switch {
	case err != nil:
		c.unknown = true
		c.counts.limited[limitedIntroduction].Add(1)
		c.admission.notices.add(limitedIntroduction, address(addressOf(c.Conn.RemoteAddr())))
	case named != nil:
		c.client = named
		c.unknown = !c.arrive(addressOf(named))
	}
}

// line waits for all of a header of version 1, which the parser takes from one packet only. The specification (section 2) would
// have receivers be patient, and the deadline bounds that.
func line(r *bufio.Reader) {
	const longest = 107
	for n := 1; n <= longest; n++ {
		if head, err := r.Peek(n); err != nil || head[0] != 'P' || head[n-1] == '\n' {
			return // what is wrong the parser will find
		}
	}
}

// client reads a PROXY header and returns whom it names; nil where it names nobody, and the connection is the balancer's own:
// LOCAL, UNKNOWN, or a client behind a Unix socket.
func client(r *bufio.Reader) (*net.TCPAddr, error) {
	header, err := proxyproto.Read(r)
	if err != nil {
		return nil, err
	}
	if header.Command.IsLocal() { // what else it says is to be skipped (section 2.2)
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
		return nil, errIntroduction
	}
	return source, nil
}
