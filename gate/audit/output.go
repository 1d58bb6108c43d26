package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gate421/gate/files"
)

// output is the file behind the log: a path that may be renamed away and opened again, or standard output.
type output struct {
	path   string // "" for a stream
	rotate Rotation
	aside  chan file // files that were renamed away, to be synced and closed; nil: without rotation

	mu     sync.Mutex
	file   file        // nil: pipe
	real   string      // path without links when it was opened: where files are set aside
	here   os.FileInfo // of file, when it was opened
	size   int64       // of file, as far as this process has written it
	pause  time.Time   // no rotation before
	newest time.Time   // in the name of a file that was set aside
	pipe   io.Writer   // where path is ""
	torn   bool        // the last write ended inside a line
	dirty  bool        // written since the last sync
	unsure bool        // that one failed
	lost   error       // the path leads elsewhere and could not be opened again: what is written now, nobody will find
	vain   error       // why nothing that is written is kept by anybody, for as long as this is open; nil: it is
	wrote  error       // vain, at the last write

	rotations atomic.Uint64
	onRotate  func(file string, err error)
	onSync    func(err error) // called after every sync; set before anything is written
}

// file is what an output needs of a file.
type file interface {
	io.Writer
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
}

func openOutput(c Config) (*output, error) {
	if c.File == "-" {
		if c.Stdout == nil {
			c.Stdout = os.Stdout
		}
		o := &output{pipe: c.Stdout}
		if f, ok := c.Stdout.(*os.File); ok {
			if info, err := f.Stat(); err == nil && discards(info) {
				o.vain = errors.New("standard output is " + os.DevNull + ", which keeps nothing")
			}
		}
		return o, nil
	}
	o := &output{path: c.File, rotate: c.Rotate, onRotate: c.OnRotate, onSync: func(error) {}}
	if err := o.reopen(); errors.Is(err, errNoReader) {
		o.lost = err // whoever reads may come later
	} else if err != nil {
		return nil, err
	}
	if o.rotate.Size > 0 {
		o.aside = make(chan file, 16)
		o.newest, _ = stamp(o.latest(), filepath.Clean(o.real))
	}
	return o, nil
}

// errNoReader says that nobody has the pipe open that the path is.
var errNoReader = errors.New("it is a pipe that nobody reads")

// openPath opens the path for appending. A pipe is opened for writing alone: whoever opens it for reading, too, is
// never told that nobody else reads it.
func (o *output) openPath() (*os.File, string, error) {
	flag := os.O_APPEND | os.O_CREATE | os.O_RDWR
	info, err := os.Stat(o.path)
	pipe := err == nil && info.Mode()&os.ModeNamedPipe != 0
	switch {
	case pipe:
		flag = os.O_APPEND | os.O_WRONLY | syscall.O_NONBLOCK
	case err == nil && info.Mode()&os.ModeSocket != 0:
		return nil, "", errors.New("is a socket; write to a file or to standard output")
	}
	f, real, err := files.Open(o.path, flag, 0o640)
	switch {
	case pipe && errors.Is(err, syscall.ENXIO):
		return nil, "", errNoReader
	case err != nil:
		return nil, "", reason(err)
	}
	info, err = f.Stat()
	switch {
	case err == nil && info.IsDir():
		err = errors.New("is a folder")
	case err == nil && (info.Mode()&os.ModeNamedPipe != 0) != pipe:
		err = errors.New("was replaced while it was opened")
	}
	if err != nil {
		f.Close()
		return nil, "", reason(err)
	}
	return f, real, nil
}

// reopen opens the path and, if that works, lets go of the file so far. It does not wait for a write that hangs.
func (o *output) reopen() error {
	if o.path == "" {
		return nil
	}
	f, real, err := o.openPath()
	if err != nil {
		return fmt.Errorf("decision log %q: %w", o.path, err)
	}
	info, err := f.Stat()
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
	o.file, o.real, o.here, o.lost, o.vain = f, real, info, nil, nil
	if discards(info) {
		o.vain = fmt.Errorf("it is %s, which keeps nothing", os.DevNull)
	}
	o.size, o.torn = end(f) // not before: a write could have been at it
	o.mu.Unlock()
	if old != nil {
		o.closeSynced(old)
	}
	return nil
}

// closeSynced syncs and closes a file that nothing is written to any more.
func (o *output) closeSynced(f file) error {
	err := syncFile(f)
	if err != nil {
		err = unsynced(err)
		o.onSync(err)
	}
	f.Close()
	return err
}

func unsynced(err error) error {
	return fmt.Errorf("what was written is not on the disk: %w", reason(err))
}

// syncFile waits until what was written to a regular file is on the disk. What cannot be synced, such as a terminal,
// and file systems that cannot do it, are as good as they get.
func syncFile(f file) error {
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return err
	}
	err := f.Sync()
	for _, cannot := range []error{syscall.EINVAL, syscall.ENOSYS, syscall.ENOTSUP} {
		if errors.Is(err, cannot) {
			return nil
		}
	}
	return err
}

// keepsNothing is why nobody keeps what was written last, nil if somebody does.
func (o *output) keepsNothing() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wrote
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
	o.wrote = o.vain
	n, err = o.to().Write(lines)
	if errors.Is(err, syscall.EPIPE) {
		n = 0 // whoever read has left, and what is still in the pipe goes with it
	}
	o.dirty = true
	o.size += int64(n)
	if err != nil && n > 0 && lines[n-1] != '\n' {
		o.torn = true
	}
	if err == nil && o.rotate.Size > 0 && o.size >= o.rotate.Size {
		o.rotateNow()
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

// hung is how long a sync may take before nobody is refused any more.
const hung = 10 * time.Second

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

// sync syncs the file if something was written to it. After a sync that failed the system may have dropped what was to
// be synced, and a later one that works says nothing about it: the lines after that go to a fresh file, where there is
// one.
func (o *output) sync() {
	o.mu.Lock()
	f, soil := o.file, o.dirty
	o.dirty = false
	o.mu.Unlock()
	if !soil || f == nil {
		return
	}
	late := time.AfterFunc(hung, func() { o.onSync(errHangs) })
	err := syncFile(f) // not under the lock: a slow disk must not hold up a write
	late.Stop()
	if err != nil {
		err = unsynced(err)
	}
	o.mu.Lock()
	if err != nil && !o.unsure && o.file == f && o.rotate.Size > 0 {
		o.rotateNow()
	}
	o.unsure = err != nil
	o.mu.Unlock()
	o.onSync(err)
}

var errHangs = errors.New("the disk does not confirm what was written")

// follow opens the path again if the file is no longer there. It is asked before every write, so that no line goes into
// a file without a name; until it succeeds nothing is written.
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

// moved says whether the path leads elsewhere, or did and could not be opened then: what was wrong then may be over,
// and nobody else would take it back.
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
	if err := syncFile(o.file); err != nil {
		o.file.Close()
		return fmt.Errorf("decision log %q: %w", o.path, reason(err))
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
