package server

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gate421/gate/config"
)

// attended lets the gateway follow its file, as the command run does.
func (s *setup) attended(t *testing.T, file string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.gateway.Follow(ctx, make(chan os.Signal), file, func() (*config.Config, error) {
			return config.Load(file, []string{"googlebot"})
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// texts has the file's text with a rule more, and one that is wrong.
func (s *setup) texts(t *testing.T) (other, wrong []byte) {
	t.Helper()
	text, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Replace(text, []byte("http2_crawl: refuse"), []byte("http2_crawl: observe"), 1),
		bytes.Replace(text, []byte("http2_crawl"), []byte("http2_crwal"), 1)
}

// Whoever changes the file does it in one of these ways; each is followed, and what is wrong is said once.
func TestTheFileIsFollowed(t *testing.T) {
	t.Parallel()
	const torn = "written in two halves"
	must := func(t *testing.T, errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, way := range map[string]struct {
		lay    func(t *testing.T, s *setup) (file string) // puts the first text there
		change func(t *testing.T, file string, text []byte, turn int)
	}{
		"written in place": {nil, func(t *testing.T, file string, text []byte,
			_ int) {
			must(t, os.WriteFile(file, text, 0o600))
		}},
		torn: {nil, func(t *testing.T, file string, text []byte, _ int) {
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
			must(t, err)
			_, err = f.Write(text[:len(text)/2])
			must(t, err)
			time.Sleep(settleTime / 4)
			_, err = f.Write(text[len(text)/2:])
			must(t, err, f.Close())
		}},
		"renamed into place": {nil, func(t *testing.T, file string, text []byte, _ int) {
			must(t, os.WriteFile(file+".new", text, 0o600), os.Rename(file+".new", file))
		}},
		"the old one renamed first": {nil, func(t *testing.T, file string, text []byte, _ int) {
			must(t, os.Rename(file, file+"~"), os.WriteFile(file, text, 0o600), os.Remove(file+"~"))
		}},
		"a ConfigMap": {func(t *testing.T, s *setup) string {
			text, err := os.ReadFile(s.File)
			folder := t.TempDir()
			must(t, err, os.Mkdir(filepath.Join(folder, "..1"), 0o700),
				os.WriteFile(filepath.Join(folder, "..1", "gate421.yaml"), text, 0o600),
				os.Symlink("..1", filepath.Join(folder, "..data")),
				os.Symlink(filepath.Join("..data", "gate421.yaml"), filepath.Join(folder, "gate421.yaml")))
			return filepath.Join(folder, "gate421.yaml")
		}, func(t *testing.T, file string, text []byte, turn int) {
			folder := filepath.Dir(file)
			next := fmt.Sprint("..", turn+2)
			must(t, os.Mkdir(filepath.Join(folder, next), 0o700),
				os.WriteFile(filepath.Join(folder, next, "gate421.yaml"), text, 0o600),
				os.Symlink(next, filepath.Join(folder, "..data_tmp")),
				os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")))
		}},
		"a link further up": {func(t *testing.T, s *setup) string {
			text, err := os.ReadFile(s.File)
			folder := t.TempDir()
			must(t, err, os.Mkdir(filepath.Join(folder, "r1"), 0o700),
				os.WriteFile(filepath.Join(folder, "r1", "gate421.yaml"), text, 0o600),
				os.Symlink("r1", filepath.Join(folder, "current")))
			return filepath.Join(folder, "current", "gate421.yaml")
		}, func(t *testing.T, file string, text []byte, turn int) {
			folder := filepath.Dir(filepath.Dir(file))
			next := fmt.Sprint("r", turn+2)
			must(t, os.Mkdir(filepath.Join(folder, next), 0o700),
				os.WriteFile(filepath.Join(folder, next, "gate421.yaml"), text, 0o600),
				os.Symlink(next, filepath.Join(folder, "next")), os.Rename(filepath.Join(folder, "next"),
					filepath.Join(folder, "current")))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
			file := s.File
			other, wrong := s.texts(t)
			first, err := os.ReadFile(s.File)
			must(t, err)
			if way.lay != nil {
				file = way.lay(t, s)
			}
			s.attended(t, file)
			time.Sleep(2 * settleTime) // the watch is on; what is changed before is seen a second later
			for turn, state := range []string{"observe", "wrong", "refuse"} {
				text := map[string][]byte{"observe": other, "wrong": wrong, "refuse": first}[state]
				way.change(t, file, text, turn)
				for followed := false; !followed; {
					line := s.Log.Wait(map[string]string{"event": "reload"})
					said, _ := line["error"].(string)
					followed = said == "" && state != "wrong" || strings.Contains(said, "http2_crawl is missing") && state == "wrong"
					if !followed && name != torn { // a slow machine may have the half looked at
						t.Errorf("%s: %v; want the error alone where the text is wrong", state, line)
					}
				}
				reason := map[string]string{"observe": "observed", "wrong": "observed", "refuse": "refused"}[state]
				if _, line := s.Recorded(fromGooglebot("https://shop.test/")); line["reason"] != reason {
					t.Errorf("%s: %v; want the reason %s", state, line, reason)
				}
			}
			time.Sleep(pollInterval + 2*settleTime)
			s.Log.Poll()
			reloads := 0
			for _, line := range s.Log.Lines {
				if line["event"] == "reload" {
					reloads++
				}
			}
			if reloads != 3 && name != torn {
				t.Errorf("%d reloads of 3 changes, want one each", reloads)
			}
		})
	}
}

// Other files of the folder are none of its business.
func TestOtherFilesAreNotFollowed(t *testing.T) {
	t.Parallel()
	s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
	s.attended(t, s.File)
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(s.Folder, fmt.Sprint("other", i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := os.Chtimes(s.File, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * settleTime)
	if strings.Contains(s.Stderr.String(), "in use") {
		t.Error(s.Stderr.String())
	}
}
