//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package guard

import (
	"testing"
	"testing/synctest"
	"time"
)

// A gateway counts as running for as long as its guard is open, and takes a request up without waiting for its clock.
func TestRunningAndTakeUp(t *testing.T) {
	folder := t.TempDir()
	state := func(wantRunning, wantKnown bool) {
		t.Helper()
		if running, known := Running(folder); running != wantRunning || known != wantKnown {
			t.Errorf("running %v, known %v; want %v, %v", running, known, wantRunning, wantKnown)
		}
	}
	state(false, false)
	synctest.Test(t, func(t *testing.T) {
		g, err := Open(Config{Folder: folder})
		if err != nil {
			t.Fatal(err)
		}
		state(true, true)
		start := time.Now()
		if err := RequestResume(folder, "s"); err != nil {
			t.Fatal(err)
		}
		g.TakeUp()
		synctest.Wait()
		if waits, err := Requested(folder, "s"); waits || err != nil || time.Since(start) > 0 {
			t.Errorf("after %v the request waits: %v, %v; want it taken up at once", time.Since(start), waits, err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	})
	state(false, true)
}
