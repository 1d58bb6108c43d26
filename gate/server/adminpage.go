package server

import (
	"context"
	"errors"
	"net"
	"syscall"

	"gate421/gate/admin"
	"gate421/gate/audit"
	"gate421/gate/hint"
)

// serveAdmin serves the admin page until the function that it returns is called.
func (g *Gateway) serveAdmin() (stop func()) {
	if g.adminListener == nil {
		return func() {}
	}
	address := g.adminListener.Addr().String()
	server := &admin.Server{
		Handler:    g.admin.Handler(),
		Listen:     func(ctx context.Context) (net.Listener, error) { return Listen(ctx, "admin", address) },
		OnListener: func(err error) { g.onAdminListener(address, err) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(ctx, g.adminListener)
	}()
	return func() {
		cancel()
		<-done
	}
}

// onAdminListener reports when the admin page's listener fails, and, with nil, when it has recovered.
func (g *Gateway) onAdminListener(address string, err error) {
	if err == nil {
		g.log.Event("admin", audit.Fields{"what": "recovered", "address": address})
		g.printf("the admin page answers again")
		return
	}
	g.log.Event("admin", audit.Fields{"what": "failed", "address": address, "error": hint.Cause(err).Error()})
	g.printf("the admin page on %s takes no connections: %v; metrics and health are not to be had meanwhile, "+
		"the sites are served", address, hint.Cause(err))
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		g.printf("hint: this process has no file descriptor left: raise the limit, LimitNOFILE= in the systemd unit, " +
			"ulimit -n in a shell")
		return
	}
	g.printf("hint: it is opened again as soon as that can be done")
}
