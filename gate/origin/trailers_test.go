package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// dangerous are fields that no receiver must find behind a body, in whichever case and look.
func dangerous() []string {
	return []string{
		"Authorization",
		"Cookie",
		"Set-Cookie",
		"Range",
		"If-None-Match",
		"If-Range",
		"Host",
		"Content-Type",
		"Content-Encoding",
		"Content-Range",
		"Content-Length",
		"Transfer-Encoding",
		"Te",
		"Expect",
		"Max-Forwards",
		"Cache-Control",
		"Pragma",
		"Location",
		"Vary",
		"Age",
		"Expires",
		"Date",
		"Retry-After",
		"Warning",
		"Www-Authenticate",
		"Proxy-Authorization",
		"Proxy-Authenticate",
		"Connection",
		"Keep-Alive",
		"Upgrade",
		"Trailer",
		"User-Agent",
		"Referer",
		"Origin",
		"Accept",
		"Accept-Encoding",
		"X-Forwarded-For",
		"X-Real-Ip",
		"Forwarded",
		"Cf-Connecting-Ip",
		"Proxy",
		"X-Http-Method-Override",
		"Sec-Fetch-Site",
		"Access-Control-Allow-Origin",
		"Strict-Transport-Security",
		"Alt-Svc",
		"X_real_ip",
		"Content.type",
		"Cookie2",
		"X-Accel-Redirect",
		"Content_length",
		"Sec_websocket_key",
	}
}

// Behind a request's body comes what may, announced or not, to origins of both protocols.
func TestRequestTrailers(t *testing.T) {
	saw := make(chan http.Header, 8)
	see := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		saw <- r.Trailer
	})
	for _, url := range []string{handling(t, see), serveH2C(t, see)} {
		o, err := New(Config{Servers: []string{url}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Close)
		address := fronted(t, o)
		for _, announced := range []bool{false, true} {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			head, behind := "POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n"
			for _, name := range append([]string{"X-Sum"}, dangerous()...) {
				if announced {
					head += "Trailer: " + name + "\r\n"
				}
				behind += name + ": evil\r\n"
			}
			fmt.Fprint(c, head+"\r\n"+behind+"\r\n")
			got := receive(t, saw)
			for name := range got {
				if name != "X-Sum" {
					t.Errorf("%.4s, announced %v: %s came", url, announced, name)
				}
			}
			if announced && !slices.Equal(got["X-Sum"], []string{"evil"}) {
				t.Errorf("%.4s: X-Sum is %q", url, got["X-Sum"])
			}
		}
	}
}

// Behind an answer's body comes what may, announced or not, from origins of both protocols to clients of both.
func TestAnswerTrailers(t *testing.T) {
	names := slices.DeleteFunc(dangerous(), func(name string) bool {
		return slices.Contains([]string{"Trailer", "Transfer-Encoding", "Content-Length"}, name)
	})
	var lines strings.Builder
	for _, name := range append([]string{"X-Sum"}, names...) {
		lines.WriteString(name + ": evil\r\n")
	}
	for _, announced := range []bool{false, true} {
		said := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
		if announced {
			said += "Trailer: X-Sum, " + strings.Join(names, ", ") + "\r\n"
		}
		one := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
			for head(r) != "" {
				io.WriteString(c, said+"\r\n1\r\na\r\n0\r\n"+lines.String()+"\r\n")
			}
		})
		two := serveH2C(t, func(w http.ResponseWriter, _ *http.Request) {
			if announced {
				w.Header().Set("Trailer", "X-Sum, "+strings.Join(names, ", "))
			}
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			for _, name := range append([]string{"X-Sum"}, names...) {
				if announced {
					w.Header().Set(name, "evil")
				} else {
					w.Header().Set(http.TrailerPrefix+name, "evil")
				}
			}
		})
		for _, url := range []string{one, two} {
			both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
				answer := g.get(t, "/")
				if content(t, answer) != "a" || answer.Trailer.Get("X-Sum") != "evil" {
					t.Errorf("%.4s, announced %v: %v", url, announced, answer.Trailer)
				}
				for name := range answer.Trailer {
					if name != "X-Sum" {
						t.Errorf("%.4s, announced %v: %s came, or was said to", url, announced, name)
					}
				}
			})
		}
	}
}

// No client gets an origin to speak another version of HTTP, or TLS, behind the gate's back.
func TestUpgradesThatAreNotAskedFor(t *testing.T) {
	url, heads := answering(t, plainOK)
	o, err := New(Config{Servers: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	address := fronted(t, o)
	for protocol, passes := range map[string]bool{
		"websocket": true, "WebSocket": true, "IRC/6.9": true, "RTA/x11": true,
		"TLS/1.0": false, "tls/1.3": false, "TLS": false, "HTTP/2.0": false, "http/1.1": false, "HTTP": false, "h2": false, "H2": false, "h2c": false, "H2C": false, "h3": false, "HTTP/3": false,
		"websocket, h2c": false, "websocket, TLS/1.0": false, "": false, "/": false, "a b": false,
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
		got := receive(t, heads)
		if strings.Contains(got, "\r\nUpgrade: "+protocol+"\r\n") != passes ||
			strings.Contains(got, "Upgrade") != passes {
			t.Errorf("%q: %q", protocol, got)
		}
		c.Close()
	}
}
