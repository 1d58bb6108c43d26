package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// gone waits until nobody listens at an address.
func gone(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(end) {
			t.Fatalf("%s still listens", address)
		}
	}
}

// gone checks that nobody listens any more.
func (d *deployment) gone(t *testing.T) {
	t.Helper()
	synctest.Wait()
	for _, address := range []string{d.secure, d.plain} {
		if c, err := d.dialTo(address); err == nil {
			c.Close()
			t.Errorf("%s still listens", address)
		}
	}
}

func TestCloseOnAnAnswerSendsGoAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := openVirtual(t, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-release
				return
			}
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusMisdirectedRequest)
		})})
		w := d.wire(t)
		w.request(1, "/slow")
		w.request(3, "/")
		var away, answer frame
		for away.kind == 0 || answer.kind == 0 { // they come in either order
			f, more := w.read()
			if !more {
				t.Fatal("the connection ended")
			}
			switch f.kind {
			case http2.FrameGoAway:
				away = f
			case http2.FrameHeaders:
				answer = f
			}
		}
		if away.kind != http2.FrameGoAway || away.code != http2.ErrCodeNo || away.last != 3 {
			t.Errorf("got %+v, want GOAWAY with NO_ERROR and last stream 3", away)
		}
		if _, sent := answer.fields["connection"]; answer.stream != 3 || answer.fields[":status"] != "421" || sent {
			t.Errorf("got %+v, want 421 on stream 3 without a Connection field", answer)
		}
		w.request(5, "/") // too late: the client has been told
		close(release)
		if slow := w.headers(1); slow.fields[":status"] != "200" {
			t.Errorf("got %+v, want status 200", slow)
		}
		for f, more := w.read(); more; f, more = w.read() {
			if f.stream == 5 {
				t.Errorf("a request after GOAWAY is answered: %+v", f)
			}
		}
	})
}

func TestDrainEndsIdleConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := openVirtual(t, &Server{Handler: http.NotFoundHandler()})
		w := d.wire(t)
		w.request(1, "/")
		w.headers(1)
		conn, r := d.http1(t)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
		if _, err := http.ReadResponse(r, nil); err != nil {
			t.Fatal(err)
		}
		d.stop()
		if f := w.goAway(); f.code != http2.ErrCodeNo || f.last != 1 {
			t.Errorf("got %+v, want GOAWAY with NO_ERROR and last stream 1", f)
		}
		w.ended()
		if rest, err := io.ReadAll(conn); err != nil {
			t.Errorf("HTTP/1.1: got %q, %v; want the end", rest, err)
		}
		if err := receive(t, d.served); err != nil {
			t.Error(err)
		}
		d.gone(t)
	})
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started, release := make(chan string, 4), make(chan struct{})
		handler := text(func(_ http.ResponseWriter, r *http.Request) string {
			started <- r.Proto
			<-release
			return "whole, " + r.Proto
		})
		d := openVirtual(t, &Server{Handler: handler, Plain: handler})
		w := d.wire(t)
		w.request(1, "/")
		receive(t, started)
		answers := make(chan string, 3)
		for _, test := range []struct {
			url    string
			client *http.Client
		}{
			{"https://one.example/", d.client(t, true)},
			{"https://one.example/", d.client(t, false)},
			{"http://one.example/", d.plainClient(t)},
		} {
			go func() {
				answer, err := test.client.Get(test.url)
				if err != nil {
					answers <- err.Error()
					return
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				answers <- fmt.Sprint(string(body), " ", err)
			}()
			receive(t, started)
		}
		d.stop()
		if f := w.goAway(); f.code != http2.ErrCodeNo || f.last != 1 {
			t.Errorf("got %+v, want GOAWAY with NO_ERROR and last stream 1", f)
		}
		d.gone(t)
		select {
		case err := <-d.served:
			t.Fatalf("Serve returned %v before its requests", err)
		default:
		}
		close(release)
		for range 3 {
			if got := receive(t, answers); !strings.HasPrefix(got, "whole, HTTP/") ||
				!strings.HasSuffix(got, " <nil>") {
				t.Errorf("got %q, want a whole response and no error", got)
			}
		}
		if f := w.headers(1); f.fields[":status"] != "200" {
			t.Errorf("got %+v, want status 200", f)
		}
		if err := receive(t, d.served); err != nil {
			t.Error(err)
		}
	})
}

func TestDrainCutsRequestsThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started, ended, noticed := make(chan struct{}, 2), make(chan error, 2), make(chan struct{})
		d := openVirtual(t, &Server{Limits: Limits{DrainTime: 100 * time.Millisecond},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				started <- struct{}{}
				<-r.Context().Done()
				<-noticed // the connections are closed by now
				ended <- r.Context().Err()
			})})
		cut := make(chan error, 2)
		for _, http2 := range []bool{true, false} {
			client := d.client(t, http2)
			go func() {
				answer, err := client.Get("https://one.example/")
				if err == nil {
					answer.Body.Close()
				}
				cut <- err
			}()
			receive(t, started)
		}
		d.stop()
		for range 2 {
			if err := receive(t, cut); err == nil {
				t.Errorf("got a response, want an error")
			}
		}
		close(noticed)
		if err := receive(t, d.served); err != nil {
			t.Error(err)
		}
		if len(ended) != 2 { // Serve waited for them, so that they could say their last
			t.Errorf("got %d handlers that have returned, want 2", len(ended))
		}
	})
}

// A handler that ignores its context does not keep Serve from returning.
func TestDrainLeavesHandlersThatIgnoreIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started, release := make(chan struct{}, 1), make(chan struct{})
		defer close(release)
		d := openVirtual(t, &Server{Limits: Limits{DrainTime: 50 * time.Millisecond},
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				started <- struct{}{}
				<-release
			})})
		conn, _ := d.http1(t)
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
		receive(t, started)
		d.stop()
		if err := receive(t, d.served); err != nil {
			t.Error(err)
		}
	})
}

// A hijacked connection, such as a WebSocket's, is an open request as long as its handler runs.
func TestDrainAndUpgradedConnections(t *testing.T) {
	for name, cut := range map[string]bool{"it ends by itself": false, "it is cut": true} {
		t.Run(name, func(t *testing.T) {
			limits := Limits{}
			if cut {
				limits.DrainTime = 100 * time.Millisecond
			}
			returned := make(chan struct{}, 1)
			d := open(t, &Server{Limits: limits,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { returned <- struct{}{} }()
					conn, _, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					defer context.AfterFunc(r.Context(), func() { conn.Close() })()
					io.WriteString(conn, "x")
					io.Copy(conn, conn)
				})})
			conn, r := d.http1(t)
			io.WriteString(conn,
				"GET / HTTP/1.1\r\nHost: one.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			if _, err := r.ReadByte(); err != nil {
				t.Fatal(err)
			}
			d.stop()
			gone(t, d.secure)
			if !cut {
				io.WriteString(conn, "echo")
				got := make([]byte, 4)
				if _, err := io.ReadFull(r, got); err != nil || string(got) != "echo" {
					t.Errorf("got %q, %v; want echo", got, err)
				}
				select {
				case err := <-d.served:
					t.Errorf("Serve returned %v before the connection ended", err)
				default:
				}
				conn.Close()
			}
			if err := receive(t, d.served); err != nil {
				t.Error(err)
			}
			if len(returned) != 1 {
				t.Error("Serve returned before the handler")
			}
			if _, err := r.ReadByte(); err == nil {
				t.Error("the connection is still open")
			}
		})
	}
}

// failing is a listener whose Accept fails when it is told to.
type failing struct {
	net.Listener
	err  error
	fail chan struct{}
}

func (f failing) Accept() (net.Conn, error) {
	<-f.fail
	return nil, f.err
}

