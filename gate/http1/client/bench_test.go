package client

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What the head of a request costs to look over and to write, and that of an answer to read.
func BenchmarkHeads(b *testing.B) {
	b.Run("request", func(b *testing.B) {
		r := crawl(b)
		var out []byte
		var names []string
		b.ReportAllocs()
		for b.Loop() {
			if !WellFormed(r) {
				b.Fatal("not well formed")
			}
			out = AppendRequest(out[:0], r, true, &names)
		}
	})
	b.Run("answer", func(b *testing.B) {
		said := strings.NewReader(pageHead)
		c := &Conn{r: bufio.NewReader(said)}
		header := http.Header{}
		b.ReportAllocs()
		for b.Loop() {
			clear(header)
			said.Reset(pageHead)
			if h, err := c.ReadHead(header, "GET"); err != nil || h.Length != 1024 {
				b.Fatal(h, err)
			}
		}
	})
}

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
