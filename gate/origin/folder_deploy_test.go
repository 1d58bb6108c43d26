//go:build unix

package origin

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// switchTo makes name a link to target, as deployment tools do: in one step.
func switchTo(t *testing.T, name, target string) {
	if err := os.Symlink(target, name+".next"); err != nil {
		t.Error(err)
	}
	if err := os.Rename(name+".next", name); err != nil {
		t.Error(err)
	}
}

// While a client takes a file its descriptor alone is held.
func TestFolderHoldsOneDescriptor(t *testing.T) {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil || len(open) == 0 {
		t.Skip("no /proc")
	}
	root, url := site(t, "sub/b.txt")
	o, err := New(Config{Servers: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	var held []string
	w := looking{httptest.NewRecorder(), func() {
		open, _ := os.ReadDir("/proc/self/fd")
		for _, fd := range open {
			if where, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(where, real) {
				held = append(held, strings.TrimPrefix(where, real))
			}
		}
	}}
	o.Serve(w, httptest.NewRequest("GET", "/sub/b.txt", nil))
	if len(held) != 1 || held[0] != "/sub/b.txt" {
		t.Errorf("%q", held)
	}
}

// No page is said to be missing where this process has no descriptor left.
func TestFolderWithoutDescriptors(t *testing.T) {
	const asked = "GATE421_FOLDER"
	url := os.Getenv(asked)
	if url == "" {
		_, url := site(t, "sub/b.txt")
		alone := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		alone.Env = append(os.Environ(), asked+"="+url)
		if out, err := alone.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	o, err := New(Config{Servers: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	get := func() (int, error) {
		w := httptest.NewRecorder()
		_, _, _, err := o.Serve(w, httptest.NewRequest("GET", "/a.txt", nil))
		return w.Code, err
	}
	if code, err := get(); code != 200 || err != nil {
		t.Fatal(code, err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}); err != nil {
		t.Fatal(err)
	}
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		held = append(held, f)
	}
	for free := range 3 {
		if code, err := get(); (code == 200) != (free == 2) ||
			code != 200 && (code != 503 || (outcome{err: err}).word() != Unreachable) {
			t.Errorf("%d descriptors: %d, %v", free, code, err)
		}
		held[free].Close()
	}
}

// looking looks before the response begins.
type looking struct {
	*httptest.ResponseRecorder
	look func()
}

func (l looking) WriteHeader(status int) {
	l.look()
	l.ResponseRecorder.WriteHeader(status)
}

// A folder that is replaced is served at once, however that is done.
func TestFolderIsReplaced(t *testing.T) {
	top := t.TempDir()
	for _, release := range []string{"1", "2", "3"} {
		fill(t, top, "releases/"+release+"/public/a.txt", release)
		fill(t, top, "releases/"+release+"/public/sub/index.html", release)
		if err := os.Symlink(filepath.Join(top, "current", "public", "a.txt"), filepath.Join(top, "releases", release, "public", "whole")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../public/sub", filepath.Join(top, "releases", release, "public", "relative")); err != nil {
			t.Fatal(err)
		}
	}
	current := filepath.Join(top, "current")
	switchTo(t, current, "releases/1")
	for _, where := range []string{"current/public", "link"} {
		if where == "link" {
			switchTo(t, filepath.Join(top, "link"), "current/public")
		}
		both(t, Config{Servers: []string{"file:" + filepath.Join(top, where)}}, func(t *testing.T, g *gateway) {
			serves := func(want string) {
				t.Helper()
				for _, path := range []string{"/a.txt", "/sub/", "/whole", "/relative/"} {
					if answer := g.get(t, path); answer.StatusCode != 200 || content(t, answer) != want {
						t.Errorf("%s of release %s: %s", path, want, answer.Status)
					}
				}
			}
			serves("1")
			switchTo(t, current, "releases/2")
			serves("2")
			switchTo(t, current, filepath.Join(top, "releases", "3")) // an absolute one
			serves("3")
			switchTo(t, current, "releases/1")
			serves("1")
		})
	}
}

// Between rm and mv there is no folder. Nothing of it is missing for good, and the record says what is wrong.
func TestFolderIsAwayForAMoment(t *testing.T) {
	root, url := site(t)
	g := open(t, Config{Servers: []string{url}}, false)
	if content(t, g.get(t, "/a.txt")) != page {
		t.Fatal("not served at first")
	}
	receive(t, g.outcomes)
	for range 3 {
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
		answer := g.get(t, "/a.txt")
		if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
			t.Errorf("without a folder: %s", answer.Status)
		}
		if result := receive(t, g.outcomes); result.word() != Unreachable || result.cut() {
			t.Errorf("without a folder: %v", result.err)
		}
		fill(t, root+".new", "a.txt", "new")
		if err := os.Rename(root+".new", root); err != nil {
			t.Fatal(err)
		}
		if answer := g.get(t, "/a.txt"); content(t, answer) != "new" {
			t.Errorf("with a new folder: %s", answer.Status)
		}
		receive(t, g.outcomes)
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Dir(root), filepath.Base(root), "a file")
	if answer := g.get(t, "/"); answer.StatusCode != 503 {
		t.Errorf("with a file for a folder: %s", answer.Status)
	}
}

// While releases are switched nobody gets a part of one and a part of another, or nothing.
func TestFolderIsReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	const size = 300_000
	for _, release := range []string{"a", "b"} {
		fill(t, top, release+"/file.txt", strings.Repeat(release, size))
	}
	current := filepath.Join(top, "current")
	switchTo(t, current, "a")
	both(t, Config{Servers: []string{"file:" + current}}, func(t *testing.T, g *gateway) {
		done := make(chan struct{})
		var switching sync.WaitGroup
		switching.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					switchTo(t, current, []string{"b", "a"}[i%2])
				}
			}
		})
		for range 100 {
			answer := g.get(t, "/file.txt")
			body := content(t, answer)
			if answer.StatusCode != 200 || len(body) != size || strings.Count(body, body[:1]) != size {
				t.Errorf("%s, %d bytes, mixed", answer.Status, len(body))
			}
			receive(t, g.outcomes)
		}
		close(done)
		switching.Wait()
	})
}

