package front

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// A client that is still sending has time to read the response: closing a connection over unread bytes resets it, and
// the response may be lost (RFC 9112 section 9.6).
func TestEarlyResponseIsNotResetAway(t *testing.T) {
	d := open(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		control.EnableFullDuplex()
		read := make(chan struct{})
		go func() {
			io.Copy(io.Discard, r.Body)
			close(read)
		}()
		w.Header().Set("Connection", "close")
		w.WriteHeader(413)
		io.WriteString(w, "no")
		control.SetReadDeadline(time.Unix(1, 0)) // as who forwards bodies ends one
		<-read
		control.SetReadDeadline(time.Time{})
	})})
	for _, test := range []struct{ framing, piece string }{
		{"Content-Length: 100000000", fmt.Sprintf("%08192d", 0)},
		{"Transfer-Encoding: chunked", fmt.Sprintf("2000\r\n%08192d\r\n", 0)},
	} {
		t.Run(test.framing, func(t *testing.T) {
			c, r := d.http1(t)
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: one.example\r\n%s\r\n\r\n%s", test.framing, test.piece)
			for start := time.Now(); time.Since(start) < 300*time.Millisecond; time.Sleep(5 * time.Millisecond) {
				if _, err := io.WriteString(c, test.piece); err != nil {
					t.Fatalf("reset %v after the start: %v", time.Since(start), err)
				}
			}
			if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 413 {
				t.Fatalf("got %v, %v; want status 413", answer, err)
			}
			c.SetReadDeadline(time.Now().Add(patience / 2))
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Errorf("the connection does not end: %v", err)
			}
		})
	}
}
