package front

import (
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
)

// Stats is what a Server has counted since it was made. Numbers of one Stats may be some events apart from each other.
// Every word is in its map from the start. The caller may change the maps.
//
// A connection to the https listener has its protocol from an HTTP/2 preface or the first byte of an HTTP/1.x request
// on, and keeps it when it is upgraded. So each accepted connection is either open, or has been counted once under
// Connections or Handshakes.
type Stats struct {
	// Open are the connections open now: http1, http2, plain (to the plain listener) and none (no protocol yet, most
	// of them in their handshake).
	Open map[string]uint64
	// Connections are all that there have been, with open ones that have a protocol, by the same words; none: ended
	// after the handshake and without a protocol.
	Connections map[string]uint64
	// Handshakes are those that failed: no_hello (the client sent nothing that is TLS, or too late), unknown_name (no
	// site has that name), certificate (there was none for a site's name), other (no common parameters, or the client
	// left).
	Handshakes map[string]uint64
	// Requests are those whose handlers have not returned: http1, http2, plain.
	Requests map[string]uint64
	// Resets are RST_STREAM frames: client (received, whatever their code), server (sent, with any code but NO_ERROR).
	Resets map[string]uint64
	// Errors are the HTTP/2 connections that the server ended for an error: the code of its GOAWAY frame in lower case
	// (RFC 9113 section 7), ping_timeout (a ping was not answered; there is no GOAWAY), or other.
	Errors map[string]uint64
	// Limits are the times that a limit was enforced: connections (one had to wait for a slot), address and network (a
	// client, or an IPv4 /24 or IPv6 /48, had too many, and a new one was closed), files (one could not be accepted
	// for want of a file descriptor), header_fields (431), stall_read (a request's body came too slowly), stall_write
	// (a response was taken too slowly), stream_idle (a request's body without a length was silent for too long),
	// requests (one had to wait, because its connection or its client had too many under way at the sites' own
	// servers), proxy_protocol (a balancer's connection did not begin with a valid PROXY header and was closed).
	Limits map[string]uint64
	// MadeWay are connections that were closed at a limit to make way for new ones, by how far they had come: silent
	// (no TLS hello; over plain HTTP no request), handshake (a hello and no request), idle (all requests had their
	// responses).
	MadeWay map[string]uint64
	// Rejections are requests over HTTP/1.x that are ambiguous or malformed or have too long a head, and requests over
	// either protocol with too many header fields, by the status of the response that was made before any handler was
	// asked: 400, 414, 417, 431, 501, 505. Responses that the HTTP/2 engine makes itself are not among them.
	Rejections map[string]uint64
}

// The protocols of a connection.
const (
	protocolNone = iota
	protocolHTTP1
	protocolHTTP2
	protocolPlain
	protocols
)

func protocolWords() [protocols]string { return [...]string{"none", "http1", "http2", "plain"} }

// The ways in which a handshake fails.
const (
	failedNoHello = iota
	failedUnknownName
	failedCertificate
	failedOther
	failures
)

func failureWords() [failures]string {
	return [...]string{"no_hello", "unknown_name", "certificate", "other"}
}

// The sides that reset streams.
const (
	resetByClient = iota
	resetByServer
	resetters
)

func resetterWords() [resetters]string { return [...]string{"client", "server"} }

// What connections end for: the error codes of RFC 9113 section 7, by number, and two more.
const (
	errorPing  = 14
	errorOther = 15
	errorKinds = 16
)

func errorWords() [errorKinds]string {
	return [...]string{
		"no_error", "protocol_error", "internal_error", "flow_control_error", "settings_timeout", "stream_closed",
		"frame_size_error",
		"refused_stream", "cancel", "compression_error", "connect_error", "enhance_your_calm", "inadequate_security",
		"http_1_1_required",
		"ping_timeout", "other",
	}
}

// The limits that are counted.
const (
	limitedConnections = iota
	limitedAddress
	limitedFields
	limitedRead
	limitedWrite
	limitedProxyHeader
	limitedStreamIdle
	limitedNetwork
	limitedFiles
	limitedRequests
	limitations
)

func limitWords() [limitations]string {
	return [...]string{
		"connections", "address", "header_fields", "stall_read", "stall_write", "proxy_protocol", "stream_idle",
		"network", "files", "requests",
	}
}

// rejections is how many statuses there are for requests that are rejected unread.
const rejections = 6

func rejectionWords() [rejections]string {
	return [...]string{"400", "414", "417", "431", "501", "505"}
}

// counts is what Stats is made from. The zero value is ready for use.
type counts struct {
	open       [protocols]atomic.Int64
	total      [protocols]atomic.Uint64
	requests   [protocols]atomic.Int64
	handshakes [failures]atomic.Uint64
	resets     [resetters]atomic.Uint64
	errors     [errorKinds]atomic.Uint64
	limited    [limitations]atomic.Uint64
	madeWay    [classes]atomic.Uint64
	rejections [rejections]atomic.Uint64
	fresh      atomic.Int64 // connections without a first request yet
}

// Stats may be called at any time. A nil Server has counted nothing.
func (s *Server) Stats() Stats {
	c := &counts{}
	if s != nil {
		c = &s.counts
	}
	protocols, causes, resetters, kinds := protocolWords(), failureWords(), resetterWords(), errorWords()
	limits, rejected, shown := limitWords(), rejectionWords(), classWords()
	return Stats{
		Open:        gauges(protocols[:], c.open[:]),
		Connections: counters(protocols[:], c.total[:]),
		Handshakes:  counters(causes[:], c.handshakes[:]),
		Requests:    gauges(protocols[protocolHTTP1:], c.requests[protocolHTTP1:]),
		Resets:      counters(resetters[:], c.resets[:]),
		Errors:      counters(kinds[1:], c.errors[1:]),
		Limits:      counters(limits[:], c.limited[:]),
		MadeWay:     counters(shown[:], c.madeWay[:]),
		Rejections:  counters(rejected[:], c.rejections[:]),
	}
}

