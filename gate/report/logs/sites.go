package logs

import (
	"maps"
	"slices"
)

// Bounds of the sites that are remembered where one is asked for: how many others, and how long their names may be.
const (
	maxOtherSites = 1000
	maxSiteName   = 4 << 10
)

// sitesSeen are the sites of a log, for whoever asks for one that it does not have.
type sitesSeen struct {
	found  bool // the one that is asked for
	others map[string]bool
	ofHost string // the site that serves the host which is asked for
}

// addLine notes the site of the line that w has parsed.
func (s *sitesSeen) addLine(w *worker) {
	site := w.text(FieldSite)
	switch {
	case len(site) == 0:
		return
	case string(site) == w.filter.site:
		s.found = true
		return
	case !s.others[string(site)] && len(s.others) < maxOtherSites && len(site) <= maxSiteName:
		if s.others == nil {
			s.others = map[string]bool{}
		}
		s.others[string(site)] = true
	}
	if s.ofHost == "" {
		name := string(site)
		if host := w.text(FieldHost); string(host) == w.filter.site {
			s.ofHost = name
		}
	}
}

func (s *sitesSeen) merge(more *sitesSeen) {
	s.found = s.found || more.found
	if s.others == nil {
		s.others = map[string]bool{}
	}
	maps.Copy(s.others, more.others)
	if s.ofHost == "" || more.ofHost != "" && more.ofHost < s.ofHost {
		s.ofHost = more.ofHost
	}
}

func (s *sitesSeen) addTo(stats *Stats) {
	names := slices.Sorted(maps.Keys(s.others))
	stats.SiteSeen, stats.OtherSites, stats.SiteOfHost = s.found, names[:min(maxOtherSites, len(names))], s.ofHost
}
