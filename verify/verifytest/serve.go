package verifytest

import (
	"context"
	"encoding/binary"
	"io"
	"net"

	"github.com/miekg/dns"
)

// minUDPSize is what a UDP message may hold where the query does not say more (RFC 1035 section 4.2.1).
const minUDPSize = 512

// Listen serves at address, over UDP and TCP, until Close. Port 0 stands for one that is free.
func (s *Server) Listen(address string) error {
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		udp.Close()
		return err
	}
	s.ServePacket(udp)
	s.Serve(tcp)
	return nil
}

// Addr is the address of the first socket that s serves, host:port, as verify.Resolver.Servers has it; "" before there
// is one.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Close closes all sockets, so that queries find nobody, and returns when the goroutines of Server have ended, those of
// a Fault among them. It may be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// start runs serve in a goroutine until c is closed, which Close does; after Close it closes c at once.
func (s *Server) start(c closer, addr net.Addr, serve func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return
	}
	if s.addr == "" {
		s.addr = addr.String()
	}
	s.open[c] = struct{}{}
	s.running.Go(func() {
		serve()
		c.Close()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	})
}

// ServePacket answers queries over UDP on socket until Close, each in a goroutine of its own. It returns at once.
func (s *Server) ServePacket(socket net.PacketConn) {
	s.start(socket, socket.LocalAddr(), func() {
		buffer := make([]byte, dns.MaxMsgSize)
		for {
			n, client, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			query := append([]byte(nil), buffer[:n]...)
			s.running.Go(func() {
				if reply := s.respond("udp", query); reply != nil {
					socket.WriteTo(reply, client)
				}
			})
		}
	})
}

// Serve answers queries over the connections of l, of TCP or of TLS, until Close. It returns at once.
func (s *Server) Serve(l net.Listener) {
	s.start(l, l.Addr(), func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.start(conn, conn.LocalAddr(), func() { s.serveConn("tcp", conn) })
		}
	})
}

// Dial connects to s in memory, for the field Dial of a verify.Resolver: network is "udp" or "tcp", the address does
// not matter, and Listen is not needed. In a bubble of testing/synctest time does not pass while queries are answered.
// The connection does not end with Close.
func (s *Server) Dial(_ context.Context, network, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		s.serveConn(network, server)
	}()
	return client, nil
}

// serveConn answers queries with the length prefix of RFC 1035 section 4.2.2, one after the other, until conn ends.
func (s *Server) serveConn(network string, conn net.Conn) {
	for {
		prefix := make([]byte, 2)
		if _, err := io.ReadFull(conn, prefix); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(prefix))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := s.respond(network, query)
		if reply == nil {
			continue
		}
		reply = reply[:min(len(reply), dns.MaxMsgSize-1)]
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// respond returns the message to send; nil: none.
func (s *Server) respond(network string, query []byte) []byte {
	q := new(dns.Msg)
	if q.Unpack(query) != nil {
		return nil
	}
	m := s.reply(q)
	if m == nil {
		return nil
	}
	if network == "udp" {
		size := minUDPSize
		if opt := q.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		m.Truncate(size)
	}
	reply, err := m.Pack()
	if err != nil {
		panic("verifytest: " + err.Error()) // a record of the zone that cannot be sent
	}
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault == nil {
		return reply
	}
	return fault(network, query, reply)
}
