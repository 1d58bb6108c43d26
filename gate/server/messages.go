package server

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Bounds of the messages that are queued while standard error is blocked.
const (
	maxMessages     = 1000
	maxMessageBytes = 256 << 10
	maxMessage      = 64 << 10
)

// FlushTimeout is how long a program waits at its end for messages to be written.
const FlushTimeout = 2 * time.Second

// Messages queues messages for the operator, one a Write, for a writer that may block: a terminal that was paused, a
// pipe that nobody reads. Write never waits and never fails. Messages keep their order; those that find no room are
// counted, and in their place a message says how many are missing once the writer takes any again. It is safe for
// concurrent use and needs no closing: its one goroutine ends when everything is written. Only To has to be set.
type Messages struct {
	To io.Writer

	mu    sync.Mutex
	queue []queuedMessage
	bytes int
	lost  int           // after the last of queue
	idle  chan struct{} // closed when everything is written; nil while no goroutine runs
}

// queuedMessage is a text to be written.
type queuedMessage struct {
	text []byte
	lost int // how many it reports as missing; 0: an ordinary message
}

// Write queues a copy of p.
func (m *Messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := cutMessage(p)
	// Room for two: a message about those that are missing may have to come first.
	if len(m.queue)+2 > maxMessages || m.bytes+len(text) > maxMessageBytes {
		m.lost++
		return len(p), nil
	}
	if m.lost > 0 {
		m.add(m.lostMessage())
	}
	m.add(queuedMessage{text: text})
	if m.idle == nil {
		m.idle = make(chan struct{})
		go m.writeQueued()
	}
	return len(p), nil
}

// cutMessage copies a message, of one that is too long the beginning.
func cutMessage(p []byte) []byte {
	if len(p) <= maxMessage {
		return append([]byte(nil), p...)
	}
	return fmt.Appendf(nil, "%s… (%d bytes more)\n", p[:maxMessage], len(p)-maxMessage)
}

func (m *Messages) add(next queuedMessage) {
	m.queue = append(m.queue, next)
	m.bytes += len(next.text)
}

// lostMessage reports the lost messages and resets their count.
func (m *Messages) lostMessage() queuedMessage {
	lost := m.lost
	m.lost = 0
	text := fmt.Appendf(nil, "gate421: %s missing here: standard error took none\n", messagesAre(lost))
	return queuedMessage{text: text, lost: lost}
}

func messagesAre(n int) string {
	if n == 1 {
		return "1 message is"
	}
	return fmt.Sprintf("%d messages are", n)
}

// writeQueued writes until the queue is empty. A message that cannot be written is lost, too; this is reported with the
// next one, because now the report would be lost as well.
func (m *Messages) writeQueued() {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := false
	for {
		if len(m.queue) == 0 && m.lost > 0 && !failed {
			m.add(m.lostMessage())
		}
		if len(m.queue) == 0 {
			m.queue = nil // free the memory of a burst
			close(m.idle)
			m.idle = nil
			return
		}
		next := m.queue[0]
		m.queue = m.queue[1:]
		m.mu.Unlock()
		_, err := m.To.Write(next.text)
		m.mu.Lock()
		m.bytes -= len(next.text)
		if failed = err != nil; failed {
			m.lost += max(next.lost, 1)
		}
	}
}

// Flush waits until everything that was queued before has been written, or for at most that long.
func (m *Messages) Flush(atMost time.Duration) {
	m.mu.Lock()
	idle := m.idle
	m.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}
