package report

import (
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
