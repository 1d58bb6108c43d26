package origin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Origins of both protocols get a target byte for byte, however it came.
func TestTargetsByteForByte(t *testing.T) {
	saw := make(chan string, 8)
	see := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { saw <- r.RequestURI })
	plain := handling(t, see)
	for _, url := range []string{plain, serveH2C(t, see)} {
		o, err := New(Config{Servers: []string{url}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Close)
		address := fronted(t, o)
		for _, target := range []string{
			"/a%2Fb", "/a%2Fb|c", "/a%2Fb^", "/a%2Fb\"", "/%2F%2f|\"^`{}<>\\?%2F|\"^`{}<>\\?&;%", "//a%2Fb|c", "//evil.example/a", "///", "//", "/a//b/../c/./%2e%2e/", "/?", "//?", "/?a=%zz;b&&c", "/\xc3\xa4%c3%a4?\xff",
			"/a:b", "//a:b@c/", "/;a=b;c", "/%00%0d%0a", "/http://shop.example/x", "//shop.example/x", "/http:", "//shop.example",
		} {
			for _, absolute := range []string{"", "http://shop.example", "https://shop.example", "HTTP://shop.example"} {
				c, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n", absolute+target)
				said, _ := io.ReadAll(c)
				c.Close()
				if !strings.HasPrefix(string(said), "HTTP/1.1 200 ") {
					t.Fatalf("%s%s to %.4s: %q", absolute, target, url, said)
				}
				if got := receive(t, saw); got != target {
					t.Errorf("%s%s to %.4s became %s", absolute, target, url, got)
				}
			}
		}
	}
}
