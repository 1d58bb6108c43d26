package server

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
func (g *Gateway) limits() front.Limits {
	l, files := g.config.Limits, openFiles()
	connections := g.connections(files)
	return front.Limits{
		HeaderBytes: l.HeaderBytes, HeaderFields: l.HeaderFields, HeaderTime: l.HeaderTime, StallTime: l.StallTime, StallBytes: l.StallBytes,
		StreamIdleTime: l.StreamIdleTime, IdleTime: l.IdleTime, PingAfter: l.PingAfter, PingTime: l.PingTime, WriteTime: l.WriteTime, DrainTime: l.DrainTime,
		Streams: uint32(l.Streams), FrameBytes: uint32(l.FrameBytes), StreamWindow: int32(l.StreamWindow), ConnectionWindow: int32(l.ConnectionWindow),
		Connections: connections, ConnectionsPerAddress: perAddress(l.ConnectionsPerAddress, connections),
		RequestsPerAddress: requestsPerAddress(l.RequestsPerAddress, originSlots(files, connections)),
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

// requestsPerAddress is how many requests one address may have under way where origins may have so many descriptors (0: nobody
// knows): each may need one, and who takes responses slowly must not have all of them.
func requestsPerAddress(wanted, slots int) int {
	const standard = 1024
	if wanted == standard && slots > 0 { // it is documented as so many, or a quarter
		return min(wanted, slots/4)
	}
	return wanted
}

// connections is how many there may be where the process may open so many files (0: nobody knows): each may need another one
// to an origin, and the log, certificates and lookups need theirs.
func (g *Gateway) connections(files uint64) int {
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

// originFiles bound those that origins have. Without that bound they could take what new clients and the log need.
func originFiles(files uint64, connections int) *origin.Files {
	slots := originSlots(files, connections)
	if slots == 0 {
		return nil
	}
	return origin.NewFiles(slots)
}

// originSlots is how many descriptors origins may have where the process may open so many: what is left beside the clients'
// connections, with those on their way out, and otherFiles. 0: nobody knows.
func originSlots(files uint64, connections int) int {
	if files == 0 {
		return 0
	}
	const least = 16
	return max(int(min(files, 1<<30))-connections-connections/64-otherFiles, least)
}
