package files

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Somebody else, and the user that a gateway without root's rights runs as.
const (
	stranger = 54321
	gateway  = 54322
)

// as does something as a user: the thread it is done on is that user's, and ends with it.
func as(t *testing.T, uid int, do func()) {
	t.Helper()
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // for good
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0))
		if errno == 0 {
			do()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Fatal(errno)
	}
}

// world is a folder with everything in it that somebody could lead a file elsewhere with.
func world(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to others")
	}
	top := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(top, name) }
	must(os.Chmod(filepath.Dir(top), 0o755))
	must(os.Chmod(top, 0o755))
	for name, uid := range map[string]int{"root": 0, "gateway": gateway, "stranger": stranger, "sticky": 0, "open": 0, "group": 0, "log": 0} {
		must(os.Mkdir(in(name), 0o755))
		must(os.Chown(in(name), uid, uid))
	}
	must(os.Chmod(in("sticky"), 0o777|os.ModeSticky))
	must(os.Chmod(in("open"), 0o777))
	must(os.Chmod(in("group"), 0o775))
	must(os.WriteFile(in("root/secret"), []byte("root:x\n"), 0o600))
	must(os.WriteFile(in("gateway/own"), []byte("own\n"), 0o600))
	must(os.Chown(in("gateway/own"), gateway, gateway))
	must(os.WriteFile(in("sticky/theirs"), nil, 0o666))
	must(os.Chmod(in("sticky/theirs"), 0o666))
	must(os.Chown(in("sticky/theirs"), stranger, stranger))
	must(os.WriteFile(in("sticky/roots"), nil, 0o640))
	must(os.Mkdir(in("sticky/folder"), 0o755))
	must(os.Chown(in("sticky/folder"), stranger, stranger))
	link := func(target, name string, uid int) {
		t.Helper()
		must(os.Symlink(target, in(name)))
		must(os.Lchown(in(name), uid, uid))
	}
	link(in("root/secret"), "sticky/link", stranger)
	link(in("root/secret"), "open/link", stranger)
	link(in("root/secret"), "group/link", stranger)
	link(in("root"), "sticky/path", stranger)
	link("../root/new", "log/link", 0)
	link(in("root/new"), "sticky/roots-link", 0)
	link("link", "log/link-to-link", 0)
	link("loop", "log/loop", 0)
	link("/dev/stdout", "log/stdout", 0)
	link(in("sticky/link"), "log/through", 0)
	must(os.Link(in("root/secret"), in("sticky/hard")))
	must(os.Link(in("root/secret"), in("log/hard")))
	must(os.Link(in("gateway/own"), in("sticky/hard-own")))
	must(syscall.Mkfifo(in("sticky/fifo"), 0o666))
	must(os.Chown(in("sticky/fifo"), stranger, stranger))
	return top
}

