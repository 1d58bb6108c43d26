package origin

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"

	"gate421/gate/syntax"
)

// chunked reads a chunked body (RFC 9112 section 7.1), and at its end the trailers into the answer's header. Anything
// that is not to the letter is an error: what two readers could split differently is not passed on.
type chunked struct {
	c       *conn
	trailer http.Header
	left    int64 // of the present chunk
	inside  bool  // a chunk has begun and its end has not been read
	err     error
}

const maxChunkLine = 4 << 10 // size and extensions, which mean nothing to us

// Read reads bytes of the present chunk, going on to the next where it is empty.
func (b *chunked) Read(p []byte) (n int, err error) {
	if b.err == nil && b.left == 0 {
		b.err = b.next()
	}
	if b.err != nil {
		return 0, b.err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err = b.c.Read(p)
	b.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	return n, err
}

// ready says whether Read would find something without waiting for the origin.
func (b *chunked) ready() bool {
	there, _ := b.c.r.Peek(b.c.r.Buffered())
	if b.left > 0 {
		return len(there) > 0
	}
	if b.inside { // the end of the chunk
		_, there, _ = bytes.Cut(there, []byte("\n"))
	}
	line, there, whole := bytes.Cut(there, []byte("\n"))
	if size, ok := chunkSize(strings.TrimSuffix(string(line), "\r")); ok && size == 0 {
		return bytes.HasPrefix(there, []byte("\r\n")) // trailers may take their time
	}
	return whole && len(there) > 0
}

// next reads up to the first byte of the next chunk, or to the end of the body.
func (b *chunked) next() error {
	if b.inside {
		if line, err := b.line(); err != nil {
			return err
		} else if len(line) > 0 {
			return malformed("a chunk is longer than it says")
		}
		b.inside = false
	}
	line, err := b.line()
	if err != nil {
		return err
	}
	size, ok := chunkSize(string(line))
	if !ok {
		return malformed("chunk size %.60q", line)
	}
	if size > 0 {
		b.left, b.inside = size, true
		return nil
	}
	block, err := b.c.readBlock(b.c.in[:0])
	b.c.in = block
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	} else if bytes.Count(block, []byte("\n")) != bytes.Count(block, []byte("\r\n")) {
		return malformed("a trailer ends in LF alone")
	}
	for _, line := range b.trailer["Trailer"] { // what has come in the head under these names does not come again
		for name := range strings.SplitSeq(line, ",") {
			delete(b.trailer, http.CanonicalHeaderKey(strings.Trim(name, " \t")))
		}
	}
	if string(block) == "\r\n" {
		return io.EOF
	}
	f := answerFields{header: http.Header{}}
	if err := f.parse(string(block)); err != nil {
		return err
	}
	for name, values := range f.header {
		if name != "Content-Length" && name != "Trailer" {
			b.trailer[http.TrailerPrefix+name] = values
		}
	}
	return io.EOF
}

// line reads one line, which must end in CRLF. It is good until something else is read.
func (b *chunked) line() ([]byte, error) {
	line, err := b.c.r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull || len(line) > maxChunkLine:
		return nil, malformed("a chunk size of more than %d bytes", maxChunkLine)
	case err == io.EOF:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	case len(line) < 2 || line[len(line)-2] != '\r':
		return nil, malformed("a chunk line ends in LF alone")
	}
	return line[:len(line)-2], nil
}

// chunkSize reads a chunk's size. Blanks behind it are what some servers reserve space with.
func chunkSize(line string) (n int64, ok bool) {
	return syntax.ChunkSize(strings.TrimRight(line, " \t"))
}
