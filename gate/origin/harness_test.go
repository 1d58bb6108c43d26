package origin

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

const patience = 5 * time.Second

// receive waits for what has to come.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came in time")
		panic("unreachable")
	}
}

// outcome is what Origin.Serve returned.
type outcome struct {
	asked  string
	status int
	first  time.Duration
	err    error
}

func (o outcome) word() string {
	var failure *Failure
	if errors.As(o.err, &failure) {
		return failure.Word()
	}
	return ""
}

// letGo waits until the server has let go of a request that was given up.
func (o outcome) letGo(t *testing.T) {
	t.Helper()
	var later interface{ Ended() <-chan struct{} }
	if errors.As(o.err, &later) {
		receive(t, later.Ended())
	}
}

func (o outcome) cut() bool { return errors.Is(o.err, http.ErrAbortHandler) }

// gateway is an HTTP server in front of an Origin.
type gateway struct {
	*httptest.Server
	outcomes chan outcome
}

// open serves c over HTTP/1.1 without TLS, or over HTTP/2 with.
func open(t *testing.T, c Config, http2 bool) *gateway {
	t.Helper()
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	outcomes := make(chan outcome, 64)
	g := openHandler(t, func(w http.ResponseWriter, r *http.Request) error {
		var result outcome
		result.asked, result.status, result.first, result.err = o.Serve(w, r)
		outcomes <- result
		return result.err
	}, http2)
	g.outcomes = outcomes
	return g
}

// openHandler serves a handler; what it returns may cut the answer off.
func openHandler(t *testing.T, h func(http.ResponseWriter, *http.Request) error, http2 bool) *gateway {
	t.Helper()
	g := &gateway{}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (outcome{err: h(w, r)}).cut() {
			panic(http.ErrAbortHandler)
		}
	}))
	g.Config.ErrorLog = log.New(io.Discard, "", 0)
	if g.EnableHTTP2 = http2; http2 {
		g.StartTLS()
	} else {
		g.Start()
	}
	g.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	g.Client().Timeout = 2 * patience
	g.Client().Transport.(*http.Transport).DisableCompression = true
	t.Cleanup(func() {
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

// both runs a test over HTTP/1.1 and HTTP/2.
func both(t *testing.T, c Config, test func(t *testing.T, g *gateway)) {
	t.Helper()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) { test(t, open(t, c, protocol == "HTTP/2.0")) })
	}
}

// bothAtOnce is both for tests that wait: over HTTP/1.1 and HTTP/2 at the same time.
func bothAtOnce(t *testing.T, c Config, test func(t *testing.T, g *gateway)) {
	t.Helper()
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, c, protocol == "HTTP/2.0"))
		})
	}
}

// request makes a request to g; extra are field lines such as "Accept: text/html".
func (g *gateway) request(t *testing.T, method, target string, body io.Reader, extra ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+target, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "shop.example"
	for _, line := range extra {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	return r
}

func (g *gateway) do(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	answer, err := g.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func (g *gateway) get(t *testing.T, target string, extra ...string) *http.Response {
	t.Helper()
	return g.do(t, g.request(t, "GET", target, nil, extra...))
}

// dial connects to g, to speak HTTP/1.1 by hand.
func (g *gateway) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	return c, bufio.NewReader(c)
}

func content(t *testing.T, answer *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// script is a conversation of an origin on one connection.
type script func(c net.Conn, r *bufio.Reader)

// listen starts a TCP server that runs a script on every connection, over TLS where there is a configuration. It
// returns its host and port.
func listen(t *testing.T, secure *tls.Config, run script) string {
	t.Helper()
	return listenAt(t, "tcp", "127.0.0.1:0", secure, run)
}

func listenAt(t *testing.T, network, address string, secure *tls.Config, run script) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(2 * patience))
			go func() {
				defer c.Close()
				run(c, bufio.NewReader(c))
			}()
		}
	}()
	return address
}

// head reads a message up to its empty line; "" is the end of the connection.
func head(r *bufio.Reader) string {
	var message strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return ""
		}
		message.WriteString(line)
		if line == "\r\n" {
			return message.String()
		}
	}
}

// answering is an origin that gives one answer to every request without a body, and tells the heads of the requests.
func answering(t *testing.T, answer string) (url string, heads chan string) {
	t.Helper()
	heads = make(chan string, 64)
	address := listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		for request := head(r); request != ""; request = head(r) {
			heads <- request
			io.WriteString(c, answer)
		}
	})
	return "http://" + address, heads
}

const plainOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// handling is an origin made of a handler.
func handling(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// inside is a field of a connection that only its own package sees.
func inside(c *conn, field string) reflect.Value {
	return reflect.ValueOf(c.Conn).Elem().FieldByName(field)
}

// guarded says whether a request's context would still close the connection.
func guarded(c *conn) bool { return !inside(c, "stop").IsNil() }
