package server

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// loginServer is a site's own server that lets people in by connection, as IIS does: a name first, then the step
// that it asks for, and from then on whoever asks on the connection is that person. It answers before it reads a
// body.
func loginServer(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve := func(number int, c net.Conn) {
		defer c.Close()
		person := ""
		for r := bufio.NewReader(c); ; {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			said, _ := strings.CutPrefix(request.Header.Get("Authorization"), "NTLM ")
			name, step, _ := strings.Cut(said, "/")
			challenge := ""
			switch {
			case name != "" && step == fmt.Sprint("step", number):
				person = name
			case name != "":
				challenge = fmt.Sprint(" step", number)
			}
			if person == "" {
				fmt.Fprintf(c, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM%s\r\n", challenge)
				io.WriteString(c, "Content-Length: 0\r\n\r\n")
			}
			io.Copy(io.Discard, request.Body)
			if person != "" {
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(person), person)
			}
		}
	}
	go func() {
		for number := 1; ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(number, c)
		}
	}()
	return "http://" + l.Addr().String()
}

// Through the whole program a login is one client's alone, and goes through whatever its requests carry.
func TestLoginThroughTheGateway(t *testing.T) {
	t.Parallel()
	site := fmt.Sprintf("sites: [{hosts: [one.example], origin: %q, http2_crawl: refuse}]", loginServer(t))
	s := startGateway(t, site)
	address, trust := s.HTTPS, &tls.Config{RootCAs: s.Roots, ServerName: "one.example"}
	visitor := func() func(authorization string, body int) (status int, step, person string) {
		c, err := tls.Dial("tcp", address, trust.Clone())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		r := bufio.NewReader(c)
		return func(authorization string, body int) (status int, step, person string) {
			t.Helper()
			if authorization != "" {
				authorization = "Authorization: NTLM " + authorization + "\r\n"
			}
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: one.example\r\n%sContent-Length: %d\r\n\r\n", authorization, body)
			if _, err := io.WriteString(c, strings.Repeat("x", body)); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			step, _ = strings.CutPrefix(resp.Header.Get("WWW-Authenticate"), "NTLM ")
			return resp.StatusCode, step, string(text)
		}
	}
	ann, nobody := visitor(), visitor()
	status, step, _ := ann("ann", 1<<20)
	if status != 401 || step == "" {
		t.Fatalf("the first step: status %d, challenge %q; want 401 and one", status, step)
	}
	if status, _, person := ann("ann/"+step, 1<<20); status != 200 || person != "ann" {
		t.Errorf("ann's login: %d %q", status, person)
	}
	for range 3 {
		if status, _, person := nobody("", 0); status != 401 {
			t.Errorf("nobody: %d, taken for %q", status, person)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "one.example"
	overTwo := &http.Transport{TLSClientConfig: trust.Clone(), Protocols: new(http.Protocols)}
	overTwo.Protocols.SetHTTP2(true)
	defer overTwo.CloseIdleConnections()
	if resp, err := overTwo.RoundTrip(r); err != nil || resp.StatusCode != 401 || resp.ProtoMajor != 2 {
		t.Errorf("nobody over HTTP/2: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	if status, _, person := ann("", 1<<20); status != 200 || person != "ann" {
		t.Errorf("ann later: %d %q", status, person)
	}
}
