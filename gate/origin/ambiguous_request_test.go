package origin

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"gate421/gate/http1"
)

// asked is a request as net/http's or x/net's server makes it out of what a client says.
type asked struct {
	http2              bool
	method, target     string
	host               string
	fields             http.Header
	unparsed, withBody bool // the server would have refused the target; a body may come
}

func (a asked) request(t *testing.T) *http.Request {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil).WithContext(t.Context())
	u, err := url.ParseRequestURI(a.target)
	if err != nil {
		u = &url.URL{Path: a.target}
		if !a.unparsed {
			t.Fatal(err)
		}
	}
	r.Method, r.RequestURI, r.URL, r.Host, r.Header = a.method, a.target, u, a.host, http.Header{}
	for name, values := range a.fields {
		r.Header[name] = values
	}
	if a.http2 {
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	}
	if a.withBody {
		r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader("b"))
	}
	return r
}

// recording is an origin that keeps every byte that it is sent.
func recording(t *testing.T) (url string, messages chan string) {
	t.Helper()
	messages = make(chan string, 64)
	address := listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		message := head(r)
		if strings.Contains(message, "chunked") {
			body := make([]byte, len("1\r\nb\r\n0\r\n\r\n"))
			io.ReadFull(r, body)
			message += string(body)
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		rest, _ := io.ReadAll(r) // whatever else comes
		messages <- message + string(rest)
	})
	return "http://" + address, messages
}

// What cannot be said in HTTP/1.1 in one way only is refused, and the origin hears nothing of it.
func TestAmbiguousRequestsAreRefused(t *testing.T) {
	heard := make(chan string, 512)
	o, err := New(
		Config{
			Wait:    patience,
			Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) { heard <- head(r) })},
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	const shop = "shop.example"
	for _, a := range []asked{
		{method: "GET /admin HTTP/1.1\r\nX:", target: "/", host: shop},
		{method: "GET /admin HTTP/1.1", target: "/", host: shop},
		{method: "GET ", target: "/", host: shop},
		{method: "GET\t", target: "/", host: shop},
		{method: "G\xc3\x84T", target: "/", host: shop},
		{method: "GET:", target: "/", host: shop},
		{method: "", target: "/", host: shop},
		{method: "GET", target: "/ HTTP/1.1", host: shop},
		{method: "GET", target: "/a b", host: shop},
		{method: "GET", target: "/?a b", host: shop},
		{method: "GET", target: "/?a HTTP/1.0", host: shop},
		{method: "GET", target: "//x y", host: shop},
		{method: "GET", target: "/a\tb", host: shop, unparsed: true},
		{method: "GET", target: "/a\x00b", host: shop, unparsed: true},
		{method: "GET", target: "/a\r\nX: 1", host: shop, unparsed: true},
		{method: "GET", target: "/a\x7f", host: shop, unparsed: true},
		{method: "GET", target: "*", host: shop},
		{method: "GET", target: "", host: shop, unparsed: true},
		{method: "GET", target: "admin", host: shop, unparsed: true},
		{method: "GET", target: "http:admin", host: shop},
		{method: "GET", target: "/a#b", host: shop},
		{method: "GET", target: "shop.example:443", host: shop},
		{method: "GET", target: "mailto:a@b", host: shop},
		{method: "GET", target: "ftp://shop.example/", host: shop},
		{method: "GET", target: "wss://shop.example/", host: shop},
		{method: "GET", target: "http://user:word@shop.example/a?b", host: shop},
		{method: "GET", target: "https://@shop.example/", host: shop},
		{method: "GET", target: "/", host: "shop.example evil"},
		{method: "GET", target: "/", host: "shop.example\tevil"},
		{method: "GET", target: "/", host: "shop.example\r\nX: 1"},
		{method: "GET", target: "/", host: "shop.example:80@evil.example"},
		{method: "GET", target: "/", host: "evil.example@shop.example"},
		{method: "GET", target: "/", host: "shop.example:80,evil.example"},
		{method: "GET", target: "/", host: "shop.example,evil.example"},
		{method: "GET", target: "/", host: "shop.example:-1"},
		{method: "GET", target: "/", host: "shop.example:+1"},
		{method: "GET", target: "/", host: "shop.example:65536"},
		{method: "GET", target: "/", host: "[::1]:65536"},
		{method: "GET", target: "/", host: "shop.example/x"},
		{method: "GET", target: "/", host: "shop.example?x"},
		{method: "GET", target: "/", host: "shop.example#x"},
		{method: "GET", target: "/", host: `shop.example\x`},
		{method: "GET", target: "/", host: "shop.ex%61mple"},
		{method: "GET", target: "/", host: "sh\xc3\xb6p.example"},
		{method: "GET", target: "/", host: ":80"},
		{method: "GET", target: "/", host: "[::1"},
		{method: "GET", target: "/", host: "[shop.example]"},
		{method: "GET", target: "/", host: "[127.0.0.1]"},
		{method: "GET", target: "/", host: "[fe80::1%a b]"},
		{method: "GET", target: "/", host: "a:b:80"},
		{method: "GET", target: "/", host: shop, fields: http.Header{":protocol": {"websocket"}}},
		{method: "GET", target: "/", host: shop, fields: http.Header{"X A": {"1"}}},
		{method: "GET", target: "/", host: shop, fields: http.Header{"X-A": {"1\r\nX-B: 2"}}},
		{method: "GET", target: "/", host: shop, fields: http.Header{"X-A": {"1\nX-B: 2"}}},
		{method: "GET", target: "/", host: shop, fields: http.Header{"X-A": {"ok", "\x00"}}},
		{method: "POST", target: "/", host: shop, fields: http.Header{"Content-Length": {"5"}}},
		{method: "POST", target: "/", host: shop, fields: http.Header{"Content-Length": {"0", "5"}}},
		{method: "POST", target: "/", host: shop, fields: http.Header{"Content-Length": {"+0"}}},
		{method: "POST", target: "/", host: shop, fields: http.Header{"Content-Length": {"0,0"}}},
		{method: "POST", target: "/", host: shop, fields: http.Header{"Content-Length": {""}}},
	} {
		for _, a.http2 = range []bool{false, true} {
			for _, a.withBody = range []bool{false, true} {
				w := httptest.NewRecorder()
				_, status, _, err := o.Serve(w, a.request(t))
				if w.Code != 400 || status != 0 || err != nil || (w.Header().Get("Connection") == "close") == a.http2 {
					t.Errorf("%+v: answer %d %v, status %d, %v", a, w.Code, w.Header(), status, err)
				}
			}
		}
	}
	if len(heard) > 0 {
		t.Errorf("the origin heard %q", <-heard)
	}
}

