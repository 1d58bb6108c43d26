package origin

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Files bound how many file descriptors origins hold at once, all of them together, for connections and for files of folders. What
// is left belongs to the clients' connections, the log, the DNS and certificates. A nil *Files bounds nothing. It is safe for any
// number of goroutines.
type Files struct {
	slots chan struct{} // holds something for every descriptor

	mu    sync.Mutex
	pools map[any]func() // close what is idle
}

// NewFiles makes one that allows so many, one at least.
func NewFiles(most int) *Files {
	return &Files{slots: make(chan struct{}, max(most, 1)), pools: map[any]func(){}}
}

// errNoFiles says that every descriptor which origins may have is in use.
var errNoFiles = errors.New("no file descriptor is free for an origin")

// add has closeIdle called when descriptors are wanted, until remove.
func (f *Files) add(pool any, closeIdle func()) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pools[pool] = closeIdle
}

func (f *Files) remove(pool any) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pools, pool)
}

// take waits until a descriptor may be opened, for connectTime at most and until ctx ends. It is given back with give.
func (f *Files) take(ctx context.Context) error {
	if f == nil {
		return nil
	}
	select {
	case f.slots <- struct{}{}:
		return nil
	default:
	}
	const again = 20 * time.Millisecond
	look, limit := time.NewTicker(again), time.NewTimer(connectTime)
	defer look.Stop()
	defer limit.Stop()
	for {
		f.closeIdle()
		select {
		case f.slots <- struct{}{}:
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

func (f *Files) closeIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, closeIdle := range f.pools {
		closeIdle()
	}
}

// spare takes one for what can be done without: there is none where half of them are in use.
func (f *Files) spare() bool {
	if f == nil {
		return true
	}
	if 2*len(f.slots) >= cap(f.slots) {
		return false
	}
	select {
	case f.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (f *Files) give() {
	if f != nil {
		<-f.slots
	}
}

// dial connects with connect. The descriptor was taken before, so that the time to wait for one is not the server's; where there is
// no connection it is given back.
func (f *Files) dial(ctx context.Context, connect connector, network, address string) (net.Conn, error) {
	c, err := connect(ctx, network, address)
	if err != nil {
		f.give()
		return nil, err
	}
	if f == nil {
		return c, nil
	}
	switch c := c.(type) {
	case *net.TCPConn:
		return &countedTCP{TCPConn: c, files: f}, nil
	case *net.UnixConn:
		return &countedUnix{UnixConn: c, files: f}, nil
	}
	f.give()
	return c, nil
}

// countedTCP and countedUnix give their descriptor back when they are closed. All else they have from what they are made of.
type countedTCP struct {
	*net.TCPConn
	files *Files
	once  sync.Once
}

// Close serves net.Conn.
func (c *countedTCP) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(c.files.give)
	return err
}

type countedUnix struct {
	*net.UnixConn
	files *Files
	once  sync.Once
}

// Close serves net.Conn.
func (c *countedUnix) Close() error {
	err := c.UnixConn.Close()
	c.once.Do(c.files.give)
	return err
}
