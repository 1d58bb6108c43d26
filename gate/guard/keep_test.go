package guard

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hearing collects what a guard reports.
type hearing struct {
	mu     sync.Mutex
	events []Event
}

func (h *hearing) notify(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// what lists the events of a kind, by site or error.
func (h *hearing) what(kind string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, e := range h.events {
		if e.What == kind {
			out = append(out, e.Site+e.Error)
		}
	}
	return out
}

// TestNobodyWaitsForTheDisk has a writer that does not come back: whoever counts, asks and resumes does not notice.
func TestNobodyWaitsForTheDisk(t *testing.T) {
	folder := t.TempDir()
	almost := `{"s": {"crawlers": {"bot": {"refusals": 1, "since": "2026-11-01T00:00:00Z", "waited_seconds": 86400}}}}`
	if err := os.WriteFile(filepath.Join(folder, "guard.json"), []byte(almost), 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := Open(Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	g.Limit(map[string]Limit{"s": {3, day}}, bots())
	g.writing.Lock()
	done := make(chan bool)
	go func() {
		refuse(g, 2)
		tripped := !g.Armed("s", "bot")
		g.CameBack("s", "bot")
		tripped = tripped && g.Resume("s")
		refuse(g, 2)
		time.Sleep(1500 * time.Millisecond) // the writer has woken and ticked
		refuse(g, 2)
		done <- tripped && len(g.Status()) == 1
	}()
	select {
	case good := <-done:
		if !good {
			t.Error("it did not trip and resume")
		}
	case <-time.After(10 * time.Second):
		t.Error("a request waits for the disk")
	}
	g.writing.Unlock()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if kept, err := Kept(folder); err != nil || len(kept) != 1 || kept[0].Refusals != 4 || kept[0].Tripped {
		t.Errorf("kept %+v, %v", kept, err)
	}
}

func TestTripIsWrittenAtOnce(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		g, err := Open(Config{Folder: folder})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Limit(map[string]Limit{"s": {3, time.Minute}}, bots())
		refuse(g, 3)
		time.Sleep(time.Minute + time.Millisecond) // between two ticks
		if g.Armed("s", "bot") {
			t.Fatal("did not trip")
		}
		synctest.Wait()
		if kept, err := Kept(folder); err != nil || len(kept) != 1 || !kept[0].Tripped {
			t.Errorf("kept %+v, %v", kept, err)
		}
	})
}

// TestTroubleIsToldAgainAfterItWasOver wants one report for each time that the file cannot be written.
func TestTroubleIsToldAgainAfterItWasOver(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		var heard hearing
		g, err := Open(Config{Folder: folder, OnEvent: heard.notify})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		for round := range 2 {
			refuse(g, 1)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if told := heard.what("trouble"); len(told) != round+1 || !strings.Contains(told[0], "guard.json") {
				t.Errorf("round %d: told %q", round, told)
			}
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if kept, err := Kept(folder); err != nil || len(kept) != 1 {
				t.Errorf("round %d: kept %v, %v", round, kept, err)
			}
			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(folder, 0o700); err != nil { // for Close
			t.Fatal(err)
		}
	})
}

func TestRequests(t *testing.T) {
	folder := t.TempDir()
	pending := func(site string) bool {
		t.Helper()
		waits, err := Requested(folder, site)
		if err != nil {
			t.Fatal(err)
		}
		return waits
	}
	if pending("s") {
		t.Error("a request that nobody made")
	}
	for _, site := range []string{"s", "s", "*.example.com", "../guard"} {
		if err := RequestResume(folder, site); err != nil || !pending(site) {
			t.Errorf("%q: %v", site, err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(folder, resumeFolder))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"%2A.example.com", "..%2Fguard", "s"}; !slices.Equal(names, want) {
		t.Errorf("requests %q, want %q", names, want)
	}
	if err := RequestResume(filepath.Join(folder, "missing"), "s"); err == nil {
		t.Error("a state folder was made up")
	}
}

func TestTroubleWithRequestsIsToldOnce(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, resumeFolder), nil, 0o600); err != nil { // no folder: it cannot be read
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var heard hearing
		g, err := Open(Config{Folder: folder, OnEvent: heard.notify})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if told := heard.what("trouble"); len(told) != 1 || !strings.Contains(told[0], "resume") {
			t.Errorf("told %q", told)
		}
	})
}

// TestRequestThatStaysIsNotObeyed has a request that cannot be removed: obeyed, it would re-arm its site each second.
func TestRequestThatStaysIsNotObeyed(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "guard.json"), []byte(`{"s": {"refusals": 9, "tripped": true}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(folder, resumeFolder, "s", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var heard hearing
		g, err := Open(Config{Folder: folder, OnEvent: heard.notify})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Limit(map[string]Limit{"s": {3, day}}, bots())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if g.Armed("s", "bot") || len(heard.what("resumed")) != 0 || len(heard.what("trouble")) != 1 {
			t.Errorf("resumed %q, told %q", heard.what("resumed"), heard.what("trouble"))
		}
	})
}
