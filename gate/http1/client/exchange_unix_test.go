//go:build unix && !race

package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds what has to come.
const patience = 5 * time.Second

// arrived waits until a connection has something to read, or has ended.
func arrived(t *testing.T, c net.Conn) {
	t.Helper()
	quiet := watch(c)
	c.SetDeadline(time.Time{})
	for end := time.Now().Add(patience); quiet(); {
		if time.Now().After(end) {
			t.Fatal("nothing comes")
		}
	}
}

// ends connects two sockets, of TCP or of Unix.
func ends(t *testing.T, network string) (near, far net.Conn) {
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
	if near, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	far.SetDeadline(time.Now().Add(patience))
	return near, far
}

func TestExchange(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			in := make([]byte, 100)
			near, far := ends(t, network)
			l := newExchange(near)
			go func() {
				line, _ := bufio.NewReader(far).ReadString('\n')
				io.WriteString(far, strings.ToUpper(line))
			}()
			if left, n, err := l.do([]byte("hello\n"), in, true); len(left) > 0 || string(in[:n]) != "HELLO\n" ||
				err != nil {
				t.Errorf("%q, %q, %v", left, in[:n], err)
			}

			near.SetReadDeadline(time.Now().Add(brief))
			if left, n, err := l.do([]byte("x"), in, true); len(left) > 0 || n != 0 ||
				!errors.Is(err, os.ErrDeadlineExceeded) ||
				!err.(net.Error).Timeout() {
				t.Errorf("nothing comes: %q, %d, %v", left, n, err)
			}
			if left, n, err := l.do([]byte("x"), in, true); len(left) != 1 || n != 0 ||
				!errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("too late: %q, %d, %v", left, n, err)
			}
			near.SetReadDeadline(time.Now().Add(patience))
			io.WriteString(far, "more")
			arrived(t, near)
			if left, n, err := l.do([]byte("x"), in, true); len(left) != 1 || n != 0 || err != ErrStale {
				t.Errorf("something to read: %q, %d, %v", left, n, err)
			}
			if left, n, err := l.do([]byte("x"), in, false); len(left) > 0 || string(in[:n]) != "more" || err != nil {
				t.Errorf("without a look: %q, %q, %v", left, in[:n], err)
			}

			far.Close()
			arrived(t, near)
			if left, _, err := l.do([]byte("x"), in, true); len(left) != 1 || err != ErrStale {
				t.Errorf("the end: %q, %v", left, err)
			}
			for {
				_, _, err := l.do([]byte("x"), in, false)
				if err == io.EOF {
					continue // until the other side's refusal has come
				}
				if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("behind the end: %v", err)
				}
				var op *net.OpError
				if !errors.As(err, &op) || op.Op != "write" && op.Op != "read" {
					t.Errorf("behind the end: %#v", err)
				}
				break
			}
			near.Close()
			if left, _, err := l.do([]byte("x"), in, true); len(left) != 1 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed: %q, %v", left, err)
			}
		})
	}
}

// What a socket does not take at once is written in the usual way: everything arrives, in its order.
func TestExchangeOverAFullSocket(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		near, far := ends(t, network)
		c := NewConn(near, patience)
		c.out = bytes.Repeat([]byte("0123456789"), 1<<20)
		c.Begin(t.Context(), false)
		c.unsent = true
		heard := make(chan []byte, 1)
		go func() {
			time.Sleep(2 * brief) // the buffers fill
			got := make([]byte, len(c.out))
			io.ReadFull(far, got)
			io.WriteString(far, "ok")
			heard <- got
		}()
		answer := make([]byte, 2)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "ok" {
			t.Errorf("%s: %q, %v", network, answer, err)
		}
		if !bytes.Equal(<-heard, c.out) || c.stop == nil || c.unsent {
			t.Errorf("%s: something else was sent; guard %v", network, c.stop != nil)
		}
		c.Release()
		near.Close()
	}
}
