package analysis

import "testing"

func TestWaitsAreWithinOnePercent(t *testing.T) {
	last := uint16(0)
	for wait := int64(1); wait > 0 && wait < 1<<62; wait += max(1, wait/997) {
		b := bucketOf(wait)
		if off := middle(b)/float64(wait) - 1; off > 0.01 || off < -0.01 || b < last {
			t.Fatalf("a wait of %d ns: got %g, bucket %d behind %d; want it within 1 %%, and no earlier bucket", wait,
				middle(b), b, last)
		}
		last = b
	}
	if got := bucketOf(-5); got != 0 {
		t.Errorf("a negative wait: got bucket %d, want 0", got)
	}
	if got := bucketOf(1<<63 - 1); got < last {
		t.Errorf("the longest wait: got bucket %d, want %d or more", got, last)
	}
}

func TestWaitsPercentiles(t *testing.T) {
	var w waits
	if got := w.seconds(50); got != 0 {
		t.Errorf("without a wait: got %g s, want 0", got)
	}
	for i := range 100 {
		w.add(bucketOf(int64(i+1)*1e9), 1)
	}
	for percent, want := range map[int64]float64{50: 50, 95: 95, 100: 100} {
		if got := w.seconds(percent); got < want*0.99 || got > want*1.01 {
			t.Errorf("%d %% of waits of 1 to 100 s: got %g s, want %g within 1 %%", percent, got, want)
		}
	}
}
