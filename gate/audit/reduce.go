package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A file set aside that is one too many is not removed at once: the lines of proved crawlers and the events, the proof
// of what was refused and came back, are moved to a file with ".kept" in its name. So whoever fills files with lines of
// no consequence moves nobody's proof out. In place of a run of removed lines there is one gap line, with the number
// and boot of the last of them. Kept files together take no more room than Rotation.Size; then the oldest goes.

const keptWord = ".kept"

// keptParts is how many kept files there are about: one is added to until it has reached its part of Rotation.Size.
const keptParts = 16

// reduce moves what is kept of a file to a kept file, the latest one if there is room in that, and removes the file.
// The kept file has the name of the last that was moved into it. It is there whole, or not at all.
func (o *output) reduce(ctx context.Context, name, latest string) (err error) {
	at := stampOf(name)
	ending := keptWord
	if o.rotate.Compress {
		ending += ".zst"
	}
	made := strings.TrimSuffix(name, ".zst") + ending
	if !o.continues(latest, ending) || !stampOf(latest).Before(at) {
		latest = ""
	}
	from, err := openAside(name)
	if err != nil {
		return err
	}
	defer from.Close()
	var damage error // the rest of such a file is lost to everybody
	err = replaceWith(made, from, func(to io.Writer) (err error) {
		if latest != "" {
			if err := copyFile(ctx, to, latest); err != nil {
				return err
			}
		}
		damage, err = keep(ctx, to, from, strings.HasSuffix(name, ".zst"), o.rotate.Compress)
		return err
	})
	if err != nil {
		return err
	}
	if damage != nil {
		damage = fmt.Errorf("%s could not be read to its end: %w", filepath.Base(name), reason(damage))
	}
	if latest != "" {
		if err := os.Remove(latest); err != nil {
			return errors.Join(damage, err)
		}
	}
	return errors.Join(damage, os.Remove(name))
}

// continues says whether more may be added to a kept file.
func (o *output) continues(name, ending string) bool {
	info, err := os.Lstat(name)
	return err == nil && strings.HasSuffix(name, ending) && info.Size() < o.rotate.Size/keptParts
}

func copyFile(ctx context.Context, to io.Writer, name string) error {
	from, err := openAside(name)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, untilDone{ctx, from})
	return err
}

// finishReduce removes what an end in the middle of reduce left: the file whose lines have been moved, and before it
// the kept file that the new one begins with.
func finishReduce(whole, kept []string) error {
	var errs []error
	for i, name := range kept {
		at := stampOf(name)
		for _, moved := range whole {
			if !stampOf(moved).Equal(at) {
				continue
			}
			if i > 0 {
				begins, err := beginsWith(name, kept[i-1])
				if errs = append(errs, err); begins {
					errs = append(errs, os.Remove(kept[i-1]))
				}
			}
			errs = append(errs, os.Remove(moved))
		}
	}
	return errors.Join(errs...)
}

// beginsWith says whether a file begins with all that is in another.
func beginsWith(name, beginning string) (bool, error) {
	file, err := openAside(name)
	if err != nil {
		return false, err
	}
	defer file.Close()
	other, err := openAside(beginning)
	if err != nil {
		return false, err
	}
	defer other.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, end := io.ReadFull(other, b)
		if _, err := io.ReadFull(file, a[:n]); err != nil || !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
		if end == io.EOF || end == io.ErrUnexpectedEOF {
			return true, nil
		}
		if end != nil {
			return false, end
		}
	}
}

// keep copies the lines that are kept. damage is what is wrong with a file whose rest nobody can read.
func keep(ctx context.Context, to io.Writer, from io.Reader, compressed, compress bool) (damage, err error) {
	from = untilDone{ctx, from}
	if compressed {
		r, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		from = r
	}
	if compress {
		w, failed := newCompressor(to)
		if failed != nil {
			return nil, failed
		}
		defer func() { err = errors.Join(err, w.Close()) }()
		to = w
	}
	k := &keeper{to: bufio.NewWriterSize(to, 64<<10)}
	lines := bufio.NewReaderSize(from, 64<<10)
	for {
		line, end := lines.ReadSlice('\n')
		k.line(line)
		for end == bufio.ErrBufferFull { // nobody's line is so long; it is not ours to judge
			line, end = lines.ReadSlice('\n')
			k.to.Write(line)
		}
		if end != nil {
			k.gap()
			err := errors.Join(ctx.Err(), k.to.Flush())
			var disk *os.PathError
			switch {
			case end == io.EOF:
				return nil, err
			case errors.As(end, &disk): // it may be read another time
				return nil, errors.Join(err, end)
			}
			return end, err
		}
	}
}

