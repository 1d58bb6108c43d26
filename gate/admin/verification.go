package admin

import (
	"strings"
	"time"

	"gate421/gate/visible"
)

// Verification is whether the DNS can verify anybody, as the latest probe found. The zero value: no probe has ended
// yet.
type Verification struct {
	Working bool
	Servers []string  // that are asked
	Why     string    // in a few words, while not working
	Since   time.Time // of the first probe in a row that came to the same Working
	At      time.Time // of the latest probe; zero: none has ended
}

// words say how verification is, for the page; kind is that of a tag.
func (v *Verification) words(now time.Time) (kind, tag, text string) {
	switch {
	case v.At.IsZero():
		return "", "not tried yet", "The first look at the DNS has not ended."
	case v.Working:
		return "genuine", "works", v.server() + " proved who Googlebot is when it was last tried, " +
			ago(now.Sub(v.At)) + "."
	}
	return "warn", "does not work", "Nobody is proved: " + visible.Text(v.Why) + "."
}

// server names who is asked, as the beginning of a sentence.
func (v *Verification) server() string {
	if len(v.Servers) == 1 {
		return "The DNS server " + visible.Text(v.Servers[0])
	}
	return "One of the DNS servers " + visible.Text(strings.Join(v.Servers, ", "))
}

// failing is the latest probe if it failed.
func (a *Admin) failing() (Verification, bool) {
	if a.config.Verification == nil {
		return Verification{}, false
	}
	v := a.config.Verification()
	return v, !v.At.IsZero() && !v.Working
}
