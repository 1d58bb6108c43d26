package audit

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the queue between requests and the file.
const (
	maxQueueLines = 16384
	maxQueueBytes = 16 << 20
	maxBatch      = 256 << 10 // what one write carries at the most, in bytes
)

// Config of a Log.
type Config struct {
	File     string           // a path, or "-" for Stdout
	Stdout   io.Writer        // nil: os.Stdout
	Scope    Scope            // of decision lines; refusals are always written
	Truncate bool             // clients that claim no crawler appear as their network
	Patience time.Duration    // the longest a refusal waits for its line; 0: 250 ms
	Now      func() time.Time // nil: time.Now
	// Troubled is told when the file stops taking lines, with the reason, and with nil when it takes them again. It is called
	// by the goroutine that writes and must not use the Log. nil: nobody is told.
	Troubled func(error)
}

// ErrUnavailable says that a refusal's line is not in the log, so that the request has to be served.
var ErrUnavailable = errors.New("the decision log cannot take the line")

// Log is the durable decision log. Its methods are safe for any number of goroutines.
type Log struct {
	config   Config
	boot     string
	out      *output
	encoders sync.Pool

	mu     sync.Mutex
	wake   chan struct{} // holds one token while there is something to write
	queue  []entry
	lines  int // queued and not yet written
	bytes  int
	lost   int64     // served lines dropped since the last gap line
	since  time.Time // of the first of them
	seq    uint64
	closed bool

	missing atomic.Int64 // lines that Close could not write

	failed  atomic.Bool // the last write did not succeed
	stalled atomic.Bool // a refusal gave up waiting for a write that has not come back
	done    chan struct{}
	idle    sync.WaitGroup
}

// entry is one line on its way to the file.
type entry struct {
	line    []byte
	refusal *refusal // nil: nobody waits
}

// refusal is the wait for one line: whoever settles it first decides what became of it.
type refusal struct {
	state  atomic.Uint32
	result chan error // buffered
}

const (
	queued uint32 = iota
	taken
	abandoned
)

// Open opens the file for appending, creates it 0640 if need be, closes a line that a crash left torn, and starts the
// writer. The error names the file.
func Open(c Config) (*Log, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Patience == 0 {
		c.Patience = 250 * time.Millisecond
	}
	out, err := openOutput(c)
	if err != nil {
		return nil, err
	}
	var boot [4]byte
	rand.Read(boot[:])
	l := &Log{config: c, boot: hex.EncodeToString(boot[:]), out: out, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.encoders.New = func() any { return newEncoder() }
	l.idle.Go(l.write)
	l.idle.Go(func() { out.keep(l.done) })
	return l, nil
}

// Boot names this run of the log; it is in every line.
func (l *Log) Boot() string { return l.boot }

// Ready says whether a refusal's line would, by all that is known, be taken. It is true until a write fails or hangs and
// again after the next one that succeeds.
func (l *Log) Ready() bool { return !l.failed.Load() && !l.stalled.Load() }

// Decision queues the line of a request that was served. It never waits; a line that finds the queue full is counted.
// The record is the caller's again on return.
func (l *Log) Decision(r *Record) {
	if l.config.Scope == ScopeCrawlers && r.Claim == "" && r.Status != 421 {
		return
	}
	e := l.encoders.Get().(*encoder)
	l.enqueue(r.Time, e.decision(r, l.address(r)), nil)
	l.encoders.Put(e)
}

// Refusal writes the line of a refusal and returns nil once the file has it. After any error the request must be served:
// no line of its refusal counts, and the Decision that follows has the same request_id.
func (l *Log) Refusal(r *Record) error {
	if !l.Ready() {
		return ErrUnavailable
	}
	wait := &refusal{result: make(chan error, 1)}
	e := l.encoders.Get().(*encoder)
	ok := l.enqueue(r.Time, e.decision(r, l.address(r)), wait)
	l.encoders.Put(e)
	if !ok {
		return ErrUnavailable
	}
	timer := time.NewTimer(l.config.Patience)
	defer timer.Stop()
	select {
	case err := <-wait.result:
		return err
	case <-timer.C:
	}
	if !wait.state.CompareAndSwap(queued, abandoned) {
		select { // the write is under way; it may just have come back
		case err := <-wait.result:
			return err
		default:
		}
	}
	l.stalled.Store(true)
	return ErrUnavailable
}

// Event queues a line that is not a decision: start, stop, reload, rule, guard, certificate, ranges.
func (l *Log) Event(event string, fields Fields) {
	e := l.encoders.Get().(*encoder)
	l.enqueue(time.Time{}, e.event(event, fields), nil)
	l.encoders.Put(e)
}

// Reopen opens the path again, for whoever renamed the file. The old one stays in use if that fails.
func (l *Log) Reopen() error { return l.out.reopen() }

// Close writes what is queued, syncs the file and closes it. Lines that come later are dropped. It waits no longer than
// closeAtMost for a file that does not take the lines, and its error says how many are missing.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.done)
	ended := make(chan struct{})
	go func() { l.idle.Wait(); close(ended) }()
	timer := time.NewTimer(closeAtMost)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C: // the write that hangs ends with the process
		l.mu.Lock()
		defer l.mu.Unlock()
		return fmt.Errorf("decision log %q takes no lines: %d are missing at its end", l.config.File, int64(l.lines)+l.lost)
	}
	err := l.out.close()
	if n := l.missing.Load(); n > 0 {
		err = errors.Join(fmt.Errorf("decision log %q takes no lines: %d are missing at its end", l.config.File, n), err)
	}
	return err
}

