package report

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// heard is what a Tail hands on, by path.
type heard struct {
	mu    sync.Mutex
	paths []string
}

func (h *heard) line(text []byte) error {
	var l line
	l.parse(text)
	path, _ := l.decoded(memberPath, nil)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paths = append(h.paths, string(path))
	return nil
}

func (h *heard) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.paths, " ")
}

// becomes waits until the paths are those wanted, no longer than a second.
func (h *heard) becomes(t *testing.T, wanted string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); h.all() != wanted; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("heard %q, wanted %q", h.all(), wanted)
		}
	}
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

func numbered(n int) string { return crawlLine(n%60, n, "HTTP/2.0", fmt.Sprint(n), "") }

func TestTailFollowsByName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	addTo(t, path, numbered(1)+numbered(2)+numbered(3)+numbered(4)[:20])
	ctx, cancel := context.WithCancel(t.Context())
	var got heard
	ended := make(chan error, 1)
	tail := &Tail{Path: path, Last: 2, Follow: true}
	go func() { ended <- tail.Run(ctx, got.line) }()
	got.becomes(t, "2 3")
	addTo(t, path, numbered(4)[20:])
	got.becomes(t, "2 3 4")
	addTo(t, path, numbered(5))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	addTo(t, path+".1", numbered(6)) // a writer that has not noticed yet
	got.becomes(t, "2 3 4 5 6")
	addTo(t, path, numbered(7))
	got.becomes(t, "2 3 4 5 6 7")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * pollInterval)
	addTo(t, path, numbered(8)+"no JSON\n"+numbered(9))
	got.becomes(t, "2 3 4 5 6 7 8 9")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the end is %v", err)
	}
}

func TestTailGoesBackNoFurtherThanItMust(t *testing.T) {
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
	for _, end := range []string{"", strings.TrimSuffix(numbered(3001), "\n"), `{"v":1,`, strings.Repeat("z", 2*backBlock)} {
		put(t, path, []byte(text.String()+end))
		for _, last := range []int{0, 1, 700, 1400, 2999, 3000, 5000} {
			var got heard
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
			if got.all() != strings.Join(wanted, " ") {
				t.Errorf("the last %d before %.9q are %d, from %.10q", last, end, len(got.paths), got.all())
			}
		}
	}
}

func TestTailFilters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	put(t, path, []byte(numbered(1)+`{"v":1,"time":"2026-11-22T00:01:00Z","event":"guard","site":"a.test","path":"guard"}`+"\n"+crawlLine(2, 2, "HTTP/1.1", "2", "")))
	for wanted, tail := range map[string]*Tail{
		"1 guard 2": {Choice: Choice{Events: true}},
		"1 2":       {},
		"2":         {Choice: Choice{Events: true, Reason: "http1"}},
		"1":         {Choice: Choice{RequestID: "r1"}},
		"1 guard":   {Choice: Choice{Events: true}, Question: Question{Since: time.Date(2026, 11, 22, 0, 1, 0, 0, time.UTC), Site: "a.test", Until: time.Date(2026, 11, 22, 0, 2, 0, 0, time.UTC)}},
		"":          {Choice: Choice{Crawler: "bingbot"}},
	} {
		var got heard
		tail.Path, tail.Last = path, 10
		if err := tail.Run(t.Context(), got.line); err != nil || got.all() != wanted {
			t.Errorf("%q, wanted %q, %v", got.all(), wanted, err)
		}
	}
}

func TestTailErrors(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "no.log")} {
		if err := (&Tail{Path: path}).Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("decision log %q: ", path)) {
			t.Errorf("%s: %v", path, err)
		}
	}
	put(t, filepath.Join(dir, "x.log"), []byte(numbered(1)))
	broken := errors.New("the pipe is closed")
	if err := (&Tail{Path: filepath.Join(dir, "x.log"), Last: 1}).Run(t.Context(), func([]byte) error { return broken }); err != broken {
		t.Error(err)
	}
}

func TestSelectMergesAndFilters(t *testing.T) {
	var odd, even strings.Builder
	for n := 1; n <= 50; n++ {
		if n%2 == 0 {
			even.WriteString(numbered(n))
		} else {
			odd.WriteString(numbered(n))
		}
	}
	var got, wanted heard
	for n := 10; n < 50; n++ {
		wanted.paths = append(wanted.paths, fmt.Sprint(n))
	}
	q := Question{Since: time.Date(2026, 11, 22, 0, 10, 0, 0, time.UTC), Until: time.Date(2026, 11, 22, 0, 50, 0, 0, time.UTC)}
	if read, err := Select(t.Context(), q, Choice{}, texts([]byte(even.String()), []byte(odd.String())), got.line); err != nil || len(read.Damaged) != 0 || got.all() != wanted.all() {
		t.Errorf("%v %v %q", read.Damaged, err, got.all())
	}
	broken := errors.New("the pipe is closed")
	if _, err := Select(t.Context(), q, Choice{}, texts([]byte(even.String())), func([]byte) error { return broken }); err != broken {
		t.Error(err)
	}
}
