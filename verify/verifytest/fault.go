package verifytest

import (
	"time"

	"github.com/miekg/dns"
)

// Fault makes a Server misbehave. It is called with each query, the reply that the zone has for it, and the network,
// "udp" or "tcp", and returns what is sent instead; nil: nothing. The messages are as on the wire, without the length
// prefix of TCP, and belong to the Fault. It is called by many goroutines at once and may take its time.
type Fault func(network string, query, reply []byte) []byte

// SetFault makes the Server send what f returns from the next query on; nil: proper replies.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Silent is a Fault: queries arrive and are not answered.
func Silent(_ string, _, _ []byte) []byte { return nil }

// Rcode returns a Fault that replies with an error and no records, as a Server does that fails (2, SERVFAIL) or does
// not answer strangers (5, REFUSED). Codes are those of RFC 1035 section 4.1.1, 15 at most.
func Rcode(code int) Fault {
	return func(_ string, query, _ []byte) []byte {
		q := new(dns.Msg)
		if q.Unpack(query) != nil {
			return nil
		}
		reply, err := new(dns.Msg).SetRcode(q, code).Pack()
		if err != nil {
			return nil
		}
		return reply
	}
}

// Delay returns a Fault that sends what next returns, or the proper reply if next is nil, after d.
func Delay(d time.Duration, next Fault) Fault {
	return func(network string, query, reply []byte) []byte {
		time.Sleep(d)
		if next == nil {
			return reply
		}
		return next(network, query, reply)
	}
}
