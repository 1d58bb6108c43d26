package front

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProtocols(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Handler: text(func(_ http.ResponseWriter, r *http.Request) string { return r.Proto })})
	for _, test := range []struct {
		offers []string
		want   string // "": no ALPN answer
	}{
		{[]string{"h2"}, "h2"},
		{[]string{"h2", "http/1.1"}, "h2"},
		{[]string{"http/1.1", "h2"}, "h2"},
		{[]string{"http/1.1"}, "http/1.1"},
		{[]string{"h3", "http/1.1"}, "http/1.1"},
		{nil, ""},
		{[]string{"acme-tls/1"}, "acme-tls/1"},
	} {
		conn, err := d.tls(t, &tls.Config{ServerName: "one.example", NextProtos: test.offers})
		if err != nil {
			t.Errorf("%q: %v", test.offers, err)
			continue
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != test.want {
			t.Errorf("%q: got %q, want %q", test.offers, got, test.want)
		}
		switch test.want {
		case "acme-tls/1": // the certificate was the answer
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%q: %v", test.offers, err)
			}
		case "", "http/1.1":
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
			if answer, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\nHTTP/1.1") {
				t.Errorf("%q: got %q, %v; want a response over HTTP/1.1", test.offers, answer, err)
			}
		}
	}
	both(t, func(t *testing.T, http2 bool) {
		if answer, body := get(t, d.client(t, http2), "https://one.example/"); answer.Proto != body ||
			(answer.ProtoMajor == 2) != http2 {
			t.Errorf("got %s, and %s at the handler; want the same, HTTP/2 %v", answer.Proto, body, http2)
		}
	})
}

func TestHandshakesThatAreRejected(t *testing.T) {
	t.Parallel()
	trouble := &lines{}
	own := one(t)
	d := open(t, &Server{Handler: http.NotFoundHandler(), ErrorLog: trouble,
		Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "broken.example" {
				return nil, errors.New("no certificate yet")
			}
			return own(hello)
		}})
	for _, test := range []struct {
		name, want string
		c          *tls.Config
	}{
		{"TLS 1.1", "protocol version", &tls.Config{ServerName: "one.example", MinVersion: tls.VersionTLS10,
			MaxVersion: tls.VersionTLS11}},
		{"a host that is not served", "unrecognized name", &tls.Config{ServerName: "other.example"}},
		{"the same in TLS 1.2", "unrecognized name", &tls.Config{ServerName: "other.example",
			MaxVersion: tls.VersionTLS12}},
		{"no name", "unrecognized name", &tls.Config{}},
		{"trouble with the certificate", "internal error", &tls.Config{ServerName: "broken.example"}},
		{"no protocol in common", "no application protocol", &tls.Config{ServerName: "one.example",
			NextProtos: []string{"h3"}}},
	} {
		_, err := d.tls(t, test.c)
		if err == nil || err.Error() != "remote error: tls: "+test.want &&
			!strings.HasSuffix(err.Error(), test.want+" not supported") {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if conn, err := d.tls(t, &tls.Config{ServerName: "one.example", MaxVersion: tls.VersionTLS12}); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	} else if err := conn.Close(); err != nil {
		t.Error(err)
	}
	d.stop()
	if err := receive(t, d.served); err != nil || trouble.String() != "" {
		t.Errorf("got error %v, log %q; want none", err, trouble)
	}
}

// "OPTIONS *" is for the handler too: nothing is answered behind its back.
func TestOptionsOfTheServer(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Handler: text(func(_ http.ResponseWriter, r *http.Request) string {
		return r.Method + r.RequestURI
	})})
	conn, _ := d.http1(t)
	io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\nOPTIONS*") {
		t.Errorf("got %q, %v; want OPTIONS* at the handler", answer, err)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	challenge := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/challenge" {
			return false
		}
		io.WriteString(w, "token")
		return true
	}
	redirect := text(func(_ http.ResponseWriter, r *http.Request) string { return "plain " + r.URL.Path })
	for _, test := range []struct {
		name   string
		s      *Server
		path   string
		status int
		want   string
	}{
		{"a challenge comes first", &Server{Plain: redirect, Challenge: challenge}, "/challenge", 200, "token"},
		{"what is none comes next", &Server{Plain: redirect, Challenge: challenge}, "/other", 200, "plain /other"},
		{"no challenges", &Server{Plain: redirect}, "/challenge", 200, "plain /challenge"},
		{"challenges alone", &Server{Challenge: challenge}, "/challenge", 200, "token"},
		{"nothing else", &Server{Challenge: challenge}, "/other", 404, "404 page not found\n"},
		{"nothing at all", &Server{}, "/challenge", 404, "404 page not found\n"},
	} {
		test.s.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Errorf("%s: went to https", test.name)
		})
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		answer, body := get(t, client, "http://"+open(t, test.s).plain+test.path)
		if answer.StatusCode != test.status || body != test.want || answer.ProtoMajor != 1 {
			t.Errorf("%s: got %s %q, want %d %q", test.name, answer.Status, body, test.status, test.want)
		}
	}
}