func counters(words []string, counted []atomic.Uint64) map[string]uint64 {
	out := make(map[string]uint64, len(words))
	for i, word := range words {
		out[word] = counted[i].Load()
	}
	return out
}

func gauges(words []string, counted []atomic.Int64) map[string]uint64 {
	out := make(map[string]uint64, len(words))
	for i, word := range words {
		out[word] = uint64(max(counted[i].Load(), 0))
	}
	return out
}

// onAccept counts an accepted connection.
func (c *counts) onAccept(ours *conn, protocol int) {
	ours.protocol.Store(int32(protocol))
	c.open[protocol].Add(1)
	if protocol == protocolPlain {
		c.total[protocol].Add(1)
	}
}

// onFirstByte is called by the HTTP/1 servers when the first byte of a connection has come.
func (c *counts) onFirstByte(socket net.Conn) {
	if ours, ok := socket.(*conn); ok {
		ours.countBegun()
		return
	}
	c.onProtocol(connUnder(socket), protocolHTTP1)
}

// onReject is called with the status of a response that is made before any handler is asked.
func (c *counts) onReject(status int) {
	word := strconv.Itoa(status)
	for i, known := range rejectionWords() {
		if word == known {
			c.rejections[i].Add(1)
		}
	}
}

// onHTTP2State is called by the HTTP/2 engine when a connection becomes active or idle.
func (c *counts) onHTTP2State(socket net.Conn, state http.ConnState) {
	ours := connUnder(socket)
	switch {
	case ours == nil:
	case state == http.StateActive && ours.protocol.Load() == protocolNone: // the preface
		c.onProtocol(ours, protocolHTTP2)
	case state == http.StateActive:
		ours.setBusy()
	case ours.place.rank.Load() == busy:
		ours.setClass(classIdle)
	}
}

// onHTTP1State is called by the HTTP/1 servers when a request is handed to its handler and when the next one is waited
// for.
func (c *counts) onHTTP1State(socket net.Conn, state http.ConnState) {
	switch ours := connUnder(socket); {
	case ours == nil:
	case state == http.StateActive:
		ours.setBusy()
	default:
		ours.setClass(classIdle)
	}
}

// onProtocol counts a connection's protocol, once that is known.
func (c *counts) onProtocol(ours *conn, protocol int) {
	if ours == nil {
		return
	}
	ours.protocol.Store(int32(protocol))
	ours.countBegun()
	c.open[protocolNone].Add(-1)
	c.open[protocol].Add(1)
	c.total[protocol].Add(1)
}

// onClose counts the end of a connection.
func (c *counts) onClose(ours *conn) {
	protocol := ours.protocol.Load()
	c.open[protocol].Add(-1)
	switch {
	case protocol != protocolNone:
	case ours.handshaken:
		c.total[protocolNone].Add(1)
	default:
		c.handshakes[ours.failure()].Add(1)
	}
}

// connUnder returns our connection below TLS, nil if there is none.
func connUnder(socket net.Conn) *conn {
	if along, ok := socket.(*framed); ok {
		socket = along.Conn
	}
	if secure, ok := socket.(*tls.Conn); ok {
		socket = secure.NetConn()
	}
	ours, _ := socket.(*conn)
	return ours
}

// failure is why the handshake failed.
func (c *conn) failure() int {
	switch {
	case !c.gotHello:
		return failedNoHello
	case c.choice.err != nil:
		return failedCertificate
	case c.choice.certificate == nil:
		return failedUnknownName
	}
	return failedOther
}

// Close also gives the connection's slot back.
func (c *conn) Close() error {
	c.closeOnce.Do(func() {
		c.writes.stop()
		c.countBegun()
		if c.admission != nil {
			c.admission.release(c)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed = true; c.afterClose != nil {
			c.afterClose()
		}
	})
	return c.Conn.Close()
}

// whenClosed has after called when a handler that has hijacked the connection closes it, at once if it has.
func (c *conn) whenClosed(after func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		after()
		return
	}
	c.afterClose = after
}

// requestsOf is the gauge that counts a request while it is open.
func (c *counts) requestsOf(r *http.Request) *atomic.Int64 {
	protocol := protocolHTTP1
	switch {
	case r.TLS == nil:
		protocol = protocolPlain
	case r.ProtoMajor == 2:
		protocol = protocolHTTP2
	}
	return &c.requests[protocol]
}

// received and sent look at the frames of HTTP/2 that end something.
func (c *counts) received(h *frameHead) {
	if h.kind == frameResetStream {
		c.resets[resetByClient].Add(1)
	}
}

func (c *counts) sent(h *frameHead) {
	switch {
	case h.code == 0: // NO_ERROR, an orderly end, or a frame that ends nothing
	case h.kind == frameResetStream:
		c.resets[resetByServer].Add(1)
	default:
		code := h.code
		if code >= errorPing {
			code = errorOther
		}
		c.errors[code].Add(1)
	}
}

// onEngineError is called by the HTTP/2 engine with a word for an error. Errors with a GOAWAY frame are counted by
// sent.
func (c *counts) onEngineError(what string) {
	if what == "conn_close_lost_ping" {
		c.errors[errorPing].Add(1)
	}
}
