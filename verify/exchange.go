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

// udpSize is the largest UDP answer asked for: what passes every path unfragmented (DNS flag day 2020).
const udpSize = 1232

// strayDatagrams is how many datagrams that do not answer the question are read before a try is given up.
const strayDatagrams = 16

// manner is how a question is put to a server. The zero value is how the C library asks.
type manner struct {
	tcp   bool // over TCP, or TLS
	edns  bool // with EDNS(0), RFC 6891
	mixed bool // each letter of the name in a case of its own; over UDP only
}

// attempt is one question put to one server in one manner.
type attempt struct {
	to   *candidate
	how  manner
	sent time.Time
}

// outcome is what became of an attempt. With neither a message nor trouble its server did not keep the case of the
// name.
type outcome struct {
	attempt
	m       *dns.Msg // a response to the question; of an error there may be no more than a header
	trouble *trouble
	took    time.Duration
}

// exchange makes an attempt. It ends with the first datagram or message that belongs to the question, however late, or
// with ctx.
func (q *query) exchange(ctx context.Context, a attempt) outcome {
	out := outcome{attempt: a}
	out.m, out.trouble = q.over(ctx, a.to.server.address, a.how)
	out.took = time.Since(a.sent)
	return out
}

func (q *query) over(ctx context.Context, server string, how manner) (*dns.Msg, *trouble) {
	network := "udp"
	if how.tcp {
		network = "tcp"
	}
	conn, err := q.resolver.dial(ctx, network, server)
	if err != nil {
		return nil, networkTrouble(ctx, server, err)
	}
	defer conn.Close()
	// One rule for time-outs and for closing: when ctx ends, whatever the connection is doing fails.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if name := q.resolver.TLSName; name != "" {
		secure := tls.Client(conn, &tls.Config{ServerName: name, RootCAs: q.resolver.RootCAs, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, networkTrouble(ctx, server, err)
		}
		conn = secure
	}
	return q.converse(ctx, conn, server, how)
}

// converse writes the question and reads the response. Off-path forgers of UDP responses have to guess the source port,
// the id and, where it is mixed, the case of every letter of the name (draft-vixie-dnsext-dns0x20); what does not fit
// is passed over, not believed and not taken for the end.
func (q *query) converse(ctx context.Context, conn net.Conn, server string, how manner) (*dns.Msg, *trouble) {
	sent := new(dns.Msg)
	sent.SetQuestion(q.name, q.qtype)
	sent.Id = dns.Id()
	if how.mixed {
		sent.Question[0].Name = mixCase(q.name)
	}
	if how.edns {
		sent.SetEdns0(udpSize, false)
	}
	wire := &dns.Conn{Conn: conn, UDPSize: udpSize}
	if err := wire.WriteMsg(sent); err != nil {
		return nil, networkTrouble(ctx, server, err)
	}
	reads := strayDatagrams
	if how.tcp {
		reads = 1
	}
	for i := range reads {
		packet, err := wire.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			if i > 0 {
				return nil, troubleAt(server, CauseGarbage, strays)
			}
			return nil, networkTrouble(ctx, server, err)
		}
		if err != nil {
			continue
		}
		m, ok := unpack(packet)
		if !ok || !answers(m, sent) {
			continue
		}
		switch {
		case m.Truncated:
			return nil, troubleAt(server, CauseTruncated, "")
		case how.mixed && len(m.Question) == 1 && m.Question[0].Name != sent.Question[0].Name:
			return nil, nil
		}
		return m, nil
	}
	return nil, troubleAt(server, CauseGarbage, strays)
}

// unpack reads a message. Names in it may point at other names, so that 64 KiB unfold into 10 MB: of a long answer only
// the first records are read, and a message with many records beside the answer is none. The server chooses every byte
// and the parser is not ours, so a panic of it is a message that cannot be read.
func unpack(packet []byte) (m *dns.Msg, ok bool) {
	const header, answers, authority, additional = 12, 6, 8, 10
	if len(packet) < header {
		return nil, false
	}
	count := func(at int) uint16 { return binary.BigEndian.Uint16(packet[at:]) }
	if count(authority) > mostOthers || count(additional) > mostOthers {
		return nil, false
	}
	if count(answers) > mostRecords {
		binary.BigEndian.PutUint16(packet[answers:], mostRecords)
		clear(packet[authority:header]) // they cannot be reached without the rest of the answer
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
	switch code := int(packet[3] & 0xf); code { // servers that fail may send back a part of the question
	case dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused:
		m = new(dns.Msg)
		return m, m.Unpack(packet[:header]) == nil
	}
	return nil, false
}

// answers reports whether m is a response to query: its id, its question, its direction (RFC 5452 section 9.1). Servers
// that cannot or will not answer may leave the question out; such a response says nothing but its code.
func answers(m, query *dns.Msg) bool {
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

// mixCase gives every letter of name a case of its own by chance, at least one of them another one than it has.
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
