package server

import (
	"context"
	"errors"
	"time"
)

// awaitDrain waits for ctx to end, and then for limits.drain_grace, during which new connections are still accepted. It
// returns early when accepting ends. From the end of ctx on the gateway is not ready, so that balancers send no new
// clients. Then front.Server.Serve drains, see gate/front/drain.go.
func (g *Gateway) awaitDrain(ctx, accepting context.Context) {
	select {
	case <-ctx.Done():
	case <-accepting.Done():
		return
	}
	g.draining.Store(true)
	grace := g.grace(time.Now())
	if grace <= 0 {
		return
	}
	g.printf("not ready any more; new connections are taken for another %v (limits.drain_grace)", grace)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-accepting.Done():
	}
}

// grace is limits.drain_grace. Its default counts only if somebody asked for readiness within the last minute: without
// such checks no balancer could know.
func (g *Gateway) grace(now time.Time) time.Duration {
	const byDefault, recently = 5 * time.Second, time.Minute
	wanted := g.config.Limits.DrainGrace
	if wanted == byDefault && now.Sub(g.admin.Asked()) > recently {
		return 0
	}
	return wanted
}

// ready fails while new clients should go elsewhere.
func (g *Gateway) ready() error {
	if g.draining.Load() {
		return errors.New("draining")
	}
	return nil
}
