package audit

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

// flooded writes a log in which a few lines prove something and all others are a stranger's, one network each, until
// its files have been set aside so many times; and returns the ids of those few.
func flooded(t *testing.T, path string, r Rotation, turns int) (proofs []string) {
	t.Helper()
	l := open(t, Config{File: path, Patience: time.Minute, Rotate: r, OnRotate: func(_ string, err error) {
		if err != nil {
			t.Error(err)
		}
	}})
	stranger := full()
	stranger.Claim, stranger.Verdict, stranger.Action, stranger.Path = "googlebot", "impostor", "serve", `/"verdict":"genuine",`+strings.Repeat(
		"a",
		2000,
	)
	for n := 0; int(l.Stats().Rotations) < turns; n++ {
		stranger.ClientIP = netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 1})
		l.Decision(stranger)
		if n%50 == 0 {
			r := full()
			r.RequestID = "proof-" + time.Duration(n).String()
			if err := l.Refusal(r); err != nil {
				t.Fatal(err)
			}
			proofs = append(proofs, r.RequestID)
			l.Event("rule", Fields{"what": r.RequestID})
		}
	}
	l.Close()
	o := &output{path: path, real: path, rotate: r, onRotate: func(_ string, err error) { t.Error(err) }}
	o.tidy(t.Context())
	return proofs
}

// Whatever number of files strangers fill, every refusal and every event stays, and every other line's number is
// accounted for.
func TestProofOutlivesAFlood(t *testing.T) {
	t.Parallel()
	for _, compress := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "decisions.log")
		r := Rotation{Size: 100_000, Keep: 3, Compress: compress}
		proofs := flooded(t, path, r, 40)
		files := set(t, path)
		whole, kept := split(files)
		if len(whole) != r.Keep+1 || len(kept) == 0 || len(kept) > 2*keptParts {
			t.Errorf("%d whole, %d kept: %q", len(whole), len(kept), files)
		}
		var ids, events []string
		next, size := 1.0, int64(0)
		for _, name := range files {
			for _, line := range lines(t, content(t, name)) {
				number := func(name string) float64 { n, _ := line[name].(float64); return n }
				switch {
				case line["event"] == "rule":
					events = append(events, line["what"].(string))
				case line["action"] == "refuse":
					ids = append(ids, line["request_id"].(string))
				}
				next += number("lost") + number("left_out") + max(number("removed")-1, 0)
				if line["seq"] != next {
					t.Fatalf("%s: seq %v, want %v: %v", name, line["seq"], next, line)
				}
				next++
			}
		}
		for _, name := range kept {
			info, err := os.Stat(name)
			if err != nil || info.Mode().Perm()&0o007 != 0 {
				t.Errorf("%s: %v %v", name, info.Mode(), err)
			}
			size += info.Size()
		}
		if !slices.Equal(ids, proofs) || !slices.Equal(events, proofs) || size > r.Size {
			t.Errorf("compress %v: %d refusals and %d events of %d in %d bytes", compress, len(ids), len(events),
				len(proofs), size)
		}
	}
}

// Whatever moment a reduction ends at, the next start finishes it, and no line is there twice or not at all.
func TestReductionIsFinished(t *testing.T) {
	for _, compress := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "decisions.log")
		flooded(
			t,
			path,
			Rotation{Size: 20_000, Keep: 1, Compress: compress},
			6,
		) // one kept file, the first files are in it
		files := set(t, path)
		whole, kept := split(files[:len(files)-1])
		before := bytes.Join([][]byte{content(t, kept[len(kept)-1]), content(t, whole[0])}, nil)
		old, moved := kept[len(kept)-1], whole[0]
		o := &output{
			path:     path,
			real:     path,
			rotate:   Rotation{Size: 1 << 20, Keep: 1, Compress: compress},
			onRotate: func(_ string, err error) { t.Error(err) },
		}
		save := map[string][]byte{}
		for _, name := range []string{old, moved} {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			save[name] = text
		}
		if err := o.reduce(t.Context(), moved, old); err != nil {
			t.Fatal(err)
		}
		_, kept = split(set(t, path))
		made := kept[len(kept)-1]
		after := content(t, made)
		if bytes.Count(before, []byte(`"action":"refuse"`)) != bytes.Count(after, []byte(`"action":"refuse"`)) {
			t.Errorf("compress %v: refusals are missing", compress)
		}
		for _, left := range [][]string{{old, moved}, {moved}} {
			for _, name := range left {
				if err := os.WriteFile(name, save[name], 0o640); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(made+".9.tmp", after[:1], 0o640); err != nil {
				t.Fatal(err)
			}
			o.tidy(t.Context())
			if _, kept = split(set(t, path)); kept[len(kept)-1] != made || !bytes.Equal(content(t, made), after) {
				t.Errorf("compress %v: %q", compress, kept)
			}
			for _, name := range []string{old, moved, made + ".9.tmp"} {
				if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("compress %v: %s is still there: %v", compress, name, err)
				}
			}
		}
	}
}

