package server

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"gate421/gate/hint"
)

// TestBindingHints looks at the causes that root, as whom tests may run, does not meet.
func TestBindingHints(t *testing.T) {
	for _, test := range []struct {
		err    error
		wanted string
	}{
		{syscall.EACCES, `gate421: listen.https: cannot listen on ":443": permission denied
hint: ports below 1024 need a right: run under the systemd unit in deploy/, or "setcap cap_net_bind_service=+ep" on the program, or use a port such as :8443`},
		{syscall.EADDRINUSE, `gate421: listen.https: cannot listen on ":443": address already in use
hint: another program has port 443; "ss -ltnp sport = :443" shows which. Stop it, or give listen.https another port`},
		{errors.New("out of sockets"), `gate421: listen.https: cannot listen on ":443": out of sockets`},
	} {
		failed := &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", test.err)}
		if got := hint.Message(listenError("listen.https", ":443", failed)); got != test.wanted {
			t.Errorf("%v reads\n%s\nwanted\n%s", test.err, got, test.wanted)
		}
	}
}

func TestRedirectPort(t *testing.T) {
	for address, wanted := range map[fixed]string{"127.0.0.1:443": "", "[::]:443": "", "127.0.0.1:8443": "8443",
		"[::1]:4433": "4433"} {
		if got := redirectPort(address); got != wanted {
			t.Errorf("a redirect to %s names the port %q, not %q", address, got, wanted)
		}
	}
}

// fixed is the address of a listener that somebody else has.
type fixed string

func (f fixed) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (f fixed) Close() error              { return nil }
func (f fixed) Addr() net.Addr            { return f }
func (f fixed) Network() string           { return "tcp" }
func (f fixed) String() string            { return string(f) }
