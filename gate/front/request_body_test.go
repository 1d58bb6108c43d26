package front

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A client that waits for 100 Continue before its body gets a response that needs no body at once, as from net/http's
// server.
func TestResponseWithoutTheExpectedBody(t *testing.T) {
	d := open(t, &Server{Handler: text(func(http.ResponseWriter, *http.Request) string { return "no" })})
	for _, framing := range []string{"Content-Length: 4", "Content-Length: 400000", "Transfer-Encoding: chunked"} {
		c, r := d.http1(t)
		c.SetDeadline(time.Now().Add(patience / 5))
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: one.example\r\nExpect: 100-continue\r\n%s\r\n\r\n", framing)
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("%s: got %v, want a response", framing, err)
			continue
		}
		// What the client says next might be the body or another request.
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "no" || !answer.Close {
			t.Errorf("%s: got %q, %v, close %v; want no, nil, true", framing, body, err, answer.Close)
		}
	}
}

// Bodies and trailers still come whole, and the connection goes on.
func TestBodiesComeWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openVirtual(t, &Server{Limits: Limits{StallTime: stall},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/late" {
					time.Sleep(2 * stall)
				}
				body, err := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %v %v", body, r.Trailer, err)
			})})
		c, r := d.http1(t)
		for i, path := range []string{"/", "/late", "/"} {
			io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: one.example\r\n"+
				"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n")
			answer, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("request %d: got %v, want a response", i, err)
			}
			if body, err := io.ReadAll(answer.Body); err != nil ||
				!strings.Contains(string(body), "body map[X-Sum:[1]] <nil>") {
				t.Errorf("request %d: got %q, %v; want the body and its trailer", i, body, err)
			}
		}
	})
}

// A body that a handler does not want has to come at a pace, too, before the connection can go on.
func TestUnwantedBodyThatStalls(t *testing.T) {
	for _, duplex := range []bool{false, true} {
		for _, framing := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
			t.Run(fmt.Sprint(framing, duplex), func(t *testing.T) {
				t.Parallel()
				d := open(t, &Server{Limits: Limits{StallTime: stall},
					Handler: text(func(w http.ResponseWriter, _ *http.Request) string {
						if duplex {
							http.NewResponseController(w).EnableFullDuplex()
						}
						return "no"
					})})
				c, r := d.http1(t)
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: one.example\r\n%s\r\n\r\n", framing)
				c.SetReadDeadline(time.Now().Add(stall + 2*time.Second))
				if _, err := io.Copy(io.Discard, r); err != nil {
					t.Errorf("the connection is still held: %v", err)
				}
			})
		}
	}
}
