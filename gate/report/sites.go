package report

import (
	"maps"
	"slices"
)

// maxOthers is how many sites that were not asked for are remembered.
const maxOthers = 1000

// sitesSeen are the sites of a log, for whoever asks for one that it does not have.
type sitesSeen struct {
	asked  bool // the one that was asked for is there
	others map[string]bool
	of     string // the site that serves the host which was asked for
}

// line notes the site of the line that w has parsed.
func (s *sitesSeen) line(w *collector) {
	site := w.text(memberSite)
	switch {
	case len(site) == 0:
		return
	case string(site) == w.filter.site:
		s.asked = true
		return
	case !s.others[string(site)] && len(s.others) < maxOthers && len(site) <= maxText:
		if s.others == nil {
			s.others = map[string]bool{}
		}
		s.others[string(site)] = true
	}
	if s.of == "" {
		name := string(site)
		if host := w.text(memberHost); string(host) == w.filter.site {
			s.of = name
		}
	}
}

func (s *sitesSeen) add(more *sitesSeen) {
	s.asked = s.asked || more.asked
	if s.others == nil {
		s.others = map[string]bool{}
	}
	maps.Copy(s.others, more.others)
	if s.of == "" || more.of != "" && more.of < s.of {
		s.of = more.of
	}
}

func (s *sitesSeen) report(log *Reading) {
	names := slices.Sorted(maps.Keys(s.others))
	log.SiteSeen, log.Others, log.SiteOf = s.asked, names[:min(maxOthers, len(names))], s.of
}
