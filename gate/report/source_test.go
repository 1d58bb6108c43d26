package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

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

// crawlLine is a line of the verified crawler at a minute of 22 November 2026.
func crawlLine(minute, seq int, proto, path string, more string) string {
	action, reason, status := "refuse", "refused", 421
	if proto != "HTTP/2.0" {
		action, reason, status = "serve", "http1", 200
	}
	at := time.Date(2026, 11, 22, 0, minute, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000000Z")
	return fmt.Sprintf(`{"v":1,"time":%q,"boot":"b1","seq":%d,"event":"decision","site":"a.test","host":"a.test","path":%q,"proto":%q,"claim":"googlebot","verdict":"genuine",`+
		`"rule":"http2_crawl","state":"refuse","action":%q,"reason":%q,"status":%d,"request_id":"r%d"%s}`+"\n", at, seq, path, proto, action, reason, status, seq, more)
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRotatedSet(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	line := func(n int) []byte {
		return []byte(crawlLine(n, n, "HTTP/2.0", "/"+fmt.Sprint(n), ""))
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
	wanted := []string{file("decisions.log-20261119.gz"), file("decisions.log-20261120.zst"), file("decisions.log.2.gz"), file("decisions.log.1"), file("decisions.log.20261122T180555.123456Z"), file("decisions.log")}
	got := examineFile(t, Question{}, file("decisions.log"))
	if !slices.Equal(got.Log.Files, wanted) || got.Crawl.Refused != 6 || got.Log.Missing != 0 || got.Log.Boots != 1 || len(got.Log.Damaged) != 0 {
		t.Errorf("%+v", got.Log)
	}
	all, _ := filepath.Glob(file("decisions.log*[0-9gzt]"))
	all = slices.DeleteFunc(all, func(p string) bool { return strings.HasSuffix(p, "log2") })
	if got := examineFile(t, Question{}, append(all, file("decisions.log"), dir+"/./decisions.log")...); !slices.Equal(got.Log.Files, wanted) {
		t.Errorf("named by the shell: %q", got.Log.Files)
	}
	if err := os.Remove(file("decisions.log")); err != nil {
		t.Fatal(err)
	}
	if got := examineFile(t, Question{}, file("decisions.log")); got.Crawl.Refused != 5 {
		t.Errorf("without the log itself %d of 5", got.Crawl.Refused)
	}
}

func TestVanishedWhileOpening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.log.1")
	put(t, path+".zst", zstandard([]byte(crawlLine(1, 1, "HTTP/2.0", "/", ""))))
	s := &Source{}
	o := &opening{sources: []*Source{s}}
	if err := o.openRotated(s, path); err != nil || len(s.parts) != 1 || s.parts[0].name != path+".zst" {
		t.Errorf("%v %+v", err, s.parts)
	}
	closeSources(o.sources)
}

func TestOpenSourcesErrors(t *testing.T) {
	dir := t.TempDir()
	for path, why := range map[string]string{dir: "is a folder", filepath.Join(dir, "no.log"): "no such file", filepath.Join(dir, "no", "such.log"): "no such file"} {
		if s, err := OpenSources([]string{path}, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("decision log %q: ", path)) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v %v", path, s, err)
		}
	}
}

func TestStdin(t *testing.T) {
	text := []byte(crawlLine(1, 1, "HTTP/2.0", "/", "") + crawlLine(2, 2, "HTTP/1.1", "/", ""))
	for _, form := range [][]byte{text, gzipped(text), zstandard(text), append(gzipped(text[:10]), gzipped(text[10:])...)} {
		in, out := io.Pipe()
		go func() {
			for _, b := range form {
				out.Write([]byte{b})
			}
			out.Close()
		}()
		sources, err := OpenSources([]string{"-", "-"}, in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Examine(t.Context(), Question{}, sources)
		if err != nil || got.Crawl.ComeBacks != 1 || got.Crawl.FetchedURLs != 1 || !slices.Equal(got.Log.Files, []string{"-"}) || got.Log.Bytes != int64(len(text)) {
			t.Errorf("%v %+v", err, got)
		}
	}
}

func TestCancelledWhileReading(t *testing.T) {
	in, _ := io.Pipe() // nothing ever comes
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got, err := Examine(ctx, Question{}, []*Source{{[]*part{{name: "-", in: in, size: -1}}, 0}}); got != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v %v", got, err)
	}
}

func TestDamagedArchives(t *testing.T) {
	var text bytes.Buffer
	for i := range 20000 {
		text.WriteString(crawlLine(i%60, i+1, "HTTP/2.0", fmt.Sprint("/", i*7919), ""))
	}
	for name, whole := range map[string][]byte{"x.gz": gzipped(text.Bytes()), "x.zst": zstandard(text.Bytes())} {
		for how, form := range map[string][]byte{
			"cut":   whole[:len(whole)/2],
			"wrong": append(append(slices.Clone(whole[:len(whole)/2]), "all these bytes are wrong"...), whole[len(whole)/2+25:]...),
			"head":  whole[:6],
		} {
			dir := t.TempDir()
			put(t, filepath.Join(dir, name), form)
			put(t, filepath.Join(dir, "y.log"), []byte(crawlLine(1, 1, "HTTP/2.0", "/", "")))
			got := examineFile(t, Question{}, filepath.Join(dir, name), filepath.Join(dir, "y.log"))
			if len(got.Log.Damaged) != 1 || !strings.HasPrefix(got.Log.Damaged[0], filepath.Join(dir, name)+": ") {
				t.Errorf("%s %s: damage is %q", name, how, got.Log.Damaged)
			}
			if got.Crawl.Refused < 1 || got.Crawl.Refused > 20000 || how != "head" && name == "x.gz" && got.Crawl.Refused < 5000 {
				t.Errorf("%s %s: %d refusals were read", name, how, got.Crawl.Refused)
			}
		}
	}
}

func TestLongLines(t *testing.T) {
	seq := 0
	good := func() string {
		seq++
		return crawlLine(1, seq, "HTTP/2.0", "/", "")
	}
	long := func(n int) string {
		line := good()
		return strings.TrimSuffix(line, "}\n") + `,"x":"` + strings.Repeat("y", n-len(line)-6) + "\"}"
	}
	for _, chunk := range []int{1, 1000, 64 << 10, 1 << 20, 4 << 20} {
		q := Question{}
		text := long(64<<10) + "\n" + long(maxLine) + "\n" + long(maxLine+1) + "\n" + good() + strings.Repeat("z", 3<<20) + "\n" + good() + long(maxLine+1)
		if chunk == 1 {
			text = long(5000) + "\n\r\n" + long(6000) + "\n{\n{\n" + good() + good()
		}
		got, err := examine(t.Context(), &reading{question: &q, filter: newFilter(&q, Choice{}), chunk: chunk}, texts([]byte(text)))
		if err != nil || got.Log.Records != 4 || got.Log.Broken != 2 || got.Log.Lines != 6 || got.Log.Bytes != int64(len(text)) {
			t.Errorf("chunks of %d: %v %+v", chunk, err, got.Log)
		}
	}
}

// TestMemoryIsConstant reads ten times the lines in about the same memory.
func TestMemoryIsConstant(t *testing.T) {
	block := writtenLines(t, 10_000)
	peak := func(times int) uint64 {
		runtime.GC()
		in := &repeated{text: block, times: times}
		q := Question{}
		if _, err := examine(t.Context(), &reading{question: &q, filter: newFilter(&q, Choice{})}, []*Source{{[]*part{{name: "-", in: in, size: -1}}, 0}}); err != nil {
			t.Fatal(err)
		}
		return in.peak
	}
	blocks := 30
	if slowed {
		blocks = 3
	}
	few, many := peak(blocks), peak(10*blocks)
	t.Logf("%d lines: %d MiB, ten times as many: %d MiB", blocks*10_000, few>>20, many>>20)
	if many > few*3/2+4<<20 {
		t.Errorf("memory grows with the log: %d MiB for %d lines, %d MiB for ten times as many", few>>20, blocks*10_000, many>>20)
	}
}

// repeated is a text many times over. It looks at the memory in use once a block.
type repeated struct {
	text  []byte
	times int
	at    int
	peak  uint64
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.at == len(r.text) {
		r.at = 0
		r.times--
		if r.times%3 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			r.peak = max(r.peak, m.HeapAlloc)
		}
	}
	if r.times == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.text[r.at:])
	r.at += n
	return n, nil
}
