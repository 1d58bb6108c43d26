package render

import (
	"time"

	"gate421/gate/report/analysis"
)

// timeline divides the time of all curves into steps of one length, so that charts line up and no curve is drawn with
// more steps than can be seen.
type timeline struct {
	start time.Time
	step  time.Duration
	steps int
}

// extent is the time that the curves of a report take, and their step.
type extent struct {
	first, last time.Time
	step        time.Duration // 0: there is no point
}

func (r report) extent() extent {
	var e extent
	longest := 0
	see := func(curve []analysis.Point) {
		longest = max(longest, len(curve))
		for _, p := range curve {
			if e.first.IsZero() || p.Time.Before(e.first) {
				e.first = p.Time
			}
			if e.last.IsZero() || p.Time.After(e.last) {
				e.last = p.Time
			}
		}
	}
	see(r.Crawl.Curve)
	for i := range r.Sites {
		see(r.Sites[i].Curve)
		for j := range r.Sites[i].Rules {
			see(r.Sites[i].Rules[j].Curve)
		}
	}
	if longest == 0 {
		return extent{}
	}
	e.first, e.last = e.first.UTC(), e.last.UTC()
	e.step = time.Duration(min(max(r.Step, 0), int64(1<<32))) * time.Second
	if e.step == 0 {
		e.step = time.Hour
	}
	return e
}

// timeline divides the extent into at most so many steps, of a length that people think in.
func (e extent) timeline(most int) timeline {
	first, last, step := e.first, e.last, e.step
	if step == 0 {
		return timeline{}
	}
	if n := last.Sub(first)/step + 1; int64(n) <= int64(most) {
		return timeline{first, step, int(n)}
	}
	for _, nice := range niceSteps() {
		if nice < step {
			continue
		}
		start := first.Truncate(min(nice, 24*time.Hour))
		if n := last.Sub(start)/nice + 1; int64(n) <= int64(most) {
			return timeline{start, nice, int(n)}
		}
	}
	step = max(step, 28*24*time.Hour)
	for last.Sub(first)/step+1 > time.Duration(most) {
		step *= 2
	}
	return timeline{first, step, int(last.Sub(first)/step + 1)}
}

func niceSteps() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute,
		15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 3 * day, 4 * day, 7 * day,
		14 * day, 28 * day,
	}
}

// index is the step that a time falls into; times outside fall into the first and the last.
func (t timeline) index(at time.Time) int {
	if t.steps == 0 || at.Before(t.start) {
		return 0
	}
	return int(min(at.Sub(t.start)/t.step, time.Duration(t.steps-1)))
}

// at is the beginning of a step.
func (t timeline) at(i int) time.Time { return t.start.Add(time.Duration(i) * t.step) }

// resample sums a curve up by the steps of the timeline.
func (t timeline) resample(curve []analysis.Point) []analysis.Point {
	out := make([]analysis.Point, t.steps)
	for i := range out {
		out[i].Time = t.at(i)
	}
	if t.steps == 0 {
		return out
	}
	for _, p := range curve {
		o := &out[t.index(p.Time)]
		o.HTTP2, o.HTTP1, o.Refused = plus(o.HTTP2, p.HTTP2), plus(o.HTTP1, p.HTTP1), plus(o.Refused, p.Refused)
	}
	return out
}

// span is the time from the first step to the end of the last.
func (t timeline) span() time.Duration { return t.at(t.steps).Sub(t.start) }

// label is the beginning of a step, as short as the steps allow.
func (t timeline) label(i int) string {
	const day = 24 * time.Hour
	at := t.at(i)
	switch {
	case t.step < time.Minute:
		return at.Format("2 Jan 15:04:05")
	case t.step%day != 0 || t.start.Truncate(day) != t.start:
		return at.Format("2 Jan 15:04")
	case t.at(t.steps).Year() != t.start.Year() || t.span() > 300*day:
		return at.Format("2 Jan 2006")
	}
	return at.Format("Mon 2 Jan")
}

// labelled picks the steps that get a label, at most so many: first, and every so many from there.
func (t timeline) labelled(most int) (first, every int) {
	const day = 24 * time.Hour
	every = max(1, (t.steps+most-1)/most)
	if t.step >= day || day%t.step != 0 || t.start.Truncate(t.step) != t.start {
		return 0, every
	}
	daily := int(day / t.step)
	if every*2 <= daily {
		return 0, every
	}
	every = (every + daily - 1) / daily * daily
	for first < min(daily, t.steps)-1 && t.at(first).Truncate(day) != t.at(first) {
		first++
	}
	return first, every
}

// stepWords says how long a step is.
func (t timeline) stepWords() string {
	const day = 24 * time.Hour
	switch t.step {
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	case day:
		return "day"
	case 7 * day:
		return "week"
	}
	if t.step%day == 0 {
		return countText(int64(t.step/day), "day", "days")
	}
	return spanText(t.step)
}
