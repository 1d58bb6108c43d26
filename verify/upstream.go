package verify

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// upstream is whom a Resolver asks, and how, at one time. It is immutable but for what is learned about its servers.
type upstream struct {
	servers  []*server
	timeout  time.Duration // of each server in turn; 0: as long as the lookup lasts
	attempts int           // rounds; 0: as many as there is time for
	rotate   bool
	tcp      bool // TCP alone, or TLS
	static   bool // the file that it is from is not to be followed

	preferred atomic.Pointer[server] // that answered last; nil: the first
	turns     atomic.Uint32
}

// newUpstream keeps what old, which may be nil, has learned about servers that stay.
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

// usual is the manner in which a server is asked that nothing is known of.
func (u *upstream) usual() manner {
	if u.tcp {
		return manner{tcp: true, edns: true}
	}
	return manner{edns: true, mixed: true}
}

// order is the order in which one query asks the servers.
func (u *upstream) order() []*server {
	first := 0
	if u.rotate {
		first = int(u.turns.Add(1)-1) % len(u.servers)
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

// bound is ctx as long as a query may last.
func (u *upstream) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if u.timeout == 0 {
		return context.WithCancel(ctx)
	}
	rounds := u.attempts
	if rounds == 0 {
		rounds = 2 // as resolv.conf(5) has it
	}
	return context.WithTimeout(ctx, u.timeout*time.Duration(rounds*len(u.servers)))
}

// addresses are those of the servers, in their own order.
func (u *upstream) addresses() []string {
	var out []string
	for _, s := range u.servers {
		out = append(out, s.address)
	}
	return out
}
