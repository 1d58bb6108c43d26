package server

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// script is what a handler does, in steps: "+N" writes N bytes, "f" flushes, "NNN" writes a status, "name=value" sets a
// field.
type script []string

func (s script) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = nil // net/http guesses
	for _, step := range s {
		name, value, field := strings.Cut(step, "=")
		switch n, _ := strconv.Atoi(step); {
		case field:
			w.Header().Add(name, value)
		case step == "f":
			w.(http.Flusher).Flush()
		case step[0] == '+':
			w.Write([]byte(strings.Repeat("x", n)))
		default:
			w.WriteHeader(n)
		}
	}
}

// Whatever a handler does, a client hears the same from here as from net/http.
func TestAnswersAreThoseOfNetHTTP(t *testing.T) {
	current := script{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { current.ServeHTTP(w, r) })
	ours := open(t, handler)
	theirs := httptest.NewUnstartedServer(handler)
	theirs.Config.ErrorLog = log.New(io.Discard, "", 0)
	theirs.Start()
	defer theirs.Close()
	steps := rapid.SampledFrom([]string{
		"+0", "+1", "+100", "+2000", "+2100", "+5000", "+16384", "+40000", "f", "f", "103", "200", "200", "204", "304", "404", "503", "599",
		"X=1", "X=2", "Set-Cookie=a", "Link=b", "Content-Length=100", "Transfer-Encoding=chunked", "Trailer:U=2", "Date=never", "Connection=close",
	})
	rapid.Check(t, func(t *rapid.T) {
		current = rapid.SliceOfN(steps, 0, 8).Draw(t, "script")
		if slices.Contains(current, "Transfer-Encoding=chunked") { // beside which a length means nothing
			current = slices.DeleteFunc(current, func(step string) bool { return step == "Content-Length=100" })
		}
		if slices.Contains(current, "Trailer:U=2") {
			current = append(current, "f") // without it net/http forgets a trailer that was not announced behind a short body
		}
		method := rapid.SampledFrom([]string{"GET", "GET", "GET", "HEAD"}).Draw(t, "method")
		said := method + " / HTTP/1.1\r\nHost: a\r\n\r\n"
		if rapid.IntRange(0, 4).Draw(t, "old") == 0 {
			said = method + " / HTTP/1.0\r\nHost: a\r\n\r\n"
			current = slices.DeleteFunc(
				current,
				func(step string) bool { return step == "103" || strings.HasPrefix(step, "Trailer") },
			) // which HTTP/1.0 does not know
		}
		a, b := heard(t, ours.address, said, method), heard(t, theirs.Listener.Addr().String(), said, method)
		if a != b {
			t.Errorf("%q, %v:\n     here %s\nnet/http %s", said, current, a, b)
		}
	})
}

// heard is what a client understands of an answer.
func heard(t *rapid.T, address, said, method string) string {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, said)
	c.(*net.TCPConn).CloseWrite()
	all, _ := io.ReadAll(c)
	return understood(string(all), method)
}

func understood(all, method string) string {
	out := ""
	r := newReader(all)
	for {
		answer, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return out + "broken"
		}
		body, err := io.ReadAll(answer.Body)
		for _, name := range []string{"Date", "Connection"} {
			if answer.Header.Get(name) != "never" {
				answer.Header.Del(name)
			}
		}
		out += fmt.Sprintf("%d %q length %d chunked %v %d bytes %v trailer %q; ", answer.StatusCode, answer.Header,
			answer.ContentLength, answer.TransferEncoding, len(body), err, answer.Trailer)
		if answer.StatusCode >= 200 {
			return out
		}
	}
}

// Fields that were announced, and ones that were not, come behind a chunked body and nowhere else.
func TestTrailers(t *testing.T) {
	t.Parallel()
	d := open(t,
		script{"Trailer=T, Content-Length", "Trailer:U=2", "Trailer:Transfer-Encoding=x", "200", "+3", "T=1"}.ServeHTTP)
	for said, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n": "Transfer-Encoding: chunked\r\n\r\n3\r\nxxx\r\n0\r\nT: 1\r\nU: 2\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n":            "Content-Length: 3\r\nConnection: close\r\n\r\nxxx",
	} {
		heard := d.say(t, said)
		if _, behind, _ := strings.Cut(heard, "GMT\r\n"); behind != want {
			t.Errorf("%q: %q", said, heard)
		}
	}
}

