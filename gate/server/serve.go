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
	if err := g.manageCertificates(ctx); err != nil {
		return errors.Join(err, g.close())
	}
	g.log.Event("start", audit.Fields{
		"product": product(), "config": g.config.Version, "sites": len(g.config.Sites),
		"https": addressOf(g.httpsListener), "http": addressOf(g.httpListener), "admin": addressOf(g.adminListener),
	})
	frontServer := g.newFront()
	g.front.Store(frontServer)
	stopAdmin := g.serveAdmin()
	background, stopBackground := context.WithCancel(ctx)
	rangesDone, resolverDone := g.refreshRanges(background), g.watchResolver(background)
	requestsDone := g.watchRequests(background)
	accepting, stopAccepting := context.WithCancel(context.WithoutCancel(ctx))
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		g.awaitDrain(ctx, accepting)
		stopAccepting()
	}()
	err := frontServer.Serve(accepting, g.httpsListener, g.httpListener)
	stopAccepting()
	<-drained
	stopAdmin()
	stopBackground()
	<-rangesDone
	<-resolverDone
	<-requestsDone
	g.verifier.Close() // clients that are still being looked up get their lines before the log ends
	g.log.Event("stop", audit.Fields{"seconds": time.Since(started).Round(time.Millisecond).Seconds()})
	return errors.Join(err, g.close())
}

// newFront is the server of all connections. It has nil instead of a certificate for a host that is not configured, so
// that the TLS alert is unrecognized_name.
func (g *Gateway) newFront() *front.Server {
	return &front.Server{
		Handler: g.handler,
		Plain:   &gate.Redirect{Live: &g.live, Log: &g.log, Port: redirectPort(g.httpsListener), Proxies: g.proxies},
		Certificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			certificate, err := g.certs.Load().GetCertificate(hello)
			var unknown certs.UnknownHostError
			if errors.As(err, &unknown) {
				return nil, nil
			}
			return certificate, err
		},
		Challenge: func(w http.ResponseWriter, r *http.Request) bool { return g.certs.Load().Challenge(w, r) },
		OnAccept: func(client netip.Addr) {
			if !g.proxies.Trusts(client) { // whose own client is not known yet
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
		Balancers: g.config.Listen.ProxyProtocol,
		Proxies:   g.config.Listen.TrustedProxies,
		OnLimit:   g.onLimit,
		ErrorLog:  g.stderr,
		Limits:    g.frontLimits,
	}
}

// manageCertificates begins to order and renew certificates. Those of a later version are managed from then on, too.
func (g *Gateway) manageCertificates(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.serveContext = ctx
	return g.certs.Load().Manage(ctx)
}

// refreshRanges keeps the published ranges fresh until ctx ends, and closes done then.
func (g *Gateway) refreshRanges(ctx context.Context) (done <-chan struct{}) {
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
