package analysis

import (
	"math"
	"time"
)

// Steps of a curve, in hours. A week begins on Monday; the first of 1970 was a Thursday.
const (
	hour         = int64(time.Hour)
	hourStep     = 1
	dayStep      = 24
	weekStep     = 7 * 24
	mondayOffset = 3 * 24 // hours from a Monday to 1970
	hourSpan     = 3 * 24 * hour
	daySpan      = 120 * 24 * hour
	maxSteps     = 512 // of a curve; beyond it the step doubles
)

// calendar chooses the step of all curves of a report from the span of what they show: an hour up to 3 days, a day up
// to 120 days, else a week, and two, four, … weeks where that would be more than 512 steps. It only ever grows, so that
// curves can be drawn while the log is read.
type calendar struct {
	first, last int64 // nanoseconds since 1970
	step        int64 // hours
}

func newCalendar() calendar { return calendar{math.MaxInt64, math.MinInt64, hourStep} }

// extend makes room for a time and says whether the step has grown.
func (c *calendar) extend(at int64) (grown bool) {
	c.first, c.last = min(c.first, at), max(c.last, at)
	step := c.step
	for c.last-c.first > c.span() {
		switch c.step {
		case hourStep:
			c.step = dayStep
		case dayStep:
			c.step = weekStep
		default:
			c.step *= 2
		}
	}
	return c.step != step
}

// span is the longest time, in nanoseconds, that the step is used for.
func (c *calendar) span() int64 {
	switch c.step {
	case hourStep:
		return hourSpan
	case dayStep:
		return daySpan
	}
	if c.step > math.MaxInt64/hour/maxSteps {
		return math.MaxInt64
	}
	return c.step * hour * maxSteps
}

// bucket is the number of the step that a time is in.
func (c *calendar) bucket(at int64) int32 {
	hours := at / hour // no time is before 1970
	if c.step >= weekStep {
		hours += mondayOffset
	}
	return int32(hours / c.step)
}

// start is when a step begins.
func (c *calendar) start(bucket int32) time.Time {
	hours := int64(bucket) * c.step
	if c.step >= weekStep {
		hours -= mondayOffset
	}
	return time.Unix(hours*3600, 0).UTC()
}

// counts are the crawl requests of a step, or of a whole series.
type counts struct{ http2, http1, refused int64 }

func (c *counts) add(more counts) {
	c.http2 += more.http2
	c.http1 += more.http1
	c.refused += more.refused
}

// curve is the steps of one series from its first to its last. The zero value is empty.
type curve struct {
	first int32
	steps []counts
}

func (c *curve) add(bucket int32, more counts) {
	switch {
	case len(c.steps) == 0:
		c.first, c.steps = bucket, make([]counts, 1, 4)
	case bucket < c.first:
		longer := make([]counts, int(c.first-bucket)+len(c.steps))
		copy(longer[c.first-bucket:], c.steps)
		c.first, c.steps = bucket, longer
	}
	for int(bucket-c.first) >= len(c.steps) {
		c.steps = append(c.steps, counts{})
	}
	c.steps[bucket-c.first].add(more)
}

// coarsen turns a curve in the steps of old into one in those of now, each of which is made of whole ones of old: days
// and weeks begin with an hour, and longer steps are multiples of a week.
func (c *curve) coarsen(old, now *calendar) {
	var coarse curve
	for i, step := range c.steps {
		at := old.start(c.first+int32(i)).Unix() * int64(time.Second)
		coarse.add(now.bucket(max(at, 0)), step)
	}
	*c = coarse
}

// points are the steps from first to last, with those that have no request.
func (c *curve) points(l *calendar, first, last int32) []Point {
	points := make([]Point, 0, last-first+1)
	for b := first; b <= last; b++ {
		p := Point{Time: l.start(b)}
		if i := int(b - c.first); i >= 0 && i < len(c.steps) {
			p.HTTP2, p.HTTP1, p.Refused = c.steps[i].http2, c.steps[i].http1, c.steps[i].refused
		}
		points = append(points, p)
	}
	return points
}
