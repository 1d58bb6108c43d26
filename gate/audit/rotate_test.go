package audit

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// content is what a file of the log says, compressed or not.
func content(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".zst") {
		r, err := zstd.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if text, err = io.ReadAll(r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return text
}

// set lists the files of a log, those set aside first.
func set(t *testing.T, path string) []string {
	t.Helper()
	o := &output{path: path, real: path}
	names, err := o.setAside()
	if err != nil {
		t.Fatal(err)
	}
	return append(names, path)
}

// until waits for a condition.
func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Whatever is rotated and compressed, the files together hold every line once, and seq has no hole.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, compressed := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "decisions.log")
		l := open(
			t,
			Config{
				File:     path,
				Patience: time.Minute,
				Rotate:   Rotation{Size: 20_000, Compress: compressed},
				OnRotate: func(_ string, err error) {
					if err != nil {
						t.Error(err)
					}
				},
			},
		)
		for range 500 {
			if err := l.Refusal(full()); err != nil {
				t.Fatal(err)
			}
		}
		rotations := int(l.Stats().Rotations)
		until(t, "compression", func() bool {
			done := 0
			for _, name := range set(t, path) {
				if compressed == strings.HasSuffix(name, ".zst") && name != path {
					done++
				}
			}
			return done == rotations
		})
		l.Close()
		seq, files := 0.0, set(t, path)
		for _, name := range files {
			for _, line := range lines(t, content(t, name)) {
				if seq++; line["seq"] != seq {
					t.Fatalf("%s: seq %v, want %v", name, line["seq"], seq)
				}
			}
			if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o007 != 0 {
				t.Errorf("%s: %v %v", name, info.Mode(), err)
			}
		}
		if seq != 500 || rotations < 15 || len(files) != rotations+1 {
			t.Errorf("%v lines in %d files after %d rotations", seq, len(files), rotations)
		}
	}
}

// A start finishes what an end interrupted: files not compressed, compressions half done, more files than are kept.
// What is not the log's is left alone.
func TestRotationTidiesUp(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "decisions.log")
	for _, name := range []string{
		"decisions.log.20260101T000000.000001Z.zst", "decisions.log.20260102T000000.000000Z", "decisions.log.20260103T000000.000000Z",
		"decisions.log.20260103T000000.000000Z.zst.tmp", "decisions.log.20260103T000000.000000Z.zst.123.tmp", "decisions.log.1", "decisions.log.bak", "other.log.20260101T000000.000000Z",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("{}\n"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	open(t, Config{File: path, Rotate: Rotation{Size: 1 << 20, Keep: 2, Compress: true}})
	want := "decisions.log decisions.log.1 decisions.log.20260101T000000.000001Z.kept.zst decisions.log.20260102T000000.000000Z.zst decisions.log.20260103T000000.000000Z.zst decisions.log.bak other.log.20260101T000000.000000Z"
	var got string
	until(t, "tidying up", func() bool {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		got = strings.Join(names, " ")
		return got == want
	})
	if text := content(t, filepath.Join(folder, "decisions.log.20260103T000000.000000Z.zst")); string(text) != "{}\n" {
		t.Errorf("%q", text)
	}
}

// A file that cannot be set aside, here because the new name would be too long, takes its lines all the same.
func TestRotationThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("x", 250))
	told := make(chan error, 1)
	l := open(
		t,
		Config{
			File:     path,
			Patience: time.Minute,
			Rotate:   Rotation{Size: 1000, Compress: true},
			OnRotate: func(_ string, err error) { told <- err },
		},
	)
	for range 20 {
		if err := l.Refusal(full()); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-told; err == nil || !strings.Contains(err.Error(), "cannot be set aside: ") {
		t.Errorf("told %v", err)
	}
	if got := lines(t, content(t, path)); len(got) != 20 || l.Stats().Rotations != 0 {
		t.Errorf("%d lines, %d rotations", len(got), l.Stats().Rotations)
	}
}

func TestQueryIsDropped(t *testing.T) {
	var out bytes.Buffer
	l := open(t, Config{File: "-", Stdout: &out, Privacy: Privacy{NoQuery: true}})
	crawler, browser := full(), full()
	browser.Claim = ""
	l.Decision(crawler)
	l.Decision(browser)
	l.Close()
	got := lines(t, out.Bytes())
	if got[0]["path"] != "/shop/?a=1" || got[1]["path"] != "/shop/" {
		t.Errorf("%v %v", got[0]["path"], got[1]["path"])
	}
}

func TestPrivacyOfNetworks(t *testing.T) {
	p := Privacy{Truncate: true}
	for given, want := range map[string]string{
		"192.0.2.77/32": "192.0.2.0/24", "192.0.2.0/24": "192.0.2.0/24", "192.0.0.0/16": "192.0.0.0/16", "2001:db8:1:2::/64": "2001:db8:1::/48",
	} {
		if got := p.Network(netip.MustParsePrefix(given)); got.String() != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
	if got := p.Network(netip.Prefix{}); got.IsValid() {
		t.Errorf("%v of nobody", got)
	}
}
