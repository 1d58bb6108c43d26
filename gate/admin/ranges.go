package admin

import "time"

// RangeList is a published list of address ranges.
type RangeList struct {
	Name     string // of the list: common-crawlers
	Prefixes int
	Fetched  time.Time // when its publisher last confirmed it; zero: never
	Stale    bool      // that was more than three days ago, in spite of all attempts
}

// staleRanges are the banners of lists that cannot be refreshed.
func (a *Admin) staleRanges(now time.Time) (out []alarm) {
	if a.config.Ranges == nil {
		return nil
	}
	for _, list := range a.config.Ranges() {
		if !list.Stale {
			continue
		}
		since := "It has never been fetched: the one that is built in is in use, if there is one."
		if !list.Fetched.IsZero() {
			since = "It was last confirmed " + ago(now.Sub(list.Fetched)) + " and is in use as it was then."
		}
		out = append(out, alarm{"warn", "The published list " + list.Name + " cannot be refreshed",
			since + " Verification goes on, for the list proves nothing; new addresses of crawlers only have to wait their turn in a " +
				"flood of impostors. Let this machine reach https://developers.google.com/, or write verify: {ranges: embedded}."})
	}
	return out
}