// keeper passes on the lines that are kept, and a gap line for every run of others.
type keeper struct {
	to                     *bufio.Writer
	boot                   []byte
	first, last            []byte // times
	next                   uint64 // number behind the run
	removed, lost, leftOut uint64 // 0, 0, 0: there is no run
}

func (k *keeper) line(line []byte) {
	if len(line) == 0 {
		return
	}
	h, ours := readHead(line)
	missing, gap := missed{}, false
	if ours && h.gap {
		missing, gap = readGap(line)
	}
	if !ours || !h.ordinary && !gap {
		k.gap()
		k.to.Write(line)
		return
	}
	if k.removed > 0 && (!bytes.Equal(k.boot, h.boot) || h.seq-missing.lost-missing.leftOut != k.next) {
		k.gap()
	}
	if k.removed == 0 {
		k.boot, k.first = append(k.boot[:0], h.boot...), append(k.first[:0], h.time...)
		if !missing.since.IsZero() {
			k.first = missing.since.UTC().AppendFormat(k.first[:0], time.RFC3339)
		}
	}
	k.last, k.next = append(k.last[:0], h.time...), h.seq+1
	k.removed, k.lost, k.leftOut = k.removed+1, k.lost+missing.lost, k.leftOut+missing.leftOut
}

// gap ends a run.
func (k *keeper) gap() {
	if k.removed == 0 {
		return
	}
	fmt.Fprintf(k.to, `{"v":1,"time":"%s","boot":"%s","seq":%d,"event":"gap"`, k.last, k.boot, k.next-1)
	for _, member := range []struct {
		name  string
		count uint64
	}{{"left_out", k.leftOut}, {"lost", k.lost}, {"removed", k.removed}} {
		if member.count > 0 {
			fmt.Fprintf(k.to, `,"%s":%d`, member.name, member.count)
		}
	}
	fmt.Fprintf(k.to, `,"since":"%s"}`+"\n", k.first)
	k.removed, k.lost, k.leftOut = 0, 0, 0
}

// head is what stands at the beginning of a line of ours. Within values quotes are escaped, so that nothing in them
// looks like a member.
type head struct {
	time, boot []byte
	seq        uint64
	ordinary   bool // a decision, and of no proved crawler
	gap        bool
}

func readHead(line []byte) (h head, ours bool) {
	if !bytes.HasSuffix(line, []byte("}\n")) {
		return h, false
	}
	rest, ours := bytes.CutPrefix(line, []byte(`{"v":1,"time":"`))
	if !ours {
		return h, false
	}
	if h.time, rest, ours = bytes.Cut(rest, []byte(`","boot":"`)); !ours {
		return h, false
	}
	if h.boot, rest, ours = bytes.Cut(rest, []byte(`","seq":`)); !ours {
		return h, false
	}
	number, rest, ours := bytes.Cut(rest, []byte(`,"event":"`))
	if !ours {
		return h, false
	}
	var err error
	h.seq, err = strconv.ParseUint(string(number), 10, 64)
	h.ordinary = bytes.HasPrefix(rest, []byte(`decision"`)) && !bytes.Contains(rest, []byte(`,"verdict":"genuine"`))
	h.gap = bytes.HasPrefix(rest, []byte(`gap"`))
	return h, err == nil
}

// readGap reads what a gap line says; false: something that cannot be added up, such as an earlier run of removed
// lines.
func readGap(line []byte) (missed, bool) {
	var g struct {
		Lost    uint64    `json:"lost"`
		LeftOut uint64    `json:"left_out"`
		Since   time.Time `json:"since"`
		Removed uint64    `json:"removed"`
	}
	if json.Unmarshal(line, &g) != nil || g.Removed > 0 || g.Lost+g.LeftOut == 0 {
		return missed{}, false
	}
	return missed{lost: g.Lost, leftOut: g.LeftOut, since: g.Since}, true
}
