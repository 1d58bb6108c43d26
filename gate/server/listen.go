package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"syscall"

	"gate421/gate/hint"
)

// listen binds all addresses, or takes the sockets that systemd has bound, before anything is served.
func (g *Gateway) listen(ctx context.Context) error {
	c := g.config
	sockets, err := activatedListeners()
	if err != nil {
		return err
	}
	defer sockets.close() // those that are not used
	for _, socket := range []struct {
		key, address string
		to           *net.Listener
	}{
		{"listen.https", c.Listen.HTTPS, &g.httpsListener},
		{"listen.http", c.Listen.HTTP, &g.httpListener},
		{"admin", c.Admin, &g.adminListener},
	} {
		if socket.address == "" {
			continue
		}
		l := sockets[socket.key]
		delete(sockets, socket.key)
		if l != nil && portOf(l.Addr().String()) != portOf(socket.address) {
			g.printf("%s: systemd's socket %s is used, not %q", socket.key, l.Addr(), socket.address)
		}
		if l == nil {
			if l, err = Listen(ctx, socket.key, socket.address); err != nil {
				return err
			}
		}
		*socket.to = l
		g.closers = append(g.closers, func() error {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

// Listen binds one of a configuration's addresses. An error names the key and, where the cause is known, the cure.
func Listen(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, listenError(key, address, err)
	}
	return l, nil
}

// listenError names the key and its address, with a hint where the cause is known.
func listenError(key, address string, err error) error {
	_, port, _ := net.SplitHostPort(address)
	switch failed := fmt.Errorf("%s: cannot listen on %q: %w", key, address, hint.Cause(err)); {
	case errors.Is(err, syscall.EADDRINUSE):
		return hint.Add(failed, "another program has port %s; \"ss -ltnp sport = :%s\" shows which. "+
			"Stop it, or give %s another port", port, port, key)
	case errors.Is(err, fs.ErrPermission):
		return hint.Add(failed, "ports below 1024 need a right: run under the systemd unit in deploy/, "+
			"or \"setcap cap_net_bind_service=+ep\" on the program, or use a port such as :8443")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return hint.Add(failed, "no interface of this machine has that address; \":%s\" listens on all", port)
	default:
		return failed
	}
}

// portOf is the port of a configured address, -1 where the listener is off.
func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return -1
	}
	n, _ := strconv.Atoi(port)
	return n
}

// redirectPort is the port in the URL of a redirect to https: "" for the standard port.
func redirectPort(l net.Listener) string {
	if _, port, err := net.SplitHostPort(l.Addr().String()); err == nil && port != "443" {
		return port
	}
	return ""
}

// addressOf is a listener's address; "" for nil.
func addressOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}