func TestListenerThatFails(t *testing.T) {
	broken := errors.New("broken")
	for _, which := range []string{"https", "http"} {
		var listeners [2]net.Listener
		for i := range listeners {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			listeners[i] = l
		}
		addresses := [2]string{listeners[0].Addr().String(), listeners[1].Addr().String()}
		fail := make(chan struct{})
		if which == "https" {
			listeners[0] = failing{listeners[0], broken, fail}
		} else {
			listeners[1] = failing{listeners[1], broken, fail}
		}
		served := make(chan error, 1)
		go func() {
			s := &Server{Handler: http.NotFoundHandler(), Certificate: one(t)}
			served <- s.Serve(context.Background(), listeners[0], listeners[1])
		}()
		close(fail)
		if err := receive(t, served); !errors.Is(err, broken) {
			t.Errorf("%s: got %v, want %v", which, err, broken)
		}
		gone(t, addresses[0])
		gone(t, addresses[1])
	}
}

// short is a listener whose Accept fails a few times, as for want of memory.
type short struct {
	net.Listener
	errs chan error
}

func (s short) Accept() (net.Conn, error) {
	select {
	case err := <-s.errs:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	default:
		return s.Listener.Accept()
	}
}

// Serve survives errors of accept(2) that concern one connection.
func TestListenerThatFailsForAMoment(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 4)
	for _, err := range []error{syscall.EMFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EHOSTUNREACH} {
		errs <- err
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		s := &Server{Handler: text(func(http.ResponseWriter, *http.Request) string { return "well" }),
			Certificate: one(t)}
		served <- s.Serve(ctx, short{l, errs}, nil)
	}()
	d := &deployment{dialTo: func(string) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }}
	if _, body := get(t, d.client(t, false), "https://one.example/"); body != "well" {
		t.Errorf("got %q, want well", body)
	}
	stop()
	if err := receive(t, served); err != nil {
		t.Error(err)
	}
}

func TestServeWithoutPlainAndWithoutTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := (&Server{Handler: http.NotFoundHandler(), Certificate: one(t)}).Serve(ctx, l, nil); err != nil {
		t.Error(err)
	}
	gone(t, l.Addr().String())
}

// late is a listener that returns an accepted connection only a moment after it was closed, as if its goroutine had
// not been scheduled.
type late struct {
	net.Listener
	given, closed chan struct{}
}

func (l *late) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		close(l.given)
		<-l.closed
		time.Sleep(50 * time.Millisecond)
	}
	return c, err
}

func (l *late) Close() error {
	err := l.Listener.Close()
	close(l.closed)
	return err
}

// Every accepted connection gets a response, also one that was not counted yet when the drain began.
func TestDrainServesWhatIsBeingAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listeners := [2]*late{}
		n := &pipeNetwork{}
		defer time.Sleep(time.Minute) // until nobody sends any more
		defer n.close()
		for i := range listeners {
			listeners[i] = &late{newPipeListener(n), make(chan struct{}), make(chan struct{})}
		}
		handled := make(chan string, 2)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handled <- r.Host })
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		s := &Server{Certificate: one(t), Handler: h, Plain: h}
		go func() { served <- s.Serve(ctx, listeners[0], listeners[1]) }()
		heard := make(chan string, 2)
		for i, l := range listeners {
			c, err := l.Listener.(*pipeListener).dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if i == 0 {
				c = tls.Client(c, &tls.Config{ServerName: "one.example", InsecureSkipVerify: true})
			}
			go func() {
				fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
				line, _ := bufio.NewReader(c).ReadString('\n')
				heard <- line
			}()
			<-l.given
		}
		stop()
		if err := receive(t, served); err != nil {
			t.Error(err)
		}
		if n := len(handled); n != 2 {
			t.Errorf("%d were asked for when the service had ended, want 2", n)
		}
		for range listeners {
			if line := receive(t, heard); line != "HTTP/1.1 200 OK\r\n" {
				t.Errorf("got %q, want a response 200", line)
			}
		}
	})
}
