package origin

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// alone is an Origin of one server.
func alone(d *http1Proxy) *Origin {
	return &Origin{list: &list{wait: d.wait, servers: []*server{{http1: d}}}}
}

// straight is an Origin with its direct.
func straight(t *testing.T, address string) (*Origin, *http1Proxy) {
	t.Helper()
	o, err := New(Config{Servers: []string{address}, Wait: patience, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o, o.list.servers[0].http1
}

// ask sends one request without a client.
func ask(t *testing.T, o *Origin, method string) (*httptest.ResponseRecorder, outcome) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/", nil).WithContext(t.Context())
	r.Host = "shop.example"
	asked, status, first, err := o.Serve(w, r)
	return w, outcome{asked, status, first, err}
}

// dying is an origin whose kept connections hear a second request and close without a word. It counts requests.
func dying(t *testing.T, first string) (address string, heard chan string) {
	heard = make(chan string, 16)
	return "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		line, _, _ := strings.Cut(head(r), " ")
		heard <- line
		io.WriteString(c, first)
		if line, _, _ := strings.Cut(head(r), " "); line != "" {
			heard <- line
		}
	}), heard
}

func TestStaleConnection(t *testing.T) {
	for _, test := range []struct {
		method string
		again  bool
	}{{"GET", true}, {"HEAD", true}, {"OPTIONS", true}, {"PUT", true}, {"DELETE", true}, {"POST", false}, {"PATCH", false}, {"PURGE", false}} {
		url, heard := dying(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		o, _ := straight(t, url)
		if _, result := ask(t, o, "GET"); result.err != nil {
			t.Fatal(result.err)
		}
		receive(t, heard)
		_, result := ask(t, o, test.method)
		receive(t, heard)
		if test.again {
			if result.err != nil || receive(t, heard) != test.method {
				t.Errorf("%s: %+v", test.method, result)
			}
		} else if result.word() != Reset {
			t.Errorf("%s: %+v", test.method, result)
		}
		if len(heard) > 0 {
			t.Errorf("%s was sent too often: %s", test.method, <-heard)
		}
	}
}

// An origin that is slow, or that has begun to answer, is not asked twice.
func TestNoSecondTry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, second, word string }{
		{"silence", "", Timeout},
		{"half an answer", "HTTP/1.1 2", Reset},
		{"a hint", "HTTP/1.1 103 Early Hints\r\n\r\n", Reset},
		{"garbage", "SSH-2.0\r\n\r\n", Garbage},
	} {
		t.Run(test.name, func(t *testing.T) {
			requests, end := make(chan struct{}, 8), make(chan struct{})
			defer close(end)
			o, d := straight(t, "http://"+listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				for n := 0; head(r) != ""; n++ {
					requests <- struct{}{}
					if n == 0 {
						io.WriteString(c, plainOK)
					} else if io.WriteString(c, test.second); test.second == "" {
						<-end
					} else {
						return
					}
				}
			}))
			if _, result := ask(t, o, "GET"); result.err != nil {
				t.Fatal(result.err)
			}
			d.idle.oldest.Wait = 50 * time.Millisecond
			if _, result := ask(t, o, "GET"); result.word() != test.word {
				t.Errorf("%+v", result)
			}
			if n := len(requests); n != 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// The bound is on the origin's stalling: what the client takes its time over does not count.
func TestSlowClientIsNotTheOriginsFault(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"
	for piece := range len(answer) {
		synctest.Test(t, func(t *testing.T) {
			d := &http1Proxy{wait: time.Minute}
			o := alone(d)
			defer o.Close()
			d.idle.put(newConn(&tape{said: []byte(answer), piece: piece + 1}, "", d.wait))
			w := &slow{httptest.NewRecorder(), func() { time.Sleep(2 * d.wait) }}
			r := httptest.NewRequest("GET", "/", nil).WithContext(t.Context())
			if _, _, _, err := o.Serve(w, r); err != nil || w.Body.String() != "okx" {
				t.Errorf("%d bytes a time: %q, %v", piece+1, w.Body, err)
			}
		})
	}
}

// slow takes its time over the first part of a body.
type slow struct {
	*httptest.ResponseRecorder
	wait func()
}

func (s *slow) Write(p []byte) (int, error) {
	if s.wait != nil {
		s.wait()
		s.wait = nil
	}
	return s.ResponseRecorder.Write(p)
}

// What is there goes on to the client while the origin thinks about trailers.
func TestLastChunkIsNotHeldBack(t *testing.T) {
	sent := make(chan struct{})
	url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n")
		<-sent
		io.WriteString(c, "\r\n")
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		answer := g.get(t, "/")
		if _, err := io.ReadFull(answer.Body, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		sent <- struct{}{}
		if rest := content(t, answer); rest != "" || answer.Trailer.Get("X-Sum") != "1" {
			t.Errorf("%q %v", rest, answer.Trailer)
		}
	})
}

// HTTP/1.0 has no informational answers.
func TestNoHintsForHTTP10(t *testing.T) {
	url, _ := answering(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+plainOK)
	g := open(t, Config{Servers: []string{url}}, false)
	c, r := g.dial(t)
	io.WriteString(c, "GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n")
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 200 || content(t, answer) != "ok" {
		t.Errorf("%v, %v", answer, err)
	}
}
