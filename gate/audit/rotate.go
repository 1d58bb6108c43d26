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

	"gate421/gate/files"
)

// Rotation says when the log's file is set aside for a new one. A file that was set aside has the time of that behind
// its name, decisions.log.20261122T150405.000000Z, so that names sort by time; while the clock is behind the newest of
// them, they go on from there. Where the log's path is a link, it stays one, and the files are beside what it leads to.
// The zero value never rotates. Standard output and pipes are never rotated.
type Rotation struct {
	Size     int64 // bytes; a file that has reached them is set aside after the write that did
	Keep     int   // files set aside that are kept whole, the newest; 0: all. Of older ones what proves something is kept
	Compress bool  // compress them with zstd, which adds .zst to the name
}

const stampFormat = "20060102T150405.000000Z"

// rotateNow sets the file aside and opens a new one under its path. Where that fails the log goes on in the file it
// has, and it is tried again a minute later. The caller holds mu; nothing here waits for the disk to sync.
func (o *output) rotateNow() {
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
		o.reportRotation(o.path, fmt.Errorf("decision log %q: cannot be set aside: %w", o.path, reason(err)))
		return
	}
	f, _, err := o.openPath()
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
	o.reportRotation(o.path, fmt.Errorf("decision log %q: %w", o.path, reason(err)))
}

func (o *output) reportRotation(file string, err error) {
	if o.onRotate != nil {
		o.onRotate(file, err)
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
			o.reportRotation(name, o.closeSynced(f))
		case <-done:
			for len(o.aside) > 0 {
				o.closeSynced(<-o.aside)
			}
			return
		}
	}
}

// tidy compresses what is not compressed yet, removes what an interruption left, and then all but the newest, of which
// it keeps what proves something.
func (o *output) tidy(ctx context.Context) {
	all, err := o.setAside()
	errs := []error{err}
	whole, kept := split(all)
	for _, name := range all {
		if strings.HasSuffix(name, ".tmp") {
			errs = append(errs, os.Remove(name))
		}
	}
	errs = append(errs, finishReduce(whole, kept))
	for _, name := range whole {
		if _, err := os.Lstat(name); err == nil && o.rotate.Compress && !strings.HasSuffix(name, ".zst") {
			errs = append(errs, compress(ctx, name))
		}
		if ctx.Err() != nil {
			return
		}
	}
	errs = append(errs, o.age(ctx))
	if ctx.Err() != nil {
		return
	}
	if err := errors.Join(errs...); err != nil {
		o.reportRotation(o.path, fmt.Errorf("decision log %q: files set aside: %w", o.path, err))
	}
}

// age removes all but the newest. Where a file cannot be reduced first, as many again are kept before it goes without.
func (o *output) age(ctx context.Context) error {
	if o.rotate.Keep == 0 {
		return nil
	}
	all, err := o.setAside()
	errs := []error{err}
	whole, kept := split(all)
	for len(whole) > o.rotate.Keep {
		latest := ""
		if len(kept) > 0 {
			latest = kept[len(kept)-1]
		}
		if err := o.reduce(ctx, whole[0], latest); err != nil {
			if errs = append(errs, err); len(whole) <= 2*o.rotate.Keep || ctx.Err() != nil {
				return errors.Join(errs...)
			}
			errs = append(errs, os.Remove(whole[0]))
		}
		if all, err = o.setAside(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		before := len(whole)
		if whole, kept = split(all); len(whole) >= before {
			break
		}
	}
	return errors.Join(append(errs, shorten(kept, o.rotate.Size))...)
}

// shorten removes the oldest files until the rest takes no more than so many bytes, but never the last.
func shorten(names []string, most int64) error {
	var errs []error
	for i := len(names) - 1; i >= 0; i-- {
		info, err := os.Lstat(names[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if most -= info.Size(); most < 0 && i < len(names)-1 {
			errs = append(errs, os.Remove(names[i]))
		}
	}
	return errors.Join(errs...)
}

// split parts whole files from those that hold what was kept of others.
func split(names []string) (whole, kept []string) {
	for _, name := range names {
		switch stem := strings.TrimSuffix(name, ".zst"); {
		case strings.HasSuffix(name, ".tmp"):
		case strings.HasSuffix(stem, keptWord):
			kept = append(kept, name)
		default:
			whole = append(whole, name)
		}
	}
	return whole, kept
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

// stamp is the time in the name of a file that was set aside; ours is false for any other name. A file that is being
// made has more behind it, and ".tmp" at its end.
func stamp(name, path string) (at time.Time, ours bool) {
	text, ours := strings.CutPrefix(name, path+".")
	if !ours || len(text) < len(stampFormat) {
		return at, false
	}
	at, err := time.Parse(stampFormat, text[:len(stampFormat)])
	switch rest := text[len(stampFormat):]; {
	case err != nil:
		return at, false
	case strings.HasSuffix(rest, ".tmp"):
		return at, rest[0] == '.'
	default:
		return at, rest == "" || rest == ".zst" || rest == keptWord || rest == keptWord+".zst"
	}
}

// stampOf is the time in the name of a file that is known to have been set aside.
func stampOf(name string) time.Time {
	for name = filepath.Base(name); len(name) >= len(stampFormat); name = name[1:] {
		if at, err := time.Parse(stampFormat, name[:len(stampFormat)]); err == nil {
			return at
		}
	}
	return time.Time{}
}

func (o *output) latest() string {
	names, _ := o.setAside()
	if len(names) == 0 {
		return o.path
	}
	return names[len(names)-1]
}

// compress replaces a file by its compressed form, which is whole and on the disk before the file is removed.
func compress(ctx context.Context, name string) error {
	from, err := openAside(name)
	if err != nil {
		return err
	}
	defer from.Close()
	err = replaceWith(name+".zst", from, func(to io.Writer) error {
		w, err := newCompressor(to)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, untilDone{ctx, from})
		return errors.Join(err, w.Close())
	})
	if err != nil {
		return err
	}
	return os.Remove(name)
}

// newCompressor takes one processor and a small window: a gateway under load has better uses for both.
func newCompressor(to io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
}

// openAside opens a file that was set aside, and no link that somebody has put in its place.
func openAside(name string) (*os.File, error) {
	f, real, err := files.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || filepath.Base(real) != filepath.Base(name) {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%q is no file that was set aside", name))
	}
	return f, nil
}

// replaceWith makes or replaces a file by Replace, with the permissions of another.
func replaceWith(name string, like *os.File, write func(io.Writer) error) error {
	info, err := like.Stat()
	if err != nil {
		return err
	}
	return files.Replace(name, info.Mode().Perm(), write)
}

// untilDone is a Reader that ends with a context.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

// Read serves io.Reader.
func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.from.Read(p)
}
