package guard

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// jumpyClock is a wall clock that somebody sets.
type jumpyClock struct{ ahead time.Duration }

func (c *jumpyClock) now() time.Time { return time.Now().Round(0).Add(c.ahead) }

// modelled is what a guard should know of a crawler on a site.
type modelled struct {
	refusals int
	waited   time.Duration
	tripped  bool
}

// action is something that happens to a guard.
type action struct {
	what          string
	site, crawler string
	took, ahead   time.Duration
}

func actions() *rapid.Generator[action] {
	what := rapid.SampledFrom([]string{
		"refused", "refused", "came back", "time goes by", "time goes by", "the clock is set", "a restart", "resumed",
	})
	site := rapid.SampledFrom([]string{"a", "b", "off"})
	crawler := rapid.SampledFrom([]string{"googlebot", "adsbot-google"})
	took := rapid.SampledFrom([]time.Duration{
		1, time.Second, time.Minute - 1, time.Minute, 9 * time.Minute, 10 * time.Minute,
	})
	years := rapid.Int64Range(-int64(60*365*day), int64(60*365*day))
	return rapid.Custom(func(t *rapid.T) action {
		return action{
			what.Draw(t, "what"), site.Draw(t, "site"), crawler.Draw(t, "crawler"),
			took.Draw(t, "took"), time.Duration(years.Draw(t, "ahead")),
		}
	})
}

// TestOnlyTimeThatGoesByTrips compares a guard with a model that knows no clock at all, over refusals, come-backs,
// waits, jumps of the wall clock in both directions, restarts with the gateway down for a while, and resumes.
func TestOnlyTimeThatGoesByTrips(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		all := rapid.SliceOfN(actions(), 1, 40).Draw(r, "actions")
		var wrong string
		synctest.Test(t, func(*testing.T) { wrong = modelCheck(folder, all) })
		if wrong != "" {
			r.Fatal(wrong)
		}
	})
}

// modelCheck says what is wrong, if anything.
func modelCheck(folder string, all []action) string {
	limits := map[string]Limit{"a": {3, 10 * time.Minute}, "b": {1, time.Minute}, "off": {}}
	os.Remove(filepath.Join(folder, "guard.json"))
	clock := &jumpyClock{}
	open := func() *Guard {
		g, err := Open(Config{Folder: folder, Now: clock.now})
		if err != nil {
			panic(err)
		}
		g.Limit(limits, []string{"googlebot", "adsbot-google"})
		return g
	}
	g := open()
	defer func() { g.Close() }()
	model := map[key]*modelled{}
	for site := range limits {
		for _, crawler := range []string{"googlebot", "adsbot-google"} {
			model[key{site, crawler}] = &modelled{}
		}
	}
	for i, d := range all {
		m := model[key{d.site, d.crawler}]
		switch d.what {
		case "refused":
			g.Refused(d.site, d.crawler)
			m.refusals++
		case "came back":
			g.CameBack(d.site, d.crawler)
			if !m.tripped {
				*m = modelled{}
			}
		case "time goes by":
			time.Sleep(d.took)
			for _, m := range model {
				if m.refusals > 0 && !m.tripped {
					m.waited += d.took
				}
			}
		case "the clock is set":
			clock.ahead = d.ahead
		case "a restart":
			if err := g.Close(); err != nil {
				return err.Error()
			}
			time.Sleep(d.took)
			g = open()
		case "resumed":
			g.Resume(d.site)
			for k, m := range model {
				if k.site == d.site && m.tripped {
					*m = modelled{}
				}
			}
		}
		for k, m := range model {
			limit := limits[k.site]
			m.tripped = m.tripped || limit.Refusals > 0 && m.refusals >= limit.Refusals && m.waited >= limit.Within
			if got := g.Armed(k.site, k.crawler); got == m.tripped {
				return fmt.Sprintf("after %d actions %v is armed: %v, want %+v", i+1, k, got, m)
			}
		}
		for _, s := range g.Status() {
			now, m := clock.now(), model[key{s.Site, s.Crawler}]
			if s.Refusals != int64(m.refusals) || s.Waited != m.waited || s.Tripped != m.tripped {
				return fmt.Sprintf("after %d actions %+v, want %+v", i+1, s, m)
			}
			if s.Since.After(now.Add(-s.Waited)) || s.CameBack.After(now) {
				return fmt.Sprintf("after %d actions, at %v, times to come are shown: %+v", i+1, now, s)
			}
		}
	}
	return ""
}

// TestACrashForgetsAMinuteAtMost takes what is in the file at any moment for what a crash leaves.
func TestACrashForgetsAMinuteAtMost(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		g, err := Open(Config{Folder: folder})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Limit(map[string]Limit{"s": {3, day}}, bots())
		g.Refused("s", "bot")
		time.Sleep(1100 * time.Millisecond)
		for range 30 {
			time.Sleep(17 * time.Second)
			synctest.Wait()
			kept, err := Kept(folder)
			if err != nil || len(kept) != 1 || kept[0].Refusals != 1 {
				t.Fatalf("%+v, %v", kept, err)
			}
			if behind := g.Status()[0].Waited - kept[0].Waited; behind < 0 || behind > time.Minute {
				t.Errorf("the file is %v behind", behind)
			}
		}
	})
}

// TestWaitsOfFiles reads numbers that nobody wrote.
func TestWaitsOfFiles(t *testing.T) {
	for wait, want := range map[string]time.Duration{
		"0": 0, "0.5": 500 * time.Millisecond, "86400": day, "-7": 0, "1e300": longestWait, "1e-300": 0,
	} {
		folder := t.TempDir()
		text := fmt.Sprintf(`{"s": {"crawlers": {"bot": {"refusals": 1, "waited_seconds": %s}}}}`, wait)
		if err := os.WriteFile(filepath.Join(folder, "guard.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		kept, err := Kept(folder)
		if err != nil || len(kept) != 1 || kept[0].Waited != want || kept[0].Crawler != "bot" {
			t.Errorf("%s: %+v, %v", wait, kept, err)
		}
	}
}
