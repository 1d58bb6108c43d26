package origin

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
)

func TestAnswerPassesUnchanged(t *testing.T) {
	for _, test := range []struct {
		name, method, answer string
		status               int
		header               http.Header // besides Date
		body                 string
	}{
		{"a plain one", "GET", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok", 200,
			http.Header{"Content-Type": {"text/html"}, "Content-Length": {"2"}}, "ok"},
		{"no type is guessed", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", 200, http.Header{"Content-Length": {"6"}}, "<html>"},
		{"nor after early hints", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", 200,
			http.Header{"Content-Length": {"6"}}, "<html>"},
		{"repeated fields", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-A: 1\r\nX-A: 1\r\n\r\n", 200,
			http.Header{"Content-Length": {"0"}, "Set-Cookie": {"a=1", "b=2"}, "X-A": {"1", "1"}}, ""},
		{"hop-by-hop fields", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n" +
			"Upgrade: h2,h2c\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\nX-Stays: 1\r\n\r\n", 200,
			http.Header{"Content-Length": {"0"}, "X-Stays": {"1"}}, ""},
		{"a status of the origin's own", "GET", "HTTP/1.1 599 Strange\r\nContent-Length: 0\r\n\r\n", 599, http.Header{"Content-Length": {"0"}}, ""},
		{"a redirect", "GET", "HTTP/1.1 301 Moved\r\nLocation: //other.example/%2F\r\nContent-Length: 0\r\n\r\n", 301,
			http.Header{"Location": {"//other.example/%2F"}, "Content-Length": {"0"}}, ""},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, http.Header{}, "ok"},
		{"HTTP/1.0, until the end", "GET", "HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nok", 200, http.Header{"X-A": {"1"}}, "ok"},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4711\r\nContent-Type: image/png\r\n\r\n", 200,
			http.Header{"Content-Length": {"4711"}, "Content-Type": {"image/png"}}, ""},
		{"204", "GET", "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", 204, http.Header{"X-A": {"1"}}, ""},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nCache-Control: max-age=5\r\n\r\n", 304,
			http.Header{"Etag": {`"x"`}, "Cache-Control": {"max-age=5"}}, ""},
		{"204 and 304 have no length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, http.Header{}, ""},
		{"nor this one", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, http.Header{}, ""},
		{"a blank before the colon", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A \t: 1\r\n\r\n", 200,
			http.Header{"Content-Length": {"0"}, "X-A": {"1"}}, ""},
		{"206", "GET", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/9\r\nContent-Length: 2\r\n\r\nbc", 206,
			http.Header{"Content-Range": {"bytes 1-2/9"}, "Content-Length": {"2"}}, "bc"},
	} {
		url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
			head(r)
			io.WriteString(c, test.answer)
		})
		both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
			answer := g.do(t, g.request(t, test.method, "/", nil))
			answer.Header.Del("Date")
			if body := content(t, answer); answer.StatusCode != test.status || body != test.body ||
				!reflect.DeepEqual(answer.Header, test.header) {
				t.Errorf(
					"%s:\n got %d %q %v\nwant %d %q %v",
					test.name,
					answer.StatusCode,
					body,
					answer.Header,
					test.status,
					test.body,
					test.header,
				)
			}
			if result := receive(t, g.outcomes); result.status != test.status || result.err != nil ||
				result.first <= 0 {
				t.Errorf("%s: outcome %+v", test.name, result)
			}
		})
	}
}

func TestConditionsAndRangesReachTheOrigin(t *testing.T) {
	url, heads := answering(t, "HTTP/1.1 304 Not Modified\r\n\r\n")
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		sent := []string{
			"Range: bytes=0-4",
			"If-Range: \"x\"",
			"If-None-Match: \"x\"",
			"If-Modified-Since: Sat, 01 Aug 2026 00:00:00 GMT",
		}
		g.get(t, "/", sent...)
		got := receive(t, heads)
		for _, line := range sent {
			if !strings.Contains(got, "\r\n"+line+"\r\n") {
				t.Errorf("%q is not in %q", line, got)
			}
		}
	})
}