// Neither way of asking for HTTP/2 outside of ALPN is served, nor is it taken for HTTP/2: that could be answered 421.
func TestHTTP2IsSpokenByALPNOnly(t *testing.T) {
	t.Parallel()
	say := text(func(_ http.ResponseWriter, r *http.Request) string {
		return fmt.Sprint(r.Method, r.Proto, r.ProtoMajor, r.ProtoMinor)
	})
	d := open(t, &Server{Handler: say, Plain: say})
	for sent, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n" +
			"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n": "GETHTTP/1.11 1",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": "",
	} {
		plain, err := net.Dial("tcp", d.plain)
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		plain.SetDeadline(time.Now().Add(patience))
		secure, _ := d.http1(t)
		for _, conn := range []net.Conn{plain, secure} {
			io.WriteString(conn, sent)
			status := "HTTP/1.1 200 "
			if want == "" {
				status = "HTTP/1.1 505 "
			}
			if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), status) ||
				!strings.Contains(string(answer), "\r\n\r\n"+want) {
				t.Errorf("%.10q over %T: got %q, want %s and %q", sent, conn, answer, status, want)
			}
		}
	}
}

func TestNoiseFilter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line  string
		heard bool
	}{
		{"http2: server: error reading preface from client 192.0.2.1:5: bogus greeting\n", false},
		{"http2: server connection error from 192.0.2.1:5: PROTOCOL_ERROR\n", false},
		{"http2: server closing client connection: x\n", false},
		{"http2: received GOAWAY x, starting graceful shutdown\n", false},
		{"timeout waiting for SETTINGS frames from 192.0.2.1:5\n", false},
		{"timeout waiting for PING response\n", false},
		{"http: panic serving 192.0.2.1:5: runtime error\n", true},
		{"http2: panic serving 192.0.2.1:5: TLS handshake error\n", true},
		{"accepting a connection: too many open files; trying again in 5ms\n", true},
	} {
		heard := &lines{}
		if n, err := (noiseFilter{heard}).Write([]byte(test.line)); n != len(test.line) || err != nil {
			t.Errorf("%q: got %d, %v; want %d, nil", test.line, n, err, len(test.line))
		}
		want := strings.Replace(test.line, "panic serving 192.0.2.1:5: ", "panic serving a client: ",
			1) // nobody's address
		if (heard.String() == want) != test.heard {
			t.Errorf("%q: got %q, want %q, %v", test.line, heard, want, test.heard)
		}
	}
	if n, err := (noiseFilter{}).Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("without a writer: got %d, %v; want 1, nil", n, err)
	}
}

func TestErrorLog(t *testing.T) {
	t.Parallel()
	trouble := &lines{}
	d := open(t, &Server{ErrorLog: trouble, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("out of " + r.Proto)
	})})
	both(t, func(t *testing.T, http2 bool) {
		for _, path := range []string{"/abort", "/panic"} {
			if answer, err := d.client(t, http2).Get("https://one.example" + path); err == nil {
				t.Errorf("%s: %s", path, answer.Status)
			}
		}
	})
	var said []string
	for deadline := time.Now().Add(patience); len(said) < 2 &&
		time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		got := strings.Split(trouble.String(), "\n")
		said = slices.DeleteFunc(got, func(line string) bool { return !strings.Contains(line, "panic serving") })
	}
	d.stop()
	receive(t, d.served)
	if len(said) != 2 || !strings.HasSuffix(said[0], "out of HTTP/1.1") ||
		!strings.HasSuffix(said[1], "out of HTTP/2.0") {
		t.Errorf("got %q, want one panic over each protocol", said)
	}
}
