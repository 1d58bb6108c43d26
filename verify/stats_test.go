package verify

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// counted leaves out the words of a Stats that nothing is counted under.
func counted(s Stats) map[string]uint64 {
	maps.DeleteFunc(s.Results, func(_ string, n uint64) bool { return n == 0 })
	return s.Results
}

func TestStatsCountLookups(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		if s := v.Stats(); len(s.Results) != results || len(counted(s)) != 0 || s.Shed != 0 ||
			slices.Max(s.Took.Counts) != 0 {
			t.Errorf("before the first lookup: got %+v, want zeros", s)
		}
		z.fail("", 4*time.Millisecond)
		googlebot := netip.MustParseAddr(googlebotAddr)
		for _, source := range []string{SourceDNS, SourceCache, SourceCache} { // two questions, and no more
			want(t, v.Identify(t.Context(), "googlebot", googlebot), Genuine, source, "")
			v.IdentifyAsync("googlebot", googlebot, func(Result) {})
			v.Prefetch(googlebot)
		}
		for i := range 2 { // one question each, and once more in plain
			want(t, v.Identify(t.Context(), "googlebot", stranger(i)), Impostor, SourceDNS, "")
		}
		v.Lookup(t.Context(), "googlebot", stranger(0))
		z.fail("servfail", 200*time.Millisecond)
		want(t, v.Identify(t.Context(), "googlebot", stranger(2)), Unknown, SourceDNS, CauseServfail)
		z.fail("silent", 0)
		want(t, v.Identify(t.Context(), "googlebot", stranger(3)), Unknown, "", CauseTimeout)
		if s := v.Stats(); s.InFlight != 1 || s.Queued != 0 {
			t.Errorf("%d under way and %d waiting, want 1 and 0", s.InFlight, s.Queued)
		}
		time.Sleep(2 * lookupTimeout)

		s := v.Stats()
		want := map[string]uint64{resultGenuine: 1, resultImpostor: 2, CauseServfail: 1, CauseTimeout: 1}
		if got := counted(s); !maps.Equal(got, want) {
			t.Errorf("results %v, want %v", got, want)
		}
		if s.InFlight != 0 || s.Queued != 0 || s.Shed != 0 {
			t.Errorf("at rest: got %+v, want nothing in flight, queued or shed", s)
		}
		small := s.Took.Counts[:3] // to 1, 2.5 and 5 ms; the next is to 10 ms
		if !slices.Equal(small, []uint64{0, 0, 0}) || s.Took.Counts[3] != 3 {
			t.Errorf("got the buckets %v of %v, want the lookups in those of their time", s.Took.Counts, s.Took.Bounds)
		}
		var all uint64
		for _, n := range s.Took.Counts {
			all += n
		}
		if all != 5 || len(s.Took.Counts) != len(s.Took.Bounds)+1 || s.Took.Sum < 316*time.Millisecond ||
			s.Took.Sum > 16*time.Second {
			t.Errorf("got %d lookups that took %v, want 5 and the sum of their times", all, s.Took.Sum)
		}
	})
}

func TestStatsCountTheBudget(t *testing.T) {
	inBubble(t, "fault * silent", func(t *testing.T, z *zone, v *Verifier) {
		v.Wait, v.Published = 0, func() *Ranges { return nil }
		v.Budget = Budget{InFlight: 4, Queue: 8}
		for i := range 3 + 6 + 7 { // strangers get three quarters
			v.Identify(t.Context(), "googlebot", stranger(i))
		}
		for range maxWaiters + 5 {
			v.IdentifyAsync("googlebot", stranger(0), func(Result) {})
		}
		synctest.Wait()
		if s := v.Stats(); s.InFlight != 3 || s.Queued != 6 || s.Shed != 7+5 {
			t.Errorf("got %d running, %d queued, %d shed; want 3, 6, 12", s.InFlight, s.Queued, s.Shed)
		}
		v.Close()
		if s := v.Stats(); s.InFlight != 0 || s.Queued != 0 || len(counted(s)) != 0 {
			t.Errorf("after Close: got %+v, want no lookup counted", s)
		}
	})
}

func TestStatsHaveEveryCause(t *testing.T) {
	words := resultWords()
	for _, cause := range []string{
		CauseTimeout, CauseServfail, CauseRefused, CauseFormErr, CauseNotImp, CauseLame, CauseIndefinite, CauseFiltered,
		CauseGarbage,
		CauseTruncated, CauseLoop, CauseUnreachable, CauseTLS, CauseResolver,
	} {
		if !slices.Contains(words[:], cause) {
			t.Errorf("got no result %q, want one for every cause", cause)
		}
	}
	if words[results-1] != resultOther {
		t.Error("got another last word, want the one for all other results")
	}
	var c counts
	c.record(&report{finding: &finding{failed: 1, failure: newFailure("", "what", "")}, took: time.Hour})
	if c.results[results-1].Load() != 1 || c.took[buckets-1].Load() != 1 {
		t.Error("an unknown result that took too long: got it counted elsewhere, want it in the last of each")
	}
	if limits := bounds(); !slices.IsSorted(limits[:]) {
		t.Errorf("got the bounds %v, want them ascending up to %v", limits, lookupTimeout)
	}
}

// TestStatsWhileLookingUp is for the race detector.
func TestStatsWhileLookingUp(t *testing.T) {
	inBubble(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier) {
		for i := range 200 {
			v.IdentifyAsync("googlebot", stranger(i), func(Result) {})
			go v.Stats()
		}
		synctest.Wait()
		time.Sleep(2 * time.Second)
		if s := v.Stats(); s.Results[resultImpostor]+s.Shed != 200 {
			t.Errorf("got %d lookups and %d shed, want 200 in all", s.Results[resultImpostor], s.Shed)
		}
	})
}
