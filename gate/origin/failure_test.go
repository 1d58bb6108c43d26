package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFailureBeforeTheAnswer(t *testing.T) {
	silent := make(chan struct{})
	defer close(silent)
	saying := func(answer string) string {
		return "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(c, answer)
		})
	}
	for _, test := range []struct {
		name, url string
		status    int
		word      string
		answered  int // what the outcome has as the origin's status
	}{
		{"nobody listens", "http://127.0.0.1:1", 502, Refused, 0},
		{"no such name", "http://no..name", 502, Unreachable, 0},
		{"silence", "http://" + listen(t, nil, func(_ net.Conn, r *bufio.Reader) { head(r); <-silent }), 504, Timeout, 0},
		{"half a header, then silence", "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-")
			<-silent
		}), 504, Timeout, 0},
		{"a closed door", "http://" + listen(t, nil, func(net.Conn, *bufio.Reader) {}), 502, Reset, 0},
		{"no answer", saying(""), 502, Reset, 0},
		{"half a header", saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"), 502, Reset, 0},
		{"another protocol", saying("SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), 502, Garbage, 0},
		{"a strange status", saying("HTTP/1.1 20 OK\r\n\r\n"), 502, Garbage, 0},
		{"a strange version", saying("HTTP/x 200 OK\r\n\r\n"), 502, Garbage, 0},
		{"a broken header", saying("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), 502, Garbage, 0},
		{"two lengths", saying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 502, Garbage, 0},
		{"TLS where none is wanted", saying("\x15\x03\x01\x00\x02\x02\x46"), 502, Garbage, 0},
		{"101 that nobody asked for", saying("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"), 502, Garbage, 101},
		{"101 to something else", saying("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), 502, Garbage, 101},
		{"421", saying("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nno"), 502, Misdirected, 421},
	} {
		t.Run(test.name, func(t *testing.T) {
			both(t, Config{Servers: []string{test.url}, Wait: 100 * time.Millisecond}, func(t *testing.T, g *gateway) {
				answer := g.get(t, "/")
				body := content(t, answer)
				if answer.StatusCode != test.status || !strings.HasPrefix(body, fmt.Sprint(test.status, ": ")) ||
					strings.Count(body, "\n") != 1 {
					t.Errorf("answer %d %q, want %d", answer.StatusCode, body, test.status)
				}
				if h := answer.Header; h.Get("Cache-Control") != "no-store" ||
					h.Get("Content-Type") != "text/plain; charset=utf-8" ||
					h.Get("Set-Cookie") != "" {
					t.Errorf("header %v", h)
				}
				result := receive(t, g.outcomes)
				if result.word() != test.word || result.status != test.answered || result.cut() || result.first <= 0 {
					t.Errorf("outcome %+v, want %q, %d", result, test.word, test.answered)
				}
			})
		})
	}
}

func TestMisdirectedIsTriedOnceMore(t *testing.T) {
	const no = "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 2\r\n\r\nno"
	for _, test := range []struct {
		name, body string
		answers    []string // one a request; "" closes the connection
		status     int
		word       string
		used       int
	}{
		{"a new connection helps", "", []string{no, plainOK}, 200, "", 2},
		{"it does not help", "", []string{no, no, plainOK}, 502, Misdirected, 2},
		{"it fails", "", []string{no, "", plainOK}, 502, Misdirected, 2},
		{"the body is used up", "abc", []string{no, plainOK}, 502, Misdirected, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			used := make(chan int, 8)
			both(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				for head(r) != "" {
					if test.body != "" {
						r.Discard(len(test.body))
					}
					n := <-used
					used <- n + 1
					io.WriteString(c, test.answers[n])
					if test.answers[n] == "" {
						return
					}
				}
			})}}, func(t *testing.T, g *gateway) {
				used <- 0
				answer := g.do(t, g.request(t, "POST", "/", strings.NewReader(test.body)))
				result := receive(t, g.outcomes)
				if n := receive(t, used); answer.StatusCode != test.status || result.word() != test.word ||
					n != test.used {
					t.Errorf("status %d, word %q, %d requests", answer.StatusCode, result.word(), n)
				}
			})
		})
	}
}

