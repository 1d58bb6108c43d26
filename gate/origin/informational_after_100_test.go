package origin

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A server may send hints right behind its go-ahead. Both are written to the client's connection; run with -race.
func TestHintsBehindTheGoAhead(t *testing.T) {
	url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		for head(r) != "" {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			for range 8 {
				io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
			}
			io.ReadFull(r, make([]byte, 4))
			io.WriteString(c, plainOK)
		}
	})
	g := open(t, Config{Servers: []string{url}}, false)
	c, r := g.dial(t)
	for range 50 {
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: shop.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		var got []string
		for len(got) < 9 {
			line, _, _ := strings.Cut(head(r), "\r\n")
			if got = append(got, line); line == "" {
				t.Fatalf("%q", got)
			}
		}
		for _, line := range got {
			if line != "HTTP/1.1 100 Continue" && line != "HTTP/1.1 103 Early Hints" {
				t.Fatalf("%q", got)
			}
		}
		io.WriteString(c, "body")
		if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 200 {
			t.Fatalf("%v, %v", answer, err)
		} else {
			io.Copy(io.Discard, answer.Body)
		}
	}
}
