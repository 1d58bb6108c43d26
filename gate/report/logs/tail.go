package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// pollInterval is how often a followed file is checked.
const pollInterval = 200 * time.Millisecond

// blockBytes is how much is read at once from the end of a file backwards.
const blockBytes = 256 << 10

// Tail is the end of a log that is being written: the last records and, where it follows, each new one.
type Tail struct {
	Path   string
	Last   int  // how many records that are there already come first
	Follow bool // wait for more, by name: through a rename with a new file and through a truncation
	Query  Query
	Choice Choice
}

// Run calls each with the lines that fit, as [Record.Line] has them, until ctx ends or, unless it follows, to the end
// of the file. A line is valid until each returns. An error of each ends it and is returned; the end of ctx is none.
// The file must exist at first and must not be compressed; later it may be away for any time.
func (t *Tail) Run(ctx context.Context, each func(line []byte) error) error {
	f := &follower{tail: t, filter: newFilter(&t.Query, t.Choice), each: each}
	if err := f.open(); err != nil {
		return err
	}
	defer func() { f.file.Close() }()
	if err := f.readLast(t.Last); err != nil {
		return err
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if err := f.readNew(ctx); err != nil {
			return ignoreEnd(ctx, err)
		}
		if !t.Follow {
			return f.flush()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := f.checkFile(ctx); err != nil {
			return ignoreEnd(ctx, err)
		}
	}
}

// ignoreEnd drops the error of a ctx that has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// follower reads the file of a Tail.
type follower struct {
	tail      *Tail
	filter    *filter
	each      func([]byte) error
	file      *os.File
	at        int64  // where the next read begins
	rest      []byte // a line whose end has not come yet
	long      bool   // it is too long, and the rest of it is left out
	block     []byte
	line      line
	times     timeParser
	scratch   []byte
	unescaped []byte // a line that had to be unescaped
}

func (f *follower) open() error {
	file, err := os.Open(f.tail.Path)
	if err != nil {
		return fmt.Errorf("decision log %q: %w", f.tail.Path, withoutPath(err))
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is not a regular file")
	}
	if err != nil {
		file.Close()
		return fmt.Errorf("decision log %q: %w", f.tail.Path, withoutPath(err))
	}
	f.file, f.at, f.rest, f.long = file, 0, f.rest[:0], false
	return nil
}

// match is the log's line in a line, if it fits, else nil. It is valid until the next call.
func (f *follower) match(text []byte) []byte {
	if len(text) == 0 || len(text) > maxLine {
		return nil
	}
	var found bool
	if _, _, f.unescaped, found = f.line.unwrap(text, f.unescaped[:0]); !found {
		return nil
	}
	var when []byte
	when, f.scratch = f.line.decoded(fieldTime, f.scratch[:0])
	at, ok := f.times.parse(when)
	if !ok || f.line.values[fieldEvent].kind != stringValue || !f.filter.selects(&f.line, at, &f.scratch) {
		return nil
	}
	return f.line.text
}

// readLast hands on the last n lines that fit. It reads from the end, no further back than it must. A last line without
// an end is left to readNew.
func (f *follower) readLast(n int) error {
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("decision log %q: %w", f.tail.Path, withoutPath(err))
	}
	whole := false
	var found [][]byte
	var later []byte // the end of a line that begins before what was read
	for end := info.Size(); end > 0 && (!whole || len(found) < n); {
		start := max(0, end-blockBytes)
		block := make([]byte, end-start, int(end-start)+len(later))
		if _, err := f.file.ReadAt(block, start); err != nil && err != io.EOF {
			return fmt.Errorf("decision log %q: %w", f.tail.Path, withoutPath(err))
		}
		end = start
		if !whole {
			last := bytes.LastIndexByte(block, '\n') + 1
			whole, f.at, block = last > 0, start+int64(last), block[:last]
			if !whole {
				continue
			}
		}
		block = append(block, later...)
		first := 0
		if start > 0 {
			first = bytes.IndexByte(block, '\n') + 1
		}
		found = f.matchLast(block[first:], found, n)
		if later = block[:first]; len(later) > maxLine+1 {
			later = []byte("x\n") // too long, and whatever comes before it is no JSON with this
		}
	}
	for i := len(found) - 1; i >= 0; i-- {
		if err := f.each(found[i]); err != nil {
			return err
		}
	}
	return nil
}

// matchLast adds lines of text that fit to found, the last ones first, until there are n.
func (f *follower) matchLast(text []byte, found [][]byte, n int) [][]byte {
	for len(text) > 0 && len(found) < n {
		text = text[:len(text)-1]
		start := bytes.LastIndexByte(text, '\n') + 1
		if line := f.match(bytes.TrimSuffix(text[start:], []byte("\r"))); line != nil {
			found = append(found, bytes.Clone(line))
		}
		text = text[:start]
	}
	return found
}

// readNew hands on the lines that have come since.
func (f *follower) readNew(ctx context.Context) error {
	if f.block == nil {
		f.block = make([]byte, 64<<10)
	}
	for ctx.Err() == nil {
		n, err := f.file.ReadAt(f.block, f.at)
		f.at += int64(n)
		if err := f.split(f.block[:n]); err != nil {
			return err
		}
		if err == io.EOF || n == 0 && err == nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("decision log %q: %w", f.tail.Path, withoutPath(err))
		}
	}
	return ctx.Err()
}

// split cuts text into lines.
func (f *follower) split(text []byte) error {
	for {
		n := bytes.IndexByte(text, '\n')
		if n < 0 {
			f.rest = append(f.rest, text...)
			if len(f.rest) > maxLine {
				f.rest, f.long = f.rest[:0], true
			}
			return nil
		}
		f.rest = append(f.rest, text[:n]...)
		text = text[n+1:]
		if err := f.flush(); err != nil {
			return err
		}
	}
}

// flush hands on the line that is complete.
func (f *follower) flush() (err error) {
	if line := f.match(bytes.TrimSuffix(f.rest, []byte("\r"))); !f.long && line != nil {
		err = f.each(line)
	}
	f.rest, f.long = f.rest[:0], false
	return err
}

// checkFile finds out whether the path leads to another file now, or the file has become shorter.
func (f *follower) checkFile(ctx context.Context) error {
	open, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("decision log %q: %w", f.tail.Path, withoutPath(err))
	}
	if open.Size() < f.at {
		f.at, f.rest, f.long = 0, f.rest[:0], false
	}
	here, err := os.Stat(f.tail.Path)
	if err != nil || os.SameFile(here, open) {
		return nil // gone: the next one will come, and until then the old one may still grow
	}
	if err := f.readNew(ctx); err != nil { // what came between the last check and the rename
		return err
	}
	old := f.file
	if err := f.open(); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil // a rotation is under way
		}
		return err
	}
	return old.Close()
}
