package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gate421/gate/server/servertest"
)

// systemd hears of the start, of every reload and of the end.
func TestSystemdIsTold(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	hear := func(wanted string) {
		t.Helper()
		for buffer := make([]byte, 1000); ; {
			l.SetReadDeadline(time.Now().Add(servertest.Patience))
			n, err := l.Read(buffer)
			if err != nil {
				t.Fatalf("no %s: %v", wanted, err)
			}
			switch said := string(buffer[:n]); {
			case strings.HasPrefix(said, wanted):
				if wanted == "RELOADING=1" && !strings.Contains(said, "MONOTONIC_USEC=") {
					t.Errorf("%q lacks MONOTONIC_USEC=", said)
				}
				return
			case !strings.HasPrefix(said, "WATCHDOG=1"):
				t.Fatalf("%q instead of %s", said, wanted)
			}
		}
	}
	s := startGateway(t, fmt.Sprintf(oneSite, "refuse"))
	other, _ := s.texts(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.gateway.Follow(ctx, make(chan os.Signal), s.File, s.load)
	}()
	hear("READY=1")
	hear("WATCHDOG=1")
	if err := os.WriteFile(s.File, other, 0o600); err != nil {
		t.Fatal(err)
	}
	hear("RELOADING=1")
	hear("READY=1")
	hear("WATCHDOG=1")
	cancel()
	hear("STOPPING=1")
	<-ended
}
