package front

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// header2 is a PROXY header of version 2, made by hand.
func header2(command, family byte, addresses ...byte) string {
	head := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family)
	return string(append(binary.BigEndian.AppendUint16(head, uint16(len(addresses))), addresses...))
}

func addresses4(tlvs ...byte) []byte {
	return append([]byte{192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb}, tlvs...)
}

func addresses6() []byte {
	source, destination := netip.MustParseAddr("2001:db8::7").As16(), netip.MustParseAddr("2001:db8::1").As16()
	return append(append(source[:], destination[:]...), 0x30, 0x39, 0x01, 0xbb)
}

// tlv is a type, a length and a value.
func tlv(kind byte, value string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

// proxyHeaders are what a balancer may send first, and the client that is then seen; "" is the balancer itself, "none"
// that the connection is closed.
func proxyHeaders() map[string][2]string {
	long := strings.Repeat("x", 5000)
	return map[string][2]string{
		"v1 IPv4":                {"PROXY TCP4 192.0.2.7 10.0.0.1 12345 443\r\n", "192.0.2.7:12345"},
		"v1 IPv6":                {"PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n", "[2001:db8::7]:12345"},
		"v1 UNKNOWN":             {"PROXY UNKNOWN\r\n", ""},
		"v1 UNKNOWN, longest":    {"PROXY UNKNOWN " + strings.Repeat("f", 91) + "\r\n", ""},
		"v1 without CR":          {"PROXY TCP4 192.0.2.7 10.0.0.1 12345 443\n", "none"},
		"v1 too long":            {"PROXY UNKNOWN " + strings.Repeat("f", 92) + "\r\n", "none"},
		"v1 without an end":      {"PROXY TCP4 " + long, "none"},
		"v1 half":                {"PROXY TCP4 192.0.2.7", "none"},
		"v1 wrong family":        {"PROXY TCP4 2001:db8::7 2001:db8::1 12345 443\r\n", "none"},
		"v1 wrong address":       {"PROXY TCP4 192.0.2.777 10.0.0.1 12345 443\r\n", "none"},
		"v1 name for an address": {"PROXY TCP4 crawl.googlebot.com 10.0.0.1 12345 443\r\n", "none"},
		"v1 zone":                {"PROXY TCP6 fe80::1%eth0 2001:db8::1 12345 443\r\n", "none"},
		"v1 wrong port":          {"PROXY TCP4 192.0.2.7 10.0.0.1 99999 443\r\n", "none"},
		"v1 too few":             {"PROXY TCP4 192.0.2.7\r\n", "none"},
		"v1 nobody's address":    {"PROXY TCP4 0.0.0.0 10.0.0.1 12345 443\r\n", "none"},
		"v1 lower case":          {"proxy TCP4 192.0.2.7 10.0.0.1 12345 443\r\n", "none"},
		"v2 IPv4":                {header2(0x21, 0x11, addresses4()...), "192.0.2.7:12345"},
		"v2 IPv6":                {header2(0x21, 0x21, addresses6()...), "[2001:db8::7]:12345"},
		"v2 LOCAL":               {header2(0x20, 0x00), ""},
		"v2 LOCAL with more":     {header2(0x20, 0x11, addresses4()...), ""},
		"v2 Unix":                {header2(0x21, 0x31, make([]byte, 216)...), ""},
		"v2 ALPN and authority": {header2(0x21, 0x11, addresses4(append(tlv(1, "h2"), tlv(2,
			"one.example")...)...)...), "192.0.2.7:12345"},
		"v2 large TLV":         {header2(0x21, 0x11, addresses4(tlv(0xe0, long[:3000])...)...), "192.0.2.7:12345"},
		"v2 oversized":         {header2(0x21, 0x11, addresses4(tlv(0xe0, long)...)...), "none"},
		"v2 torn TLV":          {header2(0x21, 0x11, addresses4(1, 0, 9, 'h')...), "none"},
		"v2 datagram":          {header2(0x21, 0x12, addresses4()...), "none"},
		"v2 unspecified":       {header2(0x21, 0x00), "none"},
		"v2 unknown family":    {header2(0x21, 0x41, addresses4()...), "none"},
		"v2 unknown transport": {header2(0x21, 0x13, addresses4()...), "none"},
		"v2 unknown command":   {header2(0x22, 0x11, addresses4()...), "none"},
		"v2 version 3":         {header2(0x31, 0x11, addresses4()...), "none"},
		"v2 too short":         {header2(0x21, 0x11, addresses4()[:8]...), "none"},
		"v2 torn":              {header2(0x21, 0x11, addresses4()...)[:14], "none"},
		"v2 mapped": {header2(0x21, 0x21, append(bytes.Repeat([]byte{0}, 10), append([]byte{0xff, 0xff,
			192, 0, 2, 7}, addresses6()[16:]...)...)...), "192.0.2.7:12345"},
		"nothing":        {"", "none"},
		"something else": {"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n", "none"},
	}
}

// asked sends a PROXY header and then a request, over TLS or not, and returns the address that the handler saw.
func (d *deployment) asked(t *testing.T, first string, secure bool) string {
	t.Helper()
	address := d.plain
	if secure {
		address = d.secure
	}
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	io.WriteString(raw, first)
	var c io.ReadWriter = raw
	if secure {
		c = tls.Client(raw, &tls.Config{ServerName: "one.example", InsecureSkipVerify: true})
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
	answer, _ := io.ReadAll(c)
	_, body, ok := strings.Cut(string(answer), "\r\n\r\n")
	if !ok || !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		return "none"
	}
	if own := raw.LocalAddr().String(); body == own {
		return ""
	}
	return body
}

func loopbackNetworks() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }

