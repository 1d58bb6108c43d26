package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"
)

// keptSite is what the file has of a site: the counts by crawler, and what the first versions counted of all of them
// together.
type keptSite struct {
	keptCount
	Crawlers map[string]keptCount `json:"crawlers,omitempty"`
}

// keptCount is what the file has of a count.
type keptCount struct {
	Refusals int64     `json:"refusals,omitzero"`
	Since    time.Time `json:"since,omitzero"`
	Waited   *float64  `json:"waited_seconds,omitzero"` // nil: the first versions did not keep it
	CameBack time.Time `json:"came_back,omitzero"`
	Tripped  bool      `json:"tripped,omitzero"`
}

// kept is what the file shall have. The caller holds mu.
func (g *Guard) kept() map[string]*keptSite {
	sites := map[string]*keptSite{}
	for k, n := range g.counts {
		waited := n.wait().Seconds()
		c := keptCount{Refusals: n.refusals, Since: n.since, Waited: &waited, CameBack: n.cameBack, Tripped: n.tripped}
		site := sites[k.site]
		if site == nil {
			site = &keptSite{Crawlers: map[string]keptCount{}}
			sites[k.site] = site
		}
		if k.crawler == "" {
			site.keptCount = c
		} else {
			site.Crawlers[k.crawler] = c
		}
	}
	return sites
}

// load reads the file. A missing one is a fresh start. The waits stand still until somebody lets them go on.
func (g *Guard) load() error {
	text, written, err := readFile(g.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	sites := map[string]*keptSite{}
	if err == nil {
		err = json.Unmarshal(text, &sites)
	}
	if err != nil {
		return fmt.Errorf("guard counts %q: %w", g.file(), err)
	}
	for name, site := range sites {
		if site == nil {
			continue
		}
		if n := site.count(written); n.refusals > 0 || n.tripped || len(site.Crawlers) == 0 {
			g.counts[key{name, ""}] = n
		}
		for crawler, kept := range site.Crawlers {
			g.counts[key{name, crawler}] = kept.count(written)
		}
	}
	return nil
}

// readFile returns a file's text and when it was last changed.
func readFile(path string) ([]byte, time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	text, err := os.ReadFile(path)
	return text, info.ModTime(), err
}

// The longest wait that is believed of a file; no limit is as long.
const longestWait = 10 * 365 * 24 * time.Hour

// count is what was kept, in a file that was last changed at written. Whatever the numbers are, what comes of them is
// harmless.
func (k keptCount) count(written time.Time) *count {
	n := &count{refusals: max(k.Refusals, 0), since: k.Since, cameBack: k.CameBack, tripped: k.Tripped}
	switch {
	case n.refusals == 0:
	case k.Waited != nil:
		n.waited = time.Duration(math.Round(min(max(*k.Waited, 0), longestWait.Seconds()) * float64(time.Second)))
	case plausible(k.Since):
		n.waited = min(max(written.Sub(k.Since), 0), longestWait)
	}
	return n
}

// plausible says whether a clock that shows t may be right: there was no gate421 before.
func plausible(t time.Time) bool { return t.Year() >= 2024 }

// goOn lets the waits go on.
func (g *Guard) goOn() {
	for _, n := range g.counts {
		if n.refusals > 0 && !n.tripped {
			n.from = time.Now()
		}
	}
}
