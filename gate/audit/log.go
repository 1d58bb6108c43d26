package audit

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Log.
type Config struct {
	File     string           // a path, or "-" for Stdout
	Stdout   io.Writer        // nil: os.Stdout
	Scope    Scope            // of decision lines; refusals are always written
	Privacy  Privacy          // of decision lines
	Rotate   Rotation         // the zero value: never
	Patience time.Duration    // the longest a refusal waits for its line; 0: 250 ms
	Now      func() time.Time // nil: time.Now
	// OnTrouble is called when the file stops taking lines or the disk does not keep them, with the reason, and with nil
	// when both are well again. It is called once at a time and must not use the Log. nil: it is not.
	OnTrouble func(error)
	// OnRotate is called for every file that was rotated away, and why where that or its compression did not work; the log
	// goes on. It is called by the goroutine that writes and by one other, and must not use the Log. nil: it is not.
	OnRotate func(file string, err error)
}

// ErrUnavailable says that a refusal's line is not in the log, so that the request has to be served.
var ErrUnavailable = errors.New("the decision log cannot take the line")

// Log is the durable decision log. Its methods are safe for any number of goroutines.
type Log struct {
	config   Config
	boot     string
	out      *output
	encoders sync.Pool
	allowed  *allowances

	mu     sync.Mutex
	queue  queue
	lines  int // queued and not yet written
	bytes  int
	missed missed    // since the last gap line
	gapAt  time.Time // when that was queued
	closed bool
	stats  LogStats // but for what is counted elsewhere

	wake  chan struct{} // holds a token when the queue is no longer empty
	hurry chan struct{} // holds a token when there is something that should not wait for the writer's rest

	missing atomic.Uint64 // lines that Close could not write
	givenUp atomic.Uint64

	failed  atomic.Bool // the last write did not succeed
	unsure  atomic.Bool // the last sync did not succeed
	stalled atomic.Bool // a refusal gave up waiting for a write that has not come back
	done    chan struct{}
	idle    sync.WaitGroup

	troubles sync.Mutex // held while OnTrouble is called
	wrong    [2]error   // with writing, with syncing
	safe     uint64     // lines written when a sync last went well, or was last told to have failed; under mu
	safeAt   time.Time
}

// What can be wrong with the file.
const (
	writing = iota
	syncing
)

// trouble notes what is wrong with the file, or that it no longer is, and calls OnTrouble when that changes whether
// anything is.
func (l *Log) trouble(with int, err error) {
	l.troubles.Lock()
	defer l.troubles.Unlock()
	before := l.wrong[writing] != nil || l.wrong[syncing] != nil
	l.wrong[with] = err
	after := l.wrong[writing] != nil || l.wrong[syncing] != nil
	if before != after && l.config.OnTrouble != nil {
		l.config.OnTrouble(err)
	}
}

// onSync is told what came of a sync. Until a later one goes well, of lines that were written after it failed, nobody
// is refused; and the log says how many lines may not be on the disk.
func (l *Log) onSync(err error) {
	if err == nil {
		l.mu.Lock()
		l.safe, l.safeAt = l.stats.WrittenLines, time.Now()
		l.mu.Unlock()
		if l.unsure.Swap(false) {
			l.trouble(syncing, nil)
		}
		return
	}
	first := !l.unsure.Swap(true)
	l.mu.Lock()
	l.stats.SyncFailures++
	lines, since := l.stats.WrittenLines-l.safe, l.safeAt
	l.safe, l.safeAt = l.stats.WrittenLines, time.Now()
	l.mu.Unlock()
	if first {
		l.trouble(syncing, err)
	}
	if lines > 0 {
		l.Event("gap", Fields{"unsynced": lines, "since": since, "error": err.Error()})
	}
}

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
	l := &Log{
		config:  c,
		boot:    hex.EncodeToString(boot[:]),
		out:     out,
		allowed: newAllowances(),
		done:    make(chan struct{}),
	}
	l.wake, l.hurry = make(chan struct{}, 1), make(chan struct{}, 1)
	l.encoders.New = func() any { return newEncoder(l.boot) }
	l.safeAt = c.Now()
	out.onSync = l.onSync
	if wrong := cmp.Or(out.lost, out.vain); wrong != nil {
		l.failed.Store(true)
		l.trouble(writing, wrong)
	}
	l.idle.Go(l.write)
	l.idle.Go(func() { out.keep(l.done) })
	l.idle.Go(func() { out.archive(l.done) })
	return l, nil
}