func remote() http.Handler {
	return text(func(_ http.ResponseWriter, r *http.Request) string { return r.RemoteAddr })
}

func TestBalancersSayWhoTheClientIs(t *testing.T) {
	t.Parallel()
	for name, test := range proxyHeaders() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan netip.Addr, 2)
			d := open(t, &Server{
				Handler: remote(), Plain: remote(), Balancers: loopbackNetworks(),
				Limits:   Limits{HeaderTime: 500 * time.Millisecond},
				OnAccept: func(a netip.Addr) { seen <- a },
			})
			for _, secure := range []bool{true, false} {
				if got := d.asked(t, test[0], secure); got != test[1] {
					t.Errorf("TLS %v: the client is %q, want %q", secure, got, test[1])
				}
			}
			if client, err := netip.ParseAddrPort(test[1]); err != nil {
				if len(seen) > 0 {
					t.Errorf("%s was told as a client's address", <-seen)
				}
			} else if got := receive(t, seen); got != client.Addr() || len(seen) > 0 {
				t.Errorf("%s was told as the client's address", got)
			}
		})
	}
}

// What a balancer says is what anybody can say: from elsewhere it is not believed, and not even TLS.
func TestStrangersCannotIntroduce(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Handler: remote(), Plain: remote(),
		Balancers: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for name, test := range proxyHeaders() {
		if test[0] == "" {
			continue
		}
		for _, secure := range []bool{true, false} {
			if got := d.asked(t, test[0], secure); got != "none" && (secure || name != "something else") {
				t.Errorf("%s, TLS %v: answered, and the client is %q", name, secure, got)
			}
		}
	}
	for _, secure := range []bool{true, false} {
		if got := d.asked(t, "", secure); got != "" {
			t.Errorf("without an introduction the client is %q", got)
		}
	}
}

// A balancer that keeps silent holds up nobody but itself, and not for long.
func TestSilentBalancer(t *testing.T) {
	t.Parallel()
	s := &Server{Handler: remote(), Plain: remote(), Balancers: loopbackNetworks(),
		Limits: Limits{HeaderTime: 300 * time.Millisecond}}
	d := open(t, s)
	var silent []net.Conn
	for range 20 {
		for _, address := range []string{d.secure, d.plain} {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			silent = append(silent, c)
		}
	}
	for _, secure := range []bool{true, false} {
		if got := d.asked(t, "PROXY TCP4 192.0.2.7 10.0.0.1 12345 443\r\n", secure); got != "192.0.2.7:12345" {
			t.Errorf("TLS %v: the client is %q", secure, got)
		}
	}
	for _, c := range silent {
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a silent connection got an answer")
		} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			t.Error("a silent connection stays open")
		}
	}
	if got := s.Stats().Limits["proxy_protocol"]; got != 40 {
		t.Errorf("%d connections counted, want 40", got)
	}
}

