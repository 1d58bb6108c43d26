package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A server that asks for the next step of a login before it has read a body gets the rest of it, so that the login
// can go on on its connection. Where there is no login, neither connection goes on.
func TestLoginBeforeABodyHasEnded(t *testing.T) {
	const size = 8 << 20
	for _, halfDone := range []bool{true, false} {
		requests := make(chan string, 8)
		address := listen(t, nil, func(c net.Conn, r *bufio.Reader) {
			for n := 1; ; n++ {
				request, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				challenge := "NTLM"
				if halfDone {
					challenge += " c3RlcA=="
				}
				if n == 1 {
					fmt.Fprintf(c, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: %s\r\n", challenge)
					io.WriteString(c, "Content-Length: 2\r\n\r\nno")
				}
				got, err := io.Copy(io.Discard, request.Body)
				requests <- fmt.Sprint(n, " ", got, " ", err)
				if n > 1 {
					io.WriteString(c, plainOK)
				}
			}
		})
		c, r := connected(t, reach(t, "http://"+address), false).dial(t)
		send := func(token string, early bool) *http.Response {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: shop.example\r\nAuthorization: NTLM %s\r\n", token)
			fmt.Fprintf(c, "Content-Length: %d\r\n\r\n", size)
			var answer *http.Response
			var err error
			if early { // the whole answer comes before the body goes
				answer, err = http.ReadResponse(r, nil)
				if err != nil || content(t, answer) != "no" || answer.Close == halfDone {
					t.Fatal(answer, err)
				}
			}
			if _, err := io.Copy(c, strings.NewReader(strings.Repeat("x", size))); err != nil || early {
				return answer
			}
			if answer, err = http.ReadResponse(r, nil); err != nil {
				t.Fatal(err)
			}
			return answer
		}
		send("b25l", true)
		if !halfDone {
			if got := receive(t, requests); !strings.Contains(got, "EOF") {
				t.Errorf("the server has got %s", got)
			}
			continue
		}
		if got := receive(t, requests); got != fmt.Sprint("1 ", size, " <nil>") {
			t.Errorf("the server has got %s", got)
		}
		if answer := send("dHdv", false); answer.StatusCode != 200 || content(t, answer) != "ok" {
			t.Errorf("the next step: %s", answer.Status)
		}
		if got := receive(t, requests); got != fmt.Sprint("2 ", size, " <nil>") {
			t.Errorf("the server has got %s", got)
		}
	}
}
