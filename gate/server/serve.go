package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"gate421/certs"
	"gate421/gate"
	"gate421/gate/audit"
	"gate421/gate/front"
	"gate421/gate/origin"
)

// Serve serves until ctx ends, drains, and closes everything. It returns nil after an orderly end.
func (g *Gateway) Serve(ctx context.Context) error {
	started := time.Now()
	if err := g.manage(ctx); err != nil {
		return errors.Join(err, g.close())
	}
	g.log.Event("start", audit.Fields{
		"product": product(), "config": g.config.Version, "https": g.secure.Addr().String(), "http": addressOf(g.plain), "admin": addressOf(g.page), "sites": len(g.config.Sites),
	})
	c := g.config
	door := &front.Server{
		Handler: g.handler,
		Plain:   &gate.Redirect{Live: &g.live, Log: &g.log, Port: redirectPort(g.secure), Proxies: g.proxies},
		Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			certificate, err := g.certs.Load().GetCertificate(hello)
			var unknown certs.UnknownHostError
			if errors.As(err, &unknown) {
				return nil, nil // the alert is then unrecognized_name
			}
			return certificate, err
		},
		Challenge: func(w http.ResponseWriter, r *http.Request) bool { return g.certs.Load().Challenge(w, r) },
		Accepted: func(client netip.Addr) {
			if !g.proxies.Trusts(client) { // whose clients nobody knows yet
				g.verifier.Prefetch(client)
			}
		},
		ConnContext: func(ctx context.Context, client netip.Addr) (context.Context, func()) {
			if g.proxies.Trusts(client) { // many people's requests come on one connection
				return ctx, nil
			}
			own := origin.NewClient(ctx)
			return own, own.End
		},
		Balancers: c.Listen.ProxyProtocol,
		Proxies:   c.Listen.TrustedProxies,
		OnLimit:   g.heardLimit,
		Trouble:   g.trouble,
		Limits:    g.bounds,
	}
	g.door.Store(door)
	closePage := g.servePage()
	refreshing, stop := context.WithCancel(ctx)
	refreshed, watched := g.refreshRanges(refreshing), g.watchResolver(refreshing)
	taking, closeDoor := context.WithCancel(context.WithoutCancel(ctx))
	lingered := make(chan struct{})
	go func() {
		defer close(lingered)
		g.linger(ctx, taking)
		closeDoor()
	}()
	err := door.Serve(taking, g.secure, g.plain)
	closeDoor()
	<-lingered
	closePage()
	stop()
	<-refreshed
	<-watched
	g.verifier.Close() // whoever was still being looked up gets its line before the log ends
	g.log.Event("stop", audit.Fields{"seconds": time.Since(started).Round(time.Millisecond).Seconds()})
	return errors.Join(err, g.close())
}

// manage begins to keep certificates fresh. Certificates that come with a reload are managed from then on, too.
func (g *Gateway) manage(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serving = ctx
	return g.certs.Load().Manage(ctx)
}

// refreshRanges keeps the published ranges fresh until ctx ends; what it returns is closed then.
func (g *Gateway) refreshRanges(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	if g.ranges == nil {
		close(ended)
		return ended
	}
	go func() {
		defer close(ended)
		g.ranges.Run(ctx) // its one error is a wrong URL, and the URLs are its own
	}()
	return ended
}
