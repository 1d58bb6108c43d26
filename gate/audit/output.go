package audit

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// output is the file behind the log: a path that may be renamed away and opened again, or standard output.
type output struct {
	path   string // "" for a stream
	rotate Rotation
	aside  chan *os.File // files that were renamed away, to be synced and closed; nil: without rotation

	mu    sync.Mutex
	file  *os.File
	here  os.FileInfo // of file, when it was opened
	size  int64       // of file, as far as this process has written it
	pause time.Time   // no rotation before
	pipe  io.Writer   // where path is ""
	torn  bool        // the last write ended inside a line
	soil  bool        // written since the last sync
	lost  error       // the path leads elsewhere and could not be opened again: what is written now, nobody will find

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
	if o.rotate.Size > 0 {
		o.aside = make(chan *os.File, 16)
	}
	return o, o.reopen()
}

// reopen opens the path and, if that works, lets go of the file so far.
func (o *output) reopen() error {
	if o.path == "" {
		return nil
	}
	f, err := os.OpenFile(o.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640)
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
	torn := false
	if info.Mode().IsRegular() && info.Size() > 0 {
		last := make([]byte, 1)
		_, err := f.ReadAt(last, info.Size()-1)
		torn = err != nil || last[0] != '\n'
	}
	o.mu.Lock()
	old := o.file
	o.file, o.here, o.size, o.torn, o.lost = f, info, info.Size(), torn, nil
	o.mu.Unlock()
	if old != nil {
		old.Sync()
		old.Close()
	}
	return nil
}

// Write appends whole lines in one write. After an error n says how many bytes of lines arrived.
func (o *output) Write(lines []byte) (n int, err error) {
	o.follow()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost != nil {
		return 0, o.lost
	}
	var w io.Writer = o.pipe
	if o.file != nil {
		w = o.file
	}
	if o.torn {
		if _, err := w.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		o.torn = false
	}
	n, err = w.Write(lines)
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

func (o *output) moved() bool {
	here, err := os.Stat(o.path)
	if err != nil {
		return os.IsNotExist(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return !os.SameFile(here, o.here)
}

func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
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
