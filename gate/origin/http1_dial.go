package origin

import (
	"context"
	"crypto/tls"
	"net/http"
	"runtime"
	"sync"
)

// pooledBy is what the pool knows connections for a host under.
func (d *direct) pooledBy(authority string) string {
	if d.secure == nil {
		return ""
	}
	return hostname(authority)
}

// connect takes the client's own connection or the one that was used last, or dials.
func (d *direct) connect(c *call, r *http.Request, fresh bool) (*conn, error) {
	host := d.pooledBy(r.Host)
	if own := c.own; own != nil {
		if c.own = nil; own.halfDone || own.fit(false) {
			return own, nil
		}
		own.close()
	}
	if !fresh && !c.login {
		if k := d.idle.take(host, !repeatable(r)); k != nil {
			return k, nil
		}
	}
	return d.dial(r.Context(), host)
}

func (d *direct) dial(ctx context.Context, host string) (*conn, error) {
	ctx.Done() // from now on an HTTP/1 client's leaving is looked for,
	runtime.Gosched()
	if err := ctx.Err(); err != nil { // and who has left already needs no connection
		return nil, err
	}
	if err := d.files.take(ctx); err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	raw, err := d.files.dial(dialing, d.connector.or(&d.dialer), d.network, d.address)
	if err != nil {
		return nil, err
	}
	c := newConn(raw, host, d.wait)
	c.HangUp = sync.OnceFunc(func() {
		over := make(chan struct{})
		c.over.Store(&over)
		d.abandoned.close(raw, d.files, d.wait, over)
	})
	if d.secure != nil {
		config := d.secure.Clone()
		if config.ServerName == "" {
			config.ServerName = host
		}
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(dialing); err != nil {
			raw.Close()
			return nil, err
		}
		c.Secure(secure)
	}
	return c, nil
}
