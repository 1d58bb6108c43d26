package report

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Source is a log that is open for reading: a file with the rotated ones before it, or a stream. It can be read once.
type Source struct {
	parts []*part // the earliest first
	first int64   // time of its first line, in nanoseconds since 1970; math.MinInt64: not known
}

// part is one file of a log, plain or compressed.
type part struct {
	name  string
	in    io.Reader
	file  *os.File // nil: in is a stream
	info  fs.FileInfo
	size  int64 // of file when it was opened; -1: not a regular file
	first int64
}

// OpenSources opens logs for reading. A path is a file and the rotated set beside it: decisions.log with decisions.log.1,
// decisions.log.2.gz, decisions.log-20261122.zst and so on. "-" is stdin. Everything is opened at once and read as far as
// it is long now, so that a rotation during the reading harms nobody; a file that several paths lead to is read once.
// Whether a file is compressed is found out from its first bytes. An error names the file; nothing stays open then.
func OpenSources(paths []string, stdin io.Reader) ([]*Source, error) {
	o := &opening{named: map[string]bool{}}
	for _, path := range paths {
		o.named[filepath.Clean(path)] = true
	}
	for _, path := range paths {
		var err error
		if path == "-" {
			o.stream(stdin)
		} else if !o.within(path) {
			err = o.set(path)
		}
		if err != nil {
			closeSources(o.sources)
			return nil, err
		}
	}
	return o.sources, nil
}

// closeSources closes every file. Readers that are still at them get errors.
func closeSources(sources []*Source) {
	for _, s := range sources {
		for _, p := range s.parts {
			if p.file != nil {
				p.file.Close()
			}
		}
	}
}

// opening is an OpenSources that is under way.
type opening struct {
	sources []*Source
	named   map[string]bool // the paths that were asked for
	stdin   bool
}

func (o *opening) stream(stdin io.Reader) {
	if !o.stdin {
		o.stdin = true
		o.sources = append(o.sources, &Source{[]*part{{name: "-", in: stdin, size: -1, first: math.MinInt64}}, math.MinInt64})
	}
}

// within says whether a path is of the rotated set of another that was asked for.
func (o *opening) within(path string) bool {
	path = filepath.Clean(path)
	for i := 1; i < len(path); i++ {
		if c := path[i]; (c == '.' || c == '-') && rotated(path[i:]) && o.named[path[:i]] {
			return true
		}
	}
	return false
}

// rotated says whether a file is of a rotated set by what its name has behind the log's own.
func rotated(suffix string) bool {
	return len(suffix) > 1 && (suffix[0] == '.' || suffix[0] == '-') && suffix[1] >= '0' && suffix[1] <= '9' &&
		!strings.Contains(suffix, "/") && !strings.HasSuffix(suffix, ".tmp")
}

// stem is a name without the ending that says it is compressed.
func stem(name string) string { return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst") }

// set opens a log and its rotated set. The newest is opened first and the folder is listed again behind that: whatever a
// rotation moves meanwhile is found under its old name or its new one.
func (o *opening) set(path string) error {
	s := &Source{}
	o.sources = append(o.sources, s)
	failed := o.open(s, path)
	if failed != nil && !errors.Is(failed, fs.ErrNotExist) {
		return failed
	}
	seen := map[string]bool{}
	for range 2 {
		names, err := siblings(path)
		if real, linked := behind(path); linked && err == nil {
			var more []string
			more, err = siblings(real)
			names = append(names, more...)
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if seen[stem(name)] {
				continue
			}
			seen[stem(name)] = true
			if err := o.openRotated(s, name); err != nil {
				return err
			}
		}
	}
	if len(s.parts) == 0 && !o.everywhere(path) {
		return failed
	}
	slices.SortStableFunc(s.parts, func(a, b *part) int { return cmp.Compare(a.first, b.first) })
	s.first = math.MinInt64
	for _, p := range s.parts {
		if s.first = p.first; s.first != math.MinInt64 {
			break
		}
	}
	return nil
}

// everywhere says whether the file of a path is open already, for another path.
func (o *opening) everywhere(path string) bool {
	info, err := os.Stat(path)
	return err == nil && o.known(info)
}

// behind is what a path leads to, where it is a link: the gateway sets files aside there, others do it beside the link.
func behind(path string) (real string, linked bool) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return "", false
	}
	real, err = filepath.EvalSymlinks(path)
	return real, err == nil
}

// siblings lists the rotated set of a log without the log itself. Where a file is there both plain and compressed, a
// compression is under way, and only the plain one is whole. What is kept of a file that is too old has ".kept" in its name.
func siblings(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("folder %q: %w", cmp.Or(dir, "."), bare(err))
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		moved := there[stem(name)+".kept"] || there[stem(name)+".kept.zst"] // and is about to be removed
		if suffix, ok := strings.CutPrefix(name, base); ok && rotated(suffix) && !e.IsDir() && (stem(name) == name || !there[stem(name)]) && !moved {
			names = append(names, dir+name)
		}
	}
	return names, nil
}

// openRotated opens a file of a rotated set, under the name that it has got since the folder was listed if need be.
func (o *opening) openRotated(s *Source, name string) error {
	for _, name := range []string{name, name + ".zst", name + ".gz"} {
		if err := o.open(s, name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil // it was the oldest, and the rotation has removed it
}

// open adds a file to a source, unless it is open already.
func (o *opening) open(s *Source, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("decision log %q: %w", name, bare(err))
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder")
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("decision log %q: %w", name, bare(err))
	}
	if o.known(info) {
		return f.Close()
	}
	p := &part{name: name, in: f, file: f, info: info, size: -1, first: math.MinInt64}
	if info.Mode().IsRegular() {
		p.size = info.Size()
		p.in = io.NewSectionReader(f, 0, p.size)
		p.first = firstTime(io.NewSectionReader(f, 0, p.size))
	}
	s.parts = append(s.parts, p)
	return nil
}

func (o *opening) known(info fs.FileInfo) bool {
	for _, s := range o.sources {
		for _, p := range s.parts {
			if p.info != nil && os.SameFile(p.info, info) {
				return true
			}
		}
	}
	return false
}

// firstTime is the time of the first line that has one, among the first few.
func firstTime(in io.Reader) int64 {
	r, _, err := decompressed(in)
	if err != nil {
		return math.MinInt64
	}
	defer r.Close()
	lines := bufio.NewReaderSize(io.LimitReader(r, 64<<10), 4<<10)
	var l line
	var c clock
	for {
		text, err := lines.ReadBytes('\n')
		if _, _, _, found := l.find(bytes.TrimRight(text, "\r\n"), nil); found {
			when, _ := l.decoded(memberTime, nil)
			if at, ok := c.read(when); ok {
				return at
			}
		}
		if err != nil {
			return math.MinInt64
		}
	}
}

// maxWindow is the most memory that a file can ask of its decompression, in bytes: what zstd --long needs.
const maxWindow = 128 << 20

// decompressed reads what a file holds, whether it is compressed or not. plain says that it is not.
func decompressed(in io.Reader) (r io.ReadCloser, plain bool, err error) {
	b := bufio.NewReaderSize(in, 64<<10)
	head, _ := b.Peek(4)
	switch string(head) {
	case "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, false, err
		}
		return z.IOReadCloser(), false, nil
	}
	if len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(b)
		return z, false, err
	}
	return io.NopCloser(b), true, nil
}

// bare strips the operation and the path that os puts before its errors: the message names the file already.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
