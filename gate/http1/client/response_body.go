package client

import (
	"bytes"
	"net/http"
	"strings"

	"gate421/gate/http1"
)

// Chunked reads a chunked body. Trailer fields are put into header, under http.TrailerPrefix.
func (c *Conn) Chunked(header http.Header) *http1.Chunks {
	c.trailer = header
	c.chunks = http1.Chunks{R: c.r, Blanks: true, Behind: c.readTrailer}
	return &c.chunks
}

// readTrailers reads the fields behind a chunked response into c.trailer, where net/http's servers look for trailers.
func (c *Conn) readTrailers() error {
	block, err := c.readBlock(c.in[:0])
	c.in = block
	if err != nil {
		return err
	}
	if bytes.Count(block, []byte("\n")) != bytes.Count(block, []byte("\r\n")) {
		return malformed("a trailer ends in LF alone")
	}
	for _, line := range c.trailer["Trailer"] { // what has come in the head under these names does not come again
		for name := range strings.SplitSeq(line, ",") {
			delete(c.trailer, http.CanonicalHeaderKey(strings.Trim(name, " \t")))
		}
	}
	if len(block) == len("\r\n") {
		return nil
	}
	f := responseFields{header: http.Header{}}
	if err := f.parse(string(block)); err != nil {
		return err
	}
	c.TrailerNames = f.names
	for name, values := range f.header {
		if AllowedTrailer(name) {
			c.trailer[http.TrailerPrefix+name] = values
		}
	}
	return nil
}
