package origin

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	//lint:file-ignore SA1019 frames are made with the library that the engine is of.
	"golang.org/x/net/http2"
)

// shop is an HTTP/2 origin: /endless answers without end, /sink takes no body, what is else is answered with the body's
// size.
type shop struct {
	url, ca string
	written atomic.Int64  // of all endless answers
	streams atomic.Int32  // endless answers and sinks under way
	now     atomic.Int32  // connections
	most    atomic.Int32  // of them
	ever    atomic.Int32  // of them
	over    chan struct{} // closed at the end
}

// openShop starts it; secure is whether it speaks TLS, streams how many it allows on a connection.
func openShop(t *testing.T, secure bool, streams int) *shop {
	t.Helper()
	o := &shop{over: make(chan struct{})}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/endless":
			o.streams.Add(1)
			defer o.streams.Add(-1)
			piece := make([]byte, 4<<10)
			for {
				n, err := w.Write(piece)
				if o.written.Add(int64(n)); err != nil {
					return
				}
			}
		case "/sink":
			o.streams.Add(1)
			defer o.streams.Add(-1)
			select {
			case <-r.Context().Done():
			case <-o.over:
			}
		case "/nothing":
			w.WriteHeader(204)
		default:
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:          streams,
		MaxReceiveBufferPerConnection: 64 << 10,
		MaxReceiveBufferPerStream:     64<<10 - 1,
	}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			o.ever.Add(1)
			o.most.Store(max(o.most.Load(), o.now.Add(1)))
		case http.StateClosed:
			o.now.Add(-1)
		}
	}
	if secure {
		a := newAuthority(t)
		o.ca = a.file
		s.TLS, s.EnableHTTP2 = a.issue(t, time.Now().Add(time.Hour), "shop.example"), true
		s.StartTLS()
		o.url = "h2://" + s.Listener.Addr().String()
	} else {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
		o.url = "h2c://" + s.Listener.Addr().String()
	}
	t.Cleanup(func() {
		close(o.over)
		s.CloseClientConnections()
		s.Close()
	})
	return o
}

// rest waits until nothing more is written.
func (o *shop) rest(t *testing.T, streams int32) {
	t.Helper()
	end := time.Now().Add(2 * patience)
	for last, since := int64(-1), time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if n := o.written.Load(); n != last || o.streams.Load() < streams {
			last, since = n, time.Now()
		} else if time.Since(since) > 200*time.Millisecond {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d streams, %d bytes written", o.streams.Load(), last)
		}
	}
}

// newcomer is a client of g's with a connection of its own, which takes little of what it does not read.
func newcomer(t *testing.T, g *gateway) *http.Client {
	t.Helper()
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols),
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4 << 10},
	}
	tr.Protocols.SetHTTP1(g.TLS == nil)
	tr.Protocols.SetHTTP2(g.TLS != nil)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 24 * patience}
}

// ask sends a request of a newcomer's.
func (g *gateway) ask(t *testing.T, c *http.Client, method, path string, body io.Reader) *http.Response {
	t.Helper()
	answer, err := c.Do(g.request(t, method, path, body))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// others visit g, over both protocols, with and without bodies, and nobody keeps them waiting.
func others(t *testing.T, gateways ...*gateway) {
	t.Helper()
	for _, g := range gateways {
		c := newcomer(t, g)
		for range 2 {
			for _, size := range []int{0, 4, 300_000} {
				answer := g.ask(t, c, "POST", "/", strings.NewReader(strings.Repeat("x", size)))
				if got := content(t, answer); got != fmt.Sprint(size) {
					t.Errorf("%q, want %d", got, size)
				}
				answer.Body.Close()
			}
			for _, method := range []string{"GET", "HEAD"} {
				if answer := g.ask(t, c, method, "/nothing", nil); answer.StatusCode != 204 {
					t.Error(answer.Status)
				}
			}
		}
	}
}

// pair is a gateway for both protocols, of one origin.
func pair(t *testing.T, c Config) (one, two *gateway) {
	t.Helper()
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	serve := func(w http.ResponseWriter, r *http.Request) error {
		_, _, _, err := o.Serve(w, r)
		return err
	}
	return openHandler(t, serve, false), openHandler(t, serve, true)
}

// Clients that do not read their answers hold up nobody, and cost what is promised.
func TestSlowReadersHoldUpNobody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		secure           bool
		clients, answers int // unread, of each
		streams          int // that the origin allows
	}{
		{false, 1, 5, 100}, {true, 1, 5, 100}, {false, 1, 50, 100}, {true, 1, 100, 100}, {false, 1, 100, 10}, {false, 1, 100, 1},
		{false, 4, 100, 100}, {true, 10, 10, 100},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			o := openShop(t, test.secure, test.streams)
			one, two := pair(t, Config{Servers: []string{o.url}, CA: o.ca})
			for range test.clients {
				c := newcomer(t, two)
				var all sync.WaitGroup
				for range test.answers {
					all.Go(func() {
						if answer, err := c.Do(two.request(t, "GET", "/endless", nil)); err == nil {
							t.Cleanup(func() { answer.Body.Close() })
						}
					})
				}
				all.Wait()
			}
			o.rest(t, int32(test.clients*test.answers))
			others(t, one, two)
			// The gateway's server and the client take a little of every answer, too.
			const other = 16<<10 + 64<<10
			wide := min(test.answers, wideStreams, test.streams)
			promised := test.clients * (wide*wideWindow + (test.answers-wide)*narrowWindow + test.answers*other)
			if n := o.written.Load(); n > int64(promised) {
				t.Errorf("%d bytes of unread answers, promised %d", n, promised)
			}
			want := test.clients
			if test.answers > wideStreams {
				want = test.clients * (1 + (test.answers-wide+test.streams-1)/test.streams)
			}
			if n := o.most.Load(); int(n) > want+2 {
				t.Errorf("%d connections, want %d and one for each other visitor", n, want)
			}
		})
	}
}

