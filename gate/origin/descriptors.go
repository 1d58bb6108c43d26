package origin

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Descriptors bound how many file descriptors origins hold at once, all of them together, for connections and for files
// of folders. What is left belongs to the clients' connections, the log, the DNS and certificates. A nil *Descriptors
// bounds nothing. It is safe for any number of goroutines.
type Descriptors struct {
	slots chan struct{} // holds something for every descriptor

	mu    sync.Mutex
	pools map[any]func() // close what is idle
}

// NewDescriptors makes one that allows so many, one at least.
func NewDescriptors(most int) *Descriptors {
	return &Descriptors{slots: make(chan struct{}, max(most, 1)), pools: map[any]func(){}}
}

// errNoFiles says that every descriptor which origins may have is in use.
var errNoFiles = errors.New("no file descriptor is free for an origin")

// add has closeIdle called when descriptors are wanted, until remove.
func (d *Descriptors) add(pool any, closeIdle func()) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pools[pool] = closeIdle
}

func (d *Descriptors) remove(pool any) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pools, pool)
}

// acquire waits until a descriptor may be opened, for connectTime at most and until ctx ends. It is given back with
// give.
func (d *Descriptors) acquire(ctx context.Context) error {
	if d == nil {
		return nil
	}
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	const again = 20 * time.Millisecond
	look, limit := time.NewTicker(again), time.NewTimer(connectTime)
	defer look.Stop()
	defer limit.Stop()
	for {
		d.closeIdle()
		select {
		case d.slots <- struct{}{}:
			return nil
		case <-look.C: // others may have become idle
		case <-limit.C:
			return &Failure{Unreachable, errNoFiles}
		case <-ctx.Done():
			if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return &Failure{Unreachable, errNoFiles}
		}
	}
}

func (d *Descriptors) closeIdle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, closeIdle := range d.pools {
		closeIdle()
	}
}

// acquireSpare takes one for what can be done without: there is none where half of them are in use.
func (d *Descriptors) acquireSpare() bool {
	if d == nil {
		return true
	}
	if 2*len(d.slots) >= cap(d.slots) {
		return false
	}
	select {
	case d.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (d *Descriptors) release() {
	if d != nil {
		<-d.slots
	}
}

// dial connects with connect. The descriptor was taken before, so that the time to wait for one is not the server's;
// where there is no connection it is given back.
func (d *Descriptors) dial(ctx context.Context, connect dialFunc, network, address string) (net.Conn, error) {
	c, err := connect(ctx, network, address)
	if err != nil {
		d.release()
		return nil, err
	}
	if d == nil {
		return c, nil
	}
	switch c := c.(type) {
	case *net.TCPConn:
		return &countedTCP{TCPConn: c, files: d}, nil
	case *net.UnixConn:
		return &countedUnix{UnixConn: c, files: d}, nil
	}
	d.release()
	return c, nil
}

// countedTCP and countedUnix give their descriptor back when they are closed. All else they have from what they are
// made of.
type countedTCP struct {
	*net.TCPConn
	files *Descriptors
	once  sync.Once
}

// Close serves net.Conn.
func (c *countedTCP) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(c.files.release)
	return err
}

type countedUnix struct {
	*net.UnixConn
	files *Descriptors
	once  sync.Once
}

// Close serves net.Conn.
func (c *countedUnix) Close() error {
	err := c.UnixConn.Close()
	c.once.Do(c.files.release)
	return err
}
