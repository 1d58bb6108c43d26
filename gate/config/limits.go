package config

import "time"

// Limits bound what one client or one slow origin can take. Every field has its default filled in; Keys has the
// defaults and the bounds.
type Limits struct {
	HeaderBytes  int           // bytes of a request's headers
	HeaderFields int           // fields of a request's header
	HeaderTime   time.Duration // for a PROXY header, for a handshake and for a header, each
	StallTime    time.Duration // while a body of known length or a response is under way, StallBytes have to get through in so much
	StallBytes   int
	// StreamIdleTime is how long a request body without a length may be silent before the response begins.
	StreamIdleTime time.Duration
	IdleTime       time.Duration // a kept-alive connection without a request
	PingAfter      time.Duration // HTTP/2: silence after which the client is pinged
	PingTime       time.Duration // HTTP/2: to answer the ping

	Streams          int           // HTTP/2: open at a time on one connection
	FrameBytes       int           // HTTP/2: the largest frame taken, in bytes
	StreamWindow     int           // HTTP/2: bytes of one request body under way
	ConnectionWindow int           // HTTP/2: the same over all streams; not below StreamWindow
	WriteTime        time.Duration // writing without progress

	Connections int // open at once, fewer where the process may not open as many files
	// ConnectionsPerAddress are those with requests under way or opened within the last second, of one IPv4 address or
	// IPv6 /64. The default is lowered to a quarter of Connections.
	ConnectionsPerAddress int

	// RequestsPerAddress are those of one IPv4 address or IPv6 /64 that sites' own servers work on at once. The default
	// is lowered to a quarter of the files that may be open for these.
	RequestsPerAddress int

	OriginTime time.Duration // until an origin begins its answer, and between its bytes
	// DrainGrace is how long new connections are taken after the end has been asked for. The default counts where
	// somebody has asked whether the gateway is ready within the last minute; else it is 0.
	DrainGrace time.Duration
	DrainTime  time.Duration // at the end, for what is under way
}

// limits reads the section; a nil node leaves the defaults.
func (r *reader) limits(n *node, l *Limits) {
	values := map[string]*node{}
	if n != nil {
		values = r.section(n, "limits")
	}
	for name, target := range map[string]*time.Duration{
		"header_time": &l.HeaderTime, "stall_time": &l.StallTime, "stream_idle_time": &l.StreamIdleTime, "idle_time": &l.IdleTime,
		"ping_after": &l.PingAfter, "ping_time": &l.PingTime, "write_time": &l.WriteTime, "origin_time": &l.OriginTime,
		"drain_grace": &l.DrainGrace, "drain_time": &l.DrainTime,
	} {
		*target = r.durationOf(values, "limits", name)
	}
	for name, target := range map[string]*int{
		"header_bytes": &l.HeaderBytes, "stall_bytes": &l.StallBytes, "frame_bytes": &l.FrameBytes,
		"stream_window": &l.StreamWindow, "connection_window": &l.ConnectionWindow,
	} {
		*target = int(r.sizeOf(values, "limits", name))
	}
	for name, target := range map[string]*int{
		"header_fields": &l.HeaderFields, "streams": &l.Streams, "connections": &l.Connections,
		"connections_per_address": &l.ConnectionsPerAddress, "requests_per_address": &l.RequestsPerAddress,
	} {
		*target = r.numberOf(values, "limits", name)
	}
	if l.ConnectionWindow < l.StreamWindow {
		at := values["connection_window"]
		if at == nil {
			at = values["stream_window"]
		}
		r.problem(at, "raise limits.connection_window or lower limits.stream_window",
			"%s: the connection's window (%s) is smaller than a stream's (%s)", at.label,
			spellSize(int64(l.ConnectionWindow)), spellSize(int64(l.StreamWindow)))
	}
}