// The connection is used again wherever it can be.
func TestConnectionsGoOn(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/read":
			io.Copy(io.Discard, r.Body)
		case "/close":
			w.Header().Set("Connection", "close")
		case "/short":
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "short")
		case "/chunks":
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, r.URL.Path)
	})
	next := "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	big := strings.Repeat("x", 200<<10)
	for said, more := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                                                    true,
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n":                                                   true,
		"GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n":                                              true,
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n":                                     true,
		"GET / HTTP/1.0\r\n\r\n":                                                               false,
		"GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n":                               false, // its end is the connection's
		"GET /close HTTP/1.1\r\nHost: a\r\n\r\n":                                               false,
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":                               false,
		"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 204800\r\n\r\n" + big:               true,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345":                         true, // little is left of it
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n":  true,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 204800\r\n\r\n" + big:                   false, // too much is
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n":                false,
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n12345": false, // it was not asked for
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n":      true,
	} {
		method, _, _ := strings.Cut(said, " ")
		heard := d.say(t, said+next)
		if strings.Contains(heard, "/next") != more {
			t.Errorf("%.100q: %.400q", said, heard)
		}
		first, _, _ := strings.Cut(heard, "\r\n\r\n")
		if strings.Contains(first, "Connection: close") && more || !strings.HasPrefix(first, "HTTP/1.1 200 OK\r\n") {
			t.Errorf("%.100q, %s: %q", said, method, first)
		}
	}
	if heard := d.say(t, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n"+next); !strings.HasSuffix(heard, "\r\n\r\nshort") &&
		!strings.HasSuffix(heard, "\r\n\r\nshort/shor") {
		t.Errorf("%q", heard)
	}
}

// From End on every answer is the last of its connection, and connections without a request are closed.
func TestEnd(t *testing.T) {
	t.Parallel()
	begun, release := make(chan bool), make(chan bool)
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- true
			<-release
		}
		io.WriteString(w, "done")
	})
	idle, idleReader := d.dial(t)
	io.WriteString(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if answer, err := http.ReadResponse(idleReader, nil); err != nil || answer.Close {
		t.Errorf("%+v, %v", answer, err)
	}
	busy, busyReader := d.dial(t)
	io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	d.End()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, idleReader)
		ended <- err
	}()
	for waiting := true; waiting; {
		d.CloseIdle()
		select {
		case err := <-ended:
			waiting = false
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Millisecond):
		}
	}
	close(release)
	all, err := io.ReadAll(busyReader)
	if err != nil || !strings.Contains(string(all), "Connection: close\r\n") ||
		!strings.HasSuffix(string(all), "done") {
		t.Errorf("%q, %v", all, err)
	}
}

// An answer that breaks off looks so, and a panic is told.
func TestAborts(t *testing.T) {
	t.Parallel()
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", "10")
		case "/late":
			io.WriteString(w, strings.Repeat("x", 100<<10))
		case "/nothing":
			panic("nothing was said")
		}
		io.WriteString(w, "some")
		panic(http.ErrAbortHandler)
	})
	for path, want := range map[string]string{"/length": "some", "/chunks": "4\r\nsome\r\n", "/late": "some\r\n", "/nothing": ""} {
		c, r := d.dial(t)
		io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
		all, err := io.ReadAll(r)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			t.Logf("%s: %v", path, err) // a reset will do
		}
		if !strings.HasSuffix(string(all), want) || path == "/nothing" && len(all) > 0 {
			t.Errorf("%s: %.200q", path, all)
		}
	}
	d.stop()
	d.End()
	d.CloseIdle()
	if !t.Failed() {
		t.Cleanup(func() {
			if said := d.trouble.String(); strings.Count(said, "http: panic serving") != 1 ||
				!strings.Contains(said, "nothing was said") {
				t.Errorf("trouble: %q", said)
			}
		})
	}
}

// A field of the head is in the head, although it is announced to come again behind the body.
func TestFieldThatComesTwice(t *testing.T) {
	t.Parallel()
	for _, sized := range []bool{false, true} {
		d := open(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Cache-Control")
			w.Header().Set("Cache-Control", "no-store")
			if sized {
				w.Header().Set("Content-Length", "2")
			}
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			io.WriteString(w, "ok")
			w.Header().Set("Cache-Control", "no-cache")
		})
		for _, version := range []string{"1.0", "1.1"} {
			got, _ := answers(t, "GET", d.say(t, "GET / HTTP/"+version+"\r\nHost: a\r\n\r\n"))
			if len(got) != 1 || got[0].Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %+v", version, got[0])
			} else if behind := got[0].Trailer.Get("Cache-Control"); (behind == "no-cache") != (version == "1.1" && !sized) {
				t.Errorf("%s: %q behind the body", version, behind)
			}
		}
	}
}
