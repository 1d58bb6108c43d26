package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seqLines are lines of one boot, a second apart from a time on.
func seqLines(from, to, hour int) string {
	var b strings.Builder
	for seq := from; seq <= to; seq++ {
		fmt.Fprintf(&b, `{"v":1,"time":"2026-11-20T%02d:00:%02d.000000Z","boot":"b","seq":%d,"event":"reload"}`+"\n", hour, seq%60, seq)
	}
	return b.String()
}

// A clock that was set back brings a rotated set out of its order; what is there is not missing.
func TestMissingWithTheClockSetBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	for name, text := range map[string]string{".20261120T1": seqLines(1, 10, 10), ".20261120T2": seqLines(11, 20, 12), "": seqLines(21, 27, 11) + seqLines(30, 30, 11)} {
		if err := os.WriteFile(path+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := OpenSources([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Examine(t.Context(), Question{}, sources)
	if err != nil || r.Log.Missing != 2 || r.Log.Lines != 28 {
		t.Errorf("%v %+v", err, r.Log)
	}
}

// The rotated set of a log whose path is a link is beside what the link leads to.
func TestSetBehindALink(t *testing.T) {
	folder, link := t.TempDir(), filepath.Join(t.TempDir(), "decisions.log")
	path := filepath.Join(folder, "real.log")
	for name, text := range map[string]string{".1": seqLines(1, 10, 10), "": seqLines(11, 20, 12)} {
		if err := os.WriteFile(path+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	sources, err := OpenSources([]string{link}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Examine(t.Context(), Question{}, sources)
	if err != nil || r.Log.Lines != 20 {
		t.Errorf("%v %+v", err, r.Log)
	}
}

// A line that was delivered twice counts once, in whatever source it comes again.
func TestRepeatedLines(t *testing.T) {
	var whole, later []string
	for seq := 1; seq <= 3000; seq++ {
		whole = append(whole, crawlLine(seq%60, seq, "HTTP/2.0", fmt.Sprint("/", seq%100), ""))
	}
	later = append(later, whole[1000:2500]...)
	once, err := Examine(t.Context(), Question{}, texts([]byte(strings.Join(whole, ""))))
	if err != nil || once.Crawl.Refused != 3000 || once.Log.Repeated != 0 {
		t.Fatalf("the log alone: %v, %d refused, %d repeated; want 3000 and 0", err, once.Crawl.Refused, once.Log.Repeated)
	}
	for name, sources := range map[string][][]byte{
		"a copy beside it":         {[]byte(strings.Join(whole, "")), []byte(strings.Join(whole, ""))},
		"a part of it beside it":   {[]byte(strings.Join(whole, "")), []byte(strings.Join(later, ""))},
		"a part of it behind it":   {[]byte(strings.Join(whole, "") + strings.Join(later, ""))},
		"every line at once again": {[]byte(strings.Join(twice(whole), ""))},
		"in two overlapping parts": {[]byte(strings.Join(whole[:2500], "")), []byte(strings.Join(whole[1000:], ""))},
	} {
		for _, chunk := range []int{1, 5000, 1 << 20} {
			got, err := examine(t.Context(), &reading{question: &Question{}, filter: newFilter(&Question{}, Choice{}), chunk: chunk}, texts(sources...))
			if err != nil {
				t.Fatal(err)
			}
			lines := 0
			for _, s := range sources {
				lines += strings.Count(string(s), "\n")
			}
			if got.Crawl.Refused != 3000 || got.Log.Records != 3000 || got.Log.Missing != 0 || got.Log.Repeated != int64(lines-3000) || got.Log.Lines != int64(lines) {
				t.Errorf("%s, chunks of %d: %d refused, %+v; want 3000, 3000 records, %d repeated", name, chunk, got.Crawl.Refused, got.Log, lines-3000)
			}
		}
		shown := 0
		read, err := Select(t.Context(), Question{}, Choice{}, texts(sources...), func([]byte) error { shown++; return nil })
		if err != nil || shown != 3000 || read.Repeated == 0 {
			t.Errorf("%s: %v, %d lines selected, %d repeated; want 3000", name, err, shown, read.Repeated)
		}
	}
}

func twice(lines []string) (out []string) {
	for _, line := range lines {
		out = append(out, line, line)
	}
	return out
}

// Beyond the stretches that are remembered, lines are counted twice rather than left out, and what misses still misses.
func TestRepeatedBeyondBounds(t *testing.T) {
	var log strings.Builder
	const every = 3 * maxStretches
	for seq := 1; seq <= every; seq += 2 {
		log.WriteString(crawlLine(1, seq, "HTTP/2.0", "/", ""))
	}
	got, err := Examine(t.Context(), Question{}, texts([]byte(log.String()), []byte(log.String())))
	if err != nil {
		t.Fatal(err)
	}
	if got.Log.Repeated >= every/2 || got.Log.Repeated+got.Log.Records != every || got.Log.Missing != every/2-1 {
		t.Errorf("%d repeated, %d records, %d missing; want %d in all and %d missing", got.Log.Repeated, got.Log.Records, got.Log.Missing, every, every/2-1)
	}
}

// A line above those that were forgotten is known again when it comes twice, alone or at the beginning of others.
func TestRepeatedAboveForgotten(t *testing.T) {
	b := newBoots()
	const last = 4*maxStretches - 1
	for seq := uint64(1); seq <= last; seq += 2 {
		b.take(1, seq)
	}
	n := b.known[1]
	switch {
	case n.forgotten == 0 || n.forgotten >= last:
		t.Fatalf("up to %d of %d are forgotten", n.forgotten, last)
	case b.take(1, last), b.take(1, n.forgotten+2):
		t.Error("a line that was read is taken again")
	case !n.overlaps(last, last+100), n.overlaps(last+1, last+100), n.overlaps(1, n.forgotten):
		t.Error("stretches at the end are not told apart")
	case !b.take(1, n.forgotten):
		t.Error("a line that is not known again counts as repeated")
	}
}

// What a journal, a container's runtime or a shipper puts around a line is no part of it; lines of others are not torn ones.
func TestAround(t *testing.T) {
	line := func(seq int) string { return strings.TrimSuffix(crawlLine(1, seq, "HTTP/2.0", "/ü\"", ""), "\n") }
	quoted := func(seq int) string { return string(must(json.Marshal(line(seq)))) }
	around := []string{
		line(1),
		"Nov 22 00:01:00 shop gate421[811]: " + line(2),
		"2026-11-22T00:01:00.000000+00:00 shop gate421 " + line(3),
		"<14>1 2026-11-22T00:01:00Z shop gate421 811 - [meta x=\"y\"] " + line(4),
		"2026-11-22T00:01:00.123456789Z stdout F " + line(5),
		"gate421-1  | " + line(6),
		"[pod/gate421-0/gate421] " + line(7),
		`{"__CURSOR":"s=1","MESSAGE":` + quoted(8) + `,"PRIORITY":"6"}`,
		`{"log":` + string(must(json.Marshal(line(9)+"\n"))) + `,"stream":"stdout","time":"2026-11-22T00:01:00Z"}`,
		"\x00\x00\x00\x00" + line(10),
		"\ufeff" + line(11),
	}
	for _, text := range around {
		got, err := Examine(t.Context(), Question{}, texts([]byte(text+"\n")))
		if err != nil || got.Crawl.Refused != 1 || got.Log.Foreign != 0 || got.Log.Broken != 0 || got.Waiting[0].Path != `/ü"` {
			t.Errorf("%q: %v, %+v; want one refusal", text, err, got.Log)
		}
		var lines []string
		_, err = Select(t.Context(), Question{}, Choice{}, texts([]byte(text+"\n")), func(line []byte) error { lines = append(lines, string(line)); return nil })
		if err != nil || len(lines) != 1 || !strings.HasPrefix(lines[0], lineBegin) || !json.Valid([]byte(lines[0])) {
			t.Errorf("%q: %v, selected %q; want the line alone", text, err, lines)
		}
		path := filepath.Join(t.TempDir(), "x.log")
		put(t, path, []byte(text+"\n"))
		tail := []string{}
		err = (&Tail{Path: path, Last: 5}).Run(t.Context(), func(line []byte) error { tail = append(tail, string(line)); return nil })
		if err != nil || len(tail) != 1 || tail[0] != lines[0] {
			t.Errorf("%q: %v, tail %q; want %q", text, err, tail, lines)
		}
	}
	for text, foreign := range map[string]bool{
		"gate421: the guard has tripped on example.com":        true,
		"Nov 22 00:01:00 shop systemd[1]: Started gate421.":    true,
		`66.249.66.1 - - [22/Nov/2026] "GET / HTTP/1.1" 200 5`: true,
		`{"level":"info","msg":"x"}`:                           true,
		`{"MESSAGE":"Started gate421.","PRIORITY":"6"}`:        true,
		`{"MESSAGE":[1,2],"log":{"x":1}}`:                      true,
		line(1)[:100]:                                          false,
		"Nov 22 00:01:00 shop gate421: " + line(1)[:60]:        false,
		line(1)[50:]: false,
		"\x00\x00":   false,
	} {
		got, err := Examine(t.Context(), Question{}, texts([]byte(text+"\n")))
		if err != nil || got.Log.Records != 0 || (got.Log.Foreign == 1) != foreign || (got.Log.Broken == 1) == foreign {
			t.Errorf("%q: %v, %+v; want foreign %v, else broken", text, err, got.Log, foreign)
		}
	}
}