// Boot names this run of the log; it is in every line.
func (l *Log) Boot() string { return l.boot }

// Ready says whether a refusal's line would, by all that is known, be taken. It is true until a write fails or hangs
// and again after the next one that succeeds; and false from a sync that failed to the next one that did not, or for
// good where nobody keeps what is written.
func (l *Log) Ready() bool { return !l.failed.Load() && !l.unsure.Load() && !l.stalled.Load() }

// Decision queues the line of a request that was served. It never waits; a line that finds the queue full, or whose
// client's network has had its share, is counted. The record is the caller's again on return.
func (l *Log) Decision(r *Record) {
	if l.config.Scope == ScopeCrawlers && r.Claim == "" && r.Status != 421 {
		return
	}
	l.queueDecision(r, nil)
}

// Refusal writes the line of a refusal and returns nil once the file has it. After any error the request must be
// served: no line of its refusal counts, and the Decision that follows has the same request_id.
func (l *Log) Refusal(r *Record) error {
	if !l.Ready() {
		return ErrUnavailable
	}
	wait := &refusal{result: make(chan error, 1)}
	if !l.queueDecision(r, wait) {
		l.givenUp.Add(1)
		return ErrUnavailable
	}
	timer := time.NewTimer(l.config.Patience)
	defer timer.Stop()
	select {
	case err := <-wait.result:
		return err
	case <-timer.C:
	}
	// The doubt comes before the withdrawal: whatever the writer does with the line after that ends the doubt.
	l.stalled.Store(true)
	if !wait.state.CompareAndSwap(queued, abandoned) {
		select { // the write is under way; it may just have come back
		case err := <-wait.result:
			l.stalled.Store(false)
			return err
		default:
		}
	}
	l.givenUp.Add(1)
	return ErrUnavailable
}

// queueDecision encodes a record and queues its line, unless it is left out.
func (l *Log) queueDecision(r *Record, wait *refusal) bool {
	at := r.Time
	if at.IsZero() {
		at = l.config.Now()
	}
	ordinary := wait == nil && !r.proved()
	most := fullBounds()
	if ordinary && r.Unpaid && !l.allowed.long(r.ClientIP, at, r.Excess()) {
		most = briefBounds()
	}
	e := l.encoders.Get().(*encoder)
	defer l.encoders.Put(e)
	line, head := e.decision(at, r, l.config.Privacy, most)
	cost := len(line)
	if r.Gone {
		cost *= goneWeight
	}
	if ordinary && !l.allowed.line(r.ClientIP, at, cost) {
		l.leaveOut(r.ClientIP, at)
		return false
	}
	return l.enqueue(line, ticket{head: head, refusal: wait, ordinary: ordinary}, at)
}

// Event queues a line that is not a decision: start, stop, reload, rule, guard, certificate, ranges.
func (l *Log) Event(event string, fields Fields) {
	at := l.config.Now()
	e := l.encoders.Get().(*encoder)
	line, head := e.event(at, event, fields)
	l.enqueue(line, ticket{head: head}, at)
	l.encoders.Put(e)
}

// Reopen opens the path again, for whoever renamed the file. The old one stays in use if that fails. It does not wait
// for a write that hangs: it fails then, and once the write has come back the next one goes to where the path leads in
// any case.
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
		return fmt.Errorf("decision log %q takes no lines: %d are missing at its end", l.config.File,
			uint64(l.lines)+l.missed.lost)
	}
	err := l.out.close()
	if n := l.missing.Load(); n > 0 {
		err = errors.Join(fmt.Errorf("decision log %q takes no lines: %d are missing at its end", l.config.File, n),
			err)
	}
	return err
}

const closeAtMost = 3 * time.Second
