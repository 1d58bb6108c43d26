package main

import (
	"net/http"

	"gate421/gate"
	"gate421/gate/front"
	"gate421/gate/origin"
)

const (
	standardConnections = 16_384
	otherFiles          = 256 // that are neither clients' nor origins': admin page, listeners, log, DNS, certificates
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
	const least = 16
	room := max(int(min(files, 1<<30))/2-otherFiles, least)
	if files == 0 || wanted <= room {
		return wanted
	}
	if wanted == standardConnections { // it is documented as so many, or what there is room for
		return room
	}
	g.say("limits.connections is %d, but this process may open %d files only: at most %d connections are taken at once", wanted, files, room)
	g.say("hint: raise the limit (LimitNOFILE= in the systemd unit, ulimit -n in a shell) to %d, or lower limits.connections", 2*(wanted+otherFiles))
	return room
}

// originFiles are those that origins may have where the process may open so many: what is left beside the clients' connections, with
// those on their way out, and otherFiles. Without that bound origins could take what new clients and the log need.
func originFiles(files uint64, connections int) *origin.Files {
	if files == 0 {
		return nil
	}
	const least = 16
	return origin.NewFiles(max(int(min(files, 1<<30))-connections-connections/64-otherFiles, least))
}
