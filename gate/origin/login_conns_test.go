package origin

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// What is kept for a client is closed with its connection, and with the origin.
func TestLoginEndsWithTheClient(t *testing.T) {
	for name, end := range map[string]func(*visitor, *Origin){
		"client": func(v *visitor, _ *Origin) { v.transport.CloseIdleConnections() },
		"origin": func(_ *visitor, o *Origin) { o.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{}, 8)
			p := &personal{scheme: "NTLM"}
			o := reach(t, "http://"+listen(t, nil, func(c net.Conn, r *bufio.Reader) {
				p.converse(c, r)
				ended <- struct{}{}
			}))
			v := connected(t, o, false).visitor(t)
			if status, person := v.login("NTLM", "ann"); person != "ann" {
				t.Fatal(status, person)
			}
			if n := o.list.kept.count.Load(); n != 1 || len(ended) > 0 {
				t.Errorf("%d connections are kept, %d have ended", n, len(ended))
			}
			end(v, o)
			receive(t, ended)
			if n := o.list.kept.count.Load(); n != 0 {
				t.Errorf("%d connections are kept", n)
			}
		})
	}
}

// Where nobody tells connections apart, and over HTTP/2, no connection serves anybody after a login.
func TestLoginWithoutAClient(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		p := &personal{scheme: "Negotiate"}
		g := open(t, Config{Servers: []string{"http://" + listen(t, nil, p.converse)}}, http2)
		v := g.visitor(t)
		v.login("Negotiate", "ann")
		if status, person := v.ask("GET", ""); status != 401 || person != "" {
			t.Errorf("%d %q", status, person)
		}
		if n := p.connections.Load(); n != 4 {
			t.Errorf("4 requests came on %d connections", n)
		}
	}
}

// Whoever forwards a request may forward other people's on the same connection.
func TestLoginThatIsForwarded(t *testing.T) {
	for _, field := range []string{"X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Via: 1.1 proxy"} {
		p := &personal{scheme: "NTLM", silent: true}
		g := connected(t, reach(t, "http://"+listen(t, nil, p.converse)), false)
		for _, c := range []struct {
			authorization string
			status        int
		}{{"NTLM " + token("ann"), 200}, {"", 403}} {
			r := g.request(t, "GET", "/", nil, field)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			answer := g.do(t, r)
			if person := content(t, answer); answer.StatusCode != c.status {
				t.Errorf("%s: %d, taken for %q", field, answer.StatusCode, person)
			}
		}
	}
}

// Over a Unix socket it is as over TCP.
func TestLoginOverAUnixSocket(t *testing.T) {
	folder, err := os.MkdirTemp("", "origin") // a test's own may be longer than a socket's path can be
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path, p := filepath.Join(folder, "app.sock"), &personal{scheme: "Negotiate"}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				p.converse(c, bufio.NewReader(c))
			}()
		}
	}()
	g := connected(t, reach(t, "unix:"+path), false)
	one, other := g.visitor(t), g.visitor(t)
	if status, person := one.login("Negotiate", "ann"); person != "ann" {
		t.Errorf("%d %q", status, person)
	}
	if status, person := other.ask("GET", ""); status != 401 {
		t.Errorf("the other: %d %q", status, person)
	}
	if status, person := one.ask("POST", ""); person != "ann" {
		t.Errorf("later: %d %q", status, person)
	}
}

