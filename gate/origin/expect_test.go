package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
)

// expecting is the head of a request whose client waits for a go-ahead before it sends its chunks.
func expecting(method string) string {
	return method + " / HTTP/1.1\r\nHost: shop.example\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
}

// expect sends a body whose client waits for a go-ahead, and counts these.
func (g *gateway) expect(t *testing.T, body io.Reader, length int64) (answer *http.Response, given int32) {
	t.Helper()
	var count atomic.Int32
	trace := &httptrace.ClientTrace{Got100Continue: func() { count.Add(1) }}
	g.Client().Transport.(*http.Transport).ExpectContinueTimeout = patience
	r := g.request(t, "POST", "/", body, "Expect: 100-continue")
	r.ContentLength = length
	answer = g.do(t, r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	return answer, count.Load()
}

const goAhead = "HTTP/1.1 100 Continue\r\n\r\n"

// A client that expects a go-ahead gets it before the origin hears of the request, so that a body that fits goes on
// with its length. The expectation is met then: an origin that rejects all has none to reject.
func TestExpectedSmallBody(t *testing.T) {
	heads := make(chan string, 8)
	url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		for request := head(r); request != ""; request = head(r) {
			answer := plainOK
			if strings.Contains(request, "\r\nExpect:") {
				answer = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"
			} else {
				io.ReadFull(r, make([]byte, 4))
			}
			heads <- request
			io.WriteString(c, answer)
		}
	})
	c, r := open(t, Config{Servers: []string{url}}, false).dial(t)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "REPORT"} {
		io.WriteString(c, expecting(method))
		if got := head(r); got != goAhead {
			t.Fatalf("%s: first came %q, want %q", method, got, goAhead)
		}
		if len(heads) > 0 {
			t.Errorf("%s: the origin heard of it before: %q", method, <-heads)
		}
		io.WriteString(c, "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n")
		answer, err := http.ReadResponse(r, nil)
		if err != nil || answer.StatusCode != 200 || content(t, answer) != "ok" {
			t.Fatalf("%s: %+v, %v", method, answer, err)
		}
		got := receive(t, heads)
		if !strings.Contains(got, "\r\nContent-Length: 4\r\n") || strings.Contains(got, "Transfer-Encoding") {
			t.Errorf("%s: the origin got %q", method, got)
		}
	}
}

// A body that is too large to wait for goes on in chunks, and its client hears no second go-ahead, whoever gives one.
// Over HTTP/2 the same holds, where the server of HTTP/2 gives it.
func TestExpectedLargeBody(t *testing.T) {
	url, heard := framed(t)
	eager := handling(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusContinue)
		n, err := io.Copy(io.Discard, r.Body)
		heard <- fmt.Sprint(r.TransferEncoding, r.Header.Get("Content-Length"), " ", n, " ", r.Trailer)
		if err != nil {
			t.Error(err)
		}
	})
	for _, url := range []string{url, eager} {
		both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
			for _, size := range []int{gatherBytes, gatherBytes + 1, 10 * gatherBytes} {
				body := io.MultiReader(strings.NewReader(strings.Repeat("x", size)))
				answer, given := g.expect(t, body, -1)
				if content(t, answer); answer.StatusCode != 200 {
					t.Errorf("%d bytes: %s", size, answer.Status)
				}
				want := fmt.Sprintf("[chunked] %d map[]", size)
				if size <= gatherBytes {
					want = fmt.Sprintf("[]%d %d map[]", size, size)
				}
				if got := receive(t, heard); got != want || given != 1 {
					t.Errorf("%d bytes: %s, want %s, and %d go-aheads", size, got, want, given)
				}
			}
		})
	}
}

