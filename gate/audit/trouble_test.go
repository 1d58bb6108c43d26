package audit

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that fills up at any byte of a write: what is not broken in the file is there once, and seq goes up by one.
func TestFullDiskAtEveryByte(t *testing.T) {
	const size = 2000 // of both lines
	for room := range size {
		synctest.Test(t, func(t *testing.T) {
			disk := &faulty{room: room}
			l := open(t, Config{File: "-", Stdout: disk})
			served := full()
			served.Action = "serve"
			l.Decision(served)
			l.Decision(served)
			time.Sleep(50 * time.Millisecond)
			disk.setRoom(-1)
			time.Sleep(time.Second)
			l.Close()
			seq := 0.0
			for text := range strings.Lines(disk.out.String()) {
				if !strings.HasSuffix(text, "}\n") || !strings.HasPrefix(text, "{") {
					continue
				}
				if seq++; lines(t, []byte(text))[0]["seq"] != seq {
					t.Fatalf("room for %d bytes: %s", room, disk.out.String())
				}
			}
			if seq != 2 {
				t.Errorf("room for %d bytes: %v lines", room, seq)
			}
		})
	}
}

// The path may be a link: the file behind it is rotated, where it is, and the link stays.
func TestRotationBehindALink(t *testing.T) {
	folder, elsewhere := t.TempDir(), t.TempDir()
	path, real := filepath.Join(folder, "decisions.log"), filepath.Join(elsewhere, "real.log")
	if err := os.Symlink(real, path); err != nil {
		t.Fatal(err)
	}
	l := open(t, Config{File: path, Patience: time.Minute, Rotate: Rotation{Size: 10_000, Keep: 2}})
	for range 200 {
		if err := l.Refusal(full()); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v %v", info, err)
	}
	here, _ := os.ReadDir(folder)
	there, _ := os.ReadDir(elsewhere)
	if len(here) != 1 || len(there) < 3 {
		t.Errorf("%v %v", here, there)
	}
}

// An error of following the file does not outlive its cause, whoever had it.
func TestLostFileIsFoundAgain(t *testing.T) {
	l := open(t, Config{File: filepath.Join(t.TempDir(), "decisions.log"), Patience: time.Minute})
	l.out.mu.Lock()
	l.out.lost = os.ErrNotExist
	l.out.mu.Unlock()
	if err := l.Refusal(full()); err != nil {
		t.Error(err)
	}
}

// Refusals whose patience ends just as their write comes back leave no doubt behind: the log is ready again.
func TestStallThatEnds(t *testing.T) {
	l := open(t, Config{File: "-", Stdout: io.Discard, Patience: 20 * time.Microsecond})
	for round := range 3000 {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { l.Refusal(full()) })
		}
		group.Wait()
		for end := time.Now().Add(200 * time.Millisecond); !l.Ready(); time.Sleep(100 * time.Microsecond) {
			if time.Now().After(end) {
				t.Fatalf("round %d: not ready, though nothing is in the queue but %d lines", round,
					l.Stats().QueueLines)
			}
		}
	}
}

// A disk that has room again just before the end takes what is queued.
func TestCloseTriesOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{}
		l := open(t, Config{File: "-", Stdout: disk})
		for range 3 {
			l.Decision(full())
		}
		time.Sleep(10 * time.Millisecond)
		disk.setRoom(-1)
		if err := l.Close(); err != nil || len(lines(t, disk.out.Bytes())) != 3 {
			t.Errorf("%v: %q", err, disk.out.String())
		}
	})
}