// Whoever may write into the folder can lead nobody out of it, at no moment.
func TestFolderOfHostileLinks(t *testing.T) {
	root, url := site(t, "sub/secret.txt", "own.txt")
	outside := t.TempDir()
	fill(t, outside, "secret.txt", "secret")
	o, err := New(Config{Servers: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var switching sync.WaitGroup
	for name, targets := range map[string][2]string{
		"file":       {"own.txt", filepath.Join(outside, "secret.txt")},
		"whole":      {filepath.Join(root, "own.txt"), filepath.Join(outside, "secret.txt")},
		"dir":        {"sub", outside},
		"whole-dir":  {filepath.Join(root, "sub"), outside},
		"chain":      {"whole-dir/secret.txt", "dir/secret.txt"},
		"up":         {"../site/own.txt", "../../../../../.." + filepath.Join(outside, "secret.txt")},
		"passwd-dir": {filepath.Join(root, "sub"), "/etc"},
	} {
		switchTo(t, filepath.Join(root, name), targets[0])
		switching.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-done:
					return
				default:
					switchTo(t, filepath.Join(root, name), targets[i%2])
				}
			}
		})
	}
	ended := func(w *recorder, target string) {
		r, _ := http.NewRequest("GET", "http://shop.example"+target, nil)
		r.RequestURI = target
		o.Serve(w, r)
	}
	found := 0
	for range 500 {
		for _, target := range []string{"/file", "/whole", "/dir/secret.txt", "/whole-dir/secret.txt", "/chain", "/up", "/passwd-dir/passwd"} {
			w := &recorder{header: http.Header{}}
			ended(w, target)
			switch body := w.String(); {
			case w.status == 200 && body != "own.txt" && body != "sub/secret.txt":
				t.Fatalf("%s: %q", target, body)
			case w.status == 200:
				found++
			case w.status != 404:
				t.Fatalf("%s: %d", target, w.status)
			}
		}
	}
	close(done)
	switching.Wait()
	if found == 0 {
		t.Error("nothing was ever found")
	}
}

// recorder takes an answer.
type recorder struct {
	strings.Builder
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.Builder.Write(p) }

// A file that becomes shorter while it is sent is not sent as if it were whole.
func TestFolderFileBecomesShorter(t *testing.T) {
	const size = 64 << 20
	root, url := site(t)
	both(t, Config{Servers: []string{url}}, func(t *testing.T, g *gateway) {
		fill(t, root, "large.bin", strings.Repeat("x", size))
		answer := g.get(t, "/large.bin")
		if _, err := io.CopyN(io.Discard, answer.Body, 1000); err != nil || answer.ContentLength != size {
			t.Fatal(answer.ContentLength, err)
		}
		if err := os.Truncate(filepath.Join(root, "large.bin"), 1000); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err == nil {
			t.Error("the answer looks whole")
		}
		if result := receive(t, g.outcomes); result.word() != Reset || !result.cut() {
			t.Errorf("%v", result.err)
		}
	})
}
