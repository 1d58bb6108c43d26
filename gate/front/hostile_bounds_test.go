package front

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A client that waits for leave to send its body gets an answer that needs no body at once, as from net/http's bare server.
func TestHostileAnswerWithoutTheBodyThatWasOffered(t *testing.T) {
	d := open(t, &Server{Handler: text(func(http.ResponseWriter, *http.Request) string { return "no" })})
	for _, framing := range []string{"Content-Length: 4", "Content-Length: 400000", "Transfer-Encoding: chunked"} {
		c, r := d.http1(t)
		c.SetDeadline(time.Now().Add(patience / 5))
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: one.example\r\nExpect: 100-continue\r\n%s\r\n\r\n", framing)
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("%s: %v", framing, err)
			continue
		}
		// What the client says next might be the body or another request.
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "no" || !answer.Close {
			t.Errorf("%s: %q, %v, the connection stays: %v", framing, body, err, !answer.Close)
		}
	}
}

// Bodies and trailers still come whole, and the connection goes on.
func TestHostileBodiesComeWhole(t *testing.T) {
	d := open(t, &Server{Limits: Limits{StallTime: stall}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			time.Sleep(2 * stall)
		}
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %v", body, r.Trailer, err)
	})})
	c, r := d.http1(t)
	for i, path := range []string{"/", "/late", "/"} {
		io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: one.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n")
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(body), "body map[X-Sum:[1]] <nil>") {
			t.Errorf("%d: %q, %v", i, body, err)
		}
	}
}
