package origin

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// An answer that its server forgets until some frame comes, as HAProxy before 2.9 does while others on the connection
// are not read, comes all the same: its head and its body.
func TestForgottenAnswersCome(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"", "part"} {
		var mu sync.Mutex
		var forgotten []stream
		o := serveFrames(t, nil, nil, func(s stream) {
			switch {
			case s.path == "/first":
				s.headers(false, ":status", "200")
				s.data(false, "part")
				return
			case part != "":
				s.headers(false, ":status", "200")
				s.data(false, part)
			}
			mu.Lock()
			defer mu.Unlock()
			forgotten = append(forgotten, s)
		}, nil)
		_, two := pair(t, Config{Servers: []string{o.url()}})
		c := newcomer(t, two)
		two.ask(t, c, "GET", "/first", nil) // and is not read to its end
		bodies := make(chan string, 2)
		for range cap(bodies) {
			go func() {
				body := ""
				if answer, err := c.Do(two.request(t, http.MethodGet, "/", nil)); err == nil {
					all, _ := io.ReadAll(answer.Body)
					body = string(all)
					answer.Body.Close()
				}
				bodies <- body
			}()
		}
		receive(t, o.pings)
		mu.Lock()
		if len(forgotten) != cap(bodies) {
			t.Errorf("%d requests when the ping came, want %d", len(forgotten), cap(bodies))
		}
		if n := len(o.pings); n > 0 { // another may come once more of a response has
			t.Errorf("%d pings more than one for two requests", n)
		}
		for _, s := range forgotten {
			if part == "" {
				s.headers(false, ":status", "200")
			}
			s.data(true, "rest")
		}
		mu.Unlock()
		for range cap(bodies) {
			if got, want := receive(t, bodies), part+"rest"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}

// A server is pinged where it has several requests on the connection, and once until more of an answer has come.
func TestPingsAreFew(t *testing.T) {
	t.Parallel()
	o := serveFrames(t, nil, nil, nil, nil)
	p, err := newH2Pool(o.address, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	take := func() *h2conn {
		c, err := p.take(t.Context(), owner{client: "192.0.2.1:1234"}, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := take()
	for i, step := range []struct {
		what string
		do   func()
		want int // pings in all
	}{
		{"one request", func() {}, 0},
		{"two requests", func() { take() }, 1},
		{"nothing has come", func() {}, 1},
		{"something has come", c.heard, 2},
		{"nothing more has come", func() {}, 2},
		{"one request again", func() { c.heard(); p.release(c, true) }, 2},
	} {
		step.do()
		c.ping(patience) // returns when it has been answered
		if got := len(o.pings); got != step.want {
			t.Errorf("%d, %s: %d pings so far, want %d", i, step.what, got, step.want)
		}
	}
	p.release(c, false)
}
