package admin

import (
	"strconv"
	"strings"
	"time"

	"gate421/gate/audit"
	"gate421/gate/visible"
)

// recordView is a remembered record in the page's words.
type recordView struct {
	Time, Stamp   string // as shown, as a machine reads it
	Site, Host    string // Host only where it says more than Site
	Path, Proto   string
	Client        string
	PTR, Agent    string
	Claim         string
	Verdict       string // "" where nobody was asked
	Cause         string
	Action        string
	Reason, Would string
	Status        string
	Rule          string
}

// recordViews hide what may not be shown now, even if it could be when it was remembered.
func recordViews(list []memory, privacy audit.Privacy, now time.Time) []recordView {
	out := make([]recordView, 0, len(list))
	for _, m := range list {
		t := m.text
		kept := &audit.Record{Claim: t[textClaim], ClientIP: m.client, Path: t[textPath]}
		client := privacy.Client(kept)
		v := recordView{
			Time: clock(m.at, now), Stamp: m.at.UTC().Format(time.RFC3339),
			Site: t[textSite], Path: privacy.Path(kept), Proto: strings.TrimSuffix(t[textProto], ".0"),
			PTR: t[textPTR], Agent: t[textAgent], Claim: t[textClaim], Verdict: t[textVerdict], Cause: t[textCause],
			Action: t[textAction], Reason: t[textReason], Would: t[textWould], Rule: t[textRule],
		}
		if t[textProto] == "HTTP/1.0" {
			v.Proto = t[textProto]
		}
		if t[textMethod] != "GET" && t[textMethod] != "" {
			v.Path = t[textMethod] + " " + v.Path
		}
		if t[textHost] != v.Site {
			v.Host = t[textHost]
		}
		if client.IsValid() {
			v.Client = visible.Text(client.String())
		}
		if m.status != 0 {
			v.Status = strconv.Itoa(m.status)
		}
		out = append(out, v)
	}
	return out
}

// day is a time in full.
func day(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// clock is a time to the second, with its date unless that is today's.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05")
	}
	return t.Format("2 Jan 15:04:05")
}

// moment is a time and how long ago it was.
func moment(t, now time.Time) string {
	return t.UTC().Format("2 January 2006, 15:04 UTC") + " (" + ago(now.Sub(t)) + ")"
}

func ago(d time.Duration) string {
	if d < time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// span is a duration in its largest unit that makes at least two, rounded down, so that no certificate seems to last
// longer than it does.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return plural(int64(max(d, 0)/time.Second), "second")
	case d < 2*time.Hour:
		return plural(int64(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return plural(int64(d/time.Hour), "hour")
	}
	return plural(int64(d/(24*time.Hour)), "day")
}

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return digits(uint64(max(n, 0))) + " " + unit + "s"
}

// digits writes a number with a comma between each three digits.
func digits(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
