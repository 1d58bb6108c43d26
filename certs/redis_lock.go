package certs

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/gomodule/redigo/redis"
)

// lockExpiry is how long a lock outlives a holder that is killed or cut off, and so how long at most it keeps the
// other gateways from that host. A living holder renews it at each third: it takes a pause of two thirds of this, of
// the machine or of the server, to lose it.
const lockExpiry = 20 * time.Second

// orderLock begins the name of the lock under which certmagic orders, renews and stores a host's certificate.
const orderLock = "issue_cert_"

// redisLock is one lock this process holds, or is about to.
//
// In the server a lock is PREFIX:lock:NAME with the holder's random token, which expires; PREFIX:last:NAME has the
// token of who got it last, for a day. A lock that expired and that nobody has had since is still its holder's: that
// is how an order outlives a server that was down for a while. One that somebody else has had is lost, and then
//
//   - what it guards can be neither stored nor deleted (the check and the change are one script), so that two
//     holders never mix a key of one and a certificate of the other;
//   - no order is begun under it, see mayOrder;
//   - RenewLockLease, which certmagic calls before each attempt and after which it looks whether there is still
//     anything to do, waits to get it back;
//   - Unlock gives back nothing and says so.
type redisLock struct {
	token string
	stop  context.CancelFunc
	done  chan struct{} // closed when nobody renews it any more
}

const (
	// takeLock: KEYS lock, last; ARGV token, expiry in milliseconds.
	takeLock = `
		local holder = redis.call('GET', KEYS[1])
		if holder and holder ~= ARGV[1] then return 0 end
		redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
		redis.call('SET', KEYS[2], ARGV[1], 'EX', 86400)
		return 1`
	// ifHeld goes before a change and ends it with 0 if the lock is lost; it renews it if not. No token, no lock.
	// KEYS lock, last, …; ARGV token, expiry in milliseconds, ….
	ifHeld = `
		if ARGV[1] ~= '' then
			local holder = redis.call('GET', KEYS[1]) or redis.call('GET', KEYS[2])
			if holder and holder ~= ARGV[1] then return 0 end
			redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
			redis.call('SET', KEYS[2], ARGV[1], 'EX', 86400)
		end`
	keepLock = ifHeld + ` return 1`
	// giveLock: KEYS lock; ARGV token.
	giveLock = `
		if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
		return redis.call('DEL', KEYS[1])`
)

func lostLock(name string) error {
	return fmt.Errorf("lock %q: lost to another gateway, because the storage could not be reached for longer than %v",
		name, lockExpiry)
}

// lockFor is the name of the lock that guards key, "" if none does: certificates/AUTHORITY/HOST/… is guarded by
// HOST's.
func lockFor(key string) string {
	if parts := strings.Split(key, "/"); len(parts) >= 4 && parts[0] == "certificates" {
		return orderLock + parts[2]
	}
	return ""
}

// guard names the lock that guards key and the token under which this process holds it, "" if it does not.
func (r *redisStore) guard(key string) (name, token string) {
	name = lockFor(key)
	if lock := r.holding(name); lock != nil {
		token = lock.token
	}
	return name, token
}

// lockKeys are the server's names for a lock.
func (r *redisStore) lockKeys(name string) []string {
	name = certmagic.StorageKeys.Safe(name)
	return []string{r.address.prefix + ":lock:" + name, r.address.prefix + ":last:" + name}
}

// holding is the lock this process holds by that name, nil if none. It may have been lost.
func (r *redisStore) holding(name string) *redisLock {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[certmagic.StorageKeys.Safe(name)]
}

// Lock is certmagic's Locker. A lock somebody has is waited for until ctx ends; a server that cannot be used is an
// error at once.
func (r *redisStore) Lock(ctx context.Context, name string) error {
	for {
		ok, err := r.TryLock(ctx, name)
		if ok || err != nil {
			return err
		}
		if err := pause(ctx, jitter(500*time.Millisecond)); err != nil {
			return err
		}
	}
}

