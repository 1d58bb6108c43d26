package front

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// virtual serves in a bubble of synctest, and asks test to be a client.
func virtual(t *testing.T, s *Server, over2 bool, test func(t *testing.T, client *http.Client)) {
	synctest.Test(t, func(t *testing.T) {
		client := openVirtual(t, s).client(t, over2)
		client.Timeout = 0
		test(t, client)
	})
}

// drops are what a client sends: a byte each time, after a pause.
type drops struct {
	pause time.Duration
	left  int
}

func (d *drops) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(d.pause)
	d.left--
	p[0] = 'x'
	return 1, nil
}

// A body without a length is one side of a conversation, and may come as slowly as it likes: before the response has
// begun it may not be silent for longer than StreamIdleTime, after that it may. A body with a length has to come at a
// pace.
func TestConversation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		begin bool // the response begins before the body ends
		sized bool
		pause time.Duration
		parts int
		limit string // that has its way; "": none
	}{
		{"a byte every five seconds for an hour", false, false, 5 * time.Second, 720, ""},
		{"a byte every nine minutes", false, false, 9 * time.Minute, 20, ""},
		{"silence", false, false, 10*time.Minute + time.Second, 2, "stream_idle"},
		{"silence when the response has begun", true, false, 5 * time.Hour, 3, ""},
		{"an upload at ten bytes a second", false, true, 100 * time.Millisecond, 3000, "stall_read"},
		{"an upload that pauses", false, true, 61 * time.Second, 2, "stall_read"},
		{"an upload that pauses when the response has begun", true, true, 61 * time.Second, 2, "stall_read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, over2 bool) {
				type read struct {
					bytes int64
					err   error
				}
				ended := make(chan read, 1)
				s := &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if test.begin {
						http.NewResponseController(w).EnableFullDuplex()
						http.NewResponseController(w).Flush()
					}
					n, err := io.Copy(io.Discard, r.Body)
					ended <- read{n, err}
				})}
				virtual(t, s, over2, func(t *testing.T, client *http.Client) {
					r, err := http.NewRequestWithContext(t.Context(), "POST", "https://one.example/", &drops{test.pause,
						test.parts})
					if err != nil {
						t.Fatal(err)
					}
					if test.sized {
						r.ContentLength = int64(test.parts)
					}
					answer, err := client.Do(r)
					if err == nil {
						io.Copy(io.Discard, answer.Body)
						answer.Body.Close()
					}
					got := <-ended
					var named interface{ ClientStalled() bool }
					if cut := errors.As(got.err, &named); cut != (test.limit != "") || !cut && (got.err != nil ||
						got.bytes != int64(test.parts)) {
						t.Errorf("got %d bytes, %v; want %d, cut off %v", got.bytes, got.err, test.parts,
							test.limit != "")
					}
					for limit, n := range s.Stats().Limits {
						if (n > 0) != (limit == test.limit) {
							t.Errorf("limit %s: got %d, want it enforced: %v", limit, n, limit == test.limit)
						}
					}
				})
			})
		})
	}
}