// One that reads a byte now and then does not either.
func TestTricklingReaderHoldsUpNobody(t *testing.T) {
	t.Parallel()
	o := openShop(t, false, 100)
	one, two := pair(t, Config{Servers: []string{o.url}})
	c := newcomer(t, two)
	for range 8 {
		body := two.ask(t, c, "GET", "/endless", nil).Body
		go func() {
			for {
				if _, err := body.Read(make([]byte, 1)); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	o.rest(t, 8)
	others(t, one, two)
}

// Clients that read nothing over HTTP/1.1 neither.
func TestSlowReadersOverHTTP1HoldUpNobody(t *testing.T) {
	t.Parallel()
	o := openShop(t, false, 100)
	one, two := pair(t, Config{Servers: []string{o.url}})
	for range 10 {
		one.ask(t, newcomer(t, one), "GET", "/endless", nil)
	}
	o.rest(t, 10)
	others(t, one, two)
}

// A client that resets its streams gives back what it has not read, for others and for itself.
func TestResetStreamsHoldUpNobody(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		o := openShop(t, secure, 100)
		one, two := pair(t, Config{Servers: []string{o.url}, CA: o.ca})
		c := newcomer(t, two)
		hold := two.ask(t, c, "GET", "/endless", nil) // keeps the connection
		defer hold.Body.Close()
		for range 100 {
			ctx, leave := context.WithCancel(t.Context())
			answer, err := c.Do(two.request(t, "GET", "/endless", nil).WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			leave()
			answer.Body.Close()
		}
		o.rest(t, 1)
		others(t, one, two)
		for range 20 {
			if got := content(t, two.ask(t, c, "POST", "/", strings.NewReader("body"))); got != "4" {
				t.Errorf("%q", got)
			}
		}
		if n := o.ever.Load(); n > 20 {
			t.Errorf("%d connections", n)
		}
	}
}

// Uploads that the origin does not take hold up nobody else's.
func TestUploadsHoldUpNobody(t *testing.T) {
	t.Parallel()
	for _, streams := range []int{1, 10, 100} {
		o := openShop(t, false, streams)
		one, two := pair(t, Config{Servers: []string{o.url}})
		c := newcomer(t, two)
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				r := two.request(t, "POST", "/sink", io.LimitReader(zeros{}, 1<<30)).WithContext(ctx)
				if answer, err := c.Do(r); err == nil {
					answer.Body.Close()
				}
			})
		}
		o.rest(t, 20)
		others(t, one, two)
		leave()
		all.Wait()
	}
}

// What the origin does to a connection because of one client is that client's alone.
func TestConnectionErrorIsOneClients(t *testing.T) {
	t.Parallel()
	o := serveFrames(t, nil, nil, func(s stream) {
		switch s.path {
		case "/calm":
			s.goAway(s.id, http2.ErrCodeEnhanceYourCalm)
			s.hangUp()
		case "/hold":
			s.headers(false, ":status", "200")
			s.data(false, "part")
		case "/go":
			s.headers(true, ":status", "204")
		}
	}, nil)
	_, two := pair(t, Config{Servers: []string{o.url()}})
	good, bad := newcomer(t, two), newcomer(t, two)
	answer := two.ask(t, good, "GET", "/hold", nil)
	if _, err := io.ReadFull(answer.Body, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if answer := two.ask(t, bad, "POST", "/calm", strings.NewReader("body")); answer.StatusCode != 502 {
			t.Error(answer.Status)
		}
	}
	if answer := two.ask(t, good, "GET", "/go", nil); answer.StatusCode != 204 {
		t.Error(answer.Status)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := answer.Body.Read(make([]byte, 1))
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Errorf("another client's answer ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	answer.Body.Close()
	receive(t, ended)
}

// Until the server has said how many streams it allows, a client's requests wait for that and are not refused.
func TestFirstSettingsAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, allowed := range []uint32{1, 10, 100} {
		o := serveFrames(
			t,
			nil,
			[]http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: allowed}},
			func(s stream) {
				go func() {
					time.Sleep(10 * time.Millisecond)
					s.headers(true, ":status", "204")
				}()
			},
			nil,
		)
		_, two := pair(t, Config{Servers: []string{o.url()}})
		c := newcomer(t, two)
		var all sync.WaitGroup
		for range 60 {
			all.Go(func() {
				if answer, err := c.Do(two.request(t, "POST", "/", nil)); err != nil || answer.StatusCode != 204 {
					t.Error(answer, err)
				}
			})
		}
		all.Wait()
		if n := o.connections.Load(); n > 2+int32(60/allowed) {
			t.Errorf("%d allowed: %d connections", allowed, n)
		}
	}
}

// Connections that nobody uses serve the next client, and no more are kept than promised.
func TestConnectionsAreHandedOn(t *testing.T) {
	t.Parallel()
	o := openShop(t, false, 100)
	one, two := pair(t, Config{Servers: []string{o.url}})
	for range 5 {
		others(t, one, two)
	}
	if n := o.ever.Load(); n > 5 { // a client may come before the last one's request is quite over
		t.Errorf("%d connections for ten clients, one at a time", n)
	}
}
