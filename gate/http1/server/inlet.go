package server

import (
	"net"
	"sync"
	"time"
)

// inlet is where a connection's reader gets its bytes; it knows how long they may take. One goroutine reads at a time.
type inlet struct {
	conn         net.Conn
	idle, header time.Duration

	records bool // bytes come in TLS records
	small   int  // reads of a body, one behind the other, that have brought little

	mu    sync.Mutex
	phase phase
	until time.Time // the deadline that is set; zero: none
	lent  bool      // the handler, or the watch, sets deadlines
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
func (i *inlet) Read(p []byte) (int, error) {
	const little, few = 512, 4
	i.prepare()
	n, err := i.conn.Read(p)
	if !i.records || n >= little || err != nil {
		i.small = 0
		return n, err
	}
	if i.small++; i.small < few {
		return n, nil
	}
	return i.more(p, n), nil
}

// more reads on for as long as TLS has records that have come already: each of them is read alone, and a client may
// send one for every byte of a body.
func (i *inlet) more(p []byte, n int) int {
	i.mu.Lock()
	look := i.phase == inBody && !i.lent
	if look {
		i.until = time.Unix(1, 0) // the next Read sets another one
		i.conn.SetReadDeadline(i.until)
	}
	i.mu.Unlock()
	for look && n < len(p) {
		m, err := i.conn.Read(p[n:])
		n += m
		look = err == nil // the next Read meets it again, if it was not the deadline
	}
	return n
}

func (i *inlet) prepare() {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.lent:
	case i.phase == inHead:
		i.set(time.Now().Add(i.header), 0)
		i.phase = inRest
	case i.phase == inIdle:
		i.set(time.Now().Add(i.idle), i.idle/16)
	case i.phase == inBody:
		i.set(time.Time{}, 0)
	}
}

// enter begins a phase.
func (i *inlet) enter(p phase) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.phase = p
	if i.lent {
		i.lent = false
		i.until = time.Unix(1, 0) // nobody knows
	}
}

// set sets the deadline, unless the one that is set is too early by no more than slack.
func (i *inlet) set(until time.Time, slack time.Duration) {
	early := until.Sub(i.until)
	if i.until.IsZero() == until.IsZero() && early >= 0 && early <= slack {
		return
	}
	i.until = until
	i.conn.SetReadDeadline(until)
}

// cutHead ends the reading of a head that has been on its way for so long. It returns false where that is not so.
func (i *inlet) cutHead(slow time.Duration) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.phase != inRest || i.lent || time.Until(i.until) > i.header-slow {
		return false
	}
	i.conn.SetReadDeadline(time.Unix(1, 0))
	return true
}

// lend sets a deadline that holds until the next phase, also for a read that is under way.
func (i *inlet) lend(until time.Time) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lent = true
	return i.conn.SetReadDeadline(until)
}
