package guard

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestCrawlersAreCountedApart has one crawler come back and the other not.
func TestCrawlersAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard hearing
		g, err := Open(Config{OnEvent: heard.notify})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Limit(map[string]Limit{"s": {3, day}, "other": {3, day}}, []string{"googlebot", "adsbot-google"})
		for range 3 {
			g.Refused("s", "googlebot")
			g.Refused("s", "adsbot-google")
		}
		for range 25 { // Googlebot visits every hour
			time.Sleep(time.Hour)
			g.CameBack("s", "googlebot")
			g.Refused("s", "googlebot")
		}
		if !g.Armed("s", "googlebot") || g.Armed("s", "adsbot-google") || !g.Armed("other", "adsbot-google") {
			t.Errorf("%+v", g.Status())
		}
		now := time.Now().UTC()
		want := []Status{
			{Site: "other", Crawler: "adsbot-google"},
			{Site: "other", Crawler: "googlebot"},
			{
				Site:     "s",
				Crawler:  "adsbot-google",
				Tripped:  true,
				Refusals: 3,
				Since:    now.Add(-25 * time.Hour),
				Waited:   25 * time.Hour,
			},
			{Site: "s", Crawler: "googlebot", Refusals: 1, Since: now, CameBack: now},
		}
		if got := g.Status(); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		g.CameBack("s", "adsbot-google")
		if g.Armed("s", "adsbot-google") {
			t.Error("a come-back re-armed it")
		}
		if !g.Resume("s") || g.Resume("s") || g.Resume("other") || !g.Armed("s", "adsbot-google") {
			t.Error("resumed wrongly")
		}
		heard.mu.Lock()
		defer heard.mu.Unlock()
		events := []Event{
			{
				Site:     "s",
				Crawler:  "adsbot-google",
				What:     "tripped",
				Refusals: 3,
				Since:    now.Add(-25 * time.Hour),
				Waited:   25 * time.Hour,
			},
			{Site: "s", Crawler: "adsbot-google", What: "resumed"},
		}
		if !reflect.DeepEqual(heard.events, events) {
			t.Errorf("got  %+v\nwant %+v", heard.events, events)
		}
	})
}

// TestSiteThatRefusesNobodyIsForgotten has a site observe for an hour, and refuse again.
func TestSiteThatRefusesNobodyIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		g, err := Open(Config{Folder: folder})
		if err != nil {
			t.Fatal(err)
		}
		limits, crawlers := map[string]Limit{
			"s":     {2, 10 * time.Minute},
			"other": {2, 10 * time.Minute},
		}, []string{
			"a",
			"b",
		}
		g.Limit(limits, crawlers)
		for range 2 {
			g.Refused("s", "a")
			g.Refused("other", "a")
		}
		g.Forget("s")
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		if g, err = Open(Config{Folder: folder}); err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Limit(limits, crawlers)
		time.Sleep(time.Hour)
		g.Refused("s", "a")
		g.Refused("s", "a")
		if !g.Armed("s", "a") || g.Armed("other", "a") {
			t.Errorf("an hour later: armed %v, %v, want true, false: %+v", g.Armed("s", "a"), g.Armed("other", "a"),
				g.Status())
		}
		time.Sleep(10 * time.Minute)
		if g.Armed("s", "a") {
			t.Errorf("refused anew for ten minutes: armed, want tripped: %+v", g.Status())
		}
		if g.Forget("s"); g.Armed("s", "a") {
			t.Error("Forget re-armed a guard that had tripped")
		}
	})
}

// TestResumeReArmsEveryCrawler has both tripped.
func TestResumeReArmsEveryCrawler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard hearing
		g, err := Open(Config{OnEvent: heard.notify})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		g.Limit(map[string]Limit{"s": {1, day}}, []string{"a", "b", "c"})
		for _, crawler := range []string{"a", "b"} {
			g.Refused("s", crawler)
		}
		time.Sleep(day)
		for crawler, armed := range map[string]bool{"a": false, "b": false, "c": true} {
			if g.Armed("s", crawler) != armed {
				t.Errorf("%s: armed %v", crawler, !armed)
			}
		}
		if !g.Resume("s") || !g.Armed("s", "a") || !g.Armed("s", "b") || len(heard.what("resumed")) != 2 {
			t.Errorf("resumed %q", heard.what("resumed"))
		}
	})
}