// Who is in the middle of a login stays with its server, however busy that is, and whatever the others do.
func TestLoginStaysWithItsServer(t *testing.T) {
	servers := make([]string, 4)
	for i := range servers {
		p := &personal{scheme: "NTLM"}
		servers[i] = "http://" + listen(t, nil, p.converse)
	}
	o := reach(t, servers...)
	g := connected(t, o, false)
	visitors := make([]*visitor, 6)
	for i := range visitors {
		visitors[i] = g.visitor(t)
		visitors[i].ask("GET", "")
	}
	for step := range 2 {
		for i, v := range visitors {
			name := fmt.Sprint("person", i)
			said := name
			if step == 1 {
				said += "/" + v.step
			}
			if status, person := v.ask("GET", "NTLM "+token(said)); step == 1 && (status != 200 || person != name) {
				t.Errorf("%s is %q: %d", name, person, status)
			}
		}
	}
	for i, v := range visitors {
		if status, person := v.ask("POST", ""); person != fmt.Sprint("person", i) {
			t.Errorf("person %d is %q: %d", i, person, status)
		}
	}
	for _, s := range o.Status() {
		if s.InFlight != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// A login goes on where it began when the configuration changes in the middle of it.
func TestLoginGoesOnAfterAChange(t *testing.T) {
	p := &personal{scheme: "NTLM"}
	server := "http://" + listen(t, nil, p.converse)
	old, other := reach(t, server), reach(t, "http://"+listen(t, nil, (&personal{scheme: "NTLM"}).converse), server)
	client := NewClient(t.Context())
	defer client.End()
	said := ""
	for i, o := range []*Origin{old, other, other} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(client, "GET", "/", nil)
		if i < 2 {
			r.Header.Set("Authorization", "NTLM "+token("ann"+said))
		}
		if _, _, _, err := o.Serve(w, r); err != nil {
			t.Fatal(err)
		}
		switch step := strings.TrimPrefix(w.Header().Get("Www-Authenticate"), "NTLM "); {
		case i == 0:
			text, _ := base64.StdEncoding.DecodeString(step)
			said = "/" + string(text)
		case i == 1 && (w.Code != 200 || w.Body.String() != "ann"):
			t.Errorf("%d %q", w.Code, w.Body)
		case i == 2 && w.Code != 401: // a new login is a matter of the client's
			t.Errorf("later: %d %q", w.Code, w.Body)
		}
	}
}

// The next step of a login goes to no other connection and to no other server: there it would be somebody else's,
// or nobody's.
func TestHalfDoneLoginIsNotMoved(t *testing.T) {
	const challenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n" +
		"WWW-Authenticate: NTLM c3RlcA==\r\nContent-Length: 0\r\n\r\n"
	for name, next := range map[string]string{
		"idle, closed":   "",
		"closed":         "read",
		"421":            "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n",
		"half an answer": "HTTP/1.1 200",
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(name, secure), func(t *testing.T) {
				requests, closed := make(chan string, 8), make(chan struct{}, 8)
				serve := func(c net.Conn, r *bufio.Reader) {
					requests <- head(r)
					io.WriteString(c, challenge)
					if next != "" {
						requests <- head(r)
					}
					if next != "read" {
						io.WriteString(c, next)
					}
					c.Close()
					closed <- struct{}{}
				}
				var servers []string
				for range 2 {
					server := "http://" + listen(t, nil, serve)
					if secure {
						server = "https://" + listen(t, newAuthority(t).issue(t, inAnHour(), "shop.example"), serve)
					}
					servers = append(servers, server)
				}
				v := connected(t, reach(t, servers...), false).visitor(t)
				if status, _ := v.ask("GET", "NTLM "+token("ann")); status != 401 {
					t.Fatal(status)
				}
				receive(t, requests)
				if next == "" {
					receive(t, closed)
				}
				r := v.gateway.request(t, "GET", "/", nil, "Authorization: NTLM "+token("ann/step"))
				answer, err := v.transport.RoundTrip(r)
				if err != nil || answer.StatusCode != 502 || !answer.Close || content(t, answer) == "" {
					t.Errorf("%v %v", answer, err)
				}
				if next != "" {
					receive(t, requests)
				}
				if n := len(requests); n > 0 {
					t.Errorf("it was sent %d times more", n)
				}
				if status, _ := v.ask("GET", "NTLM "+token("ann")); status != 401 {
					t.Errorf("another login: %d", status)
				}
			})
		}
	}
}

// Who is not in the middle of a login is served on another connection when the server has closed the client's own.
func TestLoginBeginsAnew(t *testing.T) {
	closed := make(chan struct{}, 8)
	o := reach(t, "http://"+listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		head(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nWWW-Authenticate: Negotiate cHJvb2Y=\r\nContent-Length: 3\r\n\r\nann")
		c.Close()
		closed <- struct{}{}
	}))
	v := connected(t, o, false).visitor(t)
	for _, authorization := range []string{"Negotiate dG9rZW4=", "Negotiate dG9rZW4=", "", "Negotiate dG9rZW4=", ""} {
		for _, method := range []string{"GET", "POST"} {
			if status, person := v.ask(method, authorization); status != 200 || person != "ann" {
				t.Errorf("%s %q: %d %q", method, authorization, status, person)
			}
			receive(t, closed)
		}
	}
}

