package server

import (
	"crypto/tls"
	"errors"
	"os"
	"time"
)

// A socket that is closed with bytes unread resets its connection, and an answer that its client has not read yet is lost on the way
// (RFC 9112 section 9.6). Many clients read nothing before they have sent everything. So who is still sending when the answer is out
// is listened to for a while; what comes is thrown away as it comes, without being decrypted.
const (
	lingerTime    = 30 * time.Second // in all
	lingerSilence = 5 * time.Second  // without a byte
	lingerBriefly = 2 * time.Second  // in all, when many linger already or the service ends
	lingerAtMost  = 1024             // connections, for more than that
)

// linger ends our side of the connection and waits for the client to end its own.
func (k *conn) linger() {
	raw := k.Conn
	if t, ok := raw.(*tls.Conn); ok && t.CloseWrite() == nil {
		raw = t.NetConn()
	}
	if half, ok := raw.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	k.inlet.enter(inLinger)
	s, now := k.server, time.Now()
	latest, silence := now.Add(lingerTime), now.Add(lingerSilence)
	if s.lingering.Add(1) > lingerAtMost {
		latest = now.Add(lingerBriefly)
	}
	defer s.lingering.Add(-1)
	lent, _ := s.rooms.Get().(*[]byte)
	if lent == nil {
		room := make([]byte, roomBytes)
		lent = &room
	}
	defer s.rooms.Put(lent)
	for ending := false; now.Before(latest) && now.Before(silence); now = time.Now() {
		if !ending && s.ending.Load() {
			ending, latest = true, earlier(latest, now.Add(lingerBriefly))
		}
		raw.SetReadDeadline(earlier(now.Add(lingerBriefly), earlier(latest, silence))) // to see now and then whether the end has begun
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
