package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

// Informational answers before the final one pass on, however many there are, over every protocol.
func TestInformationalAnswersWithoutNumber(t *testing.T) {
	const many = 2000
	early := "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + "HTTP/1.1 102 Processing\r\n\r\n" +
		"HTTP/1.1 100 Continue\r\n\r\n" + "HTTP/1.1 199 Whatever\r\nX-Step: 1\r\n\r\n"
	plain, _ := answering(t, strings.Repeat(early, many)+plainOK)
	hints := func(w http.ResponseWriter, _ *http.Request) {
		for range many {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(103)
			w.Header().Del("Link")
			w.WriteHeader(102)
			w.Header().Set("X-Step", "1")
			w.WriteHeader(199)
			w.Header().Del("X-Step")
		}
		io.WriteString(w, "ok")
	}
	for _, server := range []string{plain, serveH2C(t, hints)} {
		both(t, Config{Servers: []string{server}}, func(t *testing.T, g *gateway) {
			for _, method := range []string{"GET", "POST"} {
				got := map[string]int{}
				trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
					got[fmt.Sprint(code, header)]++
					return nil
				}}
				r := g.request(t, method, "/", nil)
				answer := g.do(t, r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
				if body := content(t, answer); answer.StatusCode != 200 || body != "ok" ||
					answer.Header["Link"] != nil {
					t.Errorf("%v %q %v", answer.Status, body, answer.Header)
				}
				wanted := []string{"103 map[Link:[</a.css>; rel=preload]]", "102 map[]", "199 map[X-Step:[1]]"}
				for _, want := range wanted {
					if got[want] != many {
						t.Errorf("%s %s: %d times %s, %d kinds", server, method, got[want], want, len(got))
					}
				}
			}
		})
		c, r := open(t, Config{Servers: []string{server}}, false).dial(t)
		io.WriteString(c, "GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n")
		if line, _ := r.ReadString('\n'); !strings.Contains(line, " 200 ") {
			t.Errorf("over HTTP/1.0: %q", line)
		}
	}
}

// A server that announces an answer for ever gets the time of an answer, and may say so much and no more.
func TestInformationalAnswersWithoutEnd(t *testing.T) {
	t.Parallel()
	slow := listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		for head(r); ; time.Sleep(time.Millisecond) {
			if _, err := io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
				return
			}
		}
	})
	overHTTP2 := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		for ; r.Context().Err() == nil; time.Sleep(time.Millisecond) {
			w.WriteHeader(102)
		}
	})
	large := "HTTP/1.1 103 Early Hints\r\nX-A: " + strings.Repeat("a", 200<<10) + "\r\n\r\n"
	fast := listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		for head(r); ; {
			if _, err := io.WriteString(c, large); err != nil {
				return
			}
		}
	})
	for _, c := range []struct {
		server, word string
		wait         time.Duration
		status       int
	}{
		{"http://" + slow, Timeout, 300 * time.Millisecond, 504}, {overHTTP2, Timeout, 300 * time.Millisecond, 504},
		{"http://" + fast, Garbage, patience, 502},
	} {
		g := open(t, Config{Servers: []string{c.server}, Wait: c.wait}, false)
		client, r := g.dial(t)
		io.WriteString(client, "GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n")
		answer, err := http.ReadResponse(r, nil)
		if result := receive(t, g.outcomes); err != nil || answer.StatusCode != c.status || result.word() != c.word {
			t.Errorf("%s: %v %v, %+v", c.server, answer, err, result)
		}
	}
}