// A client that sends nothing for a while although it was told to go ahead has its origin asked all the same. What that
// answers early reaches it, and no go-ahead follows a final answer.
func TestExpectedBodyThatDoesNotCome(t *testing.T) {
	for _, test := range []struct{ name, early, then string }{
		{"the origin waits", "", plainOK},
		{"the origin gives a go-ahead, too", goAhead, plainOK},
		{"the body is too large", "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\n\r\n", ""},
		{"a login is wanted", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ""},
		{"expectations are not met", "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			heads, bodies := make(chan string, 1), make(chan string, 1)
			g := open(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				heads <- head(r)
				if io.WriteString(c, test.early); test.then == "" {
					io.Copy(io.Discard, r)
					return
				}
				body := make([]byte, len("4\r\nbody\r\n0\r\n\r\n"))
				io.ReadFull(r, body)
				bodies <- string(body)
				io.WriteString(c, test.then)
			})}}, false)
			c, r := g.dial(t)
			io.WriteString(c, expecting("POST"))
			if got := head(r); got != goAhead {
				t.Fatalf("first came %q, want %q", got, goAhead)
			}
			asked := receive(t, heads)
			if !strings.Contains(asked, "\r\nTransfer-Encoding: chunked\r\n") ||
				strings.Contains(asked, "\r\nExpect:") {
				t.Errorf("the origin got %q", asked)
			}
			want := test.early
			if test.then != "" {
				io.WriteString(c, "4\r\nbody\r\n0\r\n\r\n")
				if got := receive(t, bodies); got != "4\r\nbody\r\n0\r\n\r\n" {
					t.Errorf("the origin got %q", got)
				}
				want = test.then
			}
			want, _, _ = strings.Cut(want, "\r\n")
			got, _, _ := strings.Cut(head(r), "\r\n")
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
			c.(*net.TCPConn).CloseWrite()
			if rest, err := io.ReadAll(r); strings.Contains(string(rest), "HTTP/1.1") || err != nil {
				t.Errorf("behind it %q, %v", rest, err)
			}
		})
	}
}

// A client that leaves when it has been told to go ahead leaves nothing behind, and no origin hears of it.
func TestExpectingClientLeaves(t *testing.T) {
	url, heads := answering(t, plainOK)
	o := several(t, url)
	outcomes := make(chan outcome, 1)
	g := openHandler(t, func(w http.ResponseWriter, r *http.Request) error {
		var result outcome
		result.asked, result.status, result.first, result.err = o.Serve(w, r)
		outcomes <- result
		return result.err
	}, false)
	for _, part := range []string{"", "4\r\nbo", "4\r\nbody\r\n"} {
		c, r := g.dial(t)
		io.WriteString(c, expecting("POST"))
		if got := head(r); got != goAhead {
			t.Fatalf("first came %q, want %q", got, goAhead)
		}
		io.WriteString(c, part)
		c.Close()
		if got := receive(t, outcomes); got.word() != ClientGone || got.first >= gatherAskedTime {
			t.Errorf("behind %q: %+v", part, got)
		}
		if n := o.list.servers[0].http1.held.Load(); n != 0 || len(heads) > 0 {
			t.Errorf("behind %q: %d are held, and the origin got %d requests", part, n, len(heads))
		}
	}
}

// An upgrade is not for a request with a body: it neither keeps anybody from waiting for it nor is granted if the body
// is empty.
func TestUpgradeBesideABody(t *testing.T) {
	url, heads := answering(t, plainOK)
	o := several(t, url)
	for body, length := range map[string]string{"": "0", "body": "4"} {
		r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader(body))).WithContext(t.Context())
		r.ContentLength = -1
		r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
		w := httptest.NewRecorder()
		if _, _, _, err := o.Serve(w, r); err != nil || w.Code != 200 {
			t.Errorf("%q: %d, %v", body, w.Code, err)
		}
		got := receive(t, heads)
		if !strings.Contains(got, "\r\nContent-Length: "+length+"\r\n") || strings.Contains(got, "Upgrade") {
			t.Errorf("%q: the origin got %q", body, got)
		}
	}
}

// A client that expects a go-ahead hears exactly one, whatever is known of the length and whichever server is asked.
func TestOneGoAhead(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}
	eager := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusContinue)
		echo(w, r)
	}
	for name, url := range map[string]string{
		"http": handling(t, echo), "http, eager": handling(t, eager),
		"h2c": serveH2C(t, echo), "h2c, eager": serveH2C(t, eager),
	} {
		both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
			for _, length := range []int64{-1, 4} {
				answer, given := g.expect(t, io.MultiReader(strings.NewReader("body")), length)
				if body := content(t, answer); answer.StatusCode != 200 || body != "body" || given != 1 {
					t.Errorf("%s, length %d: %s %q and %d go-aheads", name, length, answer.Status, body, given)
				}
			}
		})
	}
}
