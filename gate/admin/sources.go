package admin

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Lookups is what verification is doing, and what it has done since the start.
type Lookups struct {
	InFlight, Queued int
	Shed             uint64            // lookups not made, or asked for in vain, for want of budget
	Results          map[string]uint64 // lookups that ended, by what came of them; words of a closed list
	Took             Histogram         // how long those took
}

// FrontStats is what package front is doing, and what it has done since the start. The keys are words of closed lists.
type FrontStats struct {
	Open        map[string]uint64 // connections that are open, by protocol
	Connections map[string]uint64 // all there have been, by protocol
	Handshakes  map[string]uint64 // that failed, by cause
	Requests    map[string]uint64 // being handled, by protocol
	Resets      map[string]uint64 // of HTTP/2 streams, by who reset them
	Errors      map[string]uint64 // that HTTP/2 connections were ended for, by kind
	Limits      map[string]uint64 // the times that a limit was enforced, by limit
	MadeWay     map[string]uint64 // connections without a request that were ended for a new one, by what they had shown
	Rejections  map[string]uint64 // HTTP/1.x requests answered before any site was asked, by status
}

// Enforced is a limit on connections that is being enforced. The texts are shown as they are.
type Enforced struct{ Title, Text string }

// Origin is one of a site's own servers.
type Origin struct {
	Site, Address string
	InFlight      int       // requests
	Failures      uint64    // since the configuration is live
	OutUntil      time.Time // it has failed and is left out until then, or until a request has tried it; zero: it is asked

	DownSince   time.Time // it has not answered since; zero: it has answered one of the last requests
	Error, Cure string    // with DownSince: the latest failure, and what to do about it, "" where nobody can know
}

func (a *Admin) originMetrics() prometheus.Collector {
	g := &group{}
	up := g.desc(
		"origin_up",
		"1 while a site's own server answers; 0 after it has failed several times in a row, until it has answered a request again.",
		"site",
		"origin",
	)
	inFlight := g.desc("origin_requests_in_flight", "Requests that a site's own server is being asked.", "site",
		"origin")
	g.collect = func(s sink) {
		for _, o := range a.config.Origins() {
			if strings.HasPrefix(o.Address, "file:") {
				continue // a folder is on the page alone
			}
			s.gauge(up, number(o.OutUntil.IsZero() && o.DownSince.IsZero()), o.Site, o.Address)
			s.gauge(inFlight, float64(o.InFlight), o.Site, o.Address)
		}
	}
	return g
}

func (a *Admin) lookupMetrics() prometheus.Collector {
	g := &group{}
	ended := g.desc(
		"lookups_total",
		"Lookups of addresses in the DNS that ended, by what came of them: genuine, impostor, or what went wrong. "+
			"Answers from memory are none.",
		"result",
	)
	took := g.desc("verify_seconds",
		"How long lookups took, their time in the queue left out. Answers from memory are none.")
	inFlight := g.desc("lookups_in_flight", "Lookups under way.")
	queued := g.desc("lookups_queued", "Lookups that wait for their turn.")
	shed := g.desc("lookups_shed_total",
		"Lookups that were not made, or not waited for, because the budget was used up; the verdict is then unknown.")
	g.collect = func(s sink) {
		l := a.config.Lookups()
		s.counters(ended, l.Results)
		s.histogram(took, l.Took)
		s.gauge(inFlight, float64(l.InFlight))
		s.gauge(queued, float64(l.Queued))
		s.counter(shed, l.Shed)
	}
	return g
}

