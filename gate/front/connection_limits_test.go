package front

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func (d *deployment) dial(t *testing.T, to string) net.Conn {
	t.Helper()
	c, err := d.dialTo(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// guest is a client's connection through a balancer.
type guest struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

// guest connects to the plain listener as a client of that address.
func (d *deployment) guest(t *testing.T, client string) *guest {
	t.Helper()
	g := &guest{Conn: d.dial(t, d.plain), t: t}
	io.WriteString(g, proxyHeader(client))
	g.r = bufio.NewReader(g)
	return g
}

// secureGuest connects over TLS.
func (d *deployment) secureGuest(t *testing.T, client string, protocol string) *guest {
	t.Helper()
	raw := d.dial(t, d.secure)
	io.WriteString(raw, proxyHeader(client))
	c := tls.Client(raw, &tls.Config{ServerName: "one.example", InsecureSkipVerify: true,
		NextProtos: []string{protocol}})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &guest{Conn: c, t: t, r: bufio.NewReader(c)}
}

func proxyHeader(client string) string {
	family := "TCP4"
	if strings.Contains(client, ":") {
		family = "TCP6"
	}
	return fmt.Sprintf("PROXY %s %s %s 12345 443\r\n", family, client, client)
}

func (g *guest) ask(path string) {
	fmt.Fprintf(g, "GET %s HTTP/1.1\r\nHost: one.example\r\n\r\n", path)
}

// served reads a response and says whether it came.
func (g *guest) served() bool {
	answer, err := http.ReadResponse(g.r, nil)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err == nil
}

// ends waits for the end of the connection.
func (g *guest) ends() {
	g.t.Helper()
	if b, err := g.r.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
		g.t.Errorf("byte %q, %v; want the end", b, err)
	}
}

// slow responds to /busy when release is closed, hijacks /taken, and responds to all else at once.
func slow(release <-chan struct{}, begun chan<- string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/busy":
			begun <- r.URL.Path
			<-release
		case "/taken":
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			begun <- r.URL.Path
			go func() {
				<-release
				c.Close()
			}()
		}
	})
}

// settled waits until the server knows which connections are idle: a client may have its response before. It also lets
// a moment pass, so that the times since which they are idle differ.
func settled() {
	synctest.Wait()
	time.Sleep(time.Millisecond)
}

// Idle connections of an address are closed for its next ones; those with requests under way are not.
func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, begun, notices := make(chan struct{}), make(chan string), make(chan LimitNotice, 8)
		s := &Server{
			Plain: slow(release, begun), Balancers: loopbackNetworks(), Limits: Limits{ConnectionsPerAddress: 2},
			OnLimit: func(n LimitNotice) { notices <- n },
		}
		s.Handler = s.Plain
		d := openVirtual(t, s)
		var guests []*guest
		for range 4 { // of which two may be open
			g := d.guest(t, "192.0.2.7")
			if g.ask("/"); !g.served() {
				t.Fatal("not served beside idle connections")
			}
			settled()
			guests = append(guests, g)
		}
		guests[0].ends()
		guests[1].ends()
		for _, g := range guests[2:] {
			g.ask("/busy")
			receive(t, begun)
		}
		rejected := d.guest(t, "192.0.2.7")
		if rejected.ask("/"); rejected.served() {
			t.Errorf("a third busy connection of one address: got a response, want it closed")
		}
		if n := receive(t, notices); n.Limit != "address" || n.Client != netip.MustParsePrefix("192.0.2.7/32") ||
			n.Times != 1 || !n.Began || n.Ended {
			t.Errorf("got notice %+v, want the first one of the address", n)
		}
		if got := s.Enforced(); len(got) != 1 || got[0].Limit != "address" {
			t.Errorf("got enforced %+v, want the address alone", got)
		}
		if got := s.Stats(); got.Limits["address"] != 1 || got.MadeWay["idle"] != 2 {
			t.Errorf("got limits %v, made way %v; want 1 address, 2 idle", got.Limits, got.MadeWay)
		}
		if neighbour := d.guest(t, "192.0.2.8"); true {
			if neighbour.ask("/"); !neighbour.served() {
				t.Error("a neighbour is not served")
			}
		}
		close(release)
		for _, g := range guests[2:] {
			if !g.served() {
				t.Error("what was under way is not answered")
			}
		}
		settled()
		if g := d.guest(t, "192.0.2.7"); true {
			if g.ask("/"); !g.served() {
				t.Error("not served when the others are idle again")
			}
		}
	})
}

