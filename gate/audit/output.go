package audit

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gate421/gate/files"
)

// output is the file behind the log: a path that may be renamed away and opened again, or standard output.
type output struct {
	path   string // "" for a stream
	rotate Rotation
	aside  chan *os.File // files that were renamed away, to be synced and closed; nil: without rotation

	mu     sync.Mutex
	file   *os.File
	real   string      // path without links when it was opened: where files are set aside
	here   os.FileInfo // of file, when it was opened
	size   int64       // of file, as far as this process has written it
	pause  time.Time   // no rotation before
	newest time.Time   // in the name of a file that was set aside
	pipe   io.Writer   // where path is ""
	torn   bool        // the last write ended inside a line
	soil   bool        // written since the last sync
	lost   error       // the path leads elsewhere and could not be opened again: what is written now, nobody will find

	rotations atomic.Uint64
	told      func(file string, err error)
}

func openOutput(c Config) (*output, error) {
	if c.File == "-" {
		if c.Stdout != nil {
			return &output{pipe: c.Stdout}, nil
		}
		return &output{pipe: os.Stdout}, nil
	}
	o := &output{path: c.File, rotate: c.Rotate, told: c.Rotated}
	if err := o.reopen(); err != nil {
		return nil, err
	}
	if o.rotate.Size > 0 {
		o.aside = make(chan *os.File, 16)
		o.newest, _ = stamp(o.latest(), filepath.Clean(o.real))
	}
	return o, nil
}

// reopen opens the path and, if that works, lets go of the file so far. It does not wait for a write that hangs.
func (o *output) reopen() error {
	if o.path == "" {
		return nil
	}
	f, real, err := files.Open(o.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return fmt.Errorf("decision log %q: %w", o.path, reason(err))
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("is a folder")
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("decision log %q: %w", o.path, reason(err))
	}
	if !o.lockWithin(patient) {
		f.Close()
		return fmt.Errorf("decision log %q: a write to it hangs", o.path)
	}
	if now, err := os.Stat(o.path); err == nil && o.file != nil && os.SameFile(now, o.here) && !os.SameFile(now, info) {
		o.mu.Unlock() // while this waited for mu, what it had opened was set aside
		return f.Close()
	}
	old := o.file
	o.file, o.real, o.here, o.lost = f, real, info, nil
	o.size, o.torn = end(f) // not before: a write could have been at it
	o.mu.Unlock()
	if old != nil {
		old.Sync()
		old.Close()
	}
	return nil
}

// end is how long a file is, and whether it ends inside a line.
func end(f *os.File) (size int64, torn bool) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return 0, false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return info.Size(), err != nil || last[0] != '\n'
}

// patient is how long a reopening waits for a write to end.
const patient = time.Second

// lockWithin takes mu, unless somebody holds it for so long.
func (o *output) lockWithin(wait time.Duration) bool {
	for end := time.Now().Add(wait); !o.mu.TryLock(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// Write appends whole lines in one write. After an error n says how many bytes of lines arrived.
func (o *output) Write(lines []byte) (n int, err error) {
	o.follow()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost != nil {
		return 0, o.lost
	}
	if err := o.mend(); err != nil {
		return 0, err
	}
	n, err = o.to().Write(lines)
	o.soil = true
	o.size += int64(n)
	if err != nil && n > 0 && lines[n-1] != '\n' {
		o.torn = true
	}
	if err == nil && o.rotate.Size > 0 && o.size >= o.rotate.Size {
		o.turn()
	}
	return n, err
}

// mend ends a line that a write left torn.
func (o *output) mend() error {
	if !o.torn {
		return nil
	}
	_, err := o.to().Write([]byte{'\n'})
	o.torn = err != nil
	return err
}

// to is where lines go.
func (o *output) to() io.Writer {
	if o.file != nil {
		return o.file
	}
	return o.pipe
}

// keep syncs the file once a second and opens the path again when somebody removed or renamed the file, until done.
func (o *output) keep(done <-chan struct{}) {
	if o.path == "" {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			o.sync()
			o.follow()
		}
	}
}

func (o *output) sync() {
	o.mu.Lock()
	f, soil := o.file, o.soil
	o.soil = false
	o.mu.Unlock()
	if soil {
		f.Sync() // not under the lock: a slow disk must not hold up a write
	}
}

// follow opens the path again if the file is no longer there. It is asked before every write, so that no line goes into a
// file without a name; until it succeeds nothing is written.
func (o *output) follow() {
	if o.path == "" || !o.moved() {
		return
	}
	if err := o.reopen(); err != nil {
		o.mu.Lock()
		o.lost = err
		o.mu.Unlock()
	}
}

// moved says whether the path leads elsewhere, or did and could not be opened then: what was wrong then may be over, and
// nobody else would take it back.
func (o *output) moved() bool {
	here, err := os.Stat(o.path)
	if err != nil {
		return os.IsNotExist(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost != nil || !os.SameFile(here, o.here)
}

func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mend() // at the latest the next start does
	if o.file == nil {
		return nil
	}
	if info, err := o.file.Stat(); err == nil && info.Mode().IsRegular() {
		if err := o.file.Sync(); err != nil {
			o.file.Close()
			return fmt.Errorf("decision log %q: %w", o.path, reason(err))
		}
	}
	return o.file.Close()
}

// reason strips the operation and the path that os puts before its errors: the message names the file already.
func reason(err error) error {
	switch e := err.(type) {
	case *os.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	}
	return err
}
