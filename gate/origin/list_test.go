package origin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// several is an Origin of these servers.
func several(t *testing.T, servers ...string) *Origin {
	t.Helper()
	o, err := New(Config{Servers: servers, Wait: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// send sends one request with a body, or none, without a client.
func send(t *testing.T, o *Origin, method, body string) (*httptest.ResponseRecorder, outcome) {
	t.Helper()
	w := httptest.NewRecorder()
	var r *http.Request
	if body == "" {
		r = httptest.NewRequest(method, "/", nil)
	} else {
		r = httptest.NewRequest(method, "/", strings.NewReader(body))
	}
	r.Host = "shop.example"
	asked, status, first, err := o.Serve(w, r.WithContext(t.Context()))
	return w, outcome{asked, status, first, err}
}

// dead is an address at which nobody listens.
func dead(t *testing.T) string {
	t.Helper()
	const address = "127.0.0.1:1" // a port that is given to nobody who asks for any; one that was just given back is
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Fatalf("something listens on %s", address)
	}
	return address
}

func TestLeastBusyIsAsked(t *testing.T) {
	l := &list{servers: []*server{{address: "a"}, {address: "b"}, {address: "c"}}}
	pick := func() string {
		var c call
		l.choose(&c, nil)
		return c.server.address
	}
	var ties []string
	for range 6 {
		ties = append(ties, pick())
	}
	if want := []string{"a", "b", "c", "a", "b", "c"}; !reflect.DeepEqual(ties, want) {
		t.Errorf("%v, want %v", ties, want)
	}
	l.servers[1].inFlight.Store(0)
	l.servers[2].inFlight.Store(1)
	if got := []string{pick(), pick()}; got[0] != "b" {
		t.Errorf("%v, but b was idle", got)
	}
}

// What a failure may be tried again with elsewhere.
func TestElsewhere(t *testing.T) {
	closing := func(read int) string {
		return "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
			if message := head(r); read > 0 && message != "" {
				io.ReadFull(r, make([]byte, read))
			}
		})
	}
	h2 := func(h http.HandlerFunc) string { return serveH2C(t, h) }
	aborting := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, test := range []struct {
		name, first  string
		method, body string
		again        bool
		word         string
	}{
		{"refused, GET", "http://" + dead(t), "GET", "", true, ""},
		{"refused, POST with a body", "http://" + dead(t), "POST", "body", true, ""},
		{"refused, POST without", "http://" + dead(t), "POST", "", true, ""},
		{"refused over HTTP/2, POST with a body", "h2c://" + dead(t), "POST", "body", true, ""},
		{"no socket, POST with a body", "unix:/nowhere/at-all.sock", "POST", "body", true, ""},
		{"no TLS there, POST with a body", "https://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) { io.WriteString(c, "what?\r\n") }), "POST", "body", true, ""},
		{"closed without an answer, GET", closing(0), "GET", "", true, ""},
		{"closed without an answer, PUT without a body", closing(0), "PUT", "", true, ""},
		{"closed without an answer, POST without a body", closing(0), "POST", "", false, Reset},
		{"closed after the body, POST", closing(4), "POST", "body", false, Reset},
		{"closed after the body, PUT", closing(4), "PUT", "body", false, Reset},
		{"half an answer", "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) { head(r); io.WriteString(c, "HTTP/1.1 200 OK\r\n") }), "GET", "", false, Reset},
		{"garbage", "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) { head(r); io.WriteString(c, "what?\r\n\r\n") }), "GET", "", false, Garbage},
		{"the stream is reset, POST with a body", h2(aborting), "POST", "body", false, Reset},
		{"the stream is reset, GET", h2(aborting), "GET", "", true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var heard atomic.Int32
			second := handling(t, func(w http.ResponseWriter, r *http.Request) {
				heard.Add(1)
				io.Copy(w, r.Body)
			})
			o := several(t, test.first, second)
			w, result := send(t, o, test.method, test.body)
			switch {
			case test.again && (result.err != nil || w.Code != 200 || w.Body.String() != test.body || result.asked != second || heard.Load() != 1):
				t.Errorf("%d %q, %+v", w.Code, w.Body, result)
			case !test.again && (w.Code != 502 || result.word() != test.word || result.asked != test.first || heard.Load() != 0):
				t.Errorf("%d %q, %+v, the other heard %d", w.Code, w.Body, result, heard.Load())
			}
			if status := o.Status(); status[0].Failures != 1 || status[0].InFlight != 0 || status[1].Failures != 0 ||
				status[1].InFlight != 0 {
				t.Errorf("%+v", status)
			}
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	o := several(t, "http://"+dead(t), "unix:/nowhere/at-all.sock", "http://"+dead(t))
	for range 5 {
		w, result := send(t, o, "POST", "body")
		if w.Code != 502 || result.word() != Refused && result.word() != Unreachable {
			t.Errorf("%d, %+v", w.Code, result)
		}
	}
	for _, s := range o.Status() {
		if s.Failures != 5 || s.OutUntil.IsZero() || s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// An origin that is only slow is not asked twice, nor is another one in its place.
func TestSlowIsNotElsewhere(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	slow := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) { head(r); <-end })
	o, err := New(
		Config{
			Servers: []string{slow, handling(t, func(http.ResponseWriter, *http.Request) {})},
			Wait:    50 * time.Millisecond,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if w, result := send(t, o, "GET", ""); w.Code != 504 || result.word() != Timeout || result.asked != slow {
		t.Errorf("%d, %+v", w.Code, result)
	}
}

// bench is a list of two, of which the first fails where it is told to.
type bench struct {
	t *testing.T
	l *list
}

// ask sends a request to whoever is picked and says who that was.
func (b bench) ask(failing bool) string {
	c := call{list: b.l, start: time.Now()}
	b.l.choose(&c, nil)
	c.server.inFlight.Add(-1)
	if failing && c.server.address == "a" {
		c.failure = &Failure{Refused, nil}
		b.l.failed(&c)
	} else {
		c.responded(200)
	}
	return c.server.address
}

func (b bench) out() time.Duration {
	until := b.l.status()[0].OutUntil
	if until.IsZero() {
		return 0
	}
	return time.Until(until)
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bench{t, &list{servers: []*server{{address: "a"}, {address: "b"}}}}
		failures := func(n int) {
			t.Helper()
			for tries := 0; n > 0; tries++ {
				if b.ask(true) == "a" {
					n--
				}
				if tries > 20 {
					t.Fatal("a is not asked")
				}
			}
		}
		failures(2)
		time.Sleep(failuresWithin)
		failures(2)
		if b.out() != 0 {
			t.Fatalf("out for %v, and never failed three times in ten seconds", b.out())
		}
		failures(1)
		for _, span := range []time.Duration{10, 20, 40, 80, 120, 120} {
			span *= time.Second
			if b.out() != span {
				t.Fatalf("out for %v, want %v", b.out(), span)
			}
			time.Sleep(span - time.Nanosecond)
			for range 4 {
				if b.ask(true) == "a" {
					t.Fatal("a is asked although it is out")
				}
			}
			time.Sleep(time.Nanosecond)
			failures(1) // the half-open one
		}
		time.Sleep(outAtMost)
		for tries := 0; b.ask(false) != "a"; tries++ {
			if tries > 2 {
				t.Fatal("a is not tried")
			}
		}
		if s := b.l.status()[0]; !s.OutUntil.IsZero() {
			t.Errorf("%+v after an answer", s)
		}
		failures(3)
		if b.out() != outAtLeast {
			t.Errorf("out for %v again", b.out())
		}
	})
}

func TestOneRequestTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{servers: []*server{{address: "a"}, {address: "b"}}}
		b := bench{t, l}
		for l.status()[0].OutUntil.IsZero() {
			b.ask(true)
		}
		time.Sleep(outAtLeast)
		tries := 0
		var trial call
		for range 8 {
			c := call{list: l}
			if l.choose(&c, nil); c.server.address == "a" {
				tries++
				trial = c
			}
		}
		if tries != 1 || !trial.probe {
			t.Fatalf("%d requests try", tries)
		}
		trial.failure = &Failure{ClientGone, nil} // it has found out nothing
		l.failed(&trial)
		var c call
		for range 8 {
			if l.choose(&c, nil); c.server.address == "a" {
				return
			}
		}
		t.Error("nobody tries again")
	})
}

// Where all are out, the one whose failure is longest ago is asked.
func TestAllAreOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{servers: []*server{{address: "a"}, {address: "b"}, {address: "c"}}}
		fail := func(s *server) {
			l.failed(&call{list: l, server: s, failure: &Failure{Reset, nil}})
			time.Sleep(time.Millisecond)
		}
		for _, i := range []int{2, 2, 0, 0, 1, 1, 2, 0, 1} {
			fail(l.servers[i])
		}
		for _, want := range []string{"c", "a", "b", "c"} {
			c := call{list: l}
			if l.choose(&c, nil); c.server.address != want || !c.probe {
				t.Errorf("%s, want %s", c.server.address, want)
			}
			fail(c.server)
		}
		c := call{list: l}
		l.choose(&c, nil)
		c.responded(200) // it was the last resort, and is well
		if s := l.status()[0]; !s.OutUntil.IsZero() {
			t.Errorf("%+v", s)
		}
	})
}

