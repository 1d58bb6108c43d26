package logs

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

// Source is a log that is open for reading: a file with the rotated ones before it, or a stream. It can be read once,
// by a [Reader].
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

// Stream is a source that is open already; name is what [Stats] calls it. Whether it is compressed is found out from
// its first bytes.
func Stream(name string, in io.Reader) *Source {
	return &Source{[]*part{{name: name, in: in, size: -1, first: math.MinInt64}}, math.MinInt64}
}

// Open opens logs for reading. A path is a file and the rotated set beside it: decisions.log with decisions.log.1,
// decisions.log.2.gz, decisions.log-20261122.zst and so on. "-" is stdin. Everything is opened at once and read up to
// its length at that moment, so that a rotation meanwhile does no harm; a file that several paths lead to is read once.
// Whether a file is compressed is found out from its first bytes. An error names the file; nothing is left open then.
func Open(paths []string, stdin io.Reader) ([]*Source, error) {
	o := &opener{named: map[string]bool{}}
	for _, path := range paths {
		o.named[filepath.Clean(path)] = true
	}
	for _, path := range paths {
		var err error
		if path == "-" {
			o.addStream(stdin)
		} else if !o.inNamedSet(path) {
			err = o.openSet(path)
		}
		if err != nil {
			closeSources(o.sources)
			return nil, err
		}
	}
	return o.sources, nil
}

// closeSources closes every file. Whoever is still reading one gets an error.
func closeSources(sources []*Source) {
	for _, s := range sources {
		for _, p := range s.parts {
			if p.file != nil {
				p.file.Close()
			}
		}
	}
}

// opener is the state of one call of Open.
type opener struct {
	sources []*Source
	named   map[string]bool // paths
	stdin   bool            // is among the sources
}

func (o *opener) addStream(stdin io.Reader) {
	if !o.stdin {
		o.stdin = true
		o.sources = append(o.sources, Stream("-", stdin))
	}
}

// inNamedSet says whether a path is of the rotated set of another one that was named.
func (o *opener) inNamedSet(path string) bool {
	path = filepath.Clean(path)
	for i := 1; i < len(path); i++ {
		if c := path[i]; (c == '.' || c == '-') && isRotatedSuffix(path[i:]) && o.named[path[:i]] {
			return true
		}
	}
	return false
}

// isRotatedSuffix says whether a file is of a rotated set by what its name has behind the log's own.
func isRotatedSuffix(suffix string) bool {
	return len(suffix) > 1 && (suffix[0] == '.' || suffix[0] == '-') && suffix[1] >= '0' && suffix[1] <= '9' &&
		!strings.Contains(suffix, "/") && !strings.HasSuffix(suffix, ".tmp")
}

// trimCompression is a name without the ending that says it is compressed.
func trimCompression(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
}

// openSet opens a log and its rotated set. The newest is opened first, and the folder is listed twice: whatever a
// rotation moves meanwhile is found under its old name or its new one.
func (o *opener) openSet(path string) error {
	s := &Source{}
	o.sources = append(o.sources, s)
	failed := o.open(s, path)
	if failed != nil && !errors.Is(failed, fs.ErrNotExist) {
		return failed
	}
	seen := map[string]bool{}
	for range 2 {
		names, err := rotatedFiles(path)
		if target, linked := linkTarget(path); linked && err == nil {
			var more []string
			more, err = rotatedFiles(target)
			names = append(names, more...)
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if seen[trimCompression(name)] {
				continue
			}
			seen[trimCompression(name)] = true
			if err := o.openRotated(s, name); err != nil {
				return err
			}
		}
	}
	if len(s.parts) == 0 && !o.pathIsOpen(path) {
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

// pathIsOpen says whether the file of a path is open already, for another path.
func (o *opener) pathIsOpen(path string) bool {
	info, err := os.Stat(path)
	return err == nil && o.isOpen(info)
}

// linkTarget is the file that a link leads to: the gateway rotates beside the file, others beside the link.
func linkTarget(path string) (target string, linked bool) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return "", false
	}
	target, err = filepath.EvalSymlinks(path)
	return target, err == nil
}

// rotatedFiles lists the rotated set of a log without the log itself. Where a file is there both plain and compressed,
// it is being compressed, and only the plain one is whole. What is kept of a file that is too old has ".kept" in its
// name.
func rotatedFiles(path string) ([]string, error) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("folder %q: %w", cmp.Or(dir, "."), withoutPath(err))
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		plain := trimCompression(name)
		moved := there[plain+".kept"] || there[plain+".kept.zst"] // and is about to be removed
		if suffix, ok := strings.CutPrefix(name, base); ok && isRotatedSuffix(suffix) && !e.IsDir() &&
			(plain == name || !there[plain]) && !moved {
			names = append(names, dir+name)
		}
	}
	return names, nil
}

// openRotated opens a file of a rotated set, if need be under the name that it got after the folder was listed.
func (o *opener) openRotated(s *Source, name string) error {
	for _, name := range []string{name, name + ".zst", name + ".gz"} {
		if err := o.open(s, name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil // it was the oldest, and the rotation has removed it
}

// open adds a file to a source, unless it is open already.
func (o *opener) open(s *Source, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("decision log %q: %w", name, withoutPath(err))
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder")
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("decision log %q: %w", name, withoutPath(err))
	}
	if o.isOpen(info) {
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

func (o *opener) isOpen(info fs.FileInfo) bool {
	for _, s := range o.sources {
		for _, p := range s.parts {
			if p.info != nil && os.SameFile(p.info, info) {
				return true
			}
		}
	}
	return false
}

// firstTime is the time of the first line that has one, among the first 64 KiB; math.MinInt64 if there is none.
func firstTime(in io.Reader) int64 {
	r, _, err := decompress(in)
	if err != nil {
		return math.MinInt64
	}
	defer r.Close()
	lines := bufio.NewReaderSize(io.LimitReader(r, 64<<10), 4<<10)
	var l line
	var times timeParser
	for {
		text, err := lines.ReadBytes('\n')
		if _, _, _, found := l.unwrap(bytes.TrimRight(text, "\r\n"), nil); found {
			when, _ := l.decoded(fieldTime, nil)
			if at, ok := times.parse(when); ok {
				return at
			}
		}
		if err != nil {
			return math.MinInt64
		}
	}
}

// maxWindow is how much memory decompressing a file may take, in bytes: what zstd --long needs.
const maxWindow = 128 << 20

// decompress reads what a file holds, whether it is compressed or not. plain says that it is not.
func decompress(in io.Reader) (r io.ReadCloser, plain bool, err error) {
	b := bufio.NewReaderSize(in, 64<<10)
	head, _ := b.Peek(4)
	switch string(head) {
	case "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
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

// withoutPath strips the operation and the path that os puts before its errors: the message names the file already.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
