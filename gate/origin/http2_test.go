package origin

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serveH2C is an origin that speaks HTTP/2 without TLS and nothing else.
func serveH2C(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return "h2c://" + s.Listener.Addr().String()
}

// serveH2 is an origin that speaks HTTP/2 over TLS.
func serveH2(t *testing.T, c *tls.Config, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS, s.EnableHTTP2 = c, true
	s.StartTLS()
	t.Cleanup(s.Close)
	return "h2://" + s.Listener.Addr().String()
}

// serveUnix is an HTTP/1.1 origin on a socket.
func serveUnix(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "origin") // a test's own may be longer than a socket's path can be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	path := filepath.Join(folder, "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return "unix:" + path
}

// kinds are all kinds of servers, with what they are asked over.
func kinds(t *testing.T, h http.HandlerFunc) map[string]Config {
	a := newAuthority(t)
	own := func() *tls.Config { return a.issue(t, time.Now().Add(time.Hour), "shop.example") }
	s := httptest.NewUnstartedServer(h)
	s.TLS = own()
	s.StartTLS()
	t.Cleanup(s.Close)
	return map[string]Config{
		"http":  {Servers: []string{handling(t, h)}},
		"https": {Servers: []string{s.URL}, CA: a.file},
		"unix":  {Servers: []string{serveUnix(t, h)}},
		"h2c":   {Servers: []string{serveH2C(t, h)}},
		"h2":    {Servers: []string{serveH2(t, own(), h)}, CA: a.file},
	}
}

// everywhere runs a test with every kind of server and every kind of client.
func everywhere(t *testing.T, h http.HandlerFunc, test func(t *testing.T, g *gateway)) {
	for name, c := range kinds(t, h) {
		t.Run(name, func(t *testing.T) { both(t, c, test) })
	}
}

func TestEveryServerIsAskedInItsProtocol(t *testing.T) {
	wanted := map[string]string{
		"http":  "HTTP/1.1",
		"https": "HTTP/1.1",
		"unix":  "HTTP/1.1",
		"h2c":   "HTTP/2.0",
		"h2":    "HTTP/2.0",
	}
	h := func(w http.ResponseWriter, r *http.Request) {
		name := ""
		if r.TLS != nil {
			name = r.TLS.ServerName
		}
		fmt.Fprintf(
			w,
			"%s %s %s %s %s|%v|%v|%v",
			r.Proto,
			r.Method,
			r.RequestURI,
			r.Host,
			name,
			r.Header["X-Forwarded-For"],
			r.Header["X-Twice"],
			r.Header["Upgrade"],
		)
	}
	for name, c := range kinds(t, h) {
		both(t, c, func(t *testing.T, g *gateway) {
			server := ""
			if strings.HasSuffix(name, "s") || name == "h2" {
				server = "shop.example"
			}
			want := fmt.Sprintf("%s GET /a%%2Fb?c shop.example %s|[127.0.0.1]|[1 2]|[]", wanted[name], server)
			got := content(t, g.get(t, "/a%2Fb?c", "X-Twice: 1", "X-Twice: 2", "X-Forwarded-For: 66.249.66.1"))
			if result := receive(t, g.outcomes); got != want || result.err != nil || result.asked != c.Servers[0] {
				t.Errorf("%s: %q, want %q; %+v", name, got, want, result)
			}
		})
	}
}