func TestOpen(t *testing.T) {
	top := world(t)
	for _, test := range []struct {
		path, wrong string // of the error, "" for none
		uid         int
		real        string // "": the path
	}{
		{"root/decisions.log", "", 0, ""},
		{"root/../root/./decisions.log", "", 0, "root/decisions.log"},
		{"log/link", "", 0, "root/new"},
		{"log/link-to-link", "", 0, "root/new"},
		{"log/hard", "", 0, ""}, // in a folder of root's alone it is what root made
		{"log/loop", "too many levels", 0, ""},
		{"log/through", "is a link of user 54321's", 0, ""},
		{"sticky/new", "", 0, ""},
		{"sticky/roots", "", 0, ""},
		{"sticky/roots-link", "", 0, "root/new"},
		{"sticky/link", "is a link of user 54321's", 0, ""},
		{"sticky/path/new", "is a link of user 54321's", 0, ""},
		{"sticky/folder/new", "belongs to user 54321", 0, ""},
		{"sticky/theirs", "belongs to user 54321", 0, ""},
		{"sticky/fifo", "belongs to user 54321", 0, ""},
		{"sticky/hard", "has a second name", 0, ""},
		{"stranger/new", "belongs to user 54321", 0, ""},
		{"open/new", "everybody can write", 0, ""},
		{"open/link", "everybody can write", 0, ""},
		{"group/new", "", 0, ""},
		{"group/link", "is a link of user 54321's", 0, ""},
		{"missing/new", "no such file", 0, ""},
		{"root/secret/new", "not a directory", 0, ""},

		{"gateway/decisions.log", "", gateway, ""},
		{"root/new-one", "permission denied", gateway, ""},
		{"sticky/another", "", gateway, ""},
		{"open/another", "", gateway, ""},
		{"sticky/link", "is a link of user 54321's", gateway, ""},
		{"open/link", "is a link of user 54321's", gateway, ""},
		{"sticky/hard-own", "has a second name", gateway, ""},
		{"sticky/path/new", "is a link of user 54321's", gateway, ""},
	} {
		as(t, test.uid, func() {
			f, real, err := Open(filepath.Join(top, ".")+"/"+test.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640)
			want := filepath.Join(top, test.real)
			if test.real == "" {
				want = filepath.Join(top, test.path)
			}
			switch {
			case test.wrong == "" && (err != nil || real != want):
				t.Errorf("user %d, %s: %q, %v", test.uid, test.path, real, err)
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
				t.Errorf("user %d, %s: %v, want %q", test.uid, test.path, err, test.wrong)
			}
			if err == nil {
				f.WriteString("line\n")
				f.Close()
			}
			if errors.As(err, new(*Unsafe)) && Cure(err) == "" {
				t.Errorf("user %d, %s: no cure", test.uid, test.path)
			}
		})
	}
	for name, want := range map[string]string{"root/secret": "root:x\nline\n", "gateway/own": "own\n"} { // log/hard is meant
		if text, err := os.ReadFile(filepath.Join(top, name)); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// What a process has open itself is written to, whoever it belongs to.
func TestOpenOfAProcessesOwn(t *testing.T) {
	top := world(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	for _, path := range []string{"/proc/self/fd/" + itoa(writer.Fd()), "/dev/fd/" + itoa(writer.Fd())} {
		f, _, err := Open(path, os.O_WRONLY, 0)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		f.Close()
	}
	if _, err := os.Stat("/dev/stdout"); err == nil {
		if _, err := Resolve(filepath.Join(top, "log/stdout")); err != nil {
			t.Error(err)
		}
	}
}

func itoa(n uintptr) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

func TestFolder(t *testing.T) {
	top := world(t)
	for _, test := range []struct {
		path, wrong string
		uid         int
		open        bool
	}{
		{"root", "", 0, false},
		{"stranger", "belongs to user 54321", 0, false},
		{"sticky/folder", "belongs to user 54321", 0, false},
		{"sticky/path", "is a link of user 54321's", 0, false},
		{"open", "everybody can write", 0, true},
		{"sticky", "", 0, true},
		{"root/secret", "not a directory", 0, false},
		{"missing", "no such file", 0, false},
		{"stranger", "", gateway, false},
		{"open", "", gateway, true},
	} {
		as(t, test.uid, func() {
			open, err := Folder(filepath.Join(top, test.path))
			if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) ||
				err == nil && open != test.open {
				t.Errorf("user %d, %s: %v %v", test.uid, test.path, open, err)
			}
		})
	}
}

// Somebody who turns a folder into a link again and again, in a folder that a group can write in, leads nothing
// elsewhere.
func TestOpenWhileAFolderIsReplaced(t *testing.T) {
	top := world(t)
	mine, elsewhere := filepath.Join(top, "group/log"), filepath.Join(top, "root")
	if err := os.Mkdir(mine, 0o775); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(mine, 0o775); err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	ended := make(chan struct{})
	turns := 0
	go func() {
		defer close(ended)
		as(t, stranger, func() { // who is in the group that can write there
			for {
				select {
				case <-end:
					return
				default:
				}
				if os.Rename(mine, mine+".away") == nil && os.Symlink(elsewhere, mine) == nil {
					turns++
				}
				os.Remove(mine)
				os.Rename(mine+".away", mine)
			}
		})
	}()
	opened := 0
	for range 3000 {
		f, _, err := Open(filepath.Join(mine, "raced.log"), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640)
		if err == nil {
			opened++
			f.Close()
		}
	}
	close(end)
	<-ended
	if _, err := os.Lstat(filepath.Join(elsewhere, "raced.log")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made elsewhere: %v", err)
	}
	if opened == 0 || turns == 0 {
		t.Errorf("opened %d times in %d turns", opened, turns)
	}
}