// What clients do, or choose, puts no server out.
func TestClientsPutNoServerOut(t *testing.T) {
	a := newAuthority(t)
	soon := time.Now().Add(time.Hour)
	url, _ := secure(t, a.issue(t, soon, "www.example"))
	o, err := New(Config{Servers: []string{url}, CA: a.file})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for range 5 {
		if _, result := send(t, o, "GET", ""); result.word() != Certificate {
			t.Fatal(result.err)
		}
	}
	blank := handling(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	gone := several(t, blank)
	for range 5 {
		ctx, leave := context.WithTimeout(t.Context(), 5*time.Millisecond)
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		if _, _, _, err := gone.Serve(httptest.NewRecorder(), r); (outcome{err: err}).word() != ClientGone {
			t.Error(err)
		}
		leave()
	}
	for _, o := range []*Origin{o, gone} {
		if s := o.Status()[0]; s.Failures != 0 || !s.OutUntil.IsZero() {
			t.Errorf("%+v", s)
		}
	}
}

// Of two servers one is killed under load and comes back: no request fails.
func TestKilledUnderLoad(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-Id")) }
	one, two := httptest.NewServer(http.HandlerFunc(answer)), httptest.NewServer(http.HandlerFunc(answer))
	defer two.Close()
	o := several(t, one.URL, two.URL)
	var all sync.WaitGroup
	var asked [2]atomic.Int64
	kill := make(chan struct{})
	for worker := range 8 {
		all.Go(func() {
			for i := range 200 {
				if worker == 0 && i == 50 {
					close(kill)
				}
				w := httptest.NewRecorder()
				r := httptest.NewRequest("GET", "/", nil).WithContext(t.Context())
				id := fmt.Sprint(worker, ".", i)
				r.Header.Set("X-Id", id)
				who, status, _, err := o.Serve(w, r)
				if status != 200 || err != nil || w.Body.String() != id {
					t.Errorf("%s: %d %q %v", id, status, w.Body, err)
				}
				if who == one.URL {
					asked[0].Add(1)
				} else {
					asked[1].Add(1)
				}
			}
		})
	}
	<-kill
	one.Listener.Close()
	one.CloseClientConnections()
	all.Wait()
	one.Close()
	if asked[0].Load() == 0 || asked[1].Load() == 0 {
		t.Errorf("asked %d and %d times", asked[0].Load(), asked[1].Load())
	}
	status := o.Status()
	if status[0].OutUntil.IsZero() || status[0].Failures == 0 || status[1].Failures != 0 ||
		status[0].InFlight+status[1].InFlight != 0 {
		t.Errorf("%+v", status)
	}
}

func TestFailureOfAListIsTheLastOne(t *testing.T) {
	o := several(t, "http://"+dead(t), "https://"+listen(t, nil, func(net.Conn, *bufio.Reader) {}))
	_, result := send(t, o, "GET", "")
	var failure *Failure
	if !errors.As(result.err, &failure) || result.asked == "" {
		t.Errorf("%+v", result)
	}
}
