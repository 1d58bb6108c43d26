package logs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"gate421/gate/report/logs/logstest"
)

// seqLines are lines of one boot, a second apart, from the beginning of an hour on.
func seqLines(from, to, hour int) string {
	var b strings.Builder
	for seq := from; seq <= to; seq++ {
		fmt.Fprintf(&b, `{"v":1,"time":"2026-11-20T%02d:00:%02d.000000Z","boot":"b","seq":%d,"event":"reload"}`+"\n",
			hour, seq%60, seq)
	}
	return b.String()
}

// A clock that was set back brings a rotated set out of its order; what is there is not missing.
func TestMissingWithTheClockSetBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	put(t, path+".20261120T1", []byte(seqLines(1, 10, 10)))
	put(t, path+".20261120T2", []byte(seqLines(11, 20, 12)))
	put(t, path, []byte(seqLines(21, 27, 11)+seqLines(30, 30, 11)))
	if got, _ := readFiles(t, path); got.Missing != 2 || got.Lines != 28 {
		t.Errorf("got %d lines and %d missing, want 28 and 2", got.Lines, got.Missing)
	}
}

// What gap lines explain is not missing: lines lost, left out, and removed by age, of which the last had the gap line's
// number. A kept file that is there beside the file it was made of is read in its place.
func TestGapLinesExplain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	gap := func(seq int, fields string) string {
		return fmt.Sprintf(`{"v":1,"time":"2026-11-20T10:00:59.000000Z","boot":"b","seq":%d,"event":"gap",%s}`+"\n",
			seq, fields)
	}
	for name, text := range map[string]string{
		".20261120T100000.000000Z.kept": seqLines(1, 3, 10) + gap(10, `"left_out":2,"lost":1,"removed":4`) +
			seqLines(11, 11, 10) + gap(12, `"removed":1`),
		".20261120T100000.000000Z": seqLines(1, 12, 10),
		".20261120T110000.000000Z": seqLines(13, 20, 11) + gap(31, `"left_out":10,"network":"203.0.113.0/24"`),
		"":                         seqLines(32, 40, 12) + gap(44, `"lost":2`), // 41 is missing
	} {
		put(t, path+name, []byte(text))
	}
	got, _ := readFiles(t, path)
	if got.Missing != 1 || got.Lost != 3 || got.LeftOut != 12 || got.Removed != 5 || got.Gaps != 2 || got.Lines != 25 {
		t.Errorf("got %+v, want 1 missing, 3 lost, 12 left out, 5 removed, 2 gaps, 25 lines", got)
	}
}

// However many runs of lines a kept file has lost, none of them is missing, and one that is gets counted.
func TestManyRunsAreRemoved(t *testing.T) {
	var b strings.Builder
	seq := 0
	for n := range 5000 {
		seq++
		fmt.Fprintf(&b, `{"v":1,"time":"2026-11-20T10:00:00.000000Z","boot":"b","seq":%d,"event":"rule"}`+"\n", seq)
		if seq += 10; n%1000 == 999 {
			seq += 2 // they are missing
		}
		fmt.Fprintf(&b,
			`{"v":1,"time":"2026-11-20T10:00:00.000000Z","boot":"b","seq":%d,"event":"gap","removed":10}`+"\n", seq)
	}
	if got, _ := read(t, &Reader{Sources: texts(b.String())}); got.Missing != 10 || got.Removed != 50_000 ||
		got.Repeated != 0 {
		t.Errorf("got %d missing, %d removed, %d repeated; want 10, 50000 and 0", got.Missing, got.Removed,
			got.Repeated)
	}
}

// A line that was delivered twice counts once, in whatever source it comes again.
func TestRepeatedLines(t *testing.T) {
	var lines, twice []string
	for seq := 1; seq <= 3000; seq++ {
		line := logstest.Line(seq%60, seq, "HTTP/2.0", fmt.Sprint("/", seq%100), "")
		lines, twice = append(lines, line), append(twice, line, line)
	}
	whole, later := strings.Join(lines, ""), strings.Join(lines[1000:2500], "")
	for name, sources := range map[string][]string{
		"the log alone":            {whole},
		"a copy beside it":         {whole, whole},
		"a part of it beside it":   {whole, later},
		"a part of it behind it":   {whole + later},
		"every line at once again": {strings.Join(twice, "")},
		"in two overlapping parts": {strings.Join(lines[:2500], ""), strings.Join(lines[1000:], "")},
	} {
		all := 0
		for _, s := range sources {
			all += strings.Count(s, "\n")
		}
		for _, chunk := range []int{1, 5000, 1 << 20} {
			got, records := read(t, &Reader{Sources: texts(sources...), ChunkBytes: chunk})
			if len(records) != 3000 || got.Records != 3000 || got.Missing != 0 || got.Repeated != int64(all-3000) ||
				got.Lines != int64(all) {
				t.Errorf("%s, chunks of %d: got %d records yielded, %+v; want 3000 records, %d repeated of %d lines",
					name, chunk, len(records), got, all-3000, all)
			}
		}
		got, shown := selected(t, &Reader{Sources: texts(sources...)}, Choice{})
		if len(shown) != 3000 || got.Repeated != int64(all-3000) {
			t.Errorf("%s: got %d lines selected, %d repeated; want 3000 and %d", name, len(shown), got.Repeated,
				all-3000)
		}
	}
}

// Beyond the intervals that are remembered, lines are counted twice rather than left out, and what is missing stays
// missing.
func TestRepeatedBeyondBounds(t *testing.T) {
	var log strings.Builder
	const every = 3 * maxIntervals
	for seq := 1; seq <= every; seq += 2 {
		log.WriteString(logstest.Line(1, seq, "HTTP/2.0", "/", ""))
	}
	got, _ := read(t, &Reader{Sources: texts(log.String(), log.String())})
	if got.Repeated >= every/2 || got.Repeated+got.Records != every || got.Missing != every/2-1 {
		t.Errorf("got %d repeated, %d records, %d missing; want %d in all and %d missing", got.Repeated, got.Records,
			got.Missing, every, every/2-1)
	}
}

// A line above those that were forgotten is known again when it comes twice, alone or at the beginning of others.
func TestRepeatedAboveForgotten(t *testing.T) {
	s := newSequences()
	const last = 4*maxIntervals - 1
	for seq := uint64(1); seq <= last; seq += 2 {
		s.take(1, seq)
	}
	b := s.boots[1]
	if b.forgotten == 0 || b.forgotten >= last {
		t.Fatalf("lines up to %d are forgotten, want some of %d", b.forgotten, last)
	}
	for _, test := range []struct {
		from, to uint64
		want     bool
	}{{last, last + 100, true}, {last + 1, last + 100, false}, {1, b.forgotten, false}} {
		if got := b.overlaps(test.from, test.to); got != test.want {
			t.Errorf("lines %d to %d overlap: got %v, want %v", test.from, test.to, got, test.want)
		}
	}
	for _, test := range []struct {
		seq  uint64
		want bool
	}{{last, false}, {b.forgotten + 2, false}, {b.forgotten, true}} {
		if got := s.take(1, test.seq); got != test.want {
			t.Errorf("line %d is new: got %v, want %v", test.seq, got, test.want)
		}
	}
}
