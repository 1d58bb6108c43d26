package server

import (
	"context"
	"errors"
	"time"
)

// linger waits for ctx to end, and then for as long as new connections are still to be taken. It returns early when taking ends.
// From the end of ctx on the gateway is not ready, so that balancers send nobody more.
func (g *Gateway) linger(ctx, taking context.Context) {
	select {
	case <-ctx.Done():
	case <-taking.Done():
		return
	}
	g.ending.Store(true)
	grace := g.grace(time.Now())
	if grace <= 0 {
		return
	}
	g.say("not ready any more; new connections are taken for another %v (limits.drain_grace)", grace)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-taking.Done():
	}
}

// grace is limits.drain_grace. Its default is for those whom somebody asks whether they are ready: nobody else could know.
func (g *Gateway) grace(now time.Time) time.Duration {
	const standard, often = 5 * time.Second, time.Minute
	wanted := g.config.Limits.DrainGrace
	if wanted == standard && now.Sub(g.admin.Asked()) > often {
		return 0
	}
	return wanted
}

// serves says what keeps the gateway from taking new clients, nil if nothing does.
func (g *Gateway) serves() error {
	if g.ending.Load() {
		return errors.New("draining")
	}
	return nil
}
