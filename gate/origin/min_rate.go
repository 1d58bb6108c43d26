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
func (m minRate) watch(header http.Header, length int64, wait time.Duration) *rateWatch {
	if length <= 0 || m.bytes == 0 || eventStream(header) {
		return nil
	}
	most := max(wait, m.time)
	return &rateWatch{m, most, most}
}

func eventStream(header http.Header) bool {
	kind := header["Content-Type"]
	return len(kind) > 0 && strings.HasPrefix(kind[0], "text/event-stream")
}

// read notes that n bytes were waited for so long. Its error, a timeout, says that they read too slowly.
func (r *rateWatch) read(n int, waited time.Duration) error {
	if r == nil {
		return nil
	}
	r.left = min(r.left-waited+time.Duration(float64(r.time)*float64(n)/float64(r.bytes)), r.most)
	if r.left >= 0 {
		return nil
	}
	return fmt.Errorf("the body comes more slowly than %d bytes in %v: %w", r.bytes, r.time, os.ErrDeadlineExceeded)
}
