package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gate421/gate/report/logs/logstest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(text)
	w.Close()
	return b.Bytes()
}

func zstandard(text []byte) []byte {
	var b bytes.Buffer
	w, _ := zstd.NewWriter(&b)
	w.Write(text)
	w.Close()
	return b.Bytes()
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A log is read with its rotated set, the earliest file first.
func TestRotatedSet(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	line := func(n int) []byte {
		return []byte(logstest.Line(n, n, "HTTP/2.0", "/"+fmt.Sprint(n), ""))
	}
	put(t, file("decisions.log"), line(6))
	put(t, file("decisions.log.20261122T180555.123456Z"), line(5))
	put(t, file("decisions.log.1"), line(4))
	put(t, file("decisions.log.1.zst"), []byte("half of a compression that is under way"))
	put(t, file("decisions.log.2.gz"), gzipped(line(3)))
	put(t, file("decisions.log-20261120.zst"), zstandard(line(2)))
	put(t, file("decisions.log-20261119.gz"), line(1)) // gunzipped in its place: the name does not count
	put(t, file("decisions.log.bak"), line(9))
	put(t, file("decisions.log2"), line(9))
	put(t, file("decisions.log.3.zst.tmp"), line(9))
	if err := os.Mkdir(file("decisions.log.7"), 0o700); err != nil {
		t.Fatal(err)
	}
	wanted := []string{file("decisions.log-20261119.gz"), file("decisions.log-20261120.zst"),
		file("decisions.log.2.gz"), file("decisions.log.1"), file("decisions.log.20261122T180555.123456Z"),
		file("decisions.log")}
	got, records := readFiles(t, file("decisions.log"))
	if !slices.Equal(got.Files, wanted) || got.Missing != 0 || got.Boots != 1 || len(got.Damaged) != 0 {
		t.Errorf("got %+v, want the files %q, one boot and nothing missing or damaged", got, wanted)
	}
	if want := []string{"/1", "/2", "/3", "/4", "/5", "/6"}; !slices.Equal(records, want) {
		t.Errorf("got records of %q, want %q", records, want)
	}
	all, _ := filepath.Glob(file("decisions.log*[0-9gzt]"))
	all = slices.DeleteFunc(all, func(p string) bool { return strings.HasSuffix(p, "log2") })
	if got, _ := readFiles(t, append(all, file("decisions.log"), dir+"/./decisions.log")...); !slices.Equal(got.Files,
		wanted) {
		t.Errorf("named by the shell: got %q, want %q", got.Files, wanted)
	}
	if err := os.Remove(file("decisions.log")); err != nil {
		t.Fatal(err)
	}
	if got, _ := readFiles(t, file("decisions.log")); got.Records != 5 {
		t.Errorf("without the log itself: got %d records, want 5", got.Records)
	}
}

// A file that is compressed after the folder was listed is found under its new name.
func TestCompressedWhileOpening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log.1")
	put(t, path+".zst", zstandard([]byte(logstest.Line(1, 1, "HTTP/2.0", "/", ""))))
	s := &Source{}
	o := &opener{sources: []*Source{s}}
	if err := o.openRotated(s, path); err != nil || len(s.parts) != 1 || s.parts[0].name != path+".zst" {
		t.Errorf("got %v and %d files, want %s.zst", err, len(s.parts), path)
	}
	closeSources(o.sources)
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for path, why := range map[string]string{dir: "is a folder", filepath.Join(dir, "no.log"): "no such file",
		filepath.Join(dir, "no", "such.log"): "no such file"} {
		if s, err := Open([]string{path}, nil); err == nil ||
			!strings.Contains(err.Error(), fmt.Sprintf("decision log %q: ", path)) ||
			!strings.Contains(err.Error(), why) {
			t.Errorf("%s: got %v, %v; want an error with %q", path, s, err, why)
		}
	}
}

// Standard input is read once, in whatever pieces it comes and however compressed.
func TestStdin(t *testing.T) {
	text := []byte(logstest.Line(1, 1, "HTTP/2.0", "/1", "") + logstest.Line(2, 2, "HTTP/1.1", "/2", ""))
	for _, form := range [][]byte{text, gzipped(text), zstandard(text),
		append(gzipped(text[:10]), gzipped(text[10:])...)} {
		in, out := io.Pipe()
		go func() {
			for _, b := range form {
				out.Write([]byte{b})
			}
			out.Close()
		}()
		sources, err := Open([]string{"-", "-"}, in)
		if err != nil {
			t.Fatal(err)
		}
		got, records := read(t, &Reader{Sources: sources})
		if !slices.Equal(records, []string{"/1", "/2"}) || !slices.Equal(got.Files, []string{"-"}) ||
			got.Bytes != int64(len(text)) {
			t.Errorf("got records of %q, %+v; want /1 and /2 of %d bytes of -", records, got, len(text))
		}
	}
}

// What can be read of a damaged archive is read.
func TestDamagedArchives(t *testing.T) {
	var text bytes.Buffer
	for i := range 20000 {
		text.WriteString(logstest.Line(i%60, i+1, "HTTP/2.0", fmt.Sprint("/", i*7919), ""))
	}
	for name, whole := range map[string][]byte{"x.gz": gzipped(text.Bytes()), "x.zst": zstandard(text.Bytes())} {
		for how, form := range map[string][]byte{
			"cut": whole[:len(whole)/2],
			"wrong": append(append(slices.Clone(whole[:len(whole)/2]), "all these bytes are wrong"...),
				whole[len(whole)/2+25:]...),
			"head": whole[:6],
		} {
			dir := t.TempDir()
			put(t, filepath.Join(dir, name), form)
			put(t, filepath.Join(dir, "y.log"), []byte(logstest.Line(1, 1, "HTTP/2.0", "/", "")))
			got, _ := readFiles(t, filepath.Join(dir, name), filepath.Join(dir, "y.log"))
			if len(got.Damaged) != 1 || !strings.HasPrefix(got.Damaged[0], filepath.Join(dir, name)+": ") {
				t.Errorf("%s %s: got damage %q, want that of one file", name, how, got.Damaged)
			}
			least := int64(1)
			if how != "head" && name == "x.gz" {
				least = 5000
			}
			if got.Records < least || got.Records > 20000 {
				t.Errorf("%s %s: got %d records, want %d to 20000", name, how, got.Records, least)
			}
		}
	}
}

// The rotated set of a log whose path is a link is beside what the link leads to.
func TestSetBehindALink(t *testing.T) {
	folder, link := t.TempDir(), filepath.Join(t.TempDir(), "decisions.log")
	path := filepath.Join(folder, "real.log")
	put(t, path+".1", []byte(seqLines(1, 10, 10)))
	put(t, path, []byte(seqLines(11, 20, 12)))
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if got, _ := readFiles(t, link); got.Lines != 20 {
		t.Errorf("got %d lines, want 20", got.Lines)
	}
}
