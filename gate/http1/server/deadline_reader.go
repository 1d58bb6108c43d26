package server

import (
	"net"
	"sync"
	"time"
)

// deadlineReader reads from a connection with the deadline of the phase that the connection is in. One goroutine reads
// at a time.
type deadlineReader struct {
	conn         net.Conn
	idle, header time.Duration

	records bool // bytes come in TLS records
	small   int  // reads of a body, one behind the other, that have brought little

	mu         sync.Mutex
	phase      phase
	until      time.Time // the deadline that is set; zero: none
	overridden bool      // setDeadline was called in this phase
}

// phase is what is read.
type phase int

const (
	inHead   phase = iota // of a head, the first bytes that have to be waited for
	inRest                // more of it
	inIdle                // nothing has come yet
	inBody                // whoever reads the body has an eye on it
	inLinger              // the deadline is set
)

// Read serves io.Reader.
func (d *deadlineReader) Read(p []byte) (int, error) {
	const little, few = 512, 4
	d.prepare()
	n, err := d.conn.Read(p)
	if !d.records || n >= little || err != nil {
		d.small = 0
		return n, err
	}
	if d.small++; d.small < few {
		return n, nil
	}
	return d.readReadyRecords(p, n), nil
}

// readReadyRecords reads on while TLS records are in the socket already: crypto/tls returns one a Read, and a client
// may send one for every byte of a body.
func (d *deadlineReader) readReadyRecords(p []byte, n int) int {
	d.mu.Lock()
	look := d.phase == inBody && !d.overridden
	if look {
		d.until = time.Unix(1, 0) // the next Read sets another one
		d.conn.SetReadDeadline(d.until)
	}
	d.mu.Unlock()
	for look && n < len(p) {
		m, err := d.conn.Read(p[n:])
		n += m
		look = err == nil // the next Read meets it again, if it was not the deadline
	}
	return n
}

func (d *deadlineReader) prepare() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.overridden:
	case d.phase == inHead:
		d.set(time.Now().Add(d.header), 0)
		d.phase = inRest
	case d.phase == inIdle:
		d.set(time.Now().Add(d.idle), d.idle/16)
	case d.phase == inBody:
		d.set(time.Time{}, 0)
	}
}

// enter begins a phase.
func (d *deadlineReader) enter(p phase) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.phase = p
	if d.overridden {
		d.overridden = false
		d.until = time.Unix(1, 0) // forces the next set
	}
}

// set sets the deadline, unless the one that is set is too early by no more than slack.
func (d *deadlineReader) set(until time.Time, slack time.Duration) {
	early := until.Sub(d.until)
	if d.until.IsZero() == until.IsZero() && early >= 0 && early <= slack {
		return
	}
	d.until = until
	d.conn.SetReadDeadline(until)
}

// abortSlowHead ends the reading of a head that has been arriving for longer than slow. It returns false if there is
// none.
func (d *deadlineReader) abortSlowHead(slow time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != inRest || d.overridden || time.Until(d.until) > d.header-slow {
		return false
	}
	d.conn.SetReadDeadline(time.Unix(1, 0))
	return true
}

// setDeadline sets a deadline that holds until the next phase, also for a read that is under way.
func (d *deadlineReader) setDeadline(until time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.overridden = true
	return d.conn.SetReadDeadline(until)
}
