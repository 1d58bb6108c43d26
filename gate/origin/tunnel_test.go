package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAlt-Svc: h3=\":443\"\r\n\r\n"

// upgrading asks g for a change of protocol, says more at once, and reads the answer's head.
func upgrading(t *testing.T, g *gateway, more string) (*net.TCPConn, *bufio.Reader, *http.Response) {
	t.Helper()
	c, r := g.dial(t)
	io.WriteString(
		c,
		"GET /chat HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"+more,
	)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), r, answer
}

// Bytes go both ways, also those that came early, and a side that ends lets the other finish.
func TestTunnel(t *testing.T) {
	a := newAuthority(t)
	ends := make(chan string, 1)
	server := func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, upgraded+"hello")
		heard, err := io.ReadAll(r) // up to the client's end
		io.WriteString(c, "|bye")
		ends <- fmt.Sprint(string(heard), err)
	}
	for name, c := range map[string]Config{
		"http":  {Servers: []string{"http://" + listen(t, nil, server)}},
		"https": {Servers: []string{"https://" + listen(t, a.issue(t, time.Now().Add(time.Hour), "shop.example"), server)}, CA: a.file},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, c, false)
			client, r, answer := upgrading(t, g, "early,")
			if answer.StatusCode != 101 || answer.Header.Get("Upgrade") != "websocket" ||
				answer.Header.Get("Alt-Svc") != "" {
				t.Fatal(answer.Status, answer.Header)
			}
			hello := make([]byte, 5)
			if _, err := io.ReadFull(r, hello); err != nil || string(hello) != "hello" {
				t.Fatalf("%q %v", hello, err)
			}
			io.WriteString(client, "late")
			client.CloseWrite()
			if got := receive(t, ends); got != "early,late<nil>" {
				t.Errorf("the origin heard %q", got)
			}
			if rest, err := io.ReadAll(r); err != nil || string(rest) != "|bye" {
				t.Errorf("%q %v", rest, err)
			}
			if result := receive(t, g.outcomes); result.err != nil || result.status != 101 {
				t.Errorf("%+v", result)
			}
		})
	}
}

func TestTunnelEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		wait   time.Duration
		origin func(c net.Conn, r *bufio.Reader)
		client func(c *net.TCPConn)
	}{
		{"the origin goes first", patience, func(c net.Conn, r *bufio.Reader) {}, func(c *net.TCPConn) {}},
		{"the client breaks off", patience, func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) }, func(c *net.TCPConn) { c.SetLinger(0); c.Close() }},
		{"the origin stays behind", 50 * time.Millisecond, func(c net.Conn, r *bufio.Reader) {
			io.Copy(io.Discard, r)
			for _, err := c.Write([]byte("x")); err == nil; _, err = c.Write([]byte("x")) {
				time.Sleep(5 * time.Millisecond)
			}
		}, func(c *net.TCPConn) { c.CloseWrite() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			gone := make(chan struct{})
			g := open(
				t,
				Config{Wait: test.wait, Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
					defer close(gone)
					head(r)
					io.WriteString(c, upgraded)
					test.origin(c, r)
				})}},
				false,
			)
			client, r, _ := upgrading(t, g, "")
			test.client(client)
			if test.name == "the origin goes first" {
				if _, err := r.ReadByte(); err != io.EOF {
					t.Error(err)
				}
				client.Close()
			}
			receive(t, gone)
			if result := receive(t, g.outcomes); result.err != nil || result.status != 101 {
				t.Errorf("%+v", result)
			}
		})
	}
}

// A tunnel whose client has broken off has not ended while its server works on.
func TestTunnelServerWorksOn(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(c net.Conn){
		"and says nothing":   func(net.Conn) {},
		"and says something": func(c net.Conn) { io.WriteString(c, "news") },
	} {
		t.Run(name, func(t *testing.T) {
			release, broken := make(chan struct{}), make(chan struct{})
			g := open(t, Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				head(r)
				io.WriteString(c, upgraded)
				io.Copy(io.Discard, r)
				say(c)
				close(broken)
				<-release
			})}}, false)
			client, _, _ := upgrading(t, g, "")
			client.SetLinger(0)
			client.Close()
			receive(t, broken)
			select {
			case result := <-g.outcomes:
				t.Errorf("it has ended while the server works: %+v", result)
			case <-time.After(abandonedTime / 2):
			}
			close(release)
			if result := receive(t, g.outcomes); result.err != nil || result.status != 101 {
				t.Errorf("%+v", result)
			}
		})
	}
}

// An upgrade is the origin's to refuse, and only what was asked for is changed to.
func TestNoTunnel(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int
		word         string
	}{
		{"it goes on in HTTP", plainOK, 200, ""},
		{"it wants another version", "HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: x/2\r\nContent-Length: 0\r\n\r\n", 426, ""},
		{"another protocol", strings.Replace(upgraded, "websocket", "h2c", 1), 502, Garbage},
		{"no protocol", strings.Replace(upgraded, "Upgrade: websocket\r\n", "", 1), 502, Garbage},
		{"not named in Connection", strings.Replace(upgraded, "Connection: Upgrade\r\n", "", 1), 502, Garbage},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, heads := answering(t, test.answer)
			g := open(t, Config{Servers: []string{url}}, false)
			_, _, answer := upgrading(t, g, "")
			if result := receive(t, g.outcomes); answer.StatusCode != test.status || result.word() != test.word {
				t.Errorf("%s, %+v", answer.Status, result)
			}
			if _, header := fields(t, receive(t, heads)); header.Get("Connection") != "Upgrade" ||
				header.Get("Upgrade") != "WebSocket" {
				t.Errorf("the origin got %v", header)
			}
		})
	}
}

// What is no upgrade goes on as a request like any other.
func TestWhatIsNoUpgrade(t *testing.T) {
	url, heads := answering(t, plainOK)
	g := open(t, Config{Servers: []string{url}}, false)
	for _, sent := range []string{
		"Upgrade: websocket\r\n", "Connection: Upgrade\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
		"Connection: Upgrade\r\nUpgrade: web socket\r\n", "Connection: Upgrade\r\nUpgrade:\r\n",
	} {
		c, r := g.dial(t)
		body := ""
		if strings.Contains(sent, "Length") {
			body = "b"
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.example\r\n"+sent+"\r\n"+body)
		if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 200 {
			t.Errorf("%q: %v %v", sent, answer, err)
			continue
		}
		if _, header := fields(t, receive(t, heads)); header["Connection"] != nil || header["Upgrade"] != nil {
			t.Errorf("%q: the origin got %v", sent, header)
		}
		c.Close()
	}
}