const closeAtMost = 3 * time.Second

func (l *Log) address(r *Record) string {
	ip := r.ClientIP
	if !ip.IsValid() {
		return ""
	}
	if l.config.Truncate && r.Claim == "" {
		ip = truncate(ip)
	}
	return ip.String()
}

// enqueue queues the line of an object, unless there is no room.
func (l *Log) enqueue(at time.Time, object []byte, wait *refusal) bool {
	line := make([]byte, 0, len(object)+96)
	now := at
	if now.IsZero() {
		now = l.config.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.lines >= maxQueueLines || l.bytes >= maxQueueBytes {
		if wait == nil {
			l.drop(now)
		}
		return false
	}
	l.admit(entry{l.compose(line, now, object), wait})
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

// compose appends v, time, boot and seq and the members of an object. The caller holds mu.
func (l *Log) compose(line []byte, now time.Time, object []byte) []byte {
	line = append(line, `{"v":1,"time":"`...)
	line = now.UTC().AppendFormat(line, "2006-01-02T15:04:05.000000Z")
	line = append(line, `","boot":"`...)
	line = append(line, l.boot...)
	line = append(line, `","seq":`...)
	l.seq++
	line = strconv.AppendUint(line, l.seq, 10)
	line = append(line, ',')
	return append(line, object[1:]...)
}

// admit puts an entry into the queue. The caller holds mu.
func (l *Log) admit(e entry) {
	l.queue = append(l.queue, e)
	l.lines++
	l.bytes += len(e.line)
}

// drop counts one served line that will not be written. The caller holds mu.
func (l *Log) drop(now time.Time) {
	if l.lost == 0 {
		l.since = now
	}
	l.lost++
	l.seq++
}

// ownUp queues the gap line for what was lost since the last one. The caller holds mu.
func (l *Log) ownUp() {
	if l.lost == 0 || l.failed.Load() || l.stalled.Load() {
		return
	}
	e := l.encoders.Get().(*encoder)
	object := e.event("gap", Fields{"lost": l.lost, "since": l.since})
	l.admit(entry{l.compose(nil, l.config.Now(), object), nil})
	l.encoders.Put(e)
	l.lost = 0
}
