package origin

import (
	"testing"
	"time"
)

// TestWhatCannotBeRepeatedGoesOnAFreshConnectionOverHTTP2 has a connection idle for a while: a request that cannot be
// repeated gets it only if that was a moment, and else a new one in its place; any other request gets it.
func TestWhatCannotBeRepeatedGoesOnAFreshConnectionOverHTTP2(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		idle time.Duration
		once bool
		same bool
	}{
		{0, false, true},
		{0, true, true},
		{aMoment / 2, true, true},
		{aMoment, false, true},
		{aMoment, true, false},
		{time.Minute, false, true},
		{time.Minute, true, false},
	} {
		o := serveFrames(t, nil, nil, nil, nil)
		p, err := newH2Pool(o.address, nil, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		take := func(once bool) *h2conn {
			c, err := p.take(t.Context(), owner{client: "192.0.2.1:1234"}, false, false, once, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := take(false)
		p.release(first, true)
		p.mu.Lock()
		first.since = first.since.Add(-test.idle)
		p.mu.Unlock()
		second := take(test.once)
		if same := second == first; same != test.same {
			t.Errorf("idle for %v, once %v: the same connection %v, want %v", test.idle, test.once, same, test.same)
		}
		p.release(second, true)
		p.mu.Lock()
		count := p.count
		p.mu.Unlock()
		if count != 1 {
			t.Errorf("idle for %v, once %v: %d idle connections, want the one that was used", test.idle, test.once, count)
		}
		p.close()
	}
}