// What every request and answer may have, through every kind of server.
func TestEverythingHTTP(t *testing.T) {
	const etag = `"x"`
	everywhere(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/file":
			w.Header().Set("Etag", etag)
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("0123456789"))
		case "/trailers":
			w.Header().Set("Trailer", "X-Said")
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %v", body, r.Trailer)
			w.Header().Set("X-Said", "yes")
			w.Header().Set(http.TrailerPrefix+"X-Late", "too")
		case "/hints":
			w.Header().Set("Link", "</a.css>")
			w.WriteHeader(103)
			w.WriteHeader(200)
		case "/twice":
			w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
			w.Header().Set("Content-Encoding", "zstd")
			io.WriteString(w, "packed")
		case "/nothing":
			w.WriteHeader(204)
		}
	}, func(t *testing.T, g *gateway) {
		for _, test := range []struct {
			method, target string
			sent           []string
			status         int
			body           string
		}{
			{"GET", "/file", nil, 200, "0123456789"},
			{"HEAD", "/file", nil, 200, ""},
			{"GET", "/file", []string{"Range: bytes=2-4"}, 206, "234"},
			{"GET", "/file", []string{"If-None-Match: " + etag}, 304, ""},
			{"GET", "/twice", nil, 200, "packed"},
			{"GET", "/nothing", nil, 204, ""},
			{"GET", "/hints", nil, 200, ""},
		} {
			answer := g.do(t, g.request(t, test.method, test.target, nil, test.sent...))
			if body := content(t, answer); answer.StatusCode != test.status || body != test.body {
				t.Errorf("%v: %d %q", test, answer.StatusCode, body)
			}
			switch test.target {
			case "/file":
				if answer.Header.Get("Etag") != etag || test.method == "HEAD" && answer.ContentLength != 10 {
					t.Errorf("%v: %v", test, answer.Header)
				}
			case "/twice":
				if fmt.Sprint(answer.Header["Set-Cookie"], answer.Header["Content-Encoding"]) != "[a=1 b=2] [zstd]" {
					t.Errorf("%v", answer.Header)
				}
			}
			receive(t, g.outcomes)
		}
		request := g.request(t, "POST", "/trailers", io.MultiReader(strings.NewReader("body")))
		request.Trailer = http.Header{"X-Sum": {"42"}}
		answer := g.do(t, request)
		body := content(t, answer)
		if body != "body map[X-Sum:[42]]" || fmt.Sprint(answer.Trailer) != "map[X-Late:[too] X-Said:[yes]]" {
			t.Errorf("%q %v", body, answer.Trailer)
		}
	})
}

// A call as gRPC makes it: messages go both ways while both sides are open, the status comes in a trailer, and TE
// survives.
func TestGRPC(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" || r.Header.Get("Content-Type") != "application/grpc" {
			http.Error(w, fmt.Sprint(r.Proto, r.Header), 500)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		if r.URL.Path == "/none" { // trailers only
			w.Header().Set("Grpc-Status", "12")
			return
		}
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		w.WriteHeader(200)
		http.NewResponseController(w).Flush()
		message := make([]byte, 6)
		for {
			if _, err := io.ReadFull(r.Body, message); err != nil {
				break
			}
			w.Write(message)
			http.NewResponseController(w).Flush()
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Grpc-Message", "fine")
	}
	a := newAuthority(t)
	for name, c := range map[string]Config{
		"h2c": {Servers: []string{serveH2C(t, h)}},
		"h2":  {Servers: []string{serveH2(t, a.issue(t, time.Now().Add(time.Hour), "shop.example"), h)}, CA: a.file},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, c, true)
			reader, writer := io.Pipe()
			answer := g.do(t, g.request(t, "POST", "/call", reader, "Content-Type: application/grpc", "Te: trailers"))
			if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/grpc" {
				t.Fatal(answer.Status, answer.Header)
			}
			for i := range 3 {
				sent := fmt.Sprintf("\x00\x00\x00\x00\x01%d", i)
				io.WriteString(writer, sent)
				got := make([]byte, 6)
				if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != sent {
					t.Fatalf("%q, %v", got, err)
				}
			}
			writer.Close()
			if rest := content(t, answer); rest != "" || answer.Trailer.Get("Grpc-Status") != "0" ||
				answer.Trailer.Get("Grpc-Message") != "fine" {
				t.Errorf("%q %v", rest, answer.Trailer)
			}
			if result := receive(t, g.outcomes); result.err != nil || result.status != 200 {
				t.Errorf("%+v", result)
			}
			answer = g.do(
				t,
				g.request(t, "POST", "/none", strings.NewReader("x"), "Content-Type: application/grpc", "Te: trailers"),
			)
			if content(t, answer); answer.StatusCode != 200 || answer.Header.Get("Grpc-Status") != "12" {
				t.Errorf("%s %v", answer.Status, answer.Header)
			}
		})
	}
}

