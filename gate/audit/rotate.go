package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Rotation says when the log's file is set aside for a new one. A file that was set aside has the time of that behind its
// name, decisions.log.20261122T150405.000000Z, so that names sort by time; while the clock is behind the newest of them, they
// go on from there. Where the log's path is a link, it stays one, and the files are beside what it leads to. The zero value
// never rotates. Standard output and pipes are never rotated.
type Rotation struct {
	Size     int64 // bytes; a file that has reached them is set aside after the write that did
	Keep     int   // files set aside that are kept, the newest; 0: all
	Compress bool  // compress them with zstd, which adds .zst to the name
}

const stampFormat = "20060102T150405.000000Z"

// turn sets the file aside and opens a new one under its path. Where that fails the log goes on in the file it has, and it
// is tried again a minute later. The caller holds mu; nothing here waits for the disk to sync.
func (o *output) turn() {
	now := time.Now()
	if now.Before(o.pause) || !o.here.Mode().IsRegular() {
		return
	}
	o.pause = now.Add(time.Minute)
	if here, err := os.Stat(o.real); err != nil || !os.SameFile(here, o.here) {
		return // somebody else has just done it
	}
	at := now.UTC().Truncate(time.Microsecond)
	if !at.After(o.newest) { // the clock was set back, and the oldest by name are the first to go
		at = o.newest.Add(time.Microsecond)
	}
	name := o.real + "." + at.Format(stampFormat)
	if _, err := os.Lstat(name); err == nil {
		return
	}
	if err := os.Rename(o.real, name); err != nil {
		o.tell(o.path, fmt.Errorf("decision log %q: cannot be set aside: %w", o.path, reason(err)))
		return
	}
	f, err := os.OpenFile(o.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o640)
	if err == nil {
		var here os.FileInfo
		if here, err = f.Stat(); err == nil {
			select {
			case o.aside <- o.file:
			default: // the disk is far behind
				o.file.Close()
			}
			o.file, o.here, o.size, o.pause, o.newest = f, here, here.Size(), time.Time{}, at
			o.rotations.Add(1)
			return
		}
		f.Close()
	}
	if os.Link(name, o.real) == nil { // unlike a rename it overwrites nothing
		os.Remove(name)
	}
	o.tell(o.path, fmt.Errorf("decision log %q: %w", o.path, reason(err)))
}

func (o *output) tell(file string, err error) {
	if o.told != nil {
		o.told(file, err)
	}
}

// archive takes care of the files that were set aside, those of an earlier run first, until done.
func (o *output) archive(done <-chan struct{}) {
	if o.aside == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends a compression that is under way; the next start makes it anew
		<-done
		cancel()
	}()
	for {
		o.tidy(ctx)
		select {
		case f := <-o.aside:
			name := o.latest()
			err := f.Sync()
			f.Close()
			o.tell(name, err)
		case <-done:
			for len(o.aside) > 0 {
				f := <-o.aside
				f.Sync()
				f.Close()
			}
			return
		}
	}
}

// tidy compresses what is not compressed yet, removes what an interrupted compression left, and then all but the newest.
func (o *output) tidy(ctx context.Context) {
	var errs []error
	names, err := o.setAside()
	errs = append(errs, err)
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, ".tmp"):
			errs = append(errs, os.Remove(name))
		case o.rotate.Compress && !strings.HasSuffix(name, ".zst"):
			errs = append(errs, compress(ctx, name))
		}
		if ctx.Err() != nil {
			return
		}
	}
	if names, err = o.setAside(); o.rotate.Keep > 0 {
		for len(names) > o.rotate.Keep {
			errs = append(errs, os.Remove(names[0]))
			names = names[1:]
		}
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		o.tell(o.path, fmt.Errorf("decision log %q: files set aside: %w", o.path, err))
	}
}

// setAside lists the files that were set aside, the oldest first.
func (o *output) setAside() ([]string, error) {
	o.mu.Lock()
	folder, base := filepath.Split(o.real)
	o.mu.Unlock()
	if folder == "" {
		folder = "."
	}
	entries, err := os.ReadDir(folder)
	var names []string
	for _, entry := range entries {
		if _, ours := stamp(entry.Name(), base); ours && entry.Type().IsRegular() {
			names = append(names, filepath.Join(folder, entry.Name()))
		}
	}
	slices.Sort(names)
	return names, err
}

// stamp is the time in the name of a file that was set aside; ours is false for any other name.
func stamp(name, path string) (at time.Time, ours bool) {
	text, ours := strings.CutPrefix(name, path+".")
	at, err := time.Parse(stampFormat, strings.TrimSuffix(strings.TrimSuffix(text, ".tmp"), ".zst"))
	return at, ours && err == nil
}

func (o *output) latest() string {
	names, _ := o.setAside()
	if len(names) == 0 {
		return o.path
	}
	return names[len(names)-1]
}

// compress replaces a file by its compressed form, which is whole and on the disk before the file is removed.
func compress(ctx context.Context, name string) (err error) {
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	made := name + ".zst.tmp"
	to, err := os.OpenFile(made, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		to.Close()
		if err != nil {
			os.Remove(made)
		}
	}()
	// One processor and a small window: a gateway under load has better uses for both.
	w, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return err
	}
	if _, err = io.Copy(w, untilDone{ctx, from}); err != nil {
		w.Close()
		return err
	}
	if err = errors.Join(w.Close(), to.Sync(), to.Close()); err != nil {
		return err
	}
	if err = os.Rename(made, name+".zst"); err != nil {
		return err
	}
	syncFolder(filepath.Dir(name))
	return os.Remove(name)
}

// syncFolder makes renames last, where the system can.
func syncFolder(folder string) {
	if f, err := os.Open(folder); err == nil {
		f.Sync()
		f.Close()
	}
}

// untilDone is a Reader that ends with a context.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

// Read serves io.Reader.
func (r untilDone) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}