// Behind a balancer the client is counted, an IPv6 client by its /64. Addresses with many clients behind them are not
// limited.
func TestConnectionsOfOneAddressBehindOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, begun := make(chan struct{}), make(chan string)
		s := &Server{Plain: slow(release, begun), Balancers: loopbackNetworks(),
			Limits:  Limits{ConnectionsPerAddress: 2},
			Proxies: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
		s.Handler = s.Plain
		d := openVirtual(t, s)
		t.Cleanup(func() { close(release) })
		for _, test := range []struct {
			client string
			want   bool
		}{
			{"192.0.2.7", true}, {"192.0.2.7", true}, {"192.0.2.7", false}, {"192.0.2.8", true},
			{"2001:db8::1", true}, {"2001:db8::2", true}, {"2001:db8::3", false}, {"2001:db8:0:1::1", true},
			{"198.51.100.1", true}, {"198.51.100.1", true}, {"198.51.100.1", true},
			{"10.0.0.1", true}, {"10.0.0.1", true}, {"10.0.0.1", true},
			{"fd00::1", true}, {"fd00::1", true}, {"fd00::1", true},
		} {
			g := d.guest(t, test.client)
			g.ask("/busy")
			if !test.want {
				g.ends()
				continue
			}
			receive(t, begun)
		}
		for range 3 {
			c := d.dial(t, d.plain)
			io.WriteString(c, "PROXY UNKNOWN\r\nGET /busy HTTP/1.1\r\nHost: x\r\n\r\n")
			receive(t, begun)
		}
	})
}

// Many addresses of one network may together have half of all connections.
func TestConnectionsOfOneNetwork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, begun := make(chan struct{}), make(chan string)
		s := &Server{Plain: slow(release, begun), Balancers: loopbackNetworks(), Limits: Limits{Connections: 8,
			ConnectionsPerAddress: 2}}
		s.Handler = s.Plain
		d := openVirtual(t, s)
		t.Cleanup(func() { close(release) })
		for i := range 6 {
			g := d.guest(t, fmt.Sprintf("2001:db8:0:%d::1", i))
			if g.ask("/busy"); i < 4 {
				receive(t, begun)
			} else {
				g.ends()
			}
		}
		for i := range 2 {
			d.guest(t, fmt.Sprintf("2001:db8:1:%d::1", i)).ask("/busy")
			receive(t, begun)
		}
		if got := s.Stats().Limits["network"]; got != 2 {
			t.Errorf("got %d closed for their network, want 2", got)
		}
	})
}

// When all slots are taken, the longest idle connection of the network with most connections is closed, over HTTP/2
// with GOAWAY.
func TestIdleConnectionsAreEvicted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		notices := make(chan LimitNotice, 8)
		s := &Server{Handler: remote(), Plain: remote(), Balancers: loopbackNetworks(), Limits: Limits{Connections: 4},
			OnLimit: func(n LimitNotice) { notices <- n }}
		d := openVirtual(t, s)
		other := d.secureGuest(t, "198.51.100.1", "http/1.1")
		if other.ask("/"); !other.served() {
			t.Fatal("not served")
		}
		settled()
		second := d.secureGuest(t, "192.0.2.1", "h2")
		w := speak(t, second.Conn.(*tls.Conn))
		w.request(1, "/")
		w.until("the answer's end", func(f frame) bool { return f.end })
		settled()
		first := d.secureGuest(t, "192.0.2.2", "http/1.1")
		plain := d.guest(t, "192.0.2.3")
		for _, g := range []*guest{first, plain} {
			if g.ask("/"); !g.served() {
				t.Fatal("not served")
			}
			settled()
		}
		newcomers := []*guest{d.secureGuest(t, "203.0.113.1", "http/1.1"), d.secureGuest(t, "2001:db8::1", "http/1.1")}
		for _, g := range newcomers {
			if g.ask("/"); !g.served() {
				t.Error("a newcomer is not served")
			}
			settled()
		}
		if f := w.goAway(); f.code != http2.ErrCodeNo || f.last != 1 {
			t.Errorf("got %+v, want GOAWAY with NO_ERROR and last stream 1", f)
		}
		w.ended()
		first.ends()
		for _, g := range []*guest{other, plain, newcomers[0], newcomers[1]} {
			if g.ask("/"); !g.served() {
				t.Errorf("got a connection closed that is not the longest idle one of its network, want it open")
			}
		}
		if n := receive(t, notices); n.Limit != "connections" || n.Client.IsValid() || !n.Began {
			t.Errorf("got notice %+v, want the first one of connections", n)
		}
		if got := s.Stats(); got.MadeWay["idle"] != 2 || got.Limits["connections"] != 0 {
			t.Errorf("got made way %v, limits %v; want 2 idle, and nobody waiting", got.MadeWay, got.Limits)
		}
	})
}

