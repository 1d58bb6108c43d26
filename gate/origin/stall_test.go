package origin

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// stalls has a server of every kind, with a short wait, whose handler gets a channel that is closed at the end of the test.
func stalls(t *testing.T, wait time.Duration, h func(http.ResponseWriter, *http.Request, <-chan struct{}), test func(t *testing.T, g *gateway)) {
	end := make(chan struct{})
	for name, c := range kinds(t, func(w http.ResponseWriter, r *http.Request) { h(w, r, end) }) {
		t.Run(name, func(t *testing.T) {
			c.Wait = wait
			both(t, c, test)
		})
	}
	close(end) // before the servers wait for their handlers
}

// An answer whose next bytes do not come is cut off, whatever the server speaks.
func TestStalledBodies(t *testing.T) {
	stalls(t, 200*time.Millisecond, func(w http.ResponseWriter, r *http.Request, end <-chan struct{}) {
		io.WriteString(w, "part")
		http.NewResponseController(w).Flush()
		<-end
	}, func(t *testing.T, g *gateway) {
		answer := g.get(t, "/")
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if string(body) != "part" || err == nil {
			t.Errorf("%q, %v", body, err)
		}
		if result := receive(t, g.outcomes); result.status != 200 || result.word() != Timeout || !result.cut() {
			t.Errorf("%+v", result)
		}
	})
}

// A body that takes several waits, and never one at a time, is whole.
func TestSlowBodiesAreWhole(t *testing.T) {
	const wait = 500 * time.Millisecond
	stalls(t, wait, func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}) {
		for range 7 {
			io.WriteString(w, "x")
			http.NewResponseController(w).Flush()
			time.Sleep(wait / 5)
		}
	}, func(t *testing.T, g *gateway) {
		if body := content(t, g.get(t, "/")); body != "xxxxxxx" {
			t.Errorf("%q", body)
		}
		if result := receive(t, g.outcomes); result.err != nil {
			t.Errorf("%+v", result)
		}
	})
}

// While the client's body is on its way the server may say nothing for as long as it likes, and the bound is there once that
// has ended.
func TestServersWaitForBodies(t *testing.T) {
	const wait = 200 * time.Millisecond
	stalls(t, wait, func(w http.ResponseWriter, r *http.Request, end <-chan struct{}) {
		http.NewResponseController(w).EnableFullDuplex()
		io.WriteString(w, "part")
		http.NewResponseController(w).Flush()
		io.CopyN(w, r.Body, 4)
		http.NewResponseController(w).Flush()
		io.Copy(io.Discard, r.Body)
		<-end
	}, func(t *testing.T, g *gateway) {
		reader, writer := io.Pipe()
		answer := g.do(t, g.request(t, "POST", "/", reader))
		if _, err := io.ReadFull(answer.Body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * wait) // which is what must make no difference
		io.WriteString(writer, "more")
		if _, err := io.ReadFull(answer.Body, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		writer.Close()
		if _, err := io.ReadAll(answer.Body); err == nil {
			t.Error("half an answer passed for a whole one")
		}
		answer.Body.Close()
		if result := receive(t, g.outcomes); result.word() != Timeout {
			t.Errorf("%+v", result)
		}
	})
}

// The time that a client takes does not count, over HTTP/2 either.
func TestSlowClientOfHTTP2Server(t *testing.T) {
	const wait = 100 * time.Millisecond
	long := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	o, err := New(Config{Servers: []string{serveH2C(t, func(w http.ResponseWriter, r *http.Request) { w.Write(long) })}, Wait: wait})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	w := &slow{httptest.NewRecorder(), func() { time.Sleep(3 * wait) }}
	r := httptest.NewRequest("GET", "/", nil).WithContext(t.Context())
	if _, _, _, err := o.Serve(w, r); err != nil || !bytes.Equal(w.Body.Bytes(), long) {
		t.Errorf("%d bytes, %v", w.Body.Len(), err)
	}
}
