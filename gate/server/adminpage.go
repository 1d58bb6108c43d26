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

// servePage serves the admin page until the function that it returns is called.
func (g *Gateway) servePage() (stop func()) {
	if g.page == nil {
		return func() {}
	}
	address := g.page.Addr().String()
	server := &admin.Server{
		Handler:    g.admin.Handler(),
		Listen:     func(ctx context.Context) (net.Listener, error) { return Listen(ctx, "admin", address) },
		OnListener: func(err error) { g.heardPage(address, err) },
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(ctx, g.page)
	}()
	return func() {
		end()
		<-ended
	}
}

// heardPage says when nobody can connect to the admin page any more, and when that is over.
func (g *Gateway) heardPage(address string, err error) {
	if err == nil {
		g.log.Event("admin", audit.Fields{"what": "recovered", "address": address})
		g.say("the admin page answers again")
		return
	}
	g.log.Event("admin", audit.Fields{"what": "failed", "address": address, "error": hint.Cause(err).Error()})
	g.say("the admin page on %s takes no connections: %v; metrics and health are not to be had meanwhile, the sites are served", address, hint.Cause(err))
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		g.say("hint: this process has no file descriptor left: raise the limit, LimitNOFILE= in the systemd unit, ulimit -n in a shell")
		return
	}
	g.say("hint: it is opened again as soon as that can be done")
}
