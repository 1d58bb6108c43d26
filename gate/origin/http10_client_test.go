package origin

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// HTTP/1.0 knows no informational answers (RFC 9110 section 15.2), whatever the server speaks.
func TestHintsOfHTTP2ForHTTP10(t *testing.T) {
	g := open(t, Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(103)
		io.WriteString(w, "ok")
	})}}, false)
	c, r := g.dial(t)
	io.WriteString(c, "GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n")
	if line, _ := r.ReadString('\n'); !strings.Contains(line, " 200 ") {
		t.Errorf("%q", line)
	}
}
