package main

import (
	"net/http"

	"gate421/gate"
	"gate421/gate/front"
)

// limits are those of the door.
func (g *gateway) limits() front.Limits {
	l, connections := g.config.Limits, g.connections(openFiles())
	return front.Limits{
		HeaderBytes: l.HeaderBytes, HeaderFields: l.HeaderFields, HeaderTime: l.HeaderTime, StallTime: l.StallTime, StallBytes: l.StallBytes,
		StreamIdleTime: l.StreamIdleTime, IdleTime: l.IdleTime, PingAfter: l.PingAfter, PingTime: l.PingTime, WriteTime: l.WriteTime, DrainTime: l.DrainTime,
		Streams: uint32(l.Streams), FrameBytes: uint32(l.FrameBytes), StreamWindow: int32(l.StreamWindow), ConnectionWindow: int32(l.ConnectionWindow),
		Connections: connections, ConnectionsPerAddress: perAddress(l.ConnectionsPerAddress, connections),
		RequestsPerAddress: l.RequestsPerAddress,
	}
}

// admit is the door's.
func admit(r *http.Request) (gate.Slot, bool) { return front.Admit(r) }

// perAddress is how many of so many connections one address may have.
func perAddress(wanted, connections int) int {
	const standard = 4096
	if wanted == standard { // it is documented as so many, or a quarter
		return min(wanted, connections/4)
	}
	return wanted
}

// connections is how many there may be where the process may open so many files (0: nobody knows): each may need another one
// to an origin, and the log, certificates and lookups need theirs.
func (g *gateway) connections(files uint64) int {
	wanted := g.config.Limits.Connections
	const others, least, standard = 256, 16, 16_384
	room := max(int(min(files, 1<<30))/2-others, least)
	if files == 0 || wanted <= room {
		return wanted
	}
	if wanted == standard { // it is documented as so many, or what there is room for
		return room
	}
	g.say("limits.connections is %d, but this process may open %d files only: at most %d connections are taken at once", wanted, files, room)
	g.say("hint: raise the limit (LimitNOFILE= in the systemd unit, ulimit -n in a shell) to %d, or lower limits.connections", 2*(wanted+others))
	return room
}