// A connection that sends nothing, or begins a request and does not go on, is closed for a new one after a second.
func TestSilentConnectionsAreEvicted(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(*testing.T, *deployment){
		"no hello": func(t *testing.T, d *deployment) { io.WriteString(d.dial(t, d.secure), proxyHeader("192.0.2.1")) },
		"half a hello": func(t *testing.T, d *deployment) {
			io.WriteString(d.dial(t, d.secure), proxyHeader("192.0.2.1")+"\x16\x03\x01\x02")
		},
		"no request": func(t *testing.T, d *deployment) { d.guest(t, "192.0.2.1") },
		"half a head": func(t *testing.T, d *deployment) {
			io.WriteString(d.guest(t, "192.0.2.1"), "GET / HTTP/1.1\r\nHo")
		},
		"no request, TLS": func(t *testing.T, d *deployment) { d.secureGuest(t, "192.0.2.1", "http/1.1") },
		"no preface":      func(t *testing.T, d *deployment) { d.secureGuest(t, "192.0.2.1", "h2") },
		"preface": func(t *testing.T, d *deployment) {
			io.WriteString(d.secureGuest(t, "192.0.2.1", "h2"), http2.ClientPreface)
		},
		"settings": func(t *testing.T, d *deployment) {
			speak(t, d.secureGuest(t, "192.0.2.1", "h2").Conn.(*tls.Conn))
		},
		"half a second head": func(t *testing.T, d *deployment) {
			g := d.guest(t, "192.0.2.1")
			g.ask("/")
			g.served()
			io.WriteString(g, "GET / HTTP/1.1\r\n")
		},
		"no introduction": func(t *testing.T, d *deployment) { d.dial(t, d.plain) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &Server{Handler: remote(), Plain: remote(), Balancers: loopbackNetworks(),
					Limits: Limits{Connections: 2, HeaderTime: time.Hour, IdleTime: time.Hour, DrainTime: time.Second}}
				d := openVirtual(t, s)
				for range 2 {
					hold(t, d)
				}
				for range 3 {
					newcomer := d.guest(t, "198.51.100.1")
					if newcomer.ask("/"); !newcomer.served() {
						t.Fatal("a newcomer is not served")
					}
					newcomer.Close()
				}
			})
		})
	}
}

// Clients that send a request while they are evicted get a response, on this connection or on the next one.
func TestEvictedClientsGetResponses(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, http2 bool) {
		t.Parallel()
		s := &Server{Handler: remote(), Limits: Limits{Connections: 3}}
		d := open(t, s)
		failed := make(chan error, 12)
		for range cap(failed) {
			client := d.client(t, http2)
			go func() {
				for range 25 {
					answer, err := client.Get("https://one.example/")
					if err != nil {
						failed <- err
						return
					}
					io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
				failed <- nil
			}()
		}
		for range cap(failed) {
			select {
			case err := <-failed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(6 * patience):
				t.Fatal("not answered in time")
			}
		}
		if got := s.Stats().MadeWay["idle"]; got == 0 {
			t.Error("nobody had to make way")
		}
	})
}

// A client that is evicted amid a header of several frames gets its response when the rest has come.
func TestEvictionAmidAHeader(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Handler: remote(), Limits: Limits{Connections: 1}})
	w := d.wire(t)
	w.request(1, "/")
	w.headers(1)
	w.packed.Reset()
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "one.example"}, {":path",
		"/"}} {
		w.must(w.packer.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	w.must(w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: w.packed.Bytes()[:1],
		EndStream: true}))
	time.Sleep(50 * time.Millisecond) // until that is read: what comes later is not answered here
	get(t, d.client(t, true), "https://one.example/")
	w.must(w.framer.WriteContinuation(3, true, w.packed.Bytes()[1:]))
	if status := w.headers(3).fields[":status"]; status != "200" {
		t.Errorf("got status %q, want 200", status)
	}
}

// When every connection is busy the next one waits, and is served when there is a slot.
func TestConnectionsWaitForASlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, begun, notices := make(chan struct{}), make(chan string), make(chan LimitNotice, 8)
		s := &Server{Limits: Limits{Connections: 3}, Plain: slow(release, begun),
			OnLimit: func(n LimitNotice) { notices <- n }}
		s.Handler = s.Plain
		d := openVirtual(t, s)
		w := d.wire(t)
		w.request(1, "/busy")
		receive(t, begun)
		for _, path := range []string{"/busy", "/taken"} {
			c := d.dial(t, d.plain)
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
			receive(t, begun)
		}
		var waiting []net.Conn
		for range 3 {
			c := d.dial(t, d.plain)
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			waiting = append(waiting, c)
		}
		if n := receive(t, notices); n.Limit != "connections" || !n.Began {
			t.Errorf("got notice %+v, want the first one of connections", n)
		}
		waiting[0].SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := waiting[0].Read(make([]byte, 1)); n > 0 || !err.(net.Error).Timeout() {
			t.Errorf("a connection beyond the limit: got %d bytes, %v; want a timeout", n, err)
		}
		close(release)
		for _, c := range waiting {
			c.SetReadDeadline(time.Now().Add(patience))
			if answer, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
				t.Errorf("got %q, %v; want a response 200", answer, err)
			}
		}
		if got := s.Stats().Limits["connections"]; got == 0 {
			t.Errorf("got 0 connections that waited, want some")
		}
		w.headers(1)
	})
}
