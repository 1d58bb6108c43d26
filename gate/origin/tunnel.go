package origin

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"gate421/gate/http1/client"
)

// tunnel takes the client's connection over after a 101 and lets bytes pass both ways until both sides have ended. A
// side that ends lets the other finish what it has to say, for as long as a response may take to begin. So does a
// client that breaks off: it returns when the server has let go.
func (c *conn) tunnel(w http.ResponseWriter, h client.Head) *Failure {
	defer c.close()
	c.Guard()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		c.HangUp()
		return &Failure{ClientGone, aborted(err)}
	}
	defer client.Close()
	client.SetDeadline(time.Time{})
	c.Conn.SetDeadline(time.Time{})
	if err := announce(buffered.Writer, w.Header(), h); err != nil {
		c.HangUp()
		return &Failure{ClientGone, aborted(err)}
	}
	early := make([]byte, buffered.Reader.Buffered()) // what the client has said behind its request already
	io.ReadFull(buffered.Reader, early)
	ends := make(chan bool, 2)
	go func() {
		if !flow(c.Conn.Conn, io.MultiReader(bytes.NewReader(early), client)) {
			client.Close()
		}
		ends <- true // a client that has broken off has ended, and its server may work on
	}()
	go func() { ends <- flow(client, c) }()
	left, well := 1, <-ends
	if well {
		timer := time.NewTimer(c.Wait)
		select {
		case well = <-ends:
			left--
		case <-timer.C:
		}
		timer.Stop()
	}
	client.Close()
	if !well { // the client takes no more of a server that may work on; one that has broken off is seen to have
		c.HangUp()
		c.waitReleased()
	}
	c.Raw.Close()
	for ; left > 0; left-- {
		<-ends
	}
	return nil
}

// flow copies until from has ended, or broken off, and tells the other side so. It returns whether both are well.
func flow(to net.Conn, from io.Reader) bool {
	_, err := io.Copy(to, from)
	half, ok := to.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil && err == nil
}

// announce writes the 101 as the server sent it. Another service that it may tell of would carry the client past the
// gate.
func announce(w *bufio.Writer, header http.Header, h client.Head) error {
	line := []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + h.Upgrade + "\r\n")
	names := make([]string, 0, len(header))
	for name := range header {
		if name != "Alt-Svc" && name != "Content-Length" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		written := h.Names.Of(name)
		for _, value := range header[name] {
			line = client.AppendField(line, written, value)
		}
	}
	w.Write(append(line, "\r\n"...))
	return w.Flush()
}