// TryLock is certmagic's TryLocker.
func (r *redisStore) TryLock(ctx context.Context, name string) (bool, error) {
	own := certmagic.StorageKeys.Safe(name)
	renewing, stop := context.WithCancel(context.Background())
	lock := &redisLock{token: rand.Text(), stop: stop, done: make(chan struct{})}
	r.mu.Lock()
	if r.held[own] != nil {
		r.mu.Unlock()
		stop()
		return false, ctx.Err()
	}
	r.held[own] = lock
	r.mu.Unlock()
	ok, err := redis.Bool(r.eval(ctx, takeLock, r.lockKeys(name), lock.token, r.expiry.Milliseconds()))
	if err != nil || !ok {
		stop()
		if err != nil { // it may have been given all the same
			_ = r.give(context.WithoutCancel(ctx), name, lock)
		}
		r.mu.Lock()
		delete(r.held, own)
		r.mu.Unlock()
		return false, err
	}
	go func() {
		defer close(lock.done)
		r.renew(renewing, name, lock)
	}()
	return true, nil
}

// renew keeps a lock until ctx ends. It goes on after a loss: RenewLockLease may get it back.
func (r *redisStore) renew(ctx context.Context, name string, lock *redisLock) {
	next := r.expiry / 3
	for pause(ctx, next) == nil {
		next = r.expiry / 3
		if _, err := r.keep(ctx, name, lock); err != nil {
			next = min(next, redisRest)
		}
	}
}

// keep renews a lock and reports whether it is still ours.
func (r *redisStore) keep(ctx context.Context, name string, lock *redisLock) (bool, error) {
	return redis.Bool(r.eval(ctx, keepLock, r.lockKeys(name), lock.token, r.expiry.Milliseconds()))
}

// RenewLockLease is certmagic's LockLeaseRenewer. The lease asked for is not heeded, renew sees to it; a lock that
// was lost is waited for until ctx ends. An error if the server cannot be used.
func (r *redisStore) RenewLockLease(ctx context.Context, name string, _ time.Duration) error {
	lock := r.holding(name)
	if lock == nil {
		return fmt.Errorf("lock %q: not held", name)
	}
	ours, err := r.keep(ctx, name, lock)
	for err == nil && !ours {
		if err = pause(ctx, jitter(500*time.Millisecond)); err == nil {
			ours, err = redis.Bool(r.eval(ctx, takeLock, r.lockKeys(name), lock.token, r.expiry.Milliseconds()))
		}
	}
	return err
}

// mayOrder is asked last before an authority is: it wants host's lock to be ours this very moment.
func (r *redisStore) mayOrder(ctx context.Context, host string) error {
	lock := r.holding(orderLock + host)
	if lock == nil {
		return fmt.Errorf("lock %q: not held", orderLock+host)
	}
	ours, err := r.keep(ctx, orderLock+host, lock)
	if err == nil && !ours {
		err = lostLock(orderLock + host)
	}
	return err
}

// Unlock is certmagic's Locker. While the server cannot be used it fails, and the lock ends by itself.
func (r *redisStore) Unlock(ctx context.Context, name string) error {
	lock := r.holding(name)
	if lock == nil {
		return fmt.Errorf("lock %q: not held", name)
	}
	lock.stop()
	<-lock.done
	err := r.give(ctx, name, lock)
	r.mu.Lock()
	delete(r.held, certmagic.StorageKeys.Safe(name))
	r.mu.Unlock()
	return err
}

func (r *redisStore) give(ctx context.Context, name string, lock *redisLock) error {
	ours, err := redis.Bool(r.eval(ctx, giveLock, r.lockKeys(name)[:1], lock.token))
	if err == nil && !ours {
		err = lostLock(name)
	}
	return err
}

// pause waits for d, or is ended by ctx with its error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// jitter is d to twice d, so that several gateways do not ask in step.
func jitter(d time.Duration) time.Duration { return d + mathrand.N(d) }
