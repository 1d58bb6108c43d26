package origin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	http1server "gate421/gate/http1/server"
)

// fronted serves an origin with the server that clients meet over HTTP/1.1, and returns its address.
func fronted(t *testing.T, o *Origin) string {
	t.Helper()
	s := &http1server.Server{
		HeaderBytes: 32 << 10,
		HeaderTime:  patience,
		IdleTime:    patience,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, _, _, err := o.Serve(w, r); (outcome{err: err}).cut() {
				panic(http.ErrAbortHandler)
			}
		}),
	}
	return listen(t, nil, func(c net.Conn, _ *bufio.Reader) { s.Serve(context.Background(), c, nil) })
}

// raw is an origin that reads one request and says something, and tells what it read.
func raw(t *testing.T, says string) (url string, heads chan string) {
	t.Helper()
	heads = make(chan string, 8)
	return "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		heads <- head(r)
		io.WriteString(c, says)
		io.Copy(io.Discard, r)
	}), heads
}

// Both sides of HTTP/1.1 get the names of fields as the other side wrote them, in answers that come before the final
// one, of a change of protocol and behind a body, too.
func TestNamesAsTheOtherSideWroteThem(t *testing.T) {
	for _, test := range []struct{ request, answer, want string }{
		{"GET / HTTP/1.1\r\nHost: shop.example\r\nDNT: 1\r\nTE: trailers\r\nsec-ch-ua: x\r\nX-device: 1\r\nX-device: 2\r\nuser-AGENT: me\r\nSOAPAction: x\r\nEtag: y\r\nX-Plain: 1\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nLINK: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nETag: \"1\"\r\nWWW-Authenticate: Basic\r\nX-Ua-Compatible: IE\r\nset-cookie: a\r\nset-cookie: b\r\nX-XSS-Protection: 0\r\nContent-Length: 0\r\n\r\n",
			"LINK: </a>|content-type: text/plain|ETag: \"1\"|WWW-Authenticate: Basic|X-Ua-Compatible: IE|set-cookie: a|set-cookie: b|X-XSS-Protection: 0|Content-Length: 0"},
		{"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\nsec-websocket-protocol: p\r\nSec-Websocket-Extensions: e\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\nsec-webSocket-protocol: p\r\n\r\n",
			"Sec-WebSocket-Accept: a|sec-webSocket-protocol: p"},
		{"POST / HTTP/1.1\r\nHost: shop.example\r\ncontent-type: a/b\r\nContent-MD5: x\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, ETag\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\nETag: \"2\"\r\nX-Late: 3\r\n\r\n",
			"Trailer: x-sum, ETag|x-sum: 1|ETag: \"2\"|X-Late: 3"},
	} {
		url, heads := raw(t, test.answer)
		o, err := New(Config{Servers: []string{url}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Close)
		c, err := net.Dial("tcp", fronted(t, o))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, test.request)
		got := receive(t, heads)
		for line := range strings.SplitSeq(test.request, "\r\n") {
			if !strings.Contains("\r\n"+got, "\r\n"+line+"\r\n") {
				t.Errorf("the origin got no %q: %q", line, got)
			}
		}
		said := ""
		for r, left := bufio.NewReader(c), strings.Count(test.answer, "\r\n\r\n"); left > 0; {
			line, err := r.ReadString('\n')
			if said += line; err != nil || line == "\r\n" {
				left--
			}
		}
		for line := range strings.SplitSeq(test.want, "|") {
			if !strings.Contains(said, "\r\n"+line+"\r\n") {
				t.Errorf("the client got no %q: %q", line, said)
			}
		}
	}
}

// From HTTP/2, which has names in lower case alone, come the registered ones.
func TestNamesFromHTTP2(t *testing.T) {
	url, heads := answering(t, plainOK)
	g := open(t, Config{Servers: []string{url}}, true)
	g.do(
		t,
		g.request(
			t,
			"GET",
			"/",
			nil,
			"Dnt: 1",
			"Te: trailers",
			"Www-Authenticate: x",
			"Soapaction: x",
			"Sec-Websocket-Key: k",
			"X-Plain: 1",
			"Sec-Ch-Ua: x",
		),
	)
	got := receive(t, heads)
	for _, line := range []string{"DNT: 1", "TE: trailers", "WWW-Authenticate: x", "SOAPAction: x", "Sec-WebSocket-Key: k", "X-Plain: 1", "Sec-CH-UA: x"} {
		if !strings.Contains(got, "\r\n"+line+"\r\n") {
			t.Errorf("no %q in %q", line, got)
		}
	}
}
