package verify

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// upstream is the servers that a Resolver asks and how, at one time. Only what is learned about the servers changes.
type upstream struct {
	servers  []*server
	timeout  time.Duration // of each server in turn; 0: as long as the lookup lasts
	attempts int           // rounds; 0: as many as there is time for
	rotate   bool
	tcp      bool // TCP alone, or TLS
	noReload bool // the file that names the servers is not to be read again

	preferred atomic.Pointer[server] // the one that answered last; nil: the first
	rotation  atomic.Uint32
}

// newUpstream returns an upstream of these servers; what old, which may be nil, has learned about them is kept.
func newUpstream(addresses []string, old *upstream) *upstream {
	u := &upstream{}
	for _, address := range addresses {
		s := &server{address: address}
		if old != nil {
			if i := slices.IndexFunc(old.servers, func(o *server) bool { return o.address == address }); i >= 0 {
				s = old.servers[i]
			}
		}
		u.servers = append(u.servers, s)
	}
	return u
}

// defaultMode is the mode in which a server is asked without a workaround.
func (u *upstream) defaultMode() mode {
	if u.tcp {
		return mode{tcp: true, edns: true}
	}
	return mode{edns: true, mixedCase: true}
}

// order returns the servers in the order in which one query asks them.
func (u *upstream) order() []*server {
	first := 0
	if u.rotate {
		first = int(u.rotation.Add(1)-1) % len(u.servers)
	} else if s := u.preferred.Load(); s != nil {
		first = max(slices.Index(u.servers, s), 0)
	}
	return slices.Concat(u.servers[first:], u.servers[:first])
}

// prefer notes that s answered.
func (u *upstream) prefer(s *server) {
	if u.preferred.Load() != s {
		u.preferred.Store(s)
	}
}

// withTimeout returns ctx, bounded by how long a query may last.
func (u *upstream) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if u.timeout == 0 {
		return context.WithCancel(ctx)
	}
	rounds := u.attempts
	if rounds == 0 {
		rounds = 2 // as resolv.conf(5) has it
	}
	return context.WithTimeout(ctx, u.timeout*time.Duration(rounds*len(u.servers)))
}

// addresses returns those of the servers, in their own order.
func (u *upstream) addresses() []string {
	var out []string
	for _, s := range u.servers {
		out = append(out, s.address)
	}
	return out
}
