package server

import (
	"crypto/tls"
	"errors"
	"os"
	"time"
)

// Closing a socket with bytes unread resets the connection, and a response that the client has not read yet is lost
// (RFC 9112 section 9.6). Many clients read nothing before they have sent everything. So if the client is still sending
// when the response is out, its bytes are read and discarded for a while, without being decrypted.
const (
	lingerTime    = 30 * time.Second // in all
	lingerSilence = 5 * time.Second  // without a byte
	lingerBriefly = 2 * time.Second  // in all, when many linger already or the service ends
	lingerAtMost  = 1024             // connections, for more than that
)

// linger ends our side of the connection and waits for the client to end its own.
func (c *conn) linger() {
	raw := c.Conn
	if t, ok := raw.(*tls.Conn); ok && t.CloseWrite() == nil {
		raw = t.NetConn()
	}
	if half, ok := raw.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	c.reader.enter(inLinger)
	s, now := c.server, time.Now()
	latest, silence := now.Add(lingerTime), now.Add(lingerSilence)
	if s.lingering.Add(1) > lingerAtMost {
		latest = now.Add(lingerBriefly)
	}
	defer s.lingering.Add(-1)
	lent, _ := s.buffers.Get().(*[]byte)
	if lent == nil {
		buffer := make([]byte, bufferBytes)
		lent = &buffer
	}
	defer s.buffers.Put(lent)
	for ending := false; now.Before(latest) && now.Before(silence); now = time.Now() {
		if !ending && s.ending.Load() {
			ending, latest = true, earlier(latest, now.Add(lingerBriefly))
		}
		raw.SetReadDeadline(
			earlier(now.Add(lingerBriefly), earlier(latest, silence)),
		) // to notice now and then that the server is ending
		n, err := raw.Read(*lent)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if n > 0 {
			silence = time.Now().Add(lingerSilence)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
