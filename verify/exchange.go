package verify

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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

type question struct {
	name    string // in presentation form, fully qualified
	qtype   uint16
	edns    bool
	timeout time.Duration // of each connection
}

// exchange puts one question to one server: over UDP, and over TCP if the answer was truncated, or over TLS.
// It returns any well-formed answer to this question, whatever its code, or the trouble, a Cause constant.
func (r *Resolver) exchange(ctx context.Context, server string, q question) (*dns.Msg, string) {
	if r.TLSName != "" {
		return r.over(ctx, "tcp", server, q)
	}
	m, trouble := r.over(ctx, "udp", server, q)
	if trouble == CauseTruncated {
		return r.over(ctx, "tcp", server, q)
	}
	return m, trouble
}

func (r *Resolver) over(ctx context.Context, network, server string, q question) (*dns.Msg, string) {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	conn, err := r.dial(ctx, network, server)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	defer conn.Close()
	// One rule for time-outs and for closing: when ctx ends, whatever the connection is doing fails.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if r.TLSName != "" {
		secure := tls.Client(conn, &tls.Config{ServerName: r.TLSName, RootCAs: r.RootCAs, MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, causeOf(ctx, err)
		}
		conn = secure
	}
	return converse(ctx, conn, network == "udp", q)
}

// converse writes the question and reads the answer. Off-path forgers of UDP answers have to guess the source port, the
// id and the case of every letter of the name (draft-vixie-dnsext-dns0x20); what does not fit is passed over, not
// believed and not taken for the end.
func converse(ctx context.Context, conn net.Conn, datagrams bool, q question) (*dns.Msg, string) {
	query := new(dns.Msg)
	query.SetQuestion(q.name, q.qtype)
	query.Id = dns.Id()
	if datagrams {
		query.Question[0].Name = mixCase(q.name)
	}
	if q.edns {
		query.SetEdns0(udpSize, false)
	}
	wire := &dns.Conn{Conn: conn, UDPSize: udpSize}
	if err := wire.WriteMsg(query); err != nil {
		return nil, causeOf(ctx, err)
	}
	reads := 1
	if datagrams {
		reads = strayDatagrams
	}
	for i := range reads {
		packet, err := wire.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			if i > 0 {
				return nil, CauseGarbage
			}
			return nil, causeOf(ctx, err)
		}
		if err != nil {
			continue
		}
		answer, ok := unpack(packet)
		if !ok || !answers(answer, query) {
			continue
		}
		switch {
		case answer.Truncated:
			return nil, CauseTruncated
		case datagrams && answer.Question[0].Name != query.Question[0].Name:
			// A server that does not keep the case gives forgers a better chance: over TCP they have none.
			return nil, CauseTruncated
		}
		return answer, ""
	}
	return nil, CauseGarbage
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
	return m, m.Unpack(packet) == nil
}

// answers reports whether m is an answer to query: its id, its question, its direction (RFC 5452 section 9.1).
func answers(m, query *dns.Msg) bool {
	if !m.Response || m.Id != query.Id || m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 {
		return false
	}
	got, want := m.Question[0], query.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && sameName(got.Name, want.Name)
}

// sameName compares names as the DNS does (RFC 4343). Presentation form is ASCII: all other bytes are escaped.
func sameName(a, b string) bool {
	return strings.EqualFold(a, b)
}

// mixCase gives every letter of name a case of its own by chance.
func mixCase(name string) string {
	mixed, coins := []byte(name), make([]byte, len(name))
	rand.Read(coins) // never fails: it ends the program rather than return weak bytes
	for i, b := range mixed {
		letter := 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
		if letter && coins[i]&1 == 1 {
			mixed[i] = b ^ 0x20
		}
	}
	return string(mixed)
}

// causeOf names what an error of the network means.
func causeOf(ctx context.Context, err error) string {
	var (
		timeout     net.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		hostname    x509.HostnameError
	)
	switch {
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return CauseTimeout
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert), errors.As(err, &hostname):
		return CauseTLS
	default:
		return CauseUnreachable
	}
}
