package server

import (
	"io"
	"net/http"
	"testing"
)

// What comes behind an answer that is its connection's last is no request any more, also when it comes at once.
func TestNothingBehindTheLastAnswer(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	c, r := d.dial(t)
	io.WriteString(c, "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
	answer, err := http.ReadResponse(r, nil)
	if err != nil || !answer.Close {
		t.Fatalf("%+v, %v", answer, err)
	}
	io.Copy(io.Discard, answer.Body)
	io.WriteString(c, "bodyPOST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	c.CloseWrite()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}