// TestFilesOfTheFirstVersions reads what they left: counts of a site without crawlers and without waits.
func TestFilesOfTheFirstVersions(t *testing.T) {
	limits := map[string]Limit{"s": {3, time.Hour}}
	for _, test := range []struct {
		name, file string
		do         func(*Guard)
		armed      map[string]bool // then, by crawler
		later      map[string]bool // an hour later
	}{
		{"tripped", `{"s": {"refusals": 9, "since": "$hour ago", "tripped": true}}`, func(*Guard) {},
			map[string]bool{"a": false, "b": false}, map[string]bool{"a": false, "b": false}},
		{"tripped, and a crawler comes back", `{"s": {"refusals": 9, "since": "$hour ago", "tripped": true}}`,
			func(g *Guard) { g.CameBack("s", "a"); g.Refused("s", "b") },
			map[string]bool{"a": false, "b": false}, map[string]bool{"a": false, "b": false}},
		{"tripped and resumed", `{"s": {"refusals": 9, "since": "$hour ago", "tripped": true}}`, func(g *Guard) { g.Resume("s") },
			map[string]bool{"a": true, "b": true}, map[string]bool{"a": true, "b": true}},
		{"nobody came back", `{"s": {"refusals": 3, "since": "$minute ago", "tripped": false}}`, func(*Guard) {},
			map[string]bool{"a": true, "b": true}, map[string]bool{"a": false, "b": false}},
		{"due", `{"s": {"refusals": 3, "since": "$hour ago", "tripped": false}}`, func(*Guard) {},
			map[string]bool{"a": false, "b": false}, map[string]bool{"a": false, "b": false}},
		{"a crawler is refused", `{"s": {"refusals": 2, "since": "$hour ago", "tripped": false}}`, func(g *Guard) { g.Refused("s", "a") },
			map[string]bool{"a": false, "b": true}, map[string]bool{"a": false, "b": true}},
		{"one comes back", `{"s": {"refusals": 3, "since": "$hour ago", "tripped": false}}`, func(g *Guard) { g.CameBack("s", "b") },
			map[string]bool{"a": true, "b": true}, map[string]bool{"a": true, "b": true}},
		{"stamped in the future", `{"s": {"refusals": 3, "since": "2199-01-01T00:00:00Z", "tripped": false}}`, func(*Guard) {},
			map[string]bool{"a": true, "b": true}, map[string]bool{"a": false, "b": false}},
		{"stamped before the clock was set", `{"s": {"refusals": 3, "since": "1970-01-01T00:00:09Z", "tripped": false}}`, func(*Guard) {},
			map[string]bool{"a": true, "b": true}, map[string]bool{"a": false, "b": false}},
		{"numbers that nobody wrote", `{"s": {"refusals": -3, "since": "$hour ago"}, "t": null}`, func(*Guard) {},
			map[string]bool{"a": true, "b": true}, map[string]bool{"a": true, "b": true}},
	} {
		folder := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(27 * 365 * day) // the bubble begins in 2000
			now := time.Now()
			text := test.file
			for word, ago := range map[string]time.Duration{"$hour ago": time.Hour, "$minute ago": time.Minute} {
				text = strings.ReplaceAll(text, word, now.Add(-ago).UTC().Format(time.RFC3339Nano))
			}
			path := filepath.Join(folder, "guard.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, now, now); err != nil {
				t.Fatal(err)
			}
			// What is written in the new form says the same.
			for _, round := range []string{"as it was", "written anew"} {
				g, err := Open(Config{Folder: folder})
				if err != nil {
					t.Fatal(err)
				}
				g.Limit(limits, []string{"a", "b"})
				if round == "as it was" {
					g.mu.Lock()
					g.dirty = true
					g.mu.Unlock()
					if err := g.Close(); err != nil {
						t.Fatal(err)
					}
					continue
				}
				test.do(g)
				check := func(when string, want map[string]bool) {
					for crawler, armed := range want {
						if got := g.Armed("s", crawler); got != armed {
							t.Errorf("%s: %s %s is armed: %v", test.name, when, crawler, got)
						}
					}
				}
				check("at once", test.armed)
				time.Sleep(time.Hour)
				check("an hour later", test.later)
				g.Close()
			}
		})
	}
}
