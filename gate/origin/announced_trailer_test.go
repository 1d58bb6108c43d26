package origin

import (
	"fmt"
	"testing"
)

// A field that stands in the head and is announced as a trailer, too, comes where the server sent it.
func TestAnnouncedTrailerThatStandsInTheHead(t *testing.T) {
	for _, test := range []struct{ trailers, want string }{
		{"", "map[X-Sum:[]]"}, {"X-Sum: late\r\n", "map[X-Sum:[late]]"},
	} {
		url, _ := answering(
			t,
			"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nX-Sum: early\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"+test.trailers+"\r\n",
		)
		both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
			answer := g.get(t, "/")
			content(t, answer)
			if got := fmt.Sprint(answer.Trailer); got != test.want || answer.Header.Get("X-Sum") != "early" {
				t.Errorf("the head %q, behind the body %s, want %s", answer.Header["X-Sum"], got, test.want)
			}
		})
	}
}
