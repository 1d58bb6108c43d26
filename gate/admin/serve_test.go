package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const patience = 20 * time.Second

// served is an admin server on loopback. ask fails the test unless the page is answered.
func served(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		(&Server{Handler: handler}).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return l.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func asks(t *testing.T, c net.Conn) bool {
	t.Helper()
	defer c.Close() // who is turned away tries again, thousands of times in a second
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode == http.StatusOK
}

// However many connections are open, whatever they do or do not do, whoever asks is answered.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]string{
		"silent": "", "half a head": "GET / HTTP/1.1\r\nHo", "idle": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a body that does not come":  "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n",
		"an answer that is not read": "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := served(t, func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err == nil && r.URL.Path == "/large" {
					w.Write(make([]byte, 16<<20))
				}
			})
			for range 5 * mostConns {
				io.WriteString(dial(t, address), hold)
			}
			for deadline := time.Now().Add(patience); !asks(t, dial(t, address)); {
				if time.Now().After(deadline) {
					t.Fatal("nobody is answered")
				}
			}
			for range 5 {
				io.WriteString(dial(t, address), hold)
				for deadline := time.Now().Add(patience); !asks(t, dial(t, address)); {
					if time.Now().After(deadline) {
						t.Fatal("nobody is answered any more")
					}
				}
			}
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	var d *desk
	synctest.Test(t, func(t *testing.T) {
		d = &desk{open: map[*visitor]struct{}{}}
		var all []*visitor
		enter := func(state http.ConnState) *visitor {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { theirs.Close() })
			v := d.enter(ours).(*visitor)
			d.changed(v, state)
			time.Sleep(time.Millisecond)
			all = append(all, v)
			return v
		}
		idle := enter(http.StateIdle)
		silent := enter(http.StateNew)
		for range mostConns - 2 {
			enter(http.StateActive)
		}
		for i, want := range []*visitor{silent, idle} {
			if enter(http.StateActive); len(d.open) != mostConns {
				t.Fatalf("%d open", len(d.open))
			}
			if _, open := d.open[want]; open {
				t.Errorf("%d: the wrong one made way", i)
			}
		}
		rejected := enter(http.StateActive)
		if _, open := d.open[rejected]; open || len(d.open) != mostConns {
			t.Errorf("%d open, where all have only begun to ask", len(d.open))
		}
		time.Sleep(busyTime)
		oldest := all[2]
		entered := enter(http.StateActive)
		_, stays := d.open[oldest]
		if _, open := d.open[entered]; !open || stays || len(d.open) != mostConns {
			t.Errorf("entered %v, the oldest stays %v, %d open", open, stays, len(d.open))
		}
		for _, v := range all {
			v.Close()
		}
		if len(d.open) != 0 {
			t.Errorf("%d are open", len(d.open))
		}
	})
}

// failing is a listener that only fails.
type failing struct {
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

func newFailing(errs ...error) *failing {
	f := &failing{errs: make(chan error, len(errs)), closed: make(chan struct{})}
	for _, err := range errs {
		f.errs <- err
	}
	return f
}

// Accept serves net.Listener.
func (f *failing) Accept() (net.Conn, error) {
	select {
	case err := <-f.errs:
		return nil, err
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close serves net.Listener.
func (f *failing) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// Addr serves net.Listener.
func (f *failing) Addr() net.Addr { return &net.TCPAddr{} }

// A listener that fails is opened again, at growing intervals, and what becomes of it is said once.
func TestListenerFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		start := time.Now()
		var told, tried []string
		after := func() time.Duration { return time.Since(start).Round(time.Second) }
		second := newFailing()
		s := &Server{
			Handler:    http.NotFoundHandler(),
			OnListener: func(err error) { told = append(told, fmt.Sprintf("%v %v", after(), err)) },
			Listen: func(context.Context) (net.Listener, error) {
				if tried = append(tried, after().String()); len(tried) < 4 {
					return nil, errors.New("in use")
				}
				return second, nil
			},
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Serve(
				ctx,
				newFailing(&net.OpError{Op: "accept", Err: syscall.EMFILE},
					&net.OpError{Op: "accept", Err: syscall.EMFILE}, errors.New("broken")),
			)
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, want := fmt.Sprint(told), "[0s accept: too many open files 15s <nil>]"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		if got, want := fmt.Sprint(tried), "[1s 3s 7s 15s]"; got != want {
			t.Errorf("tried after %s, want %s", got, want)
		}
		stop()
		<-ended
		if _, err := second.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error("the listener is open at the end")
		}
	})
}