func TestCodingsPassUntouched(t *testing.T) {
	var packed strings.Builder
	z := gzip.NewWriter(&packed)
	io.WriteString(z, strings.Repeat("gate421 ", 1000))
	z.Close()
	url, heads := answering(
		t,
		fmt.Sprintf(
			"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s",
			packed.Len(),
			packed.String(),
		),
	)
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for _, sent := range []string{"gzip, deflate, br", "identity", ""} {
			var extra []string
			if sent != "" {
				extra = []string{"Accept-Encoding: " + sent}
			}
			answer := g.get(t, "/", extra...)
			if body := content(t, answer); body != packed.String() || answer.Header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%q: %d bytes, want %d, header %v", sent, len(body), packed.Len(), answer.Header)
			}
			if _, header := fields(t, receive(t, heads)); header.Get("Accept-Encoding") != sent {
				t.Errorf("%q: the origin got %v", sent, header)
			}
		}
	})
}

func TestAnswerIsStreamed(t *testing.T) {
	for name, start := range map[string]string{
		"chunked":            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"until the end":      "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
		"server-sent events": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nContent-Length: 10\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan struct{})
			part := func(s string) string {
				if name == "chunked" {
					return fmt.Sprintf("%x\r\n%s\r\n", len(s), s)
				}
				return s
			}
			url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(c, start)
				<-seen // the header alone
				io.WriteString(c, part("first"))
				<-seen // the first part alone
				io.WriteString(c, part("again"))
				if name == "chunked" {
					io.WriteString(c, "0\r\n\r\n")
				}
			})
			both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
				answer := g.get(t, "/")
				seen <- struct{}{}
				got := make([]byte, 5)
				if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != "first" {
					t.Fatalf("%q, %v", got, err)
				}
				seen <- struct{}{}
				if rest := content(t, answer); rest != "again" {
					t.Errorf("%q", rest)
				}
			})
		})
	}
}

func TestTrailersOfAnswer(t *testing.T) {
	for name, declared := range map[string]string{"declared": "Trailer: X-Sum\r\n", "not declared": ""} {
		t.Run(name, func(t *testing.T) {
			url, _ := answering(
				t,
				"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"+declared+"\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
			)
			both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
				answer := g.get(t, "/")
				if body := content(t, answer); body != "ok" || answer.Trailer.Get("X-Sum") != "42" {
					t.Errorf("%q %v", body, answer.Trailer)
				}
			})
		})
	}
}

func TestInformationalAnswers(t *testing.T) {
	url, _ := answering(
		t,
		"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n"+
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\nok",
	)
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		var hints []string
		request := g.request(t, "GET", "/", nil)
		request = request.WithContext(httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprint(code, " ", header.Get("Link")))
				return nil
			},
		}))
		answer := g.do(t, request)
		if body := content(t, answer); answer.StatusCode != 200 || body != "ok" || answer.Header.Get("Link") != "" ||
			answer.Header.Get("X-A") != "1" {
			t.Errorf("%d %q %v", answer.StatusCode, body, answer.Header)
		}
		if want := []string{"103 </a.css>; rel=preload", "103 </b.css>; rel=preload"}; !reflect.DeepEqual(hints, want) {
			t.Errorf("hints %q, want %q", hints, want)
		}
		if result := receive(t, g.outcomes); result.status != 200 || result.err != nil {
			t.Errorf("outcome %+v", result)
		}
	})
}

func TestConnectionsAreReused(t *testing.T) {
	connections := make(chan struct{}, 8)
	url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		connections <- struct{}{}
		for head(r) != "" {
			io.WriteString(c, plainOK)
		}
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for _, host := range []string{"shop.example", "shop.example", "www.example:443", "SHOP.example."} {
			request := g.request(t, "GET", "/", nil)
			request.Host = host
			content(t, g.do(t, request))
			receive(t, g.outcomes)
		}
		receive(t, connections)
		if more := len(connections); more != 0 {
			t.Errorf("%d more connections", more)
		}
	})
}

// An origin may close a connection that it kept, at any time; no visitor may notice.
func TestKeptConnectionThatTheOriginClosed(t *testing.T) {
	url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, plainOK)
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for range 20 {
			if answer := g.get(t, "/"); answer.StatusCode != 200 || content(t, answer) != "ok" {
				t.Fatal(answer.Status)
			}
			if result := receive(t, g.outcomes); result.err != nil {
				t.Fatal(result.err)
			}
		}
	})
}
