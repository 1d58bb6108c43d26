package verify

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpSize is the largest UDP response asked for: what passes every path unfragmented (DNS flag day 2020).
const udpSize = 1232

// maxStrayDatagrams is how many datagrams that are no response to the query are read before an attempt fails.
const maxStrayDatagrams = 16

// mode is how a query is sent. The zero value is how the C library sends it.
type mode struct {
	tcp       bool // over TCP, or TLS
	edns      bool // with EDNS(0), RFC 6891
	mixedCase bool // each letter of the name in a case of its own; over UDP only
}

// attempt is one query to one server in one mode.
type attempt struct {
	to   *candidate
	mode mode
	sent time.Time
}

// outcome is what became of an attempt. With neither a response nor a failure, the response had the name in another
// case than the query.
type outcome struct {
	attempt
	response *dns.Msg // of an error there may be no more than a header
	failure  *failure
	took     time.Duration
}

// exchange makes an attempt. It ends with the first response to the query, however late, or with ctx.
func (q *query) exchange(ctx context.Context, a attempt) outcome {
	out := outcome{attempt: a}
	out.response, out.failure = q.sendTo(ctx, a.to.server.address, a.mode)
	out.took = time.Since(a.sent)
	return out
}

func (q *query) sendTo(ctx context.Context, server string, m mode) (*dns.Msg, *failure) {
	network := "udp"
	if m.tcp {
		network = "tcp"
	}
	conn, err := q.resolver.dial(ctx, network, server)
	if err != nil {
		return nil, networkFailure(ctx, server, err)
	}
	defer conn.Close()
	// For time-outs and for Close: when ctx ends, whatever the connection is doing fails.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if name := q.resolver.TLSName; name != "" {
		config := &tls.Config{ServerName: name, RootCAs: q.resolver.RootCAs, MinVersion: tls.VersionTLS12}
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, networkFailure(ctx, server, err)
		}
		conn = secure
	}
	return q.roundTrip(ctx, conn, server, m)
}

// roundTrip writes the query and reads the response. Off-path forgers of UDP responses have to guess the source port,
// the id and, in mixed case, the case of every letter of the name (draft-vixie-dnsext-dns0x20). What is no response to
// the query is skipped: it neither counts nor ends the wait.
func (q *query) roundTrip(ctx context.Context, conn net.Conn, server string, mode mode) (*dns.Msg, *failure) {
	sent := new(dns.Msg)
	sent.SetQuestion(q.name, q.qtype)
	sent.Id = dns.Id()
	if mode.mixedCase {
		sent.Question[0].Name = mixCase(q.name)
	}
	if mode.edns {
		sent.SetEdns0(udpSize, false)
	}
	wire := &dns.Conn{Conn: conn, UDPSize: udpSize}
	if err := wire.WriteMsg(sent); err != nil {
		return nil, networkFailure(ctx, server, err)
	}
	reads := maxStrayDatagrams
	if mode.tcp {
		reads = 1
	}
	for i := range reads {
		packet, err := wire.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			if i > 0 {
				return nil, newFailure(server, CauseGarbage, strayDetail)
			}
			return nil, networkFailure(ctx, server, err)
		}
		if err != nil {
			continue
		}
		m, ok := unpack(packet)
		if !ok || !isResponseTo(m, sent) {
			continue
		}
		switch {
		case m.Truncated:
			return nil, newFailure(server, CauseTruncated, "")
		case mode.mixedCase && len(m.Question) == 1 && m.Question[0].Name != sent.Question[0].Name:
			return nil, nil
		}
		return m, nil
	}
	return nil, newFailure(server, CauseGarbage, strayDetail)
}

// unpack parses a message. Names in it may point at other names, so that 64 KiB unfold into 10 MB: of a long answer
// section only the first records are parsed, and a message with many records in the other sections is rejected. The
// server chooses every byte and the parser is not ours, so a panic in it counts as a message that cannot be parsed.
func unpack(packet []byte) (m *dns.Msg, ok bool) {
	const header, ancount, nscount, arcount = 12, 6, 8, 10 // offsets (RFC 1035 section 4.1.1)
	if len(packet) < header {
		return nil, false
	}
	count := func(at int) uint16 { return binary.BigEndian.Uint16(packet[at:]) }
	if count(nscount) > maxOtherRecords || count(arcount) > maxOtherRecords {
		return nil, false
	}
	if count(ancount) > maxRecords {
		binary.BigEndian.PutUint16(packet[ancount:], maxRecords)
		clear(packet[nscount:header]) // the other sections cannot be found without parsing all of this one
	}
	defer func() {
		if recover() != nil {
			m, ok = nil, false
		}
	}()
	m = new(dns.Msg)
	if m.Unpack(packet) == nil {
		return m, true
	}
	switch code := int(packet[3] & 0xf); code { // an error response may repeat only a part of the question
	case dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused:
		m = new(dns.Msg)
		return m, m.Unpack(packet[:header]) == nil
	}
	return nil, false
}

// isResponseTo reports whether m is a response to query: its id, its question, its direction (RFC 5452 section 9.1).
// Servers that reject a query may leave the question out; such a response says nothing but its code.
func isResponseTo(m, query *dns.Msg) bool {
	if !m.Response || m.Id != query.Id || m.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 {
		return true
	}
	got, want := m.Question[0], query.Question[0]
	return len(m.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass && sameName(got.Name, want.Name)
}

// sameName compares names as the DNS does (RFC 4343). Presentation form is ASCII: all other bytes are escaped.
func sameName(a, b string) bool {
	return strings.EqualFold(a, b)
}

// mixCase gives every letter of name a random case, at least one of them another one than it has.
func mixCase(name string) string {
	mixed, coins := []byte(name), make([]byte, len(name))
	for letters := 1; letters > 0; {
		rand.Read(coins) // never fails: it ends the program rather than return weak bytes
		letters = 0
		for i, b := range []byte(name) {
			if 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' {
				letters++
				mixed[i] = b ^ coins[i]&0x20
			}
		}
		if string(mixed) != name {
			break
		}
	}
	return string(mixed)
}