func TestMisdirectedIsTriedOnANewConnection(t *testing.T) {
	nth := make(chan int, 8) // of its connection, for every request
	both(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		for n := 1; head(r) != ""; n++ {
			nth <- n
			io.WriteString(c, "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n")
		}
	})}}, func(t *testing.T, g *gateway) {
		for range 4 {
			g.get(t, "/")
			if receive(t, nth); receive(t, nth) != 1 {
				t.Error("tried again where other requests had been")
			}
		}
	})
}

func TestOriginDiesInTheBody(t *testing.T) {
	for name, answer := range map[string]string{
		"length":          "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
		"chunked":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"malformed chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(c, answer)
			})
			both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
				r := g.request(t, "GET", "/", nil)
				if answer, err := g.Client().Do(r); err == nil { // the client may have heard of it already
					if body, err := io.ReadAll(answer.Body); err == nil {
						t.Errorf("%q was taken for the whole answer", body)
					}
					answer.Body.Close()
				}
				if result := receive(t, g.outcomes); result.status != 200 || result.word() != Reset || !result.cut() {
					t.Errorf("outcome %+v", result)
				}
			})
		})
	}
}

func TestClientLeavesInTheAnswer(t *testing.T) {
	left := make(chan struct{}, 1)
	url := handling(t, func(w http.ResponseWriter, r *http.Request) {
		defer func() { left <- struct{}{} }()
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<10)); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		answer := g.do(t, g.request(t, "GET", "/", nil).WithContext(ctx))
		if _, err := io.ReadFull(answer.Body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		leave()
		if result := receive(t, g.outcomes); result.status != 200 || result.word() != ClientGone || !result.cut() {
			t.Errorf("outcome %+v", result)
		}
		receive(t, left) // the origin does not work for nobody
	})
}

func TestClientLeavesBeforeTheAnswer(t *testing.T) {
	asked := make(chan struct{}, 1)
	url := handling(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		go func() {
			<-asked
			leave()
		}()
		if answer, err := g.Client().Do(g.request(t, "GET", "/", nil).WithContext(ctx)); err == nil {
			t.Error(answer.Status)
		}
		if result := receive(t, g.outcomes); result.status != 0 || result.word() != ClientGone || result.cut() {
			t.Errorf("outcome %+v", result)
		}
	})
}

// The origin is not to blame for a client that stops in the middle of its body, nor for one whose body is no HTTP.
func TestClientLeavesInItsBody(t *testing.T) {
	url := handling(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	for _, test := range []struct {
		name, sent string
		leave      bool
	}{
		{"length", "Content-Length: 100\r\n\r\npart", true},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", true},
		{"malformed chunk", "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := open(t, Config{Servers: []string{url}}, false)
			c, r := g.dial(t)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: shop.example\r\n"+test.sent)
			if test.leave {
				c.Close()
			} else if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 400 {
				t.Errorf("answer %v, error %v", answer, err)
			}
			if result := receive(t, g.outcomes); result.word() != ClientGone {
				t.Errorf("outcome %+v", result)
			}
		})
	}
}

func TestFailureSaysItsCause(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct {
		failure *Failure
		want    string
	}{
		{&Failure{Reset, cause}, "reset: cause"},
		{&Failure{Misdirected, nil}, "origin_misdirected"},
	} {
		if test.failure.Error() != test.want || test.failure.Unwrap() != test.failure.cause {
			t.Errorf("%q, want %q", test.failure.Error(), test.want)
		}
	}
	if err := error(&Failure{Reset, aborted(cause)}); !errors.Is(err, http.ErrAbortHandler) || !errors.Is(err, cause) {
		t.Errorf("%v hides something", err)
	}
	// A connection that is not made in time is not an answer that does not come in time.
	timeout := &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	if got := failureOf(timeout, false).Word(); got != Unreachable {
		t.Errorf("%v is %q", timeout, got)
	}
}
