package verifytest

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// ask queries s over network and returns the response in short: its code, its records, and whether it has an SOA
// record; or the error.
func ask(t *testing.T, s *Server, network, name string, qtype uint16) string {
	t.Helper()
	client := &dns.Client{Net: network, Timeout: 5 * time.Second}
	m, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, qtype), s.Addr())
	if err != nil {
		return "error"
	}
	words := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		words = append(words, strings.Join(strings.Fields(rr.String()), " "))
	}
	for _, rr := range m.Ns {
		words = append(words, "and "+dns.TypeToString[rr.Header().Rrtype]+" of "+rr.Header().Name)
	}
	if m.Truncated {
		words = append(words, "truncated")
	}
	return strings.Join(words, ", ")
}

func TestZone(t *testing.T) {
	s := NewServer(`
		; a comment
		a.example. 60 IN CNAME b.example.
		b.example. 30 IN A 192.0.2.1
		dangling.example. 60 IN CNAME nowhere.example.
		loop.example. 60 IN CNAME loop.example.`)
	defer s.Close()
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name  string
			qtype uint16
			want  string
		}{
			{"b.example.", dns.TypeA, "NOERROR, b.example. 30 IN A 192.0.2.1"},
			{"B.Example.", dns.TypeA, "NOERROR, B.Example. 30 IN A 192.0.2.1"},
			{"a.example.", dns.TypeA, "NOERROR, a.example. 60 IN CNAME b.example., b.example. 30 IN A 192.0.2.1"},
			{"b.example.", dns.TypeAAAA, "NOERROR, and SOA of example."},
			{"c.example.", dns.TypeA, "NXDOMAIN, and SOA of example."},
			{"localhost.", dns.TypeA, "NXDOMAIN, and SOA of localhost."},
			{"dangling.example.", dns.TypeA, "NXDOMAIN, dangling.example. 60 IN CNAME nowhere.example., and SOA of example."},
			{"a.example.", dns.TypeCNAME, "NOERROR, a.example. 60 IN CNAME b.example."},
		} {
			if got := ask(t, s, network, c.name, c.qtype); got != c.want {
				t.Errorf("%s %s over %s: got %q, want %q", c.name, dns.TypeToString[c.qtype], network, got, c.want)
			}
		}
	}
	if got := ask(t, s, "tcp", "loop.example.", dns.TypeA); !strings.HasPrefix(got, "NOERROR, loop.example.") {
		t.Errorf("an alias of itself: got %q, want it without an end to be seen", got)
	}
	if got := s.Queries("b.example", "A"); got != 4 {
		t.Errorf("got %d queries for the A records of b.example, want 4", got)
	}
	if got := s.Queries("", ""); got != 17 {
		t.Errorf("got %d queries in all, want 17", got)
	}
}

func TestChangesOfTheZone(t *testing.T) {
	s := NewServer("")
	defer s.Close()
	addr := netip.MustParseAddr("2001:db8::1")
	step := func(name string, qtype uint16, want string) {
		t.Helper()
		if got := ask(t, s, "udp", name, qtype); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	name := s.AddGooglebot(addr)
	if want := "crawl-2001-db8--1.googlebot.com"; name != want {
		t.Errorf("got the name %q, want %q", name, want)
	}
	step(ReverseName(addr), dns.TypePTR, "NOERROR, "+ReverseName(addr)+" 300 IN PTR "+name+".")
	step(name+".", dns.TypeAAAA, "NOERROR, "+name+". 300 IN AAAA 2001:db8::1")
	s.SetPTR(addr, "other.example")
	step(ReverseName(addr), dns.TypePTR, "NOERROR, "+ReverseName(addr)+" 300 IN PTR other.example.")
	s.SetAddrs(name)
	step(name+".", dns.TypeAAAA, "NXDOMAIN, and SOA of googlebot.com.")
	s.SetAddrs(name, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"))
	step(name+".", dns.TypeA, "NOERROR, "+name+". 300 IN A 192.0.2.1, "+name+". 300 IN A 192.0.2.2")
	s.SetZone("")
	step(name+".", dns.TypeA, "NXDOMAIN, and SOA of googlebot.com.")
}

// TestTruncation: what does not fit into a datagram is truncated, and whole over TCP.
func TestTruncation(t *testing.T) {
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("host-%d.example", i))
	}
	s := NewServer("")
	defer s.Close()
	addr := netip.MustParseAddr("192.0.2.1")
	s.SetPTR(addr, names...)
	over := func(network string) string { return ask(t, s, network, ReverseName(addr), dns.TypePTR) }
	if got := over("udp"); !strings.HasSuffix(got, "truncated") {
		t.Errorf("over UDP: got %q, want it truncated", got)
	}
	if got := over("tcp"); strings.HasSuffix(got, "truncated") || !strings.Contains(got, "host-99.example.") {
		t.Errorf("over TCP: got %q, want all names", got)
	}
}

func TestFaults(t *testing.T) {
	s := NewServer("b.example. 30 IN A 192.0.2.1")
	defer s.Close()
	s.SetFault(Rcode(dns.RcodeRefused))
	if got, want := ask(t, s, "udp", "b.example.", dns.TypeA), "REFUSED"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.SetFault(nil)
	if got, want := ask(t, s, "udp", "b.example.", dns.TypeA), "NOERROR, b.example. 30 IN A 192.0.2.1"; got != want {
		t.Errorf("when the fault is over: got %q, want %q", got, want)
	}
}

// TestFaultsInTime uses connections in memory, where time is the bubble's own.
func TestFaultsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("b.example. 30 IN A 192.0.2.1")
		took := func() (time.Duration, error) {
			conn, err := s.Dial(t.Context(), "udp", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			start, wire := time.Now(), &dns.Conn{Conn: conn}
			if err := wire.WriteMsg(new(dns.Msg).SetQuestion("b.example.", dns.TypeA)); err != nil {
				t.Fatal(err)
			}
			_, err = wire.ReadMsg()
			return time.Since(start), err
		}
		for _, c := range []struct {
			fault    Fault
			took     time.Duration
			answered bool
		}{
			{nil, 0, true},
			{Delay(3*time.Second, nil), 3 * time.Second, true},
			{Delay(3*time.Second, Rcode(2)), 3 * time.Second, true},
			{Silent, time.Minute, false},
		} {
			s.SetFault(c.fault)
			if took, err := took(); took != c.took || (err == nil) != c.answered {
				t.Errorf("got a response after %v, error %v; want it after %v, %v", took, err, c.took, c.answered)
			}
		}
	})
}

func TestClose(t *testing.T) {
	s := NewServer("b.example. 30 IN A 192.0.2.1")
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.Close()
	s.Close()
	for _, network := range []string{"udp", "tcp"} {
		if got := ask(t, s, network, "b.example.", dns.TypeA); got != "error" {
			t.Errorf("after Close over %s: got %q, want an error", network, got)
		}
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("after Close a connection is still open")
	}
}
