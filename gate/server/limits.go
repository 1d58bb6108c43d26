package server

import (
	"net/http"

	"gate421/gate"
	"gate421/gate/front"
	"gate421/gate/origin"
)

const (
	defaultConnections  = 16_384
	reservedDescriptors = 256 // for the admin page, listeners, log, DNS and certificates
)

// newFrontLimits are the limits on clients' connections.
func (g *Gateway) newFrontLimits() front.Limits {
	l, files := g.config.Limits, openFiles()
	connections := g.connections(files)
	return front.Limits{
		HeaderBytes: l.HeaderBytes, HeaderFields: l.HeaderFields, HeaderTime: l.HeaderTime,
		StallTime: l.StallTime, StallBytes: l.StallBytes, StreamIdleTime: l.StreamIdleTime, IdleTime: l.IdleTime,
		PingAfter: l.PingAfter, PingTime: l.PingTime, WriteTime: l.WriteTime, DrainTime: l.DrainTime,
		Streams: uint32(l.Streams), FrameBytes: uint32(l.FrameBytes),
		StreamWindow: int32(l.StreamWindow), ConnectionWindow: int32(l.ConnectionWindow),
		Connections: connections, ConnectionsPerAddress: perAddress(l.ConnectionsPerAddress, connections),
		RequestsPerAddress: requestsPerAddress(l.RequestsPerAddress, originDescriptors(files, connections)),
	}
}

// admit is front.Admit with the interface that gate consumes.
func admit(r *http.Request) (gate.Slot, bool) { return front.Admit(r) }

// perAddress is how many of all connections one address may have: what is configured, of the default a quarter at most.
func perAddress(wanted, connections int) int {
	const byDefault = 4096
	if wanted == byDefault {
		return min(wanted, connections/4)
	}
	return wanted
}

// requestsPerAddress is how many requests one address may have under way: what is configured, of the default at most a
// quarter of the origins' descriptors (0: unknown). Each request may need one, and a client that takes responses slowly
// must not hold all of them.
func requestsPerAddress(wanted, descriptors int) int {
	const byDefault = 1024
	if wanted == byDefault && descriptors > 0 {
		return min(wanted, descriptors/4)
	}
	return wanted
}

// connections is how many clients' connections there may be in a process that may open so many files (0: unknown). Each
// may need another descriptor for its origin. The default bends silently; a configured number that does not fit is
// reported.
func (g *Gateway) connections(files uint64) int {
	wanted := g.config.Limits.Connections
	const atLeast = 16
	room := max(int(min(files, 1<<30))/2-reservedDescriptors, atLeast)
	if files == 0 || wanted <= room {
		return wanted
	}
	if wanted == defaultConnections {
		return room
	}
	g.printf("limits.connections is %d, but this process may open %d files only: "+
		"at most %d connections are taken at once", wanted, files, room)
	g.printf("hint: raise the limit (LimitNOFILE= in the systemd unit, ulimit -n in a shell) to %d, "+
		"or lower limits.connections", 2*(wanted+reservedDescriptors))
	return room
}

// newOriginDescriptors bounds the descriptors of all origins together, so that new clients and the log get theirs. nil:
// no bound, because the process's own is unknown.
func newOriginDescriptors(files uint64, connections int) *origin.Descriptors {
	descriptors := originDescriptors(files, connections)
	if descriptors == 0 {
		return nil
	}
	return origin.NewDescriptors(descriptors)
}

// originDescriptors is how many descriptors origins may have in a process that may open so many files: what is left
// beside clients' connections, those that are being closed, and reservedDescriptors. 0: unknown.
func originDescriptors(files uint64, connections int) int {
	if files == 0 {
		return 0
	}
	const atLeast = 16
	return max(int(min(files, 1<<30))-connections-connections/64-reservedDescriptors, atLeast)
}
