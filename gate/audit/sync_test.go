package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// unsyncable is a file whose disk does not confirm what was written.
type unsyncable struct {
	file
	mu  sync.Mutex
	err error
}

func (u *unsyncable) Sync() error { u.mu.Lock(); defer u.mu.Unlock(); return u.err }

func (u *unsyncable) set(err error) { u.mu.Lock(); u.err = err; u.mu.Unlock() }

func (o *output) wrap(err error) *unsyncable {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := &unsyncable{file: o.file, err: err}
	o.file = u
	return u
}

// A sync that fails is said once; from then on nobody is refused until lines that were written later are on the disk;
// the log says how many may not be. Where files are set aside, the later lines are in a fresh file.
func TestSyncThatFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rotate Rotation
		err    error
		files  int
	}{
		"in one file":       {Rotation{}, &os.PathError{Op: "sync", Err: syscall.EIO}, 1},
		"to a fresh file":   {Rotation{Size: 1 << 20}, &os.PathError{Op: "sync", Err: syscall.EIO}, 2},
		"for want of room":  {Rotation{}, &os.PathError{Op: "sync", Err: syscall.ENOSPC}, 1},
		"it cannot be done": {Rotation{}, &os.PathError{Op: "sync", Err: syscall.EINVAL}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "decisions.log")
			said := make(chan error, 10)
			l := open(
				t,
				Config{
					File:      path,
					Patience:  time.Minute,
					Rotate:    test.rotate,
					OnTrouble: func(err error) { said <- err },
				},
			)
			for range 3 {
				if err := l.Refusal(full()); err != nil {
					t.Fatal(err)
				}
			}
			disk := l.out.wrap(test.err)
			if err := l.Refusal(full()); err != nil {
				t.Fatal(err)
			}
			if test.files == 0 {
				until(t, "a sync", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.safe >= 4 })
				if !l.Ready() || l.Stats().SyncFailures > 0 {
					t.Error("a file system that cannot sync is taken for one that fails")
				}
				return
			}
			err := <-said
			if err == nil || !strings.Contains(err.Error(), "is not on the disk") {
				t.Errorf("said %v", err)
			}
			failures := l.Stats().SyncFailures
			if test.files == 1 { // the same disk is asked again
				if l.Ready() || !errors.Is(l.Refusal(full()), ErrUnavailable) {
					t.Error("refused on a disk that does not confirm what is written")
				}
				served := full()
				served.Action = "serve"
				until(t, "the next sync fails", func() bool {
					l.Decision(served)
					time.Sleep(10 * time.Millisecond)
					return l.Stats().SyncFailures > failures
				})
				if l.Ready() {
					t.Error("ready, though no sync went well")
				}
				disk.set(nil)
			}
			until(t, "lines that were written later are on the disk", l.Ready)
			if err := <-said; err != nil {
				t.Errorf("said %v", err)
			}
			if err := l.Refusal(full()); err != nil {
				t.Error(err)
			}
			l.Close()
			files := set(t, path)
			if len(files) != test.files {
				t.Errorf("%q", files)
			}
			unsynced := 0.0
			for _, file := range files {
				for _, line := range lines(t, content(t, file)) {
					if n, ok := line["unsynced"].(float64); ok && line["event"] == "gap" && line["error"] != "" {
						unsynced += n
					}
				}
			}
			if unsynced < 1 {
				t.Errorf("the log says that %v lines may be missing", unsynced)
			}
			select {
			case err := <-said:
				t.Errorf("and said %v", err)
			default:
			}
		})
	}
}

// A file set aside, or replaced by somebody else, whose lines the disk does not confirm: what was refused on them is in
// doubt.
func TestSyncOfAFormerFileFails(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(l *Log, path string){
		"set aside": func(l *Log, _ string) { l.out.mu.Lock(); l.out.rotateNow(); l.out.mu.Unlock() },
		"reopened":  func(l *Log, path string) { os.Rename(path, path+".1"); l.Reopen() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "decisions.log")
			said := make(chan error, 10)
			l := open(
				t,
				Config{
					File:      path,
					Patience:  time.Minute,
					Rotate:    Rotation{Size: 1 << 20},
					OnTrouble: func(err error) { said <- err },
				},
			)
			if err := l.Refusal(full()); err != nil {
				t.Fatal(err)
			}
			l.out.mu.Lock()
			l.out.dirty = false // nothing has asked the disk yet
			l.out.file = &unsyncable{file: l.out.file, err: syscall.EIO}
			l.out.mu.Unlock()
			leave(l, path)
			if err := <-said; err == nil || l.Stats().SyncFailures == 0 {
				t.Errorf("said %v", err)
			}
			if err := <-said; err != nil || !l.Ready() { // the gap line is synced
				t.Errorf("said %v", err)
			}
		})
	}
}
