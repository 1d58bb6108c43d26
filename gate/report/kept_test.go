package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What gap lines explain does not miss: lines lost, left out, and removed by age, of which the last had the gap line's number.
// A kept file that is there beside the file it was made of is read in its place.
func TestGapLinesExplain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	gap := func(seq int, members string) string {
		return fmt.Sprintf(`{"v":1,"time":"2026-11-20T10:00:59.000000Z","boot":"b","seq":%d,"event":"gap",%s}`+"\n", seq, members)
	}
	for name, text := range map[string]string{
		".20261120T100000.000000Z.kept": seqLines(1, 3, 10) + gap(10, `"left_out":2,"lost":1,"removed":4`) + seqLines(11, 11, 10) + gap(12, `"removed":1`),
		".20261120T100000.000000Z":      seqLines(1, 12, 10),
		".20261120T110000.000000Z":      seqLines(13, 20, 11) + gap(31, `"left_out":10,"network":"203.0.113.0/24"`),
		"":                              seqLines(32, 40, 12) + gap(44, `"lost":2`), // 41 misses
	} {
		if err := os.WriteFile(path+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := OpenSources([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Examine(t.Context(), Question{}, sources)
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Log; l.Missing != 1 || l.Lost != 3 || l.LeftOut != 12 || l.Removed != 5 || l.Gaps != 2 || l.Lines != 25 {
		t.Errorf("%+v", l)
	}
	said := strings.Join(r.Log.words(), "\n")
	for _, want := range []string{"12 lines were left out", "5 lines were removed by age", "3 lines were lost", "1 line is missing"} {
		if !strings.Contains(said, want) {
			t.Errorf("it is not said: %s\n%s", want, said)
		}
	}
}

// Lines that were left out or removed by age make the log no less whole: both are as they should be, and none was a crawler's.
func TestLogIsWholeWithLinesLeftOut(t *testing.T) {
	l := Reading{Lines: 1, LeftOut: 5, Removed: 7}
	if !l.whole() {
		t.Errorf("%q", l.words())
	}
}

// However many runs of lines a kept file has lost, none of them misses, and one that does is counted.
func TestManyRunsAreRemoved(t *testing.T) {
	var b strings.Builder
	seq := 0
	for n := range 5000 {
		seq++
		fmt.Fprintf(&b, `{"v":1,"time":"2026-11-20T10:00:00.000000Z","boot":"b","seq":%d,"event":"rule"}`+"\n", seq)
		if seq += 10; n%1000 == 999 {
			seq += 2 // they miss
		}
		fmt.Fprintf(&b, `{"v":1,"time":"2026-11-20T10:00:00.000000Z","boot":"b","seq":%d,"event":"gap","removed":10}`+"\n", seq)
	}
	path := filepath.Join(t.TempDir(), "decisions.log")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	sources, err := OpenSources([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Examine(t.Context(), Question{}, sources)
	if err != nil || r.Log.Missing != 10 || r.Log.Removed != 50_000 || r.Log.Repeated != 0 {
		t.Errorf("%v %+v", err, r.Log)
	}
}
