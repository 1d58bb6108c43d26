package config

import "time"

// Limits bound what one client or one slow origin can take. Every field has its default filled in.
type Limits struct {
	HeaderBytes  int           // bytes of a request's headers; default 32 KiB; 4 KiB to 1 MiB
	HeaderFields int           // fields of a request's header; default 128; 16 to 10,000
	HeaderTime   time.Duration // for a PROXY header, for a handshake and for a header, each; default 10s; 100ms to 2m
	StallTime    time.Duration // while a body of known length or a response is under way, StallBytes have to get through in so much; default 60s; 100ms to 10m
	StallBytes   int           // default 64 KiB; 4 KiB to 16 MiB
	// StreamIdleTime is how long a request body without a length may be silent before the response begins; default 10m; 100ms to 24h.
	StreamIdleTime time.Duration
	IdleTime       time.Duration // a kept-alive connection without a request; default 120s; 100ms to 1h
	PingAfter      time.Duration // HTTP/2: silence after which the client is pinged; default 30s; 100ms to 1h
	PingTime       time.Duration // HTTP/2: to answer the ping; default 15s; 100ms to 5m

	Streams          int           // HTTP/2: open at a time on one connection; default 100; 1 to 1,000
	FrameBytes       int           // HTTP/2: the largest frame taken, in bytes; default 16 KiB; 16 KiB to 1 MiB
	StreamWindow     int           // HTTP/2: bytes of one request body under way; default 256 KiB; 64 KiB to 16 MiB
	ConnectionWindow int           // HTTP/2: the same over all streams; not below StreamWindow; default 1 MiB; 64 KiB to 64 MiB
	WriteTime        time.Duration // writing without progress; default 60s; 100ms to 10m

	Connections           int // open at once, fewer where the process may not open as many files; default 16,384; 16 to 1,000,000
	ConnectionsPerAddress int // with requests under way, of one IPv4 address or IPv6 /64; default 4,096, but no more than a quarter of Connections; 1 to 1,000,000

	// RequestsPerAddress are those of one IPv4 address or IPv6 /64 that sites' own servers work on at once; default 1,024, but no
	// more than a quarter of the files that may be open for these; 1 to 1,000,000
	RequestsPerAddress int

	OriginTime time.Duration // until an origin begins its answer, and between its bytes; default 60s; 100ms to 1h
	// DrainGrace is how long new connections are taken after the end has been asked for; default 5s where somebody has asked
	// whether the gateway is ready within the last minute, else none; 0 to 10m
	DrainGrace time.Duration
	DrainTime  time.Duration // at the end, for what is under way; default 30s; 100ms to 10m
}

// limit is one key: exactly one of its three targets is set.
type limit struct {
	key       string
	time      *time.Duration
	size      *int // bytes
	count     *int
	standard  int64 // in the target's unit
	low, high int64
}

func (l *Limits) all() []limit {
	const ms, s, m, h = int64(time.Millisecond), int64(time.Second), int64(time.Minute), int64(time.Hour)
	const kib, mib = 1 << 10, 1 << 20
	return []limit{
		{key: "header_bytes", size: &l.HeaderBytes, standard: 32 * kib, low: 4 * kib, high: mib},
		{key: "header_fields", count: &l.HeaderFields, standard: 128, low: 16, high: 10_000},
		{key: "header_time", time: &l.HeaderTime, standard: 10 * s, low: 100 * ms, high: 2 * m},
		{key: "stall_time", time: &l.StallTime, standard: 60 * s, low: 100 * ms, high: 10 * m},
		{key: "stall_bytes", size: &l.StallBytes, standard: 64 * kib, low: 4 * kib, high: 16 * mib},
		{key: "stream_idle_time", time: &l.StreamIdleTime, standard: 10 * m, low: 100 * ms, high: 24 * h},
		{key: "idle_time", time: &l.IdleTime, standard: 120 * s, low: 100 * ms, high: h},
		{key: "ping_after", time: &l.PingAfter, standard: 30 * s, low: 100 * ms, high: h},
		{key: "ping_time", time: &l.PingTime, standard: 15 * s, low: 100 * ms, high: 5 * m},
		{key: "streams", count: &l.Streams, standard: 100, low: 1, high: 1000},
		{key: "frame_bytes", size: &l.FrameBytes, standard: 16 * kib, low: 16 * kib, high: mib},
		{key: "stream_window", size: &l.StreamWindow, standard: 256 * kib, low: 64 * kib, high: 16 * mib},
		{key: "connection_window", size: &l.ConnectionWindow, standard: mib, low: 64 * kib, high: 64 * mib},
		{key: "connections", count: &l.Connections, standard: 16_384, low: 16, high: 1_000_000},
		{key: "connections_per_address", count: &l.ConnectionsPerAddress, standard: 4096, low: 1, high: 1_000_000},
		{key: "requests_per_address", count: &l.RequestsPerAddress, standard: 1024, low: 1, high: 1_000_000},
		{key: "write_time", time: &l.WriteTime, standard: 60 * s, low: 100 * ms, high: 10 * m},
		{key: "origin_time", time: &l.OriginTime, standard: 60 * s, low: 100 * ms, high: h},
		{key: "drain_grace", time: &l.DrainGrace, standard: 5 * s, low: 0, high: 10 * m},
		{key: "drain_time", time: &l.DrainTime, standard: 30 * s, low: 100 * ms, high: 10 * m},
	}
}

func (l limit) set(v int64) {
	switch {
	case l.time != nil:
		*l.time = time.Duration(v)
	case l.size != nil:
		*l.size = int(v)
	default:
		*l.count = int(v)
	}
}

// limits reads the section; a nil node leaves the defaults.
func (r *reader) limits(n *node, l *Limits) {
	all := l.all()
	for _, limit := range all {
		limit.set(limit.standard)
	}
	if n == nil {
		return
	}
	values := r.section(n, "limits")
	for _, limit := range all {
		value := values[limit.key]
		if value == nil {
			continue
		}
		switch {
		case limit.time != nil:
			if d, ok := r.duration(value, time.Duration(limit.low), time.Duration(limit.high)); ok {
				limit.set(int64(d))
			}
		case limit.size != nil:
			if v, ok := r.size(value, limit.low, limit.high); ok {
				limit.set(v)
			}
		default:
			if v, ok := r.integer(value, limit.low, limit.high); ok {
				limit.set(v)
			}
		}
	}
	if l.ConnectionWindow < l.StreamWindow {
		at := values["connection_window"]
		if at == nil {
			at = values["stream_window"]
		}
		r.problem(at, "raise limits.connection_window or lower limits.stream_window",
			"%s: the connection's window (%s) is smaller than a stream's (%s)", at.label, spellSize(int64(l.ConnectionWindow)), spellSize(int64(l.StreamWindow)))
	}
}