func TestClientCertificate(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.pair(t, "the gate")
	h := func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		}
	}
	demanding := func() *tls.Config {
		c := a.issue(t, time.Now().Add(time.Hour), "shop.example")
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, a.pool()
		return c
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(h))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = demanding()
	s.StartTLS()
	defer s.Close()
	for _, url := range []string{s.URL, serveH2(t, demanding(), h)} {
		both(
			t,
			Config{Servers: []string{url}, CA: a.file, ClientCert: cert, ClientKey: key},
			func(t *testing.T, g *gateway) {
				if got := content(t, g.get(t, "/")); got != "the gate" {
					t.Errorf("%s: %q", url, got)
				}
			},
		)
		g := open(t, Config{Servers: []string{url}, CA: a.file}, false)
		if answer := g.get(t, "/"); answer.StatusCode != 502 {
			t.Errorf("%s: without a certificate %s", url, answer.Status)
		}
	}
}

// A server that was to speak HTTP/2 and does not is not asked in another protocol.
func TestNoHTTP2(t *testing.T) {
	a := newAuthority(t)
	var heard atomic.Int32
	plain := a.issue(t, time.Now().Add(time.Hour), "shop.example")
	g := open(t, Config{Servers: []string{"h2://" + listen(t, plain, func(c net.Conn, r *bufio.Reader) {
		if head(r) != "" {
			heard.Add(1)
		}
	})}, CA: a.file}, false)
	if answer := g.get(t, "/"); answer.StatusCode != 502 || heard.Load() != 0 {
		t.Errorf("%s, %d requests", answer.Status, heard.Load())
	}
	if result := receive(t, g.outcomes); result.word() != Garbage {
		t.Errorf("%+v", result)
	}
	g = open(
		t,
		Config{
			Servers: []string{"h2c://" + strings.TrimPrefix(handling(t, func(_ http.ResponseWriter, r *http.Request) {
				if r.Method != "PRI" { // HTTP/2's own first words
					heard.Add(1)
				}
			}), "http://")},
		},
		false,
	)
	if answer := g.get(t, "/"); answer.StatusCode != 502 || heard.Load() != 0 {
		t.Errorf("%s, %d requests", answer.Status, heard.Load())
	}
}

// Requests share connections to an HTTP/2 server.
func TestHTTP2ConnectionsAreShared(t *testing.T) {
	var mu sync.Mutex
	from := map[string]bool{}
	inside, leave := make(chan struct{}, 16), make(chan struct{})
	g := open(t, Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr] = true
		mu.Unlock()
		if r.URL.Path != "/first" {
			inside <- struct{}{}
			<-leave
		}
	})}}, true)
	g.get(t, "/first")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { g.get(t, "/") })
	}
	for range 8 {
		receive(t, inside)
	}
	close(leave)
	all.Wait()
	if len(from) != 1 {
		t.Errorf("%d connections", len(from))
	}
}

func TestHTTP2Timeout(t *testing.T) {
	end := make(chan struct{})
	g := open(
		t,
		Config{
			Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) { <-end })},
			Wait:    50 * time.Millisecond,
		},
		true,
	)
	defer close(end)
	for _, body := range []io.Reader{nil, strings.NewReader("body")} {
		if answer := g.do(t, g.request(t, "POST", "/", body)); answer.StatusCode != 504 {
			t.Error(answer.Status)
		}
		if result := receive(t, g.outcomes); result.word() != Timeout {
			t.Errorf("%+v", result)
		}
	}
}

