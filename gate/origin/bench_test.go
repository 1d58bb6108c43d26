package origin

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// sink is a client that takes everything.
type sink struct {
	header http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { s.bytes += len(p); return len(p), nil }

// crawl is a crawler's request for a page.
func crawl(b *testing.B) *http.Request {
	r := httptest.NewRequest("GET", "/shop/shoes?colour=red", nil).WithContext(b.Context())
	r.Host = "shop.example"
	for _, line := range []string{"User-Agent: Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Accept: text/html,*/*;q=0.8",
		"Accept-Encoding: gzip, deflate, br", "From: googlebot(at)googlebot.com", "If-None-Match: \"abd\""} {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r
}

const pageHead = "HTTP/1.1 200 OK\r\nDate: Sat, 01 Aug 2026 00:00:00 GMT\r\nServer: x\r\nContent-Type: text/html; charset=utf-8\r\n" +
	"Cache-Control: max-age=60\r\nEtag: \"abc\"\r\nVary: Accept-Encoding\r\nContent-Length: 1024\r\n\r\n"

// What one page of 1 KiB costs from the handler on: the request, the origin's system calls included, and the answer.
func BenchmarkGet(b *testing.B) {
	body := strings.Repeat("x", 1024)
	b.Run("length", func(b *testing.B) { get(b, pageHead+body) })
	head := strings.Replace(pageHead, "Content-Length: 1024", "Transfer-Encoding: chunked", 1)
	b.Run("chunked", func(b *testing.B) { get(b, head+"400\r\n"+body+"\r\n0\r\n\r\n") })
}

func get(b *testing.B, said string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	answer := []byte(said)
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == 2 {
						c.Write(answer)
					}
				}
			}()
		}
	}()
	o, err := New(Config{Servers: []string{"http://" + l.Addr().String()}})
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	r := crawl(b)
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		w.bytes = 0
		if _, status, _, err := o.Serve(w, r); status != 200 || err != nil || w.bytes != 1024 {
			b.Fatal(status, err, w.bytes)
		}
	}
}

// What a form of 1 KiB costs, by the own client and by net/http's transport behind a ReverseProxy.
func BenchmarkPost(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	defer server.Close()
	ours, theirs := rivals(b, strings.TrimPrefix(server.URL, "http://"))
	ours.list.servers[0].http1.idle.closed = false
	theirs.list.servers[0].http2.reverse.Transport.(twice).DisableKeepAlives = false
	for name, o := range map[string]*Origin{"ours": ours, "theirs": theirs} {
		b.Run(name, func(b *testing.B) {
			form := strings.Repeat("x", 1024)
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				w.bytes = 0
				r := httptest.NewRequest("POST", "/shop/basket", strings.NewReader(form)).WithContext(b.Context())
				r.Host = "shop.example"
				if _, status, _, err := o.Serve(w, r); status != 200 || err != nil || w.bytes != 1024 {
					b.Fatal(status, err, w.bytes)
				}
			}
		})
		o.Close()
	}
}