func (a *Admin) frontMetrics() prometheus.Collector {
	g := &group{}
	open := g.desc(
		"connections_open",
		"Connections that are open, by protocol: http1 and http2 (over TLS), plain (to the plain HTTP listener), "+
			"none (no HTTP spoken yet, most of them in their handshake).",
		"protocol",
	)
	total := g.desc(
		"connections_total",
		"Connections by protocol, each from its first byte of HTTP on (plain: from its start; "+
			"none: it ended after its handshake and before any HTTP).",
		"protocol",
	)
	failed := g.desc(
		"handshakes_failed_total",
		"TLS handshakes that failed: no_hello (the client said nothing that is TLS, or nothing in time), "+
			"unknown_name (no site has the name), certificate (there is none yet for the name), other (no agreement, or the client left).",
		"cause",
	)
	requests := g.desc("requests_in_flight", "Requests being handled, by protocol; over HTTP/2 each is a stream.",
		"protocol")
	resets := g.desc(
		"http2_stream_resets_total",
		"RST_STREAM frames by who sent them: client (all that were received), "+
			"server (all but those with the code NO_ERROR). Streams that end with their connection are not counted.",
		"by",
	)
	errors := g.desc(
		"http2_connection_errors_total",
		"HTTP/2 connections that the server ended for an error, by the error code of the GOAWAY frame that it sent; "+
			"ping_timeout: a ping was not answered, and no GOAWAY was sent.",
		"kind",
	)
	limits := g.desc(
		"limits_total",
		"Times that a limit was enforced: connections (all were taken, and a new one had to wait), address and network (an IPv4 address "+
			"or IPv6 /64, an IPv4 /24 or IPv6 /48 had too many with requests under way or just opened, and a new one was closed), "+
			"files (this process had no file descriptor left for a new connection), header_fields (answered 431), stall_read (a request's body came too slowly), stall_write (an answer was taken too slowly), "+
			"stream_idle (a request's body without a length was silent for too long), "+
			"requests (one had to wait, because its connection or its client had too many under way at the sites' own servers), "+
			"proxy_protocol (a balancer's connection did not begin with a sound PROXY header, and was closed).",
		"limit",
	)
	madeWay := g.desc(
		"connections_made_way_total",
		"Connections without a request that were ended for a new one where a limit on connections was reached, by what they "+
			"had shown: silent (no TLS hello; in plain HTTP no request), handshake (a hello and no request), idle (their requests had been answered).",
		"shown",
	)
	rejections := g.desc(
		"requests_rejected_total",
		"Requests over HTTP/1.x that could not be read in one way only, or whose head was too long, and over "+
			"either protocol those with too many header fields, that were answered before any site was asked, by the status of the answer. The decision log has no line for them.",
		"status",
	)
	g.collect = func(s sink) {
		d := a.config.Front()
		s.gauges(open, d.Open)
		s.counters(total, d.Connections)
		s.counters(failed, d.Handshakes)
		s.gauges(requests, d.Requests)
		s.counters(resets, d.Resets)
		s.counters(errors, d.Errors)
		s.counters(limits, d.Limits)
		s.counters(madeWay, d.MadeWay)
		s.counters(rejections, d.Rejections)
	}
	return g
}

func (a *Admin) logMetrics() prometheus.Collector {
	g := &group{}
	queueLines := g.desc("log_queue_lines", "Lines of the decision log on their way to the file.")
	queueBytes := g.desc("log_queue_bytes", "Bytes of the decision log on their way to the file.")
	lines := g.desc("log_written_lines_total", "Lines that went into the decision log's file.")
	bytes := g.desc("log_written_bytes_total", "Bytes that went into the decision log's file.")
	lost := g.desc("log_lost_lines_total",
		"Lines of served requests that were dropped, because the file was slower than the requests or took no lines.")
	leftOut := g.desc(
		"log_left_out_lines_total",
		"Lines that were left out, because their network (/24 or /48) had sent more requests than it may cost in log. "+
			"None is of a verified crawler.",
	)
	gaps := g.desc("log_gaps_total", "Lines in the decision log that tell of dropped or left out ones.")
	givenUp := g.desc("log_refusals_given_up_total",
		"Refusals that did not happen, because their line was not taken in time.")
	failures := g.desc("log_write_failures_total", "Writes to the decision log's file that failed.")
	syncs := g.desc("log_sync_failures_total",
		"Times that the disk did not confirm what was written to the decision log's file, or not within ten seconds.")
	rotations := g.desc("log_rotations_total", "Times that the decision log went on in a new file.")
	g.collect = func(s sink) {
		l := a.config.Log()
		s.gauge(queueLines, float64(l.QueueLines))
		s.gauge(queueBytes, float64(l.QueueBytes))
		s.counter(lines, l.WrittenLines)
		s.counter(bytes, l.WrittenBytes)
		s.counter(lost, l.LostLines)
		s.counter(leftOut, l.LeftOutLines)
		s.counter(gaps, l.Gaps)
		s.counter(givenUp, l.GivenUp)
		s.counter(failures, l.Failures)
		s.counter(syncs, l.SyncFailures)
		s.counter(rotations, l.Rotations)
	}
	return g
}