// An origin's own 421 is asked again on a new connection, and never passed on.
func TestMisdirectedOverHTTP2(t *testing.T) {
	var mu sync.Mutex
	from := map[string]int{}
	both(t, Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		from[r.RemoteAddr]++
		again := len(from) > 1
		mu.Unlock()
		if r.URL.Path == "/never" || !again {
			w.WriteHeader(421)
		}
	})}}, func(t *testing.T, g *gateway) {
		clear(from)
		if answer := g.get(t, "/once"); answer.StatusCode != 200 || len(from) != 2 {
			t.Errorf("%s, %d connections", answer.Status, len(from))
		}
		if result := receive(t, g.outcomes); result.err != nil || result.status != 200 {
			t.Errorf("%+v", result)
		}
		for _, body := range []io.Reader{nil, strings.NewReader("body")} {
			if answer := g.do(t, g.request(t, "POST", "/never", body)); answer.StatusCode != 502 {
				t.Error(answer.Status)
			}
			if result := receive(t, g.outcomes); result.word() != Misdirected || result.status != 421 {
				t.Errorf("%+v", result)
			}
		}
	})
}

func TestHTTP2OriginDiesInTheBody(t *testing.T) {
	both(t, Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})}}, func(t *testing.T, g *gateway) {
		if answer, err := g.Client().Do(g.request(t, "GET", "/", nil)); err == nil {
			if body, err := io.ReadAll(answer.Body); err == nil {
				t.Errorf("%q was taken for the whole answer", body)
			}
			answer.Body.Close()
		}
		if result := receive(t, g.outcomes); result.status != 200 || result.word() != Reset || !result.cut() {
			t.Errorf("%+v", result)
		}
	})
}

// An answer that begins before the body has ended is passed on at once.
func TestEarlyAnswerOverHTTP2(t *testing.T) {
	both(t, Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 4))
		http.Error(w, "big", http.StatusRequestEntityTooLarge)
	})}}, func(t *testing.T, g *gateway) {
		for range 3 {
			reader, writer := io.Pipe()
			request := g.request(t, "POST", "/", reader)
			request.ContentLength = 1 << 20
			go io.WriteString(writer, "part")
			answer := g.do(t, request)
			if body := content(t, answer); answer.StatusCode != 413 || body != "big\n" ||
				answer.ProtoMajor == 1 && !answer.Close {
				t.Errorf("%s %q, close %v", answer.Status, body, answer.Close)
			}
			if result := receive(t, g.outcomes); result.err != nil || result.status != 413 {
				t.Errorf("%+v", result)
			}
			writer.Close()
		}
	})
}

// A stream that is reset while the client's body is on its way is answered at once.
func TestHTTP2ResetBeforeTheBodyEnds(t *testing.T) {
	both(t, Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 4))
		panic(http.ErrAbortHandler)
	})}}, func(t *testing.T, g *gateway) {
		reader, writer := io.Pipe()
		defer writer.Close()
		go io.WriteString(writer, "part")
		answer := g.do(t, g.request(t, "POST", "/", reader))
		if content(t, answer); answer.StatusCode != 502 || answer.ProtoMajor == 1 && !answer.Close {
			t.Errorf("%s, close %v", answer.Status, answer.Close)
		}
		if result := receive(t, g.outcomes); result.word() != Reset {
			t.Errorf("%+v", result)
		}
	})
}

// What only the gate may say cannot come behind a body either.
func TestTrailersOverHTTP2(t *testing.T) {
	g := open(t, Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer)
	})}}, false)
	c, r := g.dial(t)
	io.WriteString(
		c,
		"POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Real-IP\r\n\r\n1\r\nb\r\n0\r\nX-Sum: 1\r\nX-Real-IP: 2\r\nX-Forwarded-For: 3\r\n\r\n",
	)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, answer); got != "map[X-Sum:[1]]" {
		t.Error(got)
	}
}

// A WebSocket needs HTTP/1.1 to the origin; an HTTP/2 one is asked without the upgrade.
func TestNoUpgradeToHTTP2(t *testing.T) {
	g := open(
		t,
		Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(426) })}},
		false,
	)
	answer := g.get(t, "/", "Connection: Upgrade", "Upgrade: websocket")
	if answer.StatusCode != 426 {
		t.Error(answer.Status)
	}
}
