package origin

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// pace is how slowly the body of an answer may come whose length is known: so many bytes in so much time, as long as it is
// waited for. It may be behind by one wait, so that silence alone is bounded by the wait only. A body of unknown length may
// come as it likes, and so may an event stream: that one byte comes in an hour may be all there is to say.
type pace struct {
	time  time.Duration
	bytes int
}

// drip watches one body.
type drip struct {
	pace
	most time.Duration // behind
	left time.Duration // of it
}

// drip begins a watch; a nil one lets everything pass.
func (p pace) drip(header http.Header, length int64, wait time.Duration) *drip {
	if length <= 0 || p.bytes == 0 || eventStream(header) {
		return nil
	}
	most := max(wait, p.time)
	return &drip{p, most, most}
}

func eventStream(header http.Header) bool {
	kind := header["Content-Type"]
	return len(kind) > 0 && strings.HasPrefix(kind[0], "text/event-stream")
}

// came notes that n bytes were waited for so long. Its error, a timeout, says that they came too slowly.
func (d *drip) came(n int, waited time.Duration) error {
	if d == nil {
		return nil
	}
	d.left = min(d.left-waited+time.Duration(float64(d.time)*float64(n)/float64(d.bytes)), d.most)
	if d.left >= 0 {
		return nil
	}
	return fmt.Errorf("the body comes more slowly than %d bytes in %v: %w", d.bytes, d.time, os.ErrDeadlineExceeded)
}
