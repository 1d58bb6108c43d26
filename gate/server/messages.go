package server

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Bounds of the messages that wait for a standard error which takes none.
const (
	maxMessages     = 1000
	maxMessageBytes = 256 << 10
	longestMessage  = 64 << 10
	FlushAtMost     = 2 * time.Second // at the end, for somebody who still reads
)

// Messages passes on what an operator should see, one message a Write, to a writer that may be slow or stuck: a
// terminal that was paused, a pipe that nobody reads. Write never waits and never fails. Messages keep their order;
// those that find no room are counted, and where they are missing a message says how many as soon as the writer takes
// any again. It is safe for concurrent use and needs no closing: its one goroutine ends when everything is written.
type Messages struct {
	To io.Writer

	mu    sync.Mutex
	queue []queuedMessage
	bytes int
	lost  int           // behind the last of queue
	idle  chan struct{} // closed when everything is written; nil: it is, and no goroutine runs
}

// queuedMessage is a text to be written.
type queuedMessage struct {
	text []byte
	lost int // it says that so many are missing; 0: it is an ordinary one
}

// Write queues a copy of p.
func (m *Messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := cutMessage(p)
	// Room for two: how many are missing has to be said first.
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
		go m.pass()
	}
	return len(p), nil
}

// cutMessage copies a message, the beginning of one that is very long.
func cutMessage(p []byte) []byte {
	if len(p) <= longestMessage {
		return append([]byte(nil), p...)
	}
	return fmt.Appendf(nil, "%s… (%d bytes more)\n", p[:longestMessage], len(p)-longestMessage)
}

func (m *Messages) add(next queuedMessage) {
	m.queue = append(m.queue, next)
	m.bytes += len(next.text)
}

// lostMessage takes over the count of lost messages.
func (m *Messages) lostMessage() queuedMessage {
	lost := m.lost
	m.lost = 0
	text := fmt.Appendf(nil, "gate421: %s missing here: standard error took none\n", areMessages(lost))
	return queuedMessage{text: text, lost: lost}
}

func areMessages(n int) string {
	if n == 1 {
		return "1 message is"
	}
	return fmt.Sprintf("%d messages are", n)
}

// pass writes what is queued until there is nothing left. A message that cannot be written is lost, too; that it is
// gets said with the next one, because now it would be lost as well.
func (m *Messages) pass() {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed := false
	for {
		if len(m.queue) == 0 && m.lost > 0 && !failed {
			m.add(m.lostMessage())
		}
		if len(m.queue) == 0 {
			m.queue = nil // and the memory of a rush
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

// Flush waits until everything that was queued before has been written, at most for that long.
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
