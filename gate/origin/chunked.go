package origin

import (
	"bytes"
	"net/http"
	"strings"

	"gate421/gate/http1"
)

// chunked is the reader of a chunked answer.
func (c *conn) chunked() *http1.Chunks {
	c.chunks = http1.Chunks{R: c.r, Blanks: true, Behind: c.trailers}
	return &c.chunks
}

// readTrailers reads the fields behind a chunked answer into c.behind, where net/http's servers look for trailers.
func (c *conn) readTrailers() error {
	block, err := c.readBlock(c.in[:0])
	c.in = block
	if err != nil {
		return err
	}
	if bytes.Count(block, []byte("\n")) != bytes.Count(block, []byte("\r\n")) {
		return malformed("a trailer ends in LF alone")
	}
	for _, line := range c.behind["Trailer"] { // what has come in the head under these names does not come again
		for name := range strings.SplitSeq(line, ",") {
			delete(c.behind, http.CanonicalHeaderKey(strings.Trim(name, " \t")))
		}
	}
	if len(block) == len("\r\n") {
		return nil
	}
	f := answerFields{header: http.Header{}}
	if err := f.parse(string(block)); err != nil {
		return err
	}
	c.behindNames = f.names
	for name, values := range f.header {
		if trails(name) {
			c.behind[http.TrailerPrefix+name] = values
		}
	}
	return nil
}
