package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestReplace(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "counts.json")
	for _, content := range []string{"first", "", "a longer third content"} {
		if err := ReplaceBytes(path, 0o600, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("the file holds %q, %v; want %q", got, err, content)
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	onlyFile(t, folder, "counts.json")
}

func TestReplaceFailsWithoutATrace(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "counts.json")
	if err := ReplaceBytes(path, 0o640, []byte("before")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	err := Replace(path, 0o600, func(w io.Writer) error {
		if _, err := io.WriteString(w, "half of what was"); err != nil {
			return err
		}
		return full
	})
	if err != full {
		t.Errorf("got error %v, want the writer's own", err)
	}
	if got, _ := os.ReadFile(path); string(got) != "before" {
		t.Errorf("the file holds %q, want %q", got, "before")
	}
	onlyFile(t, folder, "counts.json")

	err = ReplaceBytes(filepath.Join(folder, "missing", "file"), 0o600, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: got error %v, want %v", err, fs.ErrNotExist)
	}
	if err := os.Mkdir(filepath.Join(folder, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceBytes(filepath.Join(folder, "taken"), 0o600, nil); err == nil {
		t.Error("a folder was replaced by a file")
	}
	onlyFile(t, folder, "counts.json", "taken")
}

func TestReplaceDoesNotFollowALink(t *testing.T) {
	folder := t.TempDir()
	target, link := filepath.Join(folder, "target"), filepath.Join(folder, "link")
	if err := os.WriteFile(target, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceBytes(link, 0o600, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "theirs" {
		t.Errorf("the link's target holds %q, want it untouched", got)
	}
	if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
		t.Errorf("in the link's place is %v, %v; want a regular file", info.Mode(), err)
	}
}

func onlyFile(t *testing.T, folder string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if len(got) != len(names) {
		t.Errorf("the folder holds %q, want %q", got, names)
	}
}
