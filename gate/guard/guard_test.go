package guard

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const day = 24 * time.Hour

func bots() []string { return []string{"bot"} }

func TestTripsOnlyWithoutComeBack(t *testing.T) {
	for _, test := range []struct {
		name  string
		limit Limit
		do    func(*Guard)
		armed bool
	}{
		{"nothing happened", Limit{3, day}, func(*Guard) {}, true},
		{"few refusals, long ago", Limit{3, day}, func(g *Guard) { g.Refused("s", "bot"); g.Refused("s", "bot"); time.Sleep(2 * day) }, true},
		{"many refusals, just now", Limit{3, day}, func(g *Guard) { refuse(g, 100); time.Sleep(day - 1) }, true},
		{"many refusals, a day ago", Limit{3, day}, func(g *Guard) { refuse(g, 3); time.Sleep(day) }, false},
		{"a come-back in between", Limit{3, day}, func(g *Guard) { refuse(g, 3); time.Sleep(day / 2); g.CameBack("s", "bot"); time.Sleep(day) }, true},
		{"refusals after the come-back", Limit{3, day}, func(g *Guard) { refuse(g, 3); g.CameBack("s", "bot"); refuse(g, 3); time.Sleep(day) }, false},
		{"no limit", Limit{}, func(g *Guard) { refuse(g, 1000); time.Sleep(9 * day) }, true},
		{"a come-back after the trip", Limit{3, day}, func(g *Guard) { refuse(g, 3); time.Sleep(day); g.Armed("s", "bot"); g.CameBack("s", "bot") }, false},
		{"resumed", Limit{3, day}, func(g *Guard) { refuse(g, 3); time.Sleep(day); g.Armed("s", "bot"); g.Resume("s") }, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, err := Open(Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			g.Limit(map[string]Limit{"s": test.limit}, bots())
			test.do(g)
			if got := g.Armed("s", "bot"); got != test.armed {
				t.Errorf("%s: armed %v, want %v", test.name, got, test.armed)
			}
			if !g.Armed("another", "bot") {
				t.Errorf("%s: another site tripped too", test.name)
			}
		})
	}
}

func refuse(g *Guard, n int) {
	for range n {
		g.Refused("s", "bot")
	}
}

func TestSurvivesRestartAndResumes(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var heard []string
		open := func() *Guard {
			g, err := Open(
				Config{
					Folder:  folder,
					OnEvent: func(e Event) { mu.Lock(); heard = append(heard, e.What+" "+e.Site+e.Error); mu.Unlock() },
				},
			)
			if err != nil {
				t.Fatal(err)
			}
			g.Limit(map[string]Limit{"s": {3, time.Hour}}, bots())
			return g
		}
		g := open()
		refuse(g, 3)
		g.Close()
		g = open()
		time.Sleep(time.Hour)
		if g.Armed("s", "bot") {
			t.Error("refusals before the restart were forgotten")
		}
		g.Close()
		g = open()
		if g.Armed("s", "bot") {
			t.Error("the trip was forgotten")
		}
		if err := RequestResume(folder, "s"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !g.Armed("s", "bot") {
			t.Error("not resumed")
		}
		g.Close()
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"tripped s", "resumed s"}; !slices.Equal(heard, want) {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
	if left, _ := os.ReadDir(filepath.Join(folder, resumeFolder)); len(left) != 0 {
		t.Errorf("requests left: %v", left)
	}
	info, err := os.Stat(filepath.Join(folder, "guard.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestBrokenFileIsAnError(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "guard.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Folder: folder}); err == nil {
		t.Error("a broken file was taken for a fresh start")
	}
}

func TestTroubleIsReportedOnceAndCountingGoesOn(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "gone")
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		troubles := 0
		g, err := Open(Config{Folder: folder, OnEvent: func(e Event) {
			if e.What == "trouble" {
				mu.Lock()
				troubles++
				mu.Unlock()
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		g.Limit(map[string]Limit{"s": {3, time.Hour}}, bots())
		refuse(g, 3)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		mu.Lock()
		if troubles != 1 {
			t.Errorf("told %d times", troubles)
		}
		mu.Unlock()
		time.Sleep(time.Hour)
		if g.Armed("s", "bot") {
			t.Error("did not trip")
		}
		g.Close()
	})
}

func TestStatusListsGuardedSitesOnly(t *testing.T) {
	folder := t.TempDir()
	g, err := Open(Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	g.Limit(map[string]Limit{"a": {3, day}, "b": {3, day}, "off": {}}, bots())
	g.Refused("a", "bot")
	g.Refused("off", "bot")
	g.Refused("gone", "bot")
	got := g.Status()
	if len(got) != 2 || got[0].Site != "a" || got[0].Refusals != 1 || got[1].Site != "b" || got[1].Refusals != 0 {
		t.Errorf("%+v", got)
	}
	g.Close()
	if kept, err := Kept(folder); err != nil || len(kept) != 3 {
		t.Errorf("%+v, %v", kept, err)
	}
}
