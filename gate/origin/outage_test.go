package origin

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gate421/gate/http1/client"

	//lint:file-ignore SA1019 the engine that origins are asked with.
	"golang.org/x/net/http2"
)

// news collects what OnHealth says.
type news struct {
	mu  sync.Mutex
	all []Health
}

func (n *news) add(h Health) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, h)
}

func (n *news) take() []Health {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.all
	n.all = nil
	return all
}

// A server that does not answer is told of once, and once when it answers again, whatever comes of the requests
// between.
func TestHealthIsSaidOnce(t *testing.T) {
	short, err := os.MkdirTemp("", "origin") // a test's own may be longer than a socket's path can be
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	socket := filepath.Join(short, "app.sock")
	for _, kind := range []string{"unix", "h2c", "file"} {
		t.Run(kind, func(t *testing.T) {
			var n news
			var up, down func()
			written := "unix:" + socket
			switch kind {
			case "unix":
				up = func() {
					l, err := net.Listen("unix", socket)
					if err != nil {
						t.Fatal(err)
					}
					s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.NotFoundHandler()}}
					s.Start()
					t.Cleanup(s.Close)
				}
				down = func() {}
			case "h2c":
				var broken atomic.Bool
				written = serveH2C(t, func(http.ResponseWriter, *http.Request) {
					if broken.Load() {
						panic(http.ErrAbortHandler)
					}
				})
				up, down = func() { broken.Store(false) }, func() { broken.Store(true) }
			case "file":
				folder := filepath.Join(t.TempDir(), "site")
				os.Mkdir(folder, 0o755)
				written = "file:" + folder
				up = func() { os.Mkdir(folder, 0o755) }
				down = func() { os.Remove(folder) }
			}
			o, err := New(Config{Servers: []string{written}, OnHealth: n.add})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			down()
			for range 2 {
				ask(t, o, http.MethodGet)
			}
			if got := n.take(); len(got) != 0 {
				t.Errorf("after two failures: %+v, want no news yet", got)
			}
			for range 20 {
				ask(t, o, http.MethodGet)
			}
			if got := n.take(); len(got) != 1 || !got[0].Down || got[0].Server != written || got[0].Err == nil ||
				got[0].Since.IsZero() {
				t.Errorf("down: %+v, want to be told once that %s is", got, written)
			}
			if s := o.Status(); len(s) != 1 || !s[0].Down || s[0].Err == nil {
				t.Errorf("down: status %+v, want it down", s)
			}
			up()
			for range 5 {
				ask(t, o, http.MethodGet)
			}
			if got := n.take(); len(got) != 1 || got[0].Down || got[0].Server != written {
				t.Errorf("up again: %+v, want to be told once", got)
			}
			for _, s := range o.Status() {
				if s.Down {
					t.Errorf("up again: status %+v, want it up", s)
				}
			}
		})
	}
}

// A server that comes and goes is news now and then, not with every change.
func TestFlappingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr outage
		said := 0
		for range 600 { // one second each
			for range downAfter {
				if _, now := tr.failed("s", client.ErrStale); now {
					said++
				}
			}
			if _, now := tr.answered("s"); now {
				said++
			}
			time.Sleep(time.Second)
		}
		if said < 2 || said > 2*600/int(wellFor/time.Second)+2 {
			t.Errorf("told %d times in ten minutes, want once or twice each %v", said, wellFor)
		}
	})
}

// A failure here and there is no news.
func TestSingleFailuresAreNoNews(t *testing.T) {
	var tr outage
	for range 100 {
		for range downAfter - 1 {
			if _, said := tr.failed("s", client.ErrStale); said {
				t.Fatal("told of a server that answers in between")
			}
		}
		if _, said := tr.answered("s"); said {
			t.Fatal("told of an answer of a server that was not down")
		}
	}
}

// What is scarce here is no fault of a server's.
func TestScarceFilesPutNoServerOut(t *testing.T) {
	l := &list{servers: []*server{{address: "a"}}}
	for range 10 {
		for _, err := range []error{errNoFiles, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}} {
			l.failed(&call{list: l, server: l.servers[0], failure: &Failure{Unreachable, err}})
		}
	}
	if s := l.status()[0]; s.Failures != 0 || s.Down || !s.OutUntil.IsZero() {
		t.Errorf("%+v, want a server that is asked", s)
	}
	l.failed(&call{list: l, server: l.servers[0], failure: &Failure{Unreachable, nil}})
	if s := l.status()[0]; s.Failures != 1 {
		t.Errorf("%+v, want one failure", s)
	}
}

// What a server writes into a GOAWAY is no word of the engine's.
func TestGoAwayTextIsNotBelieved(t *testing.T) {
	for err, want := range map[error]bool{
		http2.GoAwayError{DebugData: "received GOAWAY from server"}:                          false,
		http2.GoAwayError{DebugData: "x", ErrCode: http2.ErrCodeNo}:                          false,
		http2.StreamError{StreamID: 1, Code: http2.ErrCodeRefusedStream}:                     true,
		http2.StreamError{StreamID: 1, Code: http2.ErrCodeCancel}:                            false,
		errors.New("http2: Transport received Server's graceful shutdown GOAWAY"):            true,
		errors.New("http2: Transport received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM"): true,
	} {
		if got := unprocessed(err); got != want {
			t.Errorf("%v: unprocessed %v, want %v", err, got, want)
		}
	}
}
