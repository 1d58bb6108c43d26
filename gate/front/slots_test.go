package front

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// at is a connection from an address.
type at struct {
	net.Conn
	address string
}

func (a at) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(a.address)) }

// asker is a connection with the slots of s, and what asks on it.
func asker(s *slots, address string) func() (Slot, bool) {
	c := &conn{Conn: at{address: address}, slots: s}
	r, _ := http.NewRequestWithContext(withConn(context.Background(), c), "GET", "/", nil)
	return func() (Slot, bool) { return Admit(r) }
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &Server{Proxies: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
		s := newSlots(server, Limits{Streams: 2, RequestsPerAddress: 3}.withDefaults())
		now := func(ask func() (Slot, bool)) Slot {
			t.Helper()
			began := time.Now()
			slot, ok := ask()
			if !ok || time.Since(began) > 0 {
				t.Errorf("got admitted %v after %v, want it at once", ok, time.Since(began))
			}
			return slot
		}
		never := func(ask func() (Slot, bool)) {
			t.Helper()
			began := time.Now()
			if _, ok := ask(); ok || time.Since(began) != s.waitTime {
				t.Errorf("got admitted %v after %v, want false after %v", ok, time.Since(began), s.waitTime)
			}
		}
		first, second, other := asker(s, "192.0.2.1:1"), asker(s, "192.0.2.1:2"), asker(s, "198.51.100.1:1")
		one, two := now(first), now(first)
		never(first) // the connection has its share
		three := now(second)
		never(second) // and now the address
		others := []Slot{now(other), now(other)}
		if got := server.Stats().Limits["requests"]; got != 2 {
			t.Errorf("got %d that waited, want 2", got)
		}

		// Who waits is let in in the order of coming.
		order := make(chan int, 3)
		for i, ask := range []func() (Slot, bool){second, first, second} {
			go func() {
				if slot, ok := ask(); ok {
					order <- i
					time.Sleep(time.Second)
					slot.Release()
				}
			}()
			synctest.Wait()
		}
		one.Release()
		time.Sleep(5 * time.Second)
		if len(order) != 3 || <-order != 0 {
			t.Errorf("got %d admitted or the wrong one first, want 3, the first one first", len(order))
		}
		for _, slot := range append(others, two, three) {
			slot.Release()
		}
		if len(s.addresses) > 0 {
			t.Errorf("got %d addresses in memory, want 0", len(s.addresses))
		}

		// Many may be behind such an address, so only connections have a share.
		for _, address := range []string{"127.0.0.1:1", "10.1.2.3:1", "[fd00::1]:1", "203.0.113.9:1"} {
			var all []Slot
			for range 5 {
				ask := asker(s, address)
				all = append(all, now(ask), now(ask))
				never(ask)
			}
			for _, slot := range all {
				slot.Release()
			}
		}
	})
}

// A client that leaves while it waits does not wait any longer, and holds nothing.
func TestSlotOfAClientThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(&Server{}, Limits{Streams: 1}.withDefaults())
		c := &conn{Conn: at{address: "192.0.2.1:1"}, slots: s}
		ctx, leave := context.WithCancel(withConn(context.Background(), c))
		r, _ := http.NewRequestWithContext(ctx, "GET", "/", nil)
		slot, _ := Admit(r)
		go func() {
			time.Sleep(time.Second)
			leave()
		}()
		if _, ok := Admit(r); ok {
			t.Errorf("got a slot, want none")
		}
		slot.Release()
		if c.requests.held != 0 || c.requests.waiting.Len() != 0 || len(s.addresses) != 0 {
			t.Errorf("got %d held, %d waiting, %d addresses; want 0, 0, 0", c.requests.held, c.requests.waiting.Len(),
				len(s.addresses))
		}
	})
}
