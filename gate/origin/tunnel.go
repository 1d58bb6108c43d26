package origin

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// tunnel takes the client's connection over after a 101 and lets bytes pass both ways until both sides have ended. A side
// that ends lets the other finish what it has to say, for as long as an answer may take to begin.
func (c *conn) tunnel(w http.ResponseWriter, h answerHead) *Failure {
	defer c.close()
	c.arm()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return &Failure{ClientGone, cut(err)}
	}
	defer client.Close()
	client.SetDeadline(time.Time{})
	c.Conn.SetDeadline(time.Time{})
	if err := announce(buffered.Writer, w.Header(), h); err != nil {
		return &Failure{ClientGone, cut(err)}
	}
	early := make([]byte, buffered.Reader.Buffered()) // what the client has said behind its request already
	io.ReadFull(buffered.Reader, early)
	ends := make(chan bool, 2)
	go func() { ends <- flow(c.Conn, io.MultiReader(bytes.NewReader(early), client)) }()
	go func() { ends <- flow(client, c) }()
	left := 2
	if left--; <-ends {
		timer := time.NewTimer(c.wait)
		select {
		case <-ends:
			left--
		case <-timer.C:
		}
		timer.Stop()
	}
	client.Close()
	c.raw.Close()
	for ; left > 0; left-- {
		<-ends
	}
	return nil
}

// flow copies until from has ended, and tells the other side so. It returns whether both are well.
func flow(to net.Conn, from io.Reader) bool {
	if _, err := io.Copy(to, from); err != nil {
		return false
	}
	half, ok := to.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// announce writes the 101 as the server sent it. Another service that it may tell of would carry the client past the gate.
func announce(w *bufio.Writer, header http.Header, h answerHead) error {
	line := []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + h.upgrade + "\r\n")
	names := make([]string, 0, len(header))
	for name := range header {
		if name != "Alt-Svc" && name != "Content-Length" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		written := h.names.Of(name)
		for _, value := range header[name] {
			line = appendField(line, written, value)
		}
	}
	w.Write(append(line, "\r\n"...))
	return w.Flush()
}
