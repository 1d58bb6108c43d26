package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What counts, without a clock.
func TestDrip(t *testing.T) {
	p := minRate{time: time.Minute, bytes: 60_000} // a byte a millisecond
	for _, test := range []struct {
		name   string
		wait   time.Duration
		bytes  int
		each   time.Duration
		passes int // pieces before it is cut; -1: it never is
	}{
		{"one byte every five seconds", time.Minute, 1, 5 * time.Second, 12},
		{"one byte every minute", time.Minute, 1, time.Minute, 1},
		{"just fast enough", time.Minute, 1000, time.Second, -1},
		{"a little too slow", time.Minute, 1000, 1100 * time.Millisecond, 600},
		{"a longer wait", time.Hour, 1, time.Minute, 60},
		{"a shorter wait", time.Second, 1, 900 * time.Millisecond, 66},
		{"nobody waits", time.Minute, 0, 0, -1},
	} {
		d := p.watch(http.Header{}, 1<<40, test.wait)
		n := 0
		for n < 10_000 && d.read(test.bytes, test.each) == nil {
			n++
		}
		if test.passes < 0 && n < 10_000 || test.passes >= 0 && n != test.passes {
			t.Errorf("%s: cut after %d, want %d", test.name, n, test.passes)
		}
	}
	for _, free := range []*rateWatch{p.watch(http.Header{}, -1, time.Second), p.watch(http.Header{}, 0, time.Second), minRate{}.watch(http.Header{}, 5, time.Second),
		p.watch(http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, 1<<40, time.Second)} {
		if err := free.read(1, 24*time.Hour); err != nil {
			t.Error(err)
		}
	}
	if err := p.watch(http.Header{}, 5, time.Second).read(1, time.Hour); !timeout(err) {
		t.Errorf("%v is no timeout", err)
	}
}

// A body of known length that drips is cut, whatever the server speaks; streams may drip.
func TestBodyDrips(t *testing.T) {
	t.Parallel()
	const wait, pieces = 2 * time.Second, 13
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sized":
			w.Header().Set("Content-Length", fmt.Sprint(pieces))
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
		case "/grpc":
			w.Header().Set("Content-Type", "application/grpc")
		}
		for range pieces {
			if _, err := io.WriteString(w, "x"); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(wait / 10)
		}
	}
	for name, c := range kinds(t, h) {
		c.Wait, c.StallTime, c.StallBytes = wait, wait, 1000
		for _, asked := range []string{"GET /sized", "POST /sized", "GET /events", "GET /grpc", "GET /chunked"} {
			t.Run(name+" "+asked, func(t *testing.T) {
				t.Parallel()
				bothAtOnce(t, c, func(t *testing.T, g *gateway) {
					var body []byte
					var sent io.Reader
					method, target, _ := strings.Cut(asked, " ")
					if method == "POST" {
						sent = strings.NewReader("x")
					}
					answer, err := g.Client().Do(g.request(t, method, target, sent))
					if err == nil { // the client may have heard of it already
						body, err = io.ReadAll(answer.Body)
						answer.Body.Close()
					}
					result := receive(t, g.outcomes)
					cut := target == "/sized"
					if (err != nil) != cut || cut != (result.word() == Timeout) || !cut && len(body) != pieces {
						t.Errorf("%d bytes, %v, %+v; want it to be cut: %v", len(body), err, result, cut)
					}
					result.letGo(t)
				})
			})
		}
	}
}

// Framing without a byte of the body is silence.
func TestChunkFramingDrips(t *testing.T) {
	t.Parallel()
	const wait = 500 * time.Millisecond
	for name, drips := range map[string]string{"extension": "1;" + strings.Repeat("x", 100), "trailers": "0\r\n" + strings.Repeat("a: b\r\n", 20)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
				for i := range drips {
					if _, err := io.WriteString(c, drips[i:i+1]); err != nil {
						return
					}
					time.Sleep(wait / 10)
				}
			})
			bothAtOnce(t, Config{Servers: []string{url}, Wait: wait}, func(t *testing.T, g *gateway) {
				start := time.Now()
				answer := g.get(t, "/")
				if body, err := io.ReadAll(answer.Body); err == nil {
					t.Errorf("%q was taken for the whole answer", body)
				}
				result := receive(t, g.outcomes)
				if result.word() != Timeout || time.Since(start) > 5*wait {
					t.Errorf("%+v after %v", result, time.Since(start))
				}
				result.letGo(t)
			})
		})
	}
}
