package render

import (
	"slices"
	"strings"
	"testing"

	"gate421/gate/report/logs"
)

// Lines that were left out or removed by age make the log no less whole: both are as they should be, and none was a
// crawler's.
func TestLogIsWholeWithLinesLeftOut(t *testing.T) {
	s := logs.Stats{Lines: 1, LeftOut: 5, Removed: 7}
	if !whole(&s) {
		t.Errorf("got not whole, want whole: %q", logWords(&s))
	}
}

func TestLogWords(t *testing.T) {
	s := logs.Stats{Lines: 25, Files: []string{"x"}, Gaps: 2, Lost: 3, LeftOut: 12, Removed: 5, Missing: 1}
	got := logWords(&s)
	for _, want := range []string{"12 lines were left out", "5 lines were removed by age", "3 lines were lost",
		"1 line is missing"} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("got %q, want a sentence that begins %q", got, want)
		}
	}
}
