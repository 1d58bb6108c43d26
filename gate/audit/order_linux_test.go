package audit

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A clock that was ahead left names that are yet to come: what is set aside now is the newest all the same, and is
// kept.
func TestRotationWithTheClockSetBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	for _, stamp := range []string{"20990101T000000.000000Z", "20990102T000000.000000Z"} {
		if err := os.WriteFile(path+"."+stamp, nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	l := open(t, Config{File: path, Patience: time.Minute, Rotate: Rotation{Size: 5000, Keep: 2}})
	for range 40 {
		if err := l.Refusal(full()); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	o := &output{path: path, real: path, rotate: Rotation{Keep: 2}}
	o.tidy(t.Context())
	files := set(t, path)
	if len(files) != 4 || !strings.HasSuffix(files[0], ".kept") || len(content(t, files[1])) == 0 ||
		len(content(t, files[2])) == 0 {
		t.Fatalf("%q", files)
	}
	seq := 0.0
	for _, name := range files {
		for _, line := range lines(t, content(t, name)) {
			if line["seq"].(float64) <= seq {
				t.Errorf("%s: seq %v after %v", name, line["seq"], seq)
			}
			seq = line["seq"].(float64)
		}
	}
	if seq != 40 {
		t.Errorf("the last is %v", seq)
	}
}

// Where no new file can be opened, here for want of descriptors, the log goes on in the file it has.
func TestRotationWithoutDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	told := make(chan error, 100)
	l := open(
		t,
		Config{
			File:     path,
			Patience: time.Minute,
			Rotate:   Rotation{Size: 3000},
			OnRotate: func(_ string, err error) { told <- err },
		},
	)
	if err := l.Refusal(full()); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowest := limit
	lowest.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowest); err != nil {
		t.Fatal(err)
	}
	var errs []error
	for range 20 {
		errs = append(errs, l.Refusal(full()))
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		t.Errorf("refusal %d: %v", i, errs[i])
	}
	if err := <-told; err == nil || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("told %v", err)
	}
	if files := set(t, path); len(files) != 1 || len(lines(t, content(t, path))) != 21 {
		t.Errorf("%q: %d lines", files, len(lines(t, content(t, path))))
	}
}
