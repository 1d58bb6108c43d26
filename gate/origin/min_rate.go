package origin

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// minRate is how slowly the body of a response may come whose length is known: so many bytes in so much time, as long
// as it is waited for. It may be behind by one wait, so that silence alone is bounded by the wait only. A body of
// unknown length may come as it likes, and so may an event stream: that one byte comes in an hour may be all there is
// to say.
type minRate struct {
	time  time.Duration
	bytes int
}

// rateWatch watches one body.
type rateWatch struct {
	minRate
	most time.Duration // behind
	left time.Duration // of it
}

// watch begins a watch; a nil one lets everything pass.
func (p minRate) watch(header http.Header, length int64, wait time.Duration) *rateWatch {
	if length <= 0 || p.bytes == 0 || eventStream(header) {
		return nil
	}
	most := max(wait, p.time)
	return &rateWatch{p, most, most}
}

func eventStream(header http.Header) bool {
	kind := header["Content-Type"]
	return len(kind) > 0 && strings.HasPrefix(kind[0], "text/event-stream")
}

// read notes that n bytes were waited for so long. Its error, a timeout, says that they read too slowly.
func (d *rateWatch) read(n int, waited time.Duration) error {
	if d == nil {
		return nil
	}
	d.left = min(d.left-waited+time.Duration(float64(d.time)*float64(n)/float64(d.bytes)), d.most)
	if d.left >= 0 {
		return nil
	}
	return fmt.Errorf("the body comes more slowly than %d bytes in %v: %w", d.bytes, d.time, os.ErrDeadlineExceeded)
}
