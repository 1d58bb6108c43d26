package front

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// A body that a handler does not want has to come at a pace, too, before the connection can go on.
func TestHostileUnwantedBodyThatStalls(t *testing.T) {
	for _, duplex := range []bool{false, true} {
		for _, framing := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
			t.Run(fmt.Sprint(framing, duplex), func(t *testing.T) {
				t.Parallel()
				d := open(t, &Server{Limits: Limits{StallTime: stall}, Handler: text(func(w http.ResponseWriter, _ *http.Request) string {
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
