package origin

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// watched is a context that counts who asks it to say when it ends.
type watched struct {
	context.Context
	asked atomic.Int32
}

func (w *watched) Done() <-chan struct{} {
	w.asked.Add(1)
	return w.Context.Done()
}

// brief is how long package client lets a request go without a guard.
const brief = 50 * time.Millisecond

// A request that is soon over asks nobody to watch its client; one that waits does, in the head and in the body, and a
// client that leaves then ends it at once. So it is with heads of any length, over TLS too.
func TestGuardComesLate(t *testing.T) {
	t.Parallel()
	config := newAuthority(t).issue(t, time.Now().Add(time.Hour), "shop.example")
	for _, test := range []struct {
		name          string
		answer        string // "|" is a pause
		leaves, armed bool
	}{
		{"soon", plainOK, false, false},
		{"a slow head", "|" + plainOK, false, true},
		{"a slow second head", "HTTP/1.1 103 Early Hints\r\n\r\n|" + plainOK, false, true},
		{"half a head", "HTTP/1.1 200 OK\r\n|Content-Length: 2\r\n\r\nok", false, true},
		{"a slow body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no|k", false, true},
		{"slow chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no|k\r\n0\r\n\r\n", false, true},
		{"left in the head", "HTTP/1.1 200 OK\r\n|", true, true},
		{"left in the body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no|", true, true},
	} {
		for _, secure := range []*tls.Config{nil, config} {
			for _, long := range []int{0, 8 << 10, 128 << 10} {
				t.Run(fmt.Sprint(test.name, secure != nil, long), func(t *testing.T) {
					t.Parallel()
					leaving, leave := context.WithCancel(t.Context())
					defer leave()
					ctx := &watched{Context: leaving}
					ended := make(chan struct{}, 2)
					var connections atomic.Int32
					address := listen(t, secure, func(c net.Conn, r *bufio.Reader) {
						connections.Add(1)
						for n := 0; head(r) != ""; n++ {
							if n != 1 {
								io.WriteString(c, plainOK)
								continue
							}
							now, later, wait := strings.Cut(test.answer, "|")
							io.WriteString(c, now)
							if wait && !test.leaves {
								time.Sleep(3 * brief)
								for end := time.Now().Add(patience); ctx.asked.Load() == 0 && time.Now().Before(end); {
									time.Sleep(brief / 5) // until a busy machine has come to it
								}
							}
							io.WriteString(c, later)
						}
						ended <- struct{}{}
					})
					scheme := "http://"
					if secure != nil {
						scheme = "https://"
					}
					o, _ := straight(t, scheme+address)
					if _, result := ask(t, o, "GET"); result.err != nil {
						t.Fatal(result.err)
					}
					w := &wire{header: http.Header{}}
					r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
					r.Host = "shop.example"
					r.Header.Set("X-Long", strings.Repeat("x", long))
					if test.leaves {
						time.AfterFunc(brief/2, leave)
					}
					start := time.Now()
					_, _, _, err := o.Serve(w, r)
					took := time.Since(start)
					if test.leaves {
						if (outcome{err: err}).word() != ClientGone || took > patience/2 {
							t.Errorf("%v after %v", err, took)
						}
						receive(t, ended)
						return
					}
					if err != nil || w.body.String() != "ok" || connections.Load() != 1 {
						t.Errorf("%q, %v, %d connections", w.body.String(), err, connections.Load())
					}
					if armed := ctx.asked.Load() > 0; armed != test.armed && long == 0 && took < brief/2 ||
						!armed && test.armed {
						t.Errorf("a guard: %v", armed)
					}
					if _, result := ask(t, o, "GET"); result.err != nil {
						t.Error(result.err)
					}
				})
			}
		}
	}
}

// A head that comes drop by drop has to be whole within one wait, however short the pauses.
func TestSlowHeadIsBounded(t *testing.T) {
	t.Parallel()
	o, err := New(Config{Servers: []string{"http://" + listen(t, nil, func(c net.Conn, r *bufio.Reader) {
		head(r)
		for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n"); err == nil; _, err = io.WriteString(c, "A: b\r\n") {
			time.Sleep(brief / 5)
		}
	})}, Wait: 6 * brief})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	start := time.Now()
	if _, result := ask(t, o, "GET"); result.word() != Timeout {
		t.Error(result.err)
	}
	if took := time.Since(start); took < 5*brief || took > patience {
		t.Errorf("after %v", took)
	}
}
