package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gate421/gate/report/logs/logstest"
)

// texts are sources in memory, named by their index.
func texts(sources ...string) (out []*Source) {
	for i, text := range sources {
		out = append(out, Stream(fmt.Sprint(i), strings.NewReader(text)))
	}
	return out
}

// read reads to the end and returns the paths of the records.
func read(t *testing.T, r *Reader) (s *Stats, paths []string) {
	t.Helper()
	for record, err := range r.CrawlerRecords(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, string(record.Text(FieldPath)))
	}
	return r.Stats(), paths
}

func readFiles(t *testing.T, paths ...string) (*Stats, []string) {
	t.Helper()
	sources, err := Open(paths, nil)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, &Reader{Sources: sources})
}

// selected reads to the end and returns the lines that are selected.
func selected(t *testing.T, r *Reader, c Choice) (s *Stats, lines []string) {
	t.Helper()
	for record, err := range r.Select(t.Context(), c) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(record.Line()))
	}
	return r.Stats(), lines
}

// The records of several gateways come in the order of their time, whatever their files are called and however
// compressed.
func TestSeveralGateways(t *testing.T) {
	dir := t.TempDir()
	logs := make([]strings.Builder, 3)
	var want []string
	for i := range 60 {
		logs[i%3].WriteString(logstest.Line(i, i, "HTTP/2.0", fmt.Sprint(i), ""))
		want = append(want, fmt.Sprint(i))
	}
	var paths []string
	for i, form := range []func([]byte) []byte{bytes.Clone, gzipped, zstandard} {
		paths = append(paths, filepath.Join(dir, fmt.Sprint("gateway-", i, ".log")))
		put(t, paths[i], form([]byte(logs[i].String())))
	}
	for range 6 {
		rand.Shuffle(3, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		if _, got := readFiles(t, paths...); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", paths, got, want)
		}
	}
}

func TestSelect(t *testing.T) {
	var odd, even strings.Builder
	for n := 1; n <= 50; n++ {
		if n%2 == 0 {
			even.WriteString(numbered(n))
		} else {
			odd.WriteString(numbered(n))
		}
	}
	q := Query{Since: time.Date(2026, 11, 22, 0, 10, 0, 0, time.UTC),
		Until: time.Date(2026, 11, 22, 0, 50, 0, 0, time.UTC)}
	_, got := selected(t, &Reader{Sources: texts(even.String(), odd.String()), Query: q}, Choice{})
	var want []string
	for n := 10; n < 50; n++ {
		want = append(want, strings.TrimSuffix(numbered(n), "\n"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whoever wants no more records stops the reading, and the files are closed.
func TestStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log")
	put(t, path, []byte(strings.Repeat(numbered(1), 5000)))
	sources, err := Open([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, err := range (&Reader{Sources: sources, ChunkBytes: 1000}).Select(t.Context(), Choice{}) {
		if got++; err != nil {
			t.Fatal(err)
		}
		break
	}
	if got != 1 {
		t.Errorf("got %d records, want 1", got)
	}
	if _, err := sources[0].parts[0].file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file afterwards: got %v, want %v", err, os.ErrClosed)
	}
}

func TestCancelledWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe() // nothing ever comes
		defer out.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var got error
		for _, err := range (&Reader{Sources: []*Source{Stream("-", in)}}).CrawlerRecords(ctx) {
			got = err
		}
		if !errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", got, context.DeadlineExceeded)
		}
	})
}

// Lines up to maxLine are read, longer ones are broken, however the chunks fall.
func TestLongLines(t *testing.T) {
	seq := 0
	good := func() string {
		seq++
		return logstest.Line(1, seq, "HTTP/2.0", "/", "")
	}
	long := func(n int) string {
		line := good()
		return strings.TrimSuffix(line, "}\n") + `,"x":"` + strings.Repeat("y", n-len(line)-6) + "\"}"
	}
	for _, chunk := range []int{1, 1000, 64 << 10, 1 << 20, 4 << 20} {
		text := long(64<<10) + "\n" + long(maxLine) + "\n" + long(maxLine+1) + "\n" + good() +
			strings.Repeat("z", 3<<20) + "\n" + good() + long(maxLine+1)
		if chunk == 1 {
			text = long(5000) + "\n\r\n" + long(6000) + "\n{\n{\n" + good() + good()
		}
		got, _ := read(t, &Reader{Sources: texts(text), ChunkBytes: chunk})
		if got.Records != 4 || got.Broken != 2 || got.Lines != 6 || got.Bytes != int64(len(text)) {
			t.Errorf("chunks of %d: got %d records, %d broken, %d lines, %d bytes; want 4, 2, 6 and %d",
				chunk, got.Records, got.Broken, got.Lines, got.Bytes, len(text))
		}
	}
}
