//go:build unix

package origin

import (
	"net"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDuplicateLeavesTheSocketNonblocking looks at a socket's flags while others duplicate it: a read that began while
// it was blocking could be ended neither by a deadline nor by Close.
func TestDuplicateLeavesTheSocketNonblocking(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	control, err := raw.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var duplicating sync.WaitGroup
	done := make(chan struct{})
	duplicating.Go(func() {
		defer close(done)
		for range 5000 {
			rest := duplicate(raw)
			if rest == nil {
				t.Error("the socket was not duplicated")
				return
			}
			rest.Close()
		}
	})
	for looking := true; looking; {
		select {
		case <-done:
			looking = false
		default:
		}
		control.Control(func(fd uintptr) {
			if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("flags %#x, %v: want O_NONBLOCK", flags, err)
				looking = false
			}
		})
	}
	duplicating.Wait()
}
