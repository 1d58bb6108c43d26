package admin

import (
	"time"

	"gate421/gate/visible"
)

// Reload is what came of the last change of the configuration file.
type Reload struct {
	At       time.Time // when a version was last taken up
	Rejected time.Time // when the latest was rejected; zero: it was taken up
	File     string
	Error    string // with Rejected: what is wrong with it, in one line
}

// rejected is the change that was rejected; ok is false where the latest was taken up.
func (a *Admin) rejected() (r Reload, ok bool) {
	if a.config.Reload == nil {
		return Reload{}, false
	}
	r = a.config.Reload()
	r.File, r.Error = visible.Text(r.File), visible.Text(r.Error)
	return r, !r.Rejected.IsZero()
}

// alarm is the banner for a file that was rejected.
func (r Reload) alarm(now time.Time) alarm {
	return alarm{"bad", "The configuration file was rejected",
		"What " + r.File + " has said since " + moment(r.Rejected, now) +
			" is not in use, and the version before it is: " + r.Error +
			". gate421 check shows every problem with its line."}
}