// A server that ends the connection in the middle of a login has the client begin on another.
func TestHalfDoneLoginThatTheServerEnds(t *testing.T) {
	address, _ := answering(t, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nWWW-Authenticate: NTLM c3RlcA==\r\n"+
		"Content-Length: 0\r\n\r\n")
	g := connected(t, reach(t, address), false)
	if answer := g.do(t, g.request(t, "GET", "/", nil, "Authorization: NTLM "+token("ann"))); !answer.Close {
		t.Errorf("the client may go on: %v", answer.Header)
	}
}

// Credentials of requests are no login: their connections serve everybody.
func TestCredentialsOfRequests(t *testing.T) {
	for _, header := range []string{
		"Authorization: Basic bmVnb3RpYXRl", "Authorization: Bearer NTLM", `Authorization: Digest username="a, NTLM b"`,
		"Cookie: a=NTLM",
	} {
		var connections atomic.Int32
		o := reach(t, "http://"+listen(t, nil, func(c net.Conn, r *bufio.Reader) {
			for connections.Add(1); head(r) != ""; {
				io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"NTLM, Negotiate\"\r\n"+
					"WWW-Authenticate: Digest realm=\"a\", nonce=\"b, NTLM c\"\r\n"+
					"Authentication-Info: nextnonce=\"NTLM\"\r\nContent-Length: 0\r\n\r\n")
			}
		}))
		for _, http2 := range []bool{false, true} {
			g := connected(t, o, http2)
			for range 3 {
				v := g.visitor(t)
				name, value, _ := strings.Cut(header, ": ")
				r := g.request(t, "GET", "/", nil)
				r.Header.Set(name, value)
				answer, err := v.transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				content(t, answer)
			}
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%s: %d connections", header, n)
		}
	}
}

// A client connection keeps no more than a few, as one that asks for many hosts.
func TestKeptAtMost(t *testing.T) {
	var closed int
	done := make(chan struct{}, 16)
	certificate := newAuthority(t).issue(t, inAnHour(), "shop.example")
	o := reach(t, "https://"+listen(t, certificate, func(c net.Conn, r *bufio.Reader) {
		for head(r) != "" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nPersistent-Auth: true\r\nContent-Length: 2\r\n\r\nok")
		}
		done <- struct{}{}
	}))
	g := connected(t, o, false)
	v := g.visitor(t)
	for i := range 10 {
		r := g.request(t, "GET", "/", nil)
		r.Host = fmt.Sprintf("h%d.example", i)
		answer, err := v.transport.RoundTrip(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer, err)
		}
		content(t, answer)
	}
	for ; closed < 6; closed++ {
		receive(t, done)
	}
	if n := o.list.kept.count.Load(); n != keptAtMost {
		t.Errorf("%d are kept", n)
	}
	v.transport.CloseIdleConnections()
	for ; closed < 10; closed++ {
		receive(t, done)
	}
}

// Over HTTP/2 a login has a connection for its request alone.
func TestLoginOverHTTP2(t *testing.T) {
	type person struct{ name atomic.Value }
	var connections atomic.Int32
	for _, secure := range []bool{false, true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p := r.Context().Value(person{}).(*person)
			if said := r.Header.Get("Authorization"); said != "" {
				p.name.Store(said)
			}
			fmt.Fprint(w, p.name.Load())
		}))
		s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			connections.Add(1)
			return context.WithValue(ctx, person{}, &person{})
		}
		scheme := "h2c://"
		if secure {
			scheme = "h2://"
			s.EnableHTTP2 = true
			s.StartTLS()
		} else {
			s.Config.Protocols = new(http.Protocols)
			s.Config.Protocols.SetUnencryptedHTTP2(true)
			s.Start()
		}
		t.Cleanup(s.Close)
		o := reach(t, scheme+s.Listener.Addr().String())
		for _, http2 := range []bool{false, true} {
			v := connected(t, o, http2).visitor(t)
			connections.Store(0)
			for range 3 {
				if _, name := v.ask("POST", "Negotiate dG9rZW4="); name != "Negotiate dG9rZW4=" {
					t.Errorf("%q", name)
				}
				if _, name := v.ask("GET", ""); name != "<nil>" {
					t.Errorf("without a login: %q", name)
				}
			}
			if n := connections.Load(); n > 4 {
				t.Errorf("%d connections", n)
			}
		}
	}
}
