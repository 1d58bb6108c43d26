package origin

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// unharmed says so where a server is counted a failure, or left out, that is well.
func unharmed(t *testing.T, o *Origin) {
	t.Helper()
	for _, s := range o.Status() {
		if s.Failures != 0 || !s.OutUntil.IsZero() {
			t.Errorf("the server is blamed: %+v", s)
		}
	}
}

// A client may choose the host (a wildcard's, or an alias that the server has not heard of), and a server may refuse
// the name in the handshake. That says nothing of its other sites.
func TestNameThatTheServerRefuses(t *testing.T) {
	a := newAuthority(t)
	own := a.issue(t, time.Now().Add(time.Hour), "shop.example")
	refusing := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != "shop.example" {
			return nil, nil // the alert unrecognized_name
		}
		return &own.Certificates[0], nil
	}}
	for _, scheme := range []string{"https", "h2"} {
		t.Run(scheme, func(t *testing.T) {
			config := refusing.Clone()
			config.NextProtos = []string{"h2", "http/1.1"}
			address := listen(t, config, func(c net.Conn, r *bufio.Reader) { c.(*tls.Conn).Handshake() })
			o, err := New(Config{Servers: []string{scheme + "://" + address}, CA: a.file, Wait: patience})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			for range 5 {
				r := httptest.NewRequest("GET", "/", nil)
				r.Host = "nobody.example"
				if _, _, _, err := o.Serve(httptest.NewRecorder(), r.WithContext(t.Context())); err == nil {
					t.Fatal("no failure")
				} else {
					t.Log(err)
				}
			}
			unharmed(t, o)
		})
	}
}

// A client that sends half a body and then nothing makes a server hang up that does not wait as long as the door.
func TestBodyThatTheServerDoesNotWaitFor(t *testing.T) {
	t.Parallel()
	h1 := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		head(r)
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		io.ReadFull(r, make([]byte, 10))
	})
	h2 := serveH2C(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		io.ReadAll(r.Body)
		panic(http.ErrAbortHandler)
	})
	for name, url := range map[string]string{"HTTP/1.1": h1, "HTTP/2": h2} {
		t.Run(name, func(t *testing.T) {
			o := several(t, url)
			g := openHandler(t, func(w http.ResponseWriter, r *http.Request) error {
				_, _, _, err := o.Serve(w, r)
				return err
			}, false)
			for range 4 {
				c, r := g.dial(t)
				io.WriteString(c, "POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nhalf")
				answer, err := http.ReadResponse(r, nil)
				if err == nil {
					t.Log(answer.Status)
				}
				c.Close()
			}
			unharmed(t, o)
		})
	}
}

// A client that takes an answer slowly makes a server give up that has a time for the whole of it, as Go's
// WriteTimeout.
func TestAnswerThatIsTakenSlowly(t *testing.T) {
	t.Parallel()
	url := "http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
		c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		for {
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	o := several(t, url)
	ended := make(chan error, 8)
	g := openHandler(t, func(w http.ResponseWriter, r *http.Request) error {
		_, _, _, err := o.Serve(w, r)
		ended <- err
		return err
	}, false)
	for range failuresAtMost {
		c, r := g.dial(t)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
		time.Sleep(300 * time.Millisecond)
		io.Copy(io.Discard, r)
		t.Log(receive(t, ended))
	}
	unharmed(t, o)
}

// The one request that finds out whether a server is well again may take hours: others have to find out meanwhile.
func TestTrialThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &list{servers: []*server{{address: "a"}, {address: "b"}}, wait: time.Minute}
		b := bench{t, l}
		for l.status()[0].OutUntil.IsZero() {
			b.ask(true)
		}
		time.Sleep(outAtLeast)
		var trial call
		for trial.server == nil || trial.server.address != "a" {
			trial = call{list: l}
			l.choose(&trial, nil)
		}
		time.Sleep(time.Hour) // a client's body, byte by byte
		for range 8 {
			if b.ask(false) == "a" {
				return
			}
		}
		t.Error("a server is left out for as long as one client likes")
	})
}

// What an application repeats of a request may make its answer malformed: the server is there and speaks HTTP.
func TestAnswerThatTheClientMadeMalformed(t *testing.T) {
	url, _ := answering(t, "HTTP/1.1 302 Found\r\nLocation: /\x01\r\nContent-Length: 0\r\n\r\n")
	o := several(t, url)
	for range failuresAtMost {
		if w, result := send(t, o, "GET", ""); w.Code != 502 || result.word() != Garbage {
			t.Fatal(w.Code, result.err)
		}
	}
	unharmed(t, o)
}
