package origin

import (
	"context"
	"crypto/tls"
	"net/http"
	"runtime"
	"sync"
)

// pooledBy is what the pool knows connections for a host under.
func (p *http1Proxy) pooledBy(authority string) string {
	if p.secure == nil {
		return ""
	}
	return hostname(authority)
}

// connect takes the client's own connection or the one that was used last, or dials.
func (p *http1Proxy) connect(c *call, r *http.Request, fresh bool) (*conn, error) {
	host := p.pooledBy(r.Host)
	if own := c.own; own != nil {
		if c.own = nil; own.halfDone || own.fit(false) {
			return own, nil
		}
		own.close()
	}
	if !fresh && !c.login {
		if k := p.idle.take(host, !repeatable(r)); k != nil {
			return k, nil
		}
	}
	return p.dial(r.Context(), host)
}

func (p *http1Proxy) dial(ctx context.Context, host string) (*conn, error) {
	ctx.Done() // from now on an HTTP/1 client's leaving is looked for,
	runtime.Gosched()
	if err := ctx.Err(); err != nil { // and who has left already needs no connection
		return nil, err
	}
	if err := p.files.acquire(ctx); err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	raw, err := p.files.dial(dialing, p.connector.or(&p.dialer), p.network, p.address)
	if err != nil {
		return nil, err
	}
	c := newConn(raw, host, p.wait)
	c.HangUp = sync.OnceFunc(func() {
		over := make(chan struct{})
		c.over.Store(&over)
		p.abandoned.close(raw, p.files, p.wait, over)
	})
	if p.secure != nil {
		config := p.secure.Clone()
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
