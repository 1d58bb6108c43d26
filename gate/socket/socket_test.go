package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection's two ends; ours is wrapped.
func pair(t *testing.T, network string) (ours, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours = Wrap(raw)
	for _, c := range []net.Conn{ours, theirs} {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	return ours, theirs
}

func each(t *testing.T, test func(t *testing.T, ours, theirs net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ours, theirs := pair(t, network)
			test(t, ours, theirs)
		})
	}
}

// However much is written, and however slowly it is taken, it comes whole, both ways at once.
func TestBytes(t *testing.T) {
	each(t, func(t *testing.T, ours, theirs net.Conn) {
		want := make([]byte, 8<<20)
		for i := range want {
			want[i] = byte(i * i >> 8)
		}
		var all sync.WaitGroup
		for _, way := range [][2]net.Conn{{ours, theirs}, {theirs, ours}} {
			all.Go(func() {
				if n, err := way[0].Write(want); n != len(want) || err != nil {
					t.Errorf("%d, %v", n, err)
				}
				way[0].(interface{ CloseWrite() error }).CloseWrite()
			})
			all.Go(func() {
				if got, err := io.ReadAll(way[1]); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		all.Wait()
	})
}

// Writers do not tear each other's bytes.
func TestWriters(t *testing.T) {
	each(t, func(t *testing.T, ours, theirs net.Conn) {
		const writers, times, size = 4, 20, 100 << 10
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				p := bytes.Repeat([]byte{byte('a' + i)}, size)
				for range times {
					if _, err := ours.Write(p); err != nil {
						t.Error(err)
					}
				}
			})
		}
		got := make([]byte, size)
		for range writers * times {
			if _, err := io.ReadFull(theirs, got); err != nil || bytes.Count(got, got[:1]) != size {
				t.Fatalf("%v, or torn", err)
			}
		}
		all.Wait()
	})
}

// Errors are those of package net.
func TestErrors(t *testing.T) {
	each(t, func(t *testing.T, ours, theirs net.Conn) {
		var slow net.Error
		var named *net.OpError
		ours.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if n, err := ours.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &slow) || !slow.Timeout() || !errors.As(err, &named) || named.Op != "read" {
			t.Errorf("%d, %v", n, err)
		}
		ours.SetReadDeadline(time.Time{})
		if n, err := ours.Read(nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		io.WriteString(theirs, "x")
		if n, err := ours.Read(make([]byte, 9)); n != 1 || err != nil {
			t.Errorf("after a timeout: %d, %v", n, err)
		}
		much := make([]byte, 64<<20)
		ours.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := ours.Write(much); n == 0 || n == len(much) || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &named) || named.Op != "write" {
			t.Errorf("%d, %v", n, err)
		}
		ours.SetDeadline(time.Time{})
		theirs.Close() // with bytes unread: a reset, where the kernel has one
		var err error
		for err == nil {
			_, err = ours.Write(make([]byte, 64<<10))
		}
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) || !errors.As(err, &named) || named.Op != "write" || named.Addr == nil {
			t.Errorf("%#v", err)
		}
		ours.Close()
		if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := ours.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// Closing ends whoever waits, a reader and a writer.
func TestClose(t *testing.T) {
	each(t, func(t *testing.T, ours, theirs net.Conn) {
		ended := make(chan error, 2)
		io.WriteString(theirs, "x")
		ours.Read(make([]byte, 1)) // what comes next is waited for
		go func() {
			_, err := ours.Read(make([]byte, 1))
			ended <- err
		}()
		go func() {
			var err error
			for err == nil {
				_, err = ours.Write(make([]byte, 1<<20))
			}
			ended <- err
		}()
		time.Sleep(20 * time.Millisecond) // both wait by now, most often; if not, it must hold all the same
		ours.Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
	})
}

// What is no socket stays what it is.
func TestNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	if Wrap(a) != a {
		t.Error("a pipe was wrapped")
	}
}
