package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"reflect"
	"strings"
	"testing"
)

// fields parses the head of a request into its line and its fields.
func fields(t *testing.T, message string) (line string, header http.Header) {
	t.Helper()
	line, rest, _ := strings.Cut(message, "\r\n")
	parsed, err := textproto.NewReader(bufio.NewReader(strings.NewReader(rest))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("%v in %q", err, message)
	}
	return line, http.Header(parsed)
}

func TestTargetByteForByte(t *testing.T) {
	url, heads := answering(t, plainOK)
	g := open(t, Config{Servers: []string{url}}, false)
	for _, test := range []struct{ sent, want string }{
		{"/", "/"},
		{"/a%2Fb", "/a%2Fb"},
		{"/a%2fb/%7e", "/a%2fb/%7e"},
		{"//x", "//x"},
		{"//x/../y?z=//", "//x/../y?z=//"},
		{"/./a/../b//", "/./a/../b//"},
		{`/a"b<>^|` + "`{}", `/a"b<>^|` + "`{}"},
		{"/?", "/?"},
		{"/??", "/??"},
		{"/a;b?c;d", "/a;b?c;d"},
		{"/a?b=%zz&c", "/a?b=%zz&c"},
		{"/a?q=\xc3\xa4&r=ä", "/a?q=\xc3\xa4&r=ä"},
		{"/\xc3\xa4/%C3%A4", "/\xc3\xa4/%C3%A4"},
		{"/http://evil.example/", "/http://evil.example/"},
		{"/a:b@c", "/a:b@c"},
		{"http://shop.example/a%2Fb?", "/a%2Fb?"},
		{"http://shop.example", "/"},
		{"https://shop.example/x?y", "/x?y"},
	} {
		c, r := g.dial(t)
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: shop.example\r\n\r\n", test.sent)
		if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 200 {
			t.Errorf("%q: answer %v, error %v", test.sent, answer, err)
			continue
		}
		if line, _ := fields(t, receive(t, heads)); line != "GET "+test.want+" HTTP/1.1" {
			t.Errorf("%q: the origin got %q", test.sent, line)
		}
	}
}

func TestTargetOverHTTP2(t *testing.T) {
	url, heads := answering(t, plainOK)
	g := open(t, Config{Servers: []string{url}}, true)
	for _, target := range []string{"/", "/a%2Fb", "/?", "/a;b?c;d", "/a?b=%zz", "/a//b/../c"} {
		answer := g.get(t, target)
		if answer.ProtoMajor != 2 || content(t, answer) != "ok" {
			t.Fatalf("%q: %v", target, answer)
		}
		if line, _ := fields(t, receive(t, heads)); line != "GET "+target+" HTTP/1.1" {
			t.Errorf("%q: the origin got %q", target, line)
		}
	}
}

func TestHeaderOfRequest(t *testing.T) {
	url, heads := answering(t, plainOK)
	for _, test := range []struct {
		name string
		sent []string
		want http.Header // besides Host and X-Forwarded-*
	}{
		{"nothing is added", nil, http.Header{}},
		{"ordinary fields, also repeated ones", []string{"Accept-Encoding: gzip, br", "User-Agent: a", "X-A: 1", "X-A: 2", "Cookie: a=b; c=d", "Empty:"},
			http.Header{"Accept-Encoding": {"gzip, br"}, "User-Agent": {"a"}, "X-A": {"1", "2"}, "Cookie": {"a=b; c=d"}, "Empty": {""}}},
		{"hop-by-hop fields", []string{"Connection: X-Hop, keep-alive", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
			"Proxy-Authorization: Basic eA==", "Te: gzip", "X-Stays: 1"}, http.Header{"X-Stays": {"1"}}},
		{"te: trailers", []string{"Te: trailers, deflate;q=0.5"}, http.Header{"Te": {"trailers"}}},
		{"h2c", []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"}, http.Header{}},
		{"h2c, unnamed and in a list", []string{"Connection: upgrade", "Upgrade: websocket, H2C", "HTTP2-Settings: AA"}, http.Header{}},
		{"strangers' word on who asks", []string{
			"X-Forwarded-For: 66.249.66.1", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /admin",
			"Forwarded: for=66.249.66.1", "X-Real-IP: 66.249.66.1", "CF-Connecting-IP: 66.249.66.1", "True-Client-IP: 66.249.66.1", "X_Forwarded_For: 66.249.66.1",
			"X-FORWARDED-SSL: on", "x_real_ip: 66.249.66.1"}, http.Header{}},
		{"the same, named as hop-by-hop", []string{
			"Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded, X-Real-Ip, Host", "X-Forwarded-For: 66.249.66.1", "X-Real-IP: 66.249.66.1"},
			http.Header{}},
	} {
		g := open(t, Config{Servers: []string{url}}, false)
		c, r := g.dial(t)
		fmt.Fprintf(
			c,
			"GET / HTTP/1.1\r\nHost: Shop.Example:8443\r\n%s\r\n\r\n",
			strings.Join(append(test.sent, "X-Last: 1"), "\r\n"),
		)
		if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 200 {
			t.Fatalf("%s: answer %v, error %v", test.name, answer, err)
		}
		_, got := fields(t, receive(t, heads))
		for name, value := range map[string]string{
			"Host": "Shop.Example:8443", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "Shop.Example:8443", "X-Forwarded-Proto": "https", "X-Real-Ip": "127.0.0.1", "X-Last": "1",
		} {
			if !reflect.DeepEqual(got[name], []string{value}) {
				t.Errorf("%s: %s is %q, want %q", test.name, name, got[name], value)
			}
			delete(got, name)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %v\nwant %v", test.name, got, test.want)
		}
	}
}

func TestHeaderOverHTTP2(t *testing.T) {
	url, heads := answering(t, plainOK)
	g := open(t, Config{Servers: []string{url}}, true)
	g.get(t, "/", "X-A: 1", "X-A: 2", "X-Forwarded-For: 66.249.66.1", "Te: trailers")
	_, got := fields(t, receive(t, heads))
	want := http.Header{
		"Host": {
			"shop.example",
		}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"shop.example"}, "X-Forwarded-Proto": {"https"}, "X-Real-Ip": {"127.0.0.1"},
		"X-A": {"1", "2"}, "Te": {"trailers"}, "User-Agent": {"Go-http-client/2.0"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %v\nwant %v", got, want)
	}
}

func TestRequestBodyIsStreamed(t *testing.T) {
	first := make(chan string)
	url := handling(t, func(w http.ResponseWriter, r *http.Request) {
		part := make([]byte, 5)
		io.ReadFull(r.Body, part)
		first <- string(part)
		rest, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s|%s|%d|%v", part, rest, r.ContentLength, r.Trailer)
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		reader, writer := io.Pipe()
		request := g.request(t, "POST", "/", reader)
		request.Trailer = http.Header{"X-Sum": nil}
		go func() {
			io.WriteString(writer, "first")
			if got := <-first; got != "first" { // only now does the client go on
				writer.CloseWithError(fmt.Errorf("the origin got %q", got))
				return
			}
			io.WriteString(writer, "second")
			request.Trailer["X-Sum"] = []string{"42"}
			writer.Close()
		}()
		if got := content(t, g.do(t, request)); got != "first|second|-1|map[X-Sum:[42]]" {
			t.Error(got)
		}
	})
}

func TestRequestBodyKeepsItsLength(t *testing.T) {
	url := handling(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d %v", r.Method, body, r.ContentLength, r.TransferEncoding)
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		for _, test := range []struct{ method, body, want string }{
			{"POST", "abc", "POST abc 3 []"},
			{"POST", "", "POST  0 []"},
			{"DELETE", "abc", "DELETE abc 3 []"},
			{"PROPFIND", "", "PROPFIND  0 []"},
		} {
			if got := content(t, g.do(t, g.request(t, test.method, "/", strings.NewReader(test.body)))); got != test.want {
				t.Errorf("%v: got %q", test, got)
			}
		}
	})
}

