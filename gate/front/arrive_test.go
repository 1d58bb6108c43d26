package front

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// answers says whether a connection to the plain listener is served.
func (d *door) answers(t *testing.T, first string) (net.Conn, bool) {
	t.Helper()
	c, err := net.Dial("tcp", d.plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, first+"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	n, _ := c.Read(make([]byte, 1000))
	return c, n > 0
}

func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := &Server{Handler: remote(), Plain: remote(), Limits: Limits{ConnectionsPerAddress: 2}}
	d := open(t, s)
	first, _ := d.answers(t, "")
	if _, ok := d.answers(t, ""); !ok {
		t.Fatal("the second connection is closed")
	}
	if _, ok := d.answers(t, ""); ok {
		t.Fatal("the third connection is served")
	}
	if got := s.Stats().Limits["address"]; got != 1 {
		t.Errorf("%d counted", got)
	}
	first.Close()
	for deadline := time.Now().Add(patience); ; {
		if _, ok := d.answers(t, ""); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an end makes no room")
		}
	}
}

// Behind a balancer it is the client that is counted, an IPv6 client with its /64; behind an HTTP proxy nobody is.
func TestConnectionsOfOneAddressBehindOthers(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Handler: remote(), Plain: remote(), Balancers: loopbackNetworks(), Limits: Limits{ConnectionsPerAddress: 2},
		Proxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	for _, test := range []struct {
		client string
		want   bool
	}{
		{"TCP4 192.0.2.7 10.0.0.1", true}, {"TCP4 192.0.2.7 10.0.0.1", true}, {"TCP4 192.0.2.7 10.0.0.1", false}, {"TCP4 192.0.2.8 10.0.0.1", true},
		{"TCP6 2001:db8::1 2001:db8::", true}, {"TCP6 2001:db8::2 2001:db8::", true}, {"TCP6 2001:db8::3 2001:db8::", false}, {"TCP6 2001:db8:0:1::1 2001:db8::", true},
		{"TCP4 198.51.100.1 10.0.0.1", true}, {"TCP4 198.51.100.1 10.0.0.1", true}, {"TCP4 198.51.100.1 10.0.0.1", true},
		{"UNKNOWN", true}, {"UNKNOWN", true}, {"UNKNOWN", true},
	} {
		first := "PROXY " + test.client + " 12345 443\r\n"
		if test.client == "UNKNOWN" {
			first = "PROXY UNKNOWN\r\n"
		}
		if _, ok := d.answers(t, first); ok != test.want {
			t.Errorf("%s: served %v, want %v", test.client, ok, test.want)
		}
	}
}

// Beyond the bound a connection waits, and is served when there is room.
func TestConnectionsWaitForRoom(t *testing.T) {
	t.Parallel()
	s := &Server{Handler: remote(), Plain: remote(), Limits: Limits{Connections: 2}}
	d := open(t, s)
	first, _ := d.answers(t, "")
	if _, ok := d.answers(t, ""); !ok {
		t.Fatal("the second connection is closed")
	}
	var waiting []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", d.plain)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		waiting = append(waiting, c)
	}
	waiting[0].SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := waiting[0].Read(make([]byte, 1)); n > 0 || !err.(net.Error).Timeout() {
		t.Errorf("the third connection: %d bytes, %v", n, err)
	}
	first.Close()
	for _, c := range waiting { // each makes room for the next
		c.SetReadDeadline(time.Now().Add(patience))
		if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
			t.Errorf("%q, %v", answer, err)
		}
	}
	if got := s.Stats().Limits["connections"]; got == 0 {
		t.Error("not counted")
	}
}

// The end does not wait for room.
func TestEndWhileConnectionsWait(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := &Server{Limits: Limits{Connections: 1, DrainTime: 100 * time.Millisecond}, Plain: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })}
	d := open(t, s)
	defer close(release)
	for range 3 {
		c, err := net.Dial("tcp", d.plain)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	shows(t, s, map[string]map[string]uint64{"Open": {"plain": 1}, "Connections": {"plain": 1}, "Requests": {"plain": 1}, "Limits": {"connections": 1}})
	d.stop()
	if err := receive(t, d.served); err != nil {
		t.Error(err)
	}
}

func TestHeaderFields(t *testing.T) {
	t.Parallel()
	s := &Server{Handler: remote(), Plain: remote(), Limits: Limits{HeaderFields: 10}}
	d := open(t, s)
	for _, test := range []struct {
		fields int
		want   string
	}{{0, "200"}, {10, "200"}, {11, "431"}, {400, "431"}} {
		lines := strings.Repeat("X: y\r\n", test.fields)
		conn, r := d.http1(t)
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: one.example\r\n%s\r\n", lines)
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+test.want) {
			t.Errorf("%d fields over HTTP/1.1: %q, %v", test.fields, line, err)
		}
		var pairs []string
		for range test.fields {
			pairs = append(pairs, "x", "y")
		}
		w := d.wire(t)
		w.request(1, "/", pairs...)
		if got := w.headers(1).fields[":status"]; got != test.want {
			t.Errorf("%d fields over HTTP/2: %s", test.fields, got)
		}
		w.request(3, "/")
		if got := w.headers(3).fields[":status"]; got != "200" {
			t.Errorf("after %d fields: %s", test.fields, got)
		}
	}
	if got := s.Stats().Limits["header_fields"]; got != 4 {
		t.Errorf("%d counted, want 4", got)
	}
}