// Kept files have their bound, too, and the oldest goes first.
func TestKeptFilesAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	r := Rotation{Size: 20_000, Keep: 1}
	l := open(t, Config{File: path, Patience: time.Minute, Rotate: r})
	for range 500 {
		if err := l.Refusal(full()); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	o := &output{path: path, real: path, rotate: r, onRotate: func(_ string, err error) { t.Error(err) }}
	o.tidy(t.Context())
	whole, kept := split(set(t, path))
	if len(whole) != 2 || len(kept) != 1 {
		t.Errorf("%q %q", whole, kept)
	}
}

// A file that cannot be read to its end gives what can be read of it, and is said.
func TestReductionOfADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	name := path + ".20260101T000000.000000Z"
	l := open(t, Config{File: name, Patience: time.Minute})
	for range 2000 {
		r := full()
		r.Path = "/" + time.Now().String()
		if err := l.Refusal(r); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	if err := compress(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name + ".zst")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".zst", text[:len(text)-len(text)/4], 0o640); err != nil {
		t.Fatal(err)
	}
	o := &output{path: path, real: path, rotate: Rotation{Size: 1 << 20, Keep: 1, Compress: true}}
	err = o.reduce(t.Context(), name+".zst", "")
	if err == nil || !strings.Contains(err.Error(), "could not be read to its end") {
		t.Errorf("%v", err)
	}
	files := set(t, path)
	if got := bytes.Count(content(t, files[0]), []byte(`"action":"refuse"`)); len(files) != 2 || got < 500 ||
		got >= 2000 {
		t.Errorf("%q: %d lines", files, got)
	}
}

// What another program wrote into a file, and what is torn, is kept as it is.
func TestReductionKeepsWhatIsNotOurs(t *testing.T) {
	for _, line := range []string{
		"plain text\n", "{\"v\":1}\n", `{"v":1,"time":"2026-11-22T14:04:05.678900Z","boot":"00000000","seq":7,"event":"decision","pa` + "\n",
		strings.Repeat("x", 200_000) + "\n", "no end",
		`{"v":1,"time":"2026-11-22T14:04:05.678900Z","boot":"00000000","seq":7,"event":"decision","verdict":"genuine"}` + "\n",
		`{"v":1,"time":"2026-11-22T14:04:05.678900Z","boot":"00000000","seq":7,"event":"gap","removed":5,"since":"2026-11-22T14:04:05Z"}` + "\n",
	} {
		var out bytes.Buffer
		damage, err := keep(t.Context(), &out, strings.NewReader(line), false, false)
		if damage != nil || err != nil || out.String() != line {
			t.Errorf("%.60q: %.60q, %v, %v", line, out.String(), damage, err)
		}
	}
}

// What a disk cannot read now is not given up for that; what was cut off is.
func TestDiskThatCannotBeRead(t *testing.T) {
	line := strings.NewReader(`{"v":1,"time":"2026-11-20T10:00:00.000000Z","boot":"b","seq":1,"event":"rule"}` + "\n")
	broken := io.MultiReader(line, iotest.ErrReader(&os.PathError{Op: "read", Path: "x", Err: syscall.EIO}))
	if damage, err := keep(t.Context(), io.Discard, broken, false, false); damage != nil ||
		!errors.Is(err, syscall.EIO) {
		t.Errorf("damage %v, error %v", damage, err)
	}
	var whole bytes.Buffer
	w, err := newCompressor(&whole)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(bytes.Repeat([]byte("{}\n"), 1000))
	w.Close()
	for _, disk := range []error{nil, &os.PathError{Op: "read", Path: "x", Err: syscall.EIO}} {
		cut := io.Reader(bytes.NewReader(whole.Bytes()[:whole.Len()-4]))
		if disk != nil {
			cut = io.MultiReader(cut, iotest.ErrReader(disk))
		}
		if damage, err := keep(t.Context(), io.Discard, cut, true, true); (damage != nil) != (disk == nil) ||
			(err != nil) != (disk != nil) {
			t.Errorf("compressed, %v: damage %v, error %v", disk, damage, err)
		}
	}
}