// An answer that begins before the request has ended must not cost the origin the rest.
func TestAnswerBeginsBeforeTheBodyEnds(t *testing.T) {
	t.Parallel()
	url := handling(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(200)
		http.NewResponseController(w).Flush()
		io.Copy(w, r.Body)
	})
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		reader, writer := io.Pipe()
		answer := g.do(t, g.request(t, "POST", "/", reader))
		go func() {
			io.WriteString(writer, strings.Repeat("x", 100_000))
			writer.Close()
		}()
		if got := content(t, answer); len(got) != 100_000 {
			t.Errorf("%d bytes came back", len(got))
		}
	})
}

func TestContinue(t *testing.T) {
	sent := make(chan string, 1)
	for _, test := range []struct {
		name, answer, want string
		body               bool
	}{
		{"the origin asks for the body", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n", true},
		{"the origin does not want it", "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 413 ", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				sent <- head(r)
				io.WriteString(c, test.answer)
				if test.body {
					body := make([]byte, 4)
					io.ReadFull(r, body)
					sent <- string(body)
					io.WriteString(c, plainOK)
				}
			})
			g := open(t, Config{Servers: []string{url}}, false)
			c, r := g.dial(t)
			io.WriteString(
				c,
				"POST / HTTP/1.1\r\nHost: shop.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
			)
			if request := receive(t, sent); !strings.Contains(request, "\r\nExpect: 100-continue\r\n") {
				t.Errorf("the origin got %q", request)
			}
			if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, test.want) {
				t.Fatalf("got %q, %v", line, err)
			}
			if !test.body {
				return
			}
			head(r)
			io.WriteString(c, "body")
			if body := receive(t, sent); body != "body" {
				t.Errorf("the origin got %q", body)
			}
			if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 200 {
				t.Errorf("answer %v, error %v", answer, err)
			}
		})
	}
}

func TestUpgrade(t *testing.T) {
	heads := make(chan string, 1)
	url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		heads <- head(r)
		io.WriteString(
			c,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Websocket-Accept: x\r\n\r\nhello",
		)
		io.Copy(c, r)
	})
	g := open(t, Config{Servers: []string{url}}, false)
	c, r := g.dial(t)
	io.WriteString(
		c,
		"GET /chat HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Websocket-Key: k\r\n\r\n",
	)
	answer, err := http.ReadResponse(r, nil)
	if err != nil || answer.StatusCode != 101 || answer.Header.Get("Upgrade") != "websocket" ||
		answer.Header.Get("Sec-Websocket-Accept") != "x" {
		t.Fatalf("answer %v, error %v", answer, err)
	}
	_, header := fields(t, receive(t, heads))
	if header.Get("Connection") != "Upgrade" || header.Get("Upgrade") != "websocket" ||
		header.Get("Sec-Websocket-Key") != "k" {
		t.Errorf("the origin got %v", header)
	}
	io.WriteString(c, "echo")
	got := make([]byte, len("helloecho"))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "helloecho" {
		t.Errorf("got %q, %v", got, err)
	}
	c.Close()
	if result := receive(t, g.outcomes); result.status != 101 || result.err != nil {
		t.Errorf("outcome %+v", result)
	}
}
