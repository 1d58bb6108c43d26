package servertest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Origins are the sites' own servers of one test, by the kind of behaviour; each is started when it is asked for.
//
//	echo         answers 200: the method and target, what it was told of the client, or the body it was sent
//	tls          the same over https, and says which name the handshake had
//	messages     answers over HTTP/2 without TLS: every message of the request comes back, and a trailer
//	socket       takes a WebSocket over HTTP/1.1 and sends back what it hears
//	dead         nobody listens
//	slow         takes the request and begins no response until it is released
//	nonsense     answers something that is not HTTP
//	dies         promises 1000 bytes, sends 10 and hangs up
//	misdirected  answers 421
//	files        is no server: a folder with index.html and page.html
type Origins struct {
	t       *testing.T
	started map[string]string
	Asked   chan string   // slow's requests, as they come in
	release chan struct{} // closed: slow answers
	once    sync.Once
}

// NewOrigins has started none yet.
func NewOrigins(t *testing.T) *Origins {
	o := &Origins{t: t, started: map[string]string{}, Asked: make(chan string, 100), release: make(chan struct{})}
	t.Cleanup(o.Release)
	return o
}

// Release lets the slow origin respond.
func (o *Origins) Release() { o.once.Do(func() { close(o.release) }) }

// URL is the address of an origin as a configuration has it.
func (o *Origins) URL(kind string) string {
	o.t.Helper()
	if o.started[kind] == "" {
		o.started[kind] = o.start(kind)
	}
	return o.started[kind]
}

func (o *Origins) start(kind string) string {
	switch kind {
	case "echo":
		return o.serve(echo)
	case "tls":
		server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		o.t.Cleanup(server.Close)
		return server.URL
	case "messages":
		server := httptest.NewUnstartedServer(http.HandlerFunc(converse))
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
		o.t.Cleanup(server.Close)
		return "h2c://" + server.Listener.Addr().String()
	case "socket":
		return o.serve(func(w http.ResponseWriter, r *http.Request) {
			c, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			const response = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
			fmt.Fprintf(c, response, r.Header.Get("Upgrade"))
			io.Copy(c, buffered)
		})
	case "slow":
		return o.serve(func(w http.ResponseWriter, r *http.Request) {
			o.Asked <- r.URL.Path
			select {
			case <-o.release:
			case <-r.Context().Done():
			}
			echo(w, r)
		})
	case "misdirected":
		return o.serve(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "421: not here", http.StatusMisdirectedRequest)
		})
	case "dead":
		return "http://127.0.0.1:1"
	case "nonsense":
		return o.raw("what do you want?\r\n\r\n")
	case "dies":
		return o.raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n0123456789")
	case "files":
		folder := o.t.TempDir()
		for name, text := range map[string]string{"index.html": "<h1>front page", "page.html": "<h1>a page"} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
				o.t.Fatal(err)
			}
		}
		return "file:" + folder
	}
	o.t.Fatalf("no origin is of the kind %q", kind)
	return ""
}

func (o *Origins) serve(handler http.HandlerFunc) string {
	server := httptest.NewServer(handler)
	o.t.Cleanup(server.Close)
	return server.URL
}

func echo(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Origin", "echo")
	h.Set("X-Origin-Proto", r.Proto)
	h.Set("X-Client", r.Header.Get("X-Forwarded-For"))
	h.Set("Alt-Svc", `h3=":443"`)
	if r.TLS != nil {
		h.Set("X-Origin-Sni", r.TLS.ServerName)
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodPost {
		io.Copy(w, r.Body)
		return
	}
	fmt.Fprintf(w, "%s %s of %s\n", r.Method, r.RequestURI, r.Host)
}

// converse is a call as gRPC makes it.
func converse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set("Trailer", "Grpc-Status")
	flush := http.NewResponseController(w).Flush
	flush()
	for buffer := make([]byte, 1024); ; {
		n, err := r.Body.Read(buffer)
		w.Write(buffer[:n])
		flush()
		if err != nil {
			break
		}
	}
	w.Header().Set("Grpc-Status", fmt.Sprintf("0 over %s, te: %s", r.Proto, r.Header.Get("Te")))
}

// raw answers every connection's first bytes with text and hangs up.
func (o *Origins) raw(text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				stop := context.AfterFunc(o.t.Context(), func() { c.Close() })
				defer stop()
				if _, err := c.Read(make([]byte, 4096)); err == nil {
					io.WriteString(c, text)
				}
			})
		}
	})
	o.t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return "http://" + l.Addr().String()
}
