//go:build unix

package guard

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRequestsBelongToTheGateway has root ask a gateway that runs as somebody else.
func TestRequestsBelongToTheGateway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can hand files on")
	}
	const user, group = 54321, 54322
	for name, before := range map[string]func(folder string) error{
		"no folder yet":     func(string) error { return nil },
		"a folder of roots": func(folder string) error { return os.Mkdir(filepath.Join(folder, resumeFolder), 0o700) },
	} {
		folder := t.TempDir()
		if err := os.Chown(folder, user, group); err != nil {
			t.Fatal(err)
		}
		if err := before(folder); err != nil {
			t.Fatal(err)
		}
		if err := RequestResume(folder, "s"); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{resumeFolder: os.ModeDir | 0o700, filepath.Join(resumeFolder, "s"): 0o600} {
			info, err := os.Stat(filepath.Join(folder, path))
			if err != nil {
				t.Fatal(err)
			}
			owner := info.Sys().(*syscall.Stat_t)
			if owner.Uid != user || owner.Gid != group || info.Mode() != mode {
				t.Errorf("%s: %s belongs to %d:%d, mode %v", name, path, owner.Uid, owner.Gid, info.Mode())
			}
		}
	}
}

func TestOpenMakesTheFolderForRequests(t *testing.T) {
	folder := t.TempDir()
	g, err := Open(Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if info, err := os.Stat(filepath.Join(folder, resumeFolder)); err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestRequestsStayInTheStateFolder has a link in place of the folder: what root makes must not land elsewhere.
func TestRequestsStayInTheStateFolder(t *testing.T) {
	folder, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(folder, resumeFolder)); err != nil {
		t.Fatal(err)
	}
	if err := RequestResume(folder, "s"); err == nil {
		t.Error("no error")
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}
