package logs

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"
)

// maxLine is the longest line that is read, in bytes. The log's own have a few thousand.
const maxLine = 1 << 20

// chunk is whole lines of one file, on their way from the goroutine that reads the stream to a worker and to the merge.
// It comes back to that goroutine and is reused.
type chunk struct {
	data []byte
	part *part // the file that begins with this chunk; nil: the same as before
	tail bool  // the last line has no end, and somebody may be writing it
	done chan struct{}

	bytes  int64  // read for it, after decompression
	long   int64  // lines too long to be held
	damage string // why the file ends here

	parsed
}

// stream reads one source, chunk by chunk, on a goroutine of its own. All fields but the channels belong to that
// goroutine.
type stream struct {
	source *Source
	size   int // of a chunk, in bytes
	free   chan *chunk
	filled chan *chunk // closed at the end
	jobs   chan<- *chunk
	read   *atomic.Int64 // of all files, compressed as they are

	rest     []byte // of the last read: the beginning of a line
	skipping bool   // inside of a line that is too long
}

// countingReader counts what is read of a file.
type countingReader struct {
	in io.Reader
	n  *atomic.Int64
}

// Read reads and counts.
func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// run reads all files, until the end or until ctx ends.
func (s *stream) run(ctx context.Context) {
	defer close(s.filled)
	for _, p := range s.source.parts {
		r, plain, err := decompress(countingReader{p.in, s.read})
		first := p
		for more := err == nil; more || first != nil; first = nil {
			c := s.freeChunk(ctx)
			if c == nil {
				return
			}
			c.part = first
			if err == nil {
				more = s.fill(c, r, plain)
			} else {
				more, c.damage = false, err.Error()
			}
			if !s.send(ctx, c) {
				return
			}
		}
		if err == nil {
			r.Close()
		}
		if p.file != nil {
			p.file.Close()
		}
	}
}

func (s *stream) freeChunk(ctx context.Context) *chunk {
	select {
	case c := <-s.free:
		c.data, c.part, c.tail, c.bytes, c.long, c.damage = c.data[:0], nil, false, 0, 0, ""
		return c
	case <-ctx.Done():
		return nil
	}
}

// send gives a chunk to the workers and, in its place in the order, to the merge.
func (s *stream) send(ctx context.Context, c *chunk) bool {
	for _, to := range [...]chan<- *chunk{s.jobs, s.filled} {
		select {
		case to <- c:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// fill reads the next lines into c and says whether there may be more.
func (s *stream) fill(c *chunk, r io.Reader, plain bool) (more bool) {
	c.data = append(c.data, s.rest...)
	s.rest = s.rest[:0]
	for {
		start := len(c.data)
		c.data = grow(c.data, max(s.size, 2*start))
		n, err := readFull(r, c.data[start:])
		c.bytes += int64(n)
		c.data = c.data[:start+n]
		if s.skipping {
			s.skipLong(c)
		}
		if err != nil {
			s.end(c, err, plain)
			return false
		}
		if end := bytes.LastIndexByte(c.data, '\n') + 1; end > 0 {
			s.rest = append(s.rest, c.data[end:]...)
			c.data = c.data[:end]
			return true
		}
		if len(c.data) > maxLine {
			c.data = c.data[:0]
			s.skipping = true
		}
	}
}

// readFull fills p as far as it can. Unlike io.ReadFull, it returns the reader's own error at the end.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	return n, err
}

// end ends a file. A last line without an end is one that is just being written, unless the file is compressed.
func (s *stream) end(c *chunk, err error, plain bool) {
	if err != io.EOF {
		c.damage = err.Error()
	}
	if s.skipping && !plain {
		c.long++
	}
	s.skipping = false
	c.tail = plain
}

// skipLong drops what c has of a line that is too long.
func (s *stream) skipLong(c *chunk) {
	n := bytes.IndexByte(c.data, '\n')
	if n < 0 {
		c.data = c.data[:0]
		return
	}
	s.skipping = false
	c.long++
	c.data = append(c.data[:0], c.data[n+1:]...)
}

// grow makes data n bytes long.
func grow(data []byte, n int) []byte {
	if n <= cap(data) {
		return data[:n]
	}
	bigger := make([]byte, n)
	copy(bigger, data)
	return bigger
}
