package redis

import (
	"context"
	"errors"
	"sync"
	"time"

	redigo "github.com/gomodule/redigo/redis"
)

const (
	// timeout is how long one operation may take, connecting and logging in included.
	timeout = 2 * time.Second
	// retryAfter is how long nothing is asked of a server that could not be reached: the operations of many hosts
	// that come one after another must not wait for it one after another.
	retryAfter = time.Second
	// maxIdle and maxOpen are how many connections are kept and may be open.
	maxIdle, maxOpen = 2, 16
)

// client asks one server, with a bound on every wait. Its methods may be called from several goroutines.
type client struct {
	address       address
	pool          *redigo.Pool
	onUnavailable func(UnavailableError) // not nil; called at each failure

	mu      sync.Mutex
	retryAt time.Time // until then nothing is asked
	last    error     // why the server cannot be used; nil: it can, or nobody has tried
}

// newClient prepares the connections to a server without asking it anything.
func newClient(at address, onUnavailable func(UnavailableError)) *client {
	// A pool that waits has no goroutine of its own.
	return &client{address: at, onUnavailable: onUnavailable, pool: &redigo.Pool{DialContext: at.dial, MaxIdle: maxIdle,
		MaxActive: maxOpen, Wait: true, IdleTimeout: 3 * time.Minute}}
}

// close gives the connections back.
func (c *client) close() error { return c.pool.Close() }

// do sends one command, which must be safe to send twice: a connection may have gone stale since it was used. An error
// is an UnavailableError, or ctx's own.
func (c *client) do(ctx context.Context, command string, args ...any) (any, error) {
	if err := c.waiting(); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var reply any
	var err error
	for range maxIdle + 1 {
		if reply, err = c.once(within, command, args); !isStale(err) {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // that says nothing about the server
	}
	return reply, c.outcome(err)
}

func (c *client) once(ctx context.Context, command string, args []any) (any, error) {
	conn, err := c.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redigo.DoContext(conn, ctx, command, args...)
}

// eval runs a Lua script over keys with arguments, as do does.
func (c *client) eval(ctx context.Context, script string, keys []string, args ...any) (any, error) {
	all := []any{script, len(keys)}
	for _, key := range keys {
		all = append(all, key)
	}
	return c.do(ctx, "EVAL", append(all, args...)...)
}

// waiting has the last error while the server is not to be asked again yet, and nil otherwise.
func (c *client) waiting() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.retryAt) {
		return c.last
	}
	return nil
}

// outcome notes whether the server can be used, and turns err into an UnavailableError that says why not.
func (c *client) outcome(err error) error {
	c.mu.Lock()
	if err == nil {
		c.last, c.retryAt = nil, time.Time{}
		c.mu.Unlock()
		return nil
	}
	unavailable := UnavailableError{address: c.address.redacted, reason: c.address.explain(err), err: err}
	c.last = unavailable
	if !errors.As(err, new(redigo.Error)) {
		c.retryAt = time.Now().Add(retryAfter)
	}
	c.mu.Unlock()
	c.onUnavailable(unavailable)
	return unavailable
}
