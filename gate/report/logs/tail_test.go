package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gate421/gate/report/logs/logstest"
)

// collector keeps the paths of the lines that a Tail hands on.
type collector struct {
	mu    sync.Mutex
	paths []string
}

func (c *collector) line(text []byte) error {
	var l line
	l.parse(text)
	path, _ := l.decoded(FieldPath, nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paths = append(c.paths, string(path))
	return nil
}

func (c *collector) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.paths, " ")
}

func addTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// numbered is a line whose path is its number.
func numbered(n int) string { return logstest.Line(n%60, n, "HTTP/2.0", fmt.Sprint(n), "") }

// A tail follows its path through half lines, a rename with a new file, and a truncation.
func TestTailFollowsByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	addTo(t, path, numbered(1)+numbered(2)+numbered(3)+numbered(4)[:20])
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got collector
		ended := make(chan error, 1)
		tail := &Tail{Path: path, Last: 2, Follow: true}
		go func() { ended <- tail.Run(ctx, got.line) }()
		want := func(paths string) {
			t.Helper()
			time.Sleep(pollInterval)
			synctest.Wait()
			if got.all() != paths {
				t.Errorf("got %q, want %q", got.all(), paths)
			}
		}
		want("2 3")
		addTo(t, path, numbered(4)[20:])
		want("2 3 4")
		addTo(t, path, numbered(5))
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		addTo(t, path+".1", numbered(6)) // by a writer that has not noticed yet
		want("2 3 4 5 6")
		addTo(t, path, numbered(7))
		want("2 3 4 5 6 7")
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		want("2 3 4 5 6 7")
		addTo(t, path, numbered(8)+"no JSON\n"+numbered(9))
		want("2 3 4 5 6 7 8 9")
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the tail ends with %v, want no error", err)
		}
	})
}

func TestTailReadsBackNoFurtherThanItMust(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	var text strings.Builder
	for n := 1; n <= 3000; n++ {
		text.WriteString(numbered(n))
		switch n {
		case 2500:
			text.WriteString(strings.Repeat("y", maxLine) + "\n")
		case 2000:
			text.WriteString(strings.Repeat("x", 3*maxLine) + "\r\n\n")
		}
	}
	for _, end := range []string{"", strings.TrimSuffix(numbered(3001), "\n"), `{"v":1,`,
		strings.Repeat("z", 2*blockBytes)} {
		put(t, path, []byte(text.String()+end))
		for _, last := range []int{0, 1, 700, 1400, 2999, 3000, 5000} {
			var got collector
			if err := (&Tail{Path: path, Last: last}).Run(t.Context(), got.line); err != nil {
				t.Fatal(err)
			}
			var wanted []string
			for n := max(1, 3001-last); n <= 3000; n++ {
				wanted = append(wanted, fmt.Sprint(n))
			}
			if strings.HasSuffix(end, "}") {
				wanted = append(wanted, "3001")
			}
			if want := strings.Join(wanted, " "); got.all() != want {
				t.Errorf("the last %d before %.9q: got %d lines, from %.10q; want %d, from %.10q",
					last, end, len(got.paths), got.all(), len(wanted), want)
			}
		}
	}
}

func TestTailFilters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	guard := `{"v":1,"time":"2026-11-22T00:01:00Z","event":"guard","site":"a.test","path":"guard"}` + "\n"
	put(t, path, []byte(numbered(1)+guard+logstest.Line(2, 2, "HTTP/1.1", "2", "")))
	minute := Query{Since: time.Date(2026, 11, 22, 0, 1, 0, 0, time.UTC), Site: "a.test",
		Until: time.Date(2026, 11, 22, 0, 2, 0, 0, time.UTC)}
	for want, tail := range map[string]*Tail{
		"1 guard 2": {Choice: Choice{Events: true}},
		"1 2":       {},
		"2":         {Choice: Choice{Events: true, Reason: "http1"}},
		"1":         {Choice: Choice{RequestID: "r1"}},
		"1 guard":   {Choice: Choice{Events: true}, Query: minute},
		"":          {Choice: Choice{Crawler: "bingbot"}},
	} {
		var got collector
		tail.Path, tail.Last = path, 10
		if err := tail.Run(t.Context(), got.line); err != nil || got.all() != want {
			t.Errorf("%+v: got %q, %v; want %q", tail.Choice, got.all(), err, want)
		}
	}
}

func TestTailErrors(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "no.log")} {
		want := fmt.Sprintf("decision log %q: ", path)
		if err := (&Tail{Path: path}).Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", path, err, want)
		}
	}
	put(t, filepath.Join(dir, "x.log"), []byte(numbered(1)))
	broken := errors.New("the pipe is closed")
	tail := &Tail{Path: filepath.Join(dir, "x.log"), Last: 1}
	if err := tail.Run(t.Context(), func([]byte) error { return broken }); err != broken {
		t.Errorf("got %v, want the callback's error %v", err, broken)
	}
}
