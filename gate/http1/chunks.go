package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Chunks reads a chunked body (RFC 9112 section 7.1). Anything that is not to the letter is an error: what two readers
// could split differently is not passed on. Set R; the rest may be zero.
type Chunks struct {
	R *bufio.Reader
	// Blanks lets them stand between a size and the end of its line, where some servers leave room for a longer size.
	Blanks bool
	// Behind reads what comes behind the last chunk, the empty line included, from R. Its error ends the body. nil: the
	// fields there are read to the letter, for Trailer.
	Behind func() error
	// Trailer is told every field behind the body, in order. An error of its own ends the body with that error.
	Trailer func(name, value string) error

	left   int64 // of the present chunk
	inside bool  // a chunk has begun and its end has not been read
	excess int64 // see maxExcess
	err    error
	long   []byte // a line that is longer than R's buffer
}

// Bounds of what a peer may say between the bytes of a body, and behind it.
const (
	maxChunkLine    = 4 << 10  // size and extensions, which mean nothing to us
	maxExcess       = 16 << 10 // of all these lines of a body, beyond lineBytes for each and twice the body's bytes
	lineBytes       = 16
	maxTrailer      = 32 << 10
	maxTrailerLines = 128
)

// ErrMalformed is the root of what is not HTTP/1.1.
var ErrMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Read reads bytes of the present chunk, and of those behind it as far as they have come. Its error is io.EOF at
// the end of the body, io.ErrUnexpectedEOF where the connection ended before, and what the connection said
// otherwise.
func (c *Chunks) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for n == 0 || n < len(p) && c.Ready() {
		if c.err == nil && c.left == 0 {
			if small := c.readSmall(p[n:]); small > 0 {
				n += small
				continue
			}
			c.err = c.next()
		}
		if c.err != nil {
			break
		}
		free := p[n:]
		if int64(len(free)) > c.left {
			free = free[:c.left]
		}
		var m int
		m, err = c.R.Read(free)
		n += m
		c.left -= int64(m)
		c.err = unexpected(err)
	}
	if n > 0 && c.err != io.EOF {
		return n, nil // what is wrong is said by the next one
	}
	return n, c.err
}

// readSmall reads chunks that are in R's buffer with all of their bytes, as far as there is room for them. It leaves
// every other one to next: one of 4096 bytes or more, the last one, one with an extension, and one that is malformed. A
// client may send one for every byte.
func (c *Chunks) readSmall(p []byte) (n int) {
	there, _ := c.R.Peek(c.R.Buffered())
	read := 0
	for {
		at := read
		if c.inside {
			if at+2 > len(there) || there[at] != '\r' || there[at+1] != '\n' {
				break
			}
			at += 2
		}
		size, digits := 0, 0
		for ; digits < 3 && at < len(there); digits++ {
			d, ok := hexDigit(there[at])
			if !ok {
				break
			}
			size = size<<4 | int(d)
			at++
		}
		if size == 0 || at+2+size > len(there) || there[at] != '\r' || there[at+1] != '\n' || size > len(p)-n {
			break
		}
		at += 2
		if size == 1 {
			p[n] = there[at] // a call of copy costs as much as all the rest
		} else {
			copy(p[n:], there[at:at+size])
		}
		n, read, c.inside = n+size, at+size, true
		c.excess = max(c.excess+int64(digits)-lineBytes-2*int64(size), 0)
	}
	c.R.Discard(read)
	return n
}

// Ready says whether Read would find something without waiting for the peer.
func (c *Chunks) Ready() bool {
	there, _ := c.R.Peek(c.R.Buffered())
	if c.left > 0 {
		return len(there) > 0
	}
	if c.inside { // the end of the chunk
		_, there, _ = bytes.Cut(there, []byte("\n"))
	}
	line, there, whole := bytes.Cut(there, []byte("\n"))
	if size, ok := c.size(bytes.TrimSuffix(line, []byte("\r"))); ok && size == 0 {
		return bytes.HasPrefix(there, []byte("\r\n")) // trailers may take their time
	}
	return whole && len(there) > 0
}

// next reads up to the first byte of the next chunk, or to the end of the body.
func (c *Chunks) next() error {
	if c.inside {
		if line, err := c.line(maxChunkLine); err != nil {
			return err
		} else if len(line) != 0 {
			return malformed("a chunk is longer than it says")
		}
		c.inside = false
	}
	line, err := c.line(maxChunkLine)
	if err != nil {
		return err
	}
	size, ok := c.size(line)
	if !ok {
		return malformed("chunk size %.60q", line)
	}
	if c.excess += int64(len(line)) - lineBytes - 2*size; c.excess < 0 {
		c.excess = 0
	} else if c.excess > maxExcess {
		return malformed("a chunked body has much more between its bytes than bytes")
	}
	if size > 0 {
		c.left, c.inside = size, true
		return nil
	}
	if c.Behind == nil {
		return c.end()
	}
	if err := c.Behind(); err != nil {
		return unexpected(err)
	}
	return io.EOF
}

// size reads a line that begins a chunk.
func (c *Chunks) size(line []byte) (n int64, ok bool) {
	if c.Blanks {
		line = bytes.TrimRight(line, " \t")
	}
	return ChunkSize(string(line))
}

// end reads the trailer.
func (c *Chunks) end() error {
	size := 0
	for range maxTrailerLines {
		line, err := c.line(maxTrailer)
		if err != nil {
			return err
		}
		if size += len(line); size > maxTrailer {
			break
		}
		if len(line) == 0 {
			return io.EOF
		}
		name, value, ok := Field(string(line))
		if !ok {
			return malformed("trailer field %.60q", line)
		}
		if c.Trailer != nil {
			if err := c.Trailer(name, value); err != nil {
				return err
			}
		}
	}
	return malformed("too many trailers")
}

// line reads one line, which must end in CRLF. It is good until the next read.
func (c *Chunks) line(most int) ([]byte, error) {
	c.long = c.long[:0]
	for {
		piece, err := c.R.ReadSlice('\n')
		if err == bufio.ErrBufferFull && len(c.long)+len(piece) <= most {
			c.long = append(c.long, piece...)
			continue
		}
		line := piece
		if len(c.long) > 0 {
			c.long = append(c.long, piece...)
			line = c.long
		}
		switch {
		case err == bufio.ErrBufferFull || len(line) > most:
			return nil, malformed("a line of a chunked body has more than %d bytes", most)
		case err != nil:
			return nil, unexpected(err)
		case len(line) < 2 || line[len(line)-2] != '\r':
			return nil, malformed("a line of a chunked body ends in LF alone")
		}
		return line[:len(line)-2], nil
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