// A balancer's look at the port is nobody's trouble.
func TestBalancerLooksAtThePort(t *testing.T) {
	t.Parallel()
	s := &Server{Handler: remote(), Balancers: loopbackNetworks()}
	d := open(t, s)
	for range 3 {
		c, err := net.Dial("tcp", d.secure)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	shows(t, s, map[string]map[string]uint64{"Handshakes": {"no_hello": 3}})
}

// The header, the handshake and the request may come in one piece or byte by byte.
func TestIntroductionInPieces(t *testing.T) {
	t.Parallel()
	d := open(t, &Server{Handler: remote(), Plain: remote(), Balancers: loopbackNetworks()})
	for _, first := range []string{proxyHeaders()["v1 IPv4"][0], proxyHeaders()["v2 IPv4"][0]} {
		c, err := net.Dial("tcp", d.plain)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		for _, b := range []byte(fmt.Sprint(first, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) {
			c.Write([]byte{b})
		}
		if answer, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(answer), "\r\n\r\n192.0.2.7:12345") {
			t.Errorf("got %q, %v; want a response to the whole request", answer, err)
		}
		c.Close()
	}
}

// Whatever a balancer sends, it is an address of a client, nobody's, or an error, and no more is read of it than there
// may be.
func FuzzIntroduction(f *testing.F) {
	for _, test := range proxyHeaders() {
		f.Add([]byte(test[0] + "GET / HTTP/1.1\r\n\r\n"))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		const most = 16 + 4096 + 256 // of version 2, and what the buffer takes with it
		in := bytes.NewReader(sent)
		r := bufio.NewReaderSize(in, 256)
		line(r)
		named, err := client(r)
		if taken := len(sent) - in.Len(); taken > most {
			t.Fatalf("%d bytes taken", taken)
		}
		if err != nil || named == nil {
			return
		}
		if a := addressOf(named); !a.IsValid() || a.IsUnspecified() || a.Is4In6() || a.Zone() != "" {
			t.Fatalf("%q: %v", sent, named)
		}
		if v1 := bytes.HasPrefix(sent, []byte("PROXY TCP")); !v1 &&
			!bytes.HasPrefix(sent, []byte("\r\n\r\n\x00\r\nQUIT\n\x21")) {
			t.Fatalf("%q: %v", sent, named)
		}
	})
}

// A balancer's own connection (LOCAL) is one whatever stands in the rest of its header, which has to be skipped.
func TestLocalWithAnything(t *testing.T) {
	d := open(t, &Server{Balancers: loopbackNetworks(), Handler: remote()})
	for name, header := range map[string]string{
		"junk":            header2(0x20, 0x00, 1, 2, 3, 4, 5),
		"junk, IPv4":      header2(0x20, 0x11, 1, 2, 3),
		"junk behind":     header2(0x20, 0x11, addresses4(9, 9, 9, 9)...),
		"nobody, no more": header2(0x20, 0x11, make([]byte, 12)...),
	} {
		if got := d.asked(t, header, true); got != "" {
			t.Errorf("%s: got %q, want the balancer itself", name, got)
		}
	}
}

// A connection that is closed while its balancer has not said yet whose it is counts for nobody.
func TestIntroducedWhenClosed(t *testing.T) {
	a := newAdmission(&Server{}, Limits{}.withDefaults())
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := &conn{Conn: ours, admission: a, counts: a.counts, onAccept: func(netip.Addr) { t.Error("it was let in") }}
	a.admitAnyway(c)
	c.Close()
	if c.setClient(netip.MustParseAddr("192.0.2.7")) || a.open > 0 || len(a.addresses) > 0 {
		t.Errorf("got %d open, addresses %v; want none", a.open, a.addresses)
	}
}
