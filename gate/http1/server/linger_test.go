package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// halves is an end of a pipe that can be ended on one side, as far as the other one does not look.
type halves struct{ net.Conn }

func (halves) CloseWrite() error { return nil }

// Who is still sending when its answer is out is listened to: until it has been silent for five seconds, for half a
// minute at most, and for a moment when the service ends.
func TestLinger(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		pause time.Duration
		parts int
		end   time.Duration // when the service ends; 0: later
		most  time.Duration // until the connection is closed
		least time.Duration
	}{
		{"all comes", time.Second, 20, 0, 25 * time.Second, 20 * time.Second},
		{"nothing comes", time.Hour, 1, 0, 5 * time.Second, 5 * time.Second},
		{"it never ends", time.Second, 100, 0, 31 * time.Second, 30 * time.Second},
		{"the service ends", time.Second, 100, 10 * time.Second, 14 * time.Second, 12 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Server{
					HeaderBytes: 8 << 10,
					HeaderTime:  patience,
					IdleTime:    patience,
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						http.Error(w, "no", http.StatusRequestEntityTooLarge)
					}),
				}
				ours, theirs := net.Pipe()
				served := make(chan struct{})
				go func() {
					s.Serve(context.Background(), halves{ours}, nil)
					close(served)
				}()
				io.WriteString(theirs, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
				answer, err := http.ReadResponse(bufio.NewReader(theirs), nil)
				if err != nil || answer.StatusCode != 413 {
					t.Fatal(answer, err)
				}
				began := time.Now()
				if test.end > 0 {
					time.AfterFunc(test.end, s.End)
				}
				go func() {
					for range test.parts {
						if _, err := io.WriteString(theirs, "x"); err != nil {
							return
						}
						select {
						case <-time.After(test.pause):
						case <-served:
							return
						}
					}
				}()
				<-served
				if took := time.Since(began).Truncate(time.Second); took < test.least || took > test.most {
					t.Errorf("closed after %v", took)
				}
				theirs.Close()
			})
		})
	}
}
