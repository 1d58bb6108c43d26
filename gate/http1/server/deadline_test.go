package server

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A deadline that comes when the answer has ended is not the next request's.
func TestDeadlineAfterTheAnswer(t *testing.T) {
	t.Parallel()
	var last http.ResponseWriter
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		last = w
		io.WriteString(w, strings.TrimPrefix(r.URL.Path, "/"))
	})
	c, r := d.dial(t)
	for _, name := range []string{"one", "two"} {
		io.WriteString(c, "GET /"+name+" HTTP/1.1\r\nHost: a\r\n\r\n")
		got, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		io.Copy(io.Discard, got.Body)
		a := last.(*response)
		for over := false; !over; {
			a.mu.Lock()
			over = a.ended
			a.mu.Unlock()
		}
		http.NewResponseController(last).SetReadDeadline(time.Unix(1, 0))
	}
}
