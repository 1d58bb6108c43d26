package analysis

import (
	"testing"
	"time"
)

// TestCalendar looks at every hour of half a year and at each step: it falls into the step that begins last before it.
func TestCalendar(t *testing.T) {
	begin := time.Date(2026, 9, 1, 0, 30, 0, 0, time.UTC)
	for _, step := range []int64{hourStep, dayStep, weekStep, 2 * weekStep, 8 * weekStep} {
		c := calendar{step: step}
		for i := range 24 * 180 {
			at := begin.Add(time.Duration(i) * time.Hour)
			start := c.start(c.bucket(at.UnixNano()))
			if behind := at.Sub(start); behind < 0 || behind >= time.Duration(step)*time.Hour {
				t.Fatalf("step of %d hours: got %v in the one from %v, want it no later than its end", step, at, start)
			}
			if step >= weekStep && start.Weekday() != time.Monday || start.Hour() != 0 && step > hourStep {
				t.Fatalf("step of %d hours: got a beginning at %v, want midnight, of a Monday from a week on", step,
					start)
			}
		}
	}
}

// TestCalendarSteps draws one request an hour for longer and longer, and loses none while the step grows.
func TestCalendarSteps(t *testing.T) {
	c, drawn := newCalendar(), curve{}
	begin := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	want := map[int]int64{0: hourStep, 72: hourStep, 73: dayStep, 120 * 24: dayStep, 120*24 + 1: weekStep,
		512 * 7 * 24: weekStep, 512*7*24 + 1: 2 * weekStep}
	for i := range 512*7*24 + 2 {
		at := begin.Add(time.Duration(i) * time.Hour).UnixNano()
		if old := c; c.extend(at) {
			drawn.coarsen(&old, &c)
		}
		drawn.add(c.bucket(at), counts{http2: 1})
		if step, known := want[i]; known && c.step != step {
			t.Errorf("after %d hours: got steps of %d hours, want %d", i, c.step, step)
		}
	}
	sum := int64(0)
	for _, p := range drawn.points(&c, c.bucket(c.first), c.bucket(c.last)) {
		if sum += p.HTTP2; p.HTTP2 > c.step {
			t.Errorf("got %d requests in the step from %v, want no more than %d", p.HTTP2, p.Time, c.step)
		}
	}
	if want := int64(512*7*24 + 2); sum != want {
		t.Errorf("got %d requests in all steps, want %d", sum, want)
	}
}