// What goes on goes on as one request that nobody can take for another.
func TestRequestAsTheOriginHearsIt(t *testing.T) {
	const shop = "shop.example"
	const ours = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 192.0.2.1\r\n"
	long := "/" + strings.Repeat("a", 30<<10)
	get := func(fields http.Header) asked { return asked{method: "GET", target: "/", host: shop, fields: fields} }
	for _, test := range []struct {
		asked
		line, fields string // "" is GET / HTTP/1.1
	}{
		{asked: asked{method: "GET", target: "/a%0d%0aX:%201", host: shop}, line: "GET /a%0d%0aX:%201 HTTP/1.1"},
		{asked: asked{method: "GET", target: "/%00%20%09", host: shop}, line: "GET /%00%20%09 HTTP/1.1"},
		{asked: asked{method: "GET", target: "//host/", host: shop}, line: "GET //host/ HTTP/1.1"},
		{asked: asked{method: "GET", target: "//host/\"", host: shop}, line: "GET //host/\" HTTP/1.1"},
		{asked: asked{method: "GET", target: "/?", host: shop}, line: "GET /? HTTP/1.1"},
		{asked: asked{method: "GET", target: "/\xc3\xa4?\xff", host: shop}, line: "GET /\xc3\xa4?\xff HTTP/1.1"},
		{asked: asked{method: "GET", target: "http://shop.example", host: shop}, line: "GET / HTTP/1.1"},
		{asked: asked{method: "GET", target: "HTTP://shop.example/a?b", host: shop}, line: "GET /a?b HTTP/1.1"},
		{asked: asked{method: "GET", target: "https://shop.example//evil/", host: shop}, line: "GET //evil/ HTTP/1.1"},
		{asked: asked{method: "GET", target: long, host: shop}, line: "GET " + long + " HTTP/1.1"},
		{asked: asked{method: "OPTIONS", target: "*", host: shop}, line: "OPTIONS * HTTP/1.1"},
		{asked: asked{method: "head", target: "/", host: shop}, line: "head / HTTP/1.1"},
		{asked: asked{method: "POST", target: "/", host: shop}, line: "POST / HTTP/1.1", fields: "Content-Length: 0\r\n"},
		{asked: asked{method: "DELETE", target: "/", host: shop}, line: "DELETE / HTTP/1.1"},
		{asked: asked{method: "DELETE", target: "/", host: shop, fields: http.Header{"Content-Length": {"0"}}}, line: "DELETE / HTTP/1.1", fields: "Content-Length: 0\r\n"},
		{asked: get(http.Header{"Content-Length": {"0", "00"}})},
		{asked: get(http.Header{"Content_length": {"5"}, "Transfer_encoding": {"chunked"}, "X_forwarded_for": {"66.249.66.1"}, "Connection_": {"x"}, "Host_": {"x"}}),
			fields: "Connection_: x\r\nHost_: x\r\n"},
		{asked: get(http.Header{"Transfer-Encoding": {"chunked"}})},
		{asked: get(http.Header{"Transfer-Encoding": {"gzip, chunked"}, "Te": {"trailers", "chunked"}}), fields: "TE: trailers\r\n"},
		{asked: get(http.Header{"Te": {"chunked;q=1"}})},
		{asked: get(http.Header{"Trailer": {"X-Sum"}})},
		{asked: get(http.Header{"Host": {"evil.example"}})},
		{asked: get(http.Header{"Connection": {"close"}})},
		{asked: get(http.Header{"Connection": {"keep-alive, X-Secret", " x-other\t, "}, "Keep-Alive": {"5"}, "X-Secret": {"1"}, "X-Other": {"2"}, "X-Stays": {"3"}}),
			fields: "X-Stays: 3\r\n"},
		{asked: get(http.Header{"Connection": {"Host, X-Forwarded-For, X-Forwarded-Host, Content-Length"}})},
		{asked: get(http.Header{"Proxy-Connection": {"keep-alive"}, "Proxy-Authorization": {"x"}, "Http2-Settings": {"AA"}})},
		{asked: get(http.Header{"Upgrade": {"h2c"}, "Connection": {"Upgrade, HTTP2-Settings"}, "Http2-Settings": {"AA"}})},
		{asked: get(http.Header{"X-A": {"\xff\xc3\xa4", "a\tb"}}), fields: "X-A: \xff\xc3\xa4\r\nX-A: a\tb\r\n"},
		{asked: get(http.Header{"Forwarded": {"for=x"}, "X-Real-Ip": {"x"}, "X-Forwarded-Proto": {"gopher"}})},
		{asked: asked{method: "GET", target: "/", host: shop, withBody: true}},
		{asked: asked{method: "GET", target: "/", host: shop, withBody: true, fields: http.Header{
			"Transfer-Encoding": {"identity"}, "Transfer_encoding": {"x"}, "Content_length": {"0"}}}},
		{asked: asked{method: "GET", target: "/?", host: shop, withBody: true}, line: "GET /? HTTP/1.1"},
	} {
		for _, test.http2 = range []bool{false, true} {
			url, messages := recording(t)
			o, err := New(Config{Servers: []string{url}})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			if _, status, _, err := o.Serve(w, test.request(t)); status != 200 || err != nil {
				t.Errorf("%+v: status %d, %v", test.asked, status, err)
				continue
			}
			o.Close() // so that the origin sees the end
			got := receive(t, messages)
			if test.line == "" {
				test.line = "GET / HTTP/1.1"
			}
			body := ""
			if test.withBody {
				test.fields, body = "Content-Length: 1\r\n", "b"
			}
			// The order of fields is the transport's where there is a body.
			sorted := func(message string) (string, map[string]int, string) {
				head, body, _ := strings.Cut(message, "\r\n\r\n")
				lines := strings.Split(head, "\r\n")
				fields := map[string]int{}
				for _, line := range lines[1:] {
					fields[line]++
				}
				return lines[0], fields, body
			}
			want := test.line + "\r\nHost: " + shop + "\r\n" + test.fields + ours + "\r\n" + body
			line, fields, rest := sorted(got)
			wantLine, wantFields, wantRest := sorted(want)
			if line != wantLine || !reflect.DeepEqual(fields, wantFields) || rest != wantRest {
				t.Errorf("%+v:\n got %.300q\nwant %.300q", test.asked, got, want)
			}
			// Everybody else reads the same.
			others, err := http.ReadRequest(bufio.NewReader(bytes.NewReader([]byte(got))))
			if err != nil || others.Host != shop || others.Method != test.method {
				t.Errorf("%+v: read as %v, %v", test.asked, others, err)
			}
		}
	}
}

func TestHostsThatPass(t *testing.T) {
	for _, host := range []string{"", "shop.example", "SHOP.example.", "shop.example:", "shop.example:8443", "shop.example:65535", "a_b.example", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:443", "xn--sh-xka.example"} {
		if !http1.Host(host) {
			t.Errorf("%q is refused", host)
		}
	}
}
