package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	redigo "github.com/gomodule/redigo/redis"
)

// lockTTL is how long a lock outlives a holder that is killed or cut off, and so how long at most it keeps the other
// gateways from that host. A living holder renews it at each third: the machine or the server must stand still for two
// thirds of this for the lock to be lost.
const lockTTL = 20 * time.Second

// OrderLock begins the name of the lock under which certmagic orders, renews and stores a certificate; the host
// follows.
const OrderLock = "issue_cert_"

// lock is one lock that this process holds or is acquiring.
//
// In the server a lock is PREFIX:lock:NAME with the holder's random token, which expires; PREFIX:last:NAME has the
// token of the latest holder for a day. A lock that expired and that nobody else has acquired is still its holder's: so
// an order outlives a server that was down for a while. One that somebody else has acquired is lost, and then
//
//   - the values that it guards can be neither stored nor deleted (the check and the change are one script), so that
//     one holder's key and another's certificate never come together;
//   - no order is begun under it, see ConfirmLock;
//   - RenewLockLease, which certmagic calls before each attempt, waits to acquire it again; certmagic then looks
//     whether there is still anything to do;
//   - Unlock releases nothing and says so.
type lock struct {
	token string
	stop  context.CancelFunc // ends its renewal
	done  chan struct{}      // closed when its renewal has ended
}

const (
	// acquireScript: KEYS lock, last; ARGV token, expiry in milliseconds.
	acquireScript = `
		local holder = redis.call('GET', KEYS[1])
		if holder and holder ~= ARGV[1] then return 0 end
		redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
		redis.call('SET', KEYS[2], ARGV[1], 'EX', 86400)
		return 1`
	// ifHeld begins a script that changes a value: it ends it with 0 if the lock was lost and renews the lock if not.
	// Without a token there is no lock to hold.
	// KEYS lock, last, …; ARGV token, expiry in milliseconds, ….
	ifHeld = `
		if ARGV[1] ~= '' then
			local holder = redis.call('GET', KEYS[1]) or redis.call('GET', KEYS[2])
			if holder and holder ~= ARGV[1] then return 0 end
			redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
			redis.call('SET', KEYS[2], ARGV[1], 'EX', 86400)
		end`
	renewScript = ifHeld + ` return 1`
	// releaseScript: KEYS lock; ARGV token.
	releaseScript = `
		if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
		return redis.call('DEL', KEYS[1])`
)

func lostLock(name string) error {
	return fmt.Errorf("lock %q: lost to another gateway, because the storage could not be reached for longer than %v",
		name, lockTTL)
}

// lockFor is the name of the lock that guards key, "" for none: that of HOST for certificates/AUTHORITY/HOST/….
func lockFor(key string) string {
	if parts := strings.Split(key, "/"); len(parts) >= 4 && parts[0] == "certificates" {
		return OrderLock + parts[2]
	}
	return ""
}

// lockOf has the name of the lock that guards key and the token under which this process holds it, "" if it does not.
func (s *Storage) lockOf(key string) (name, token string) {
	name = lockFor(key)
	if lock := s.held(name); lock != nil {
		token = lock.token
	}
	return name, token
}

// lockKeys are the server's keys of a lock.
func (s *Storage) lockKeys(name string) []string {
	name = certmagic.StorageKeys.Safe(name)
	return []string{s.client.address.prefix + ":lock:" + name, s.client.address.prefix + ":last:" + name}
}

// held is the lock of that name that this process holds, nil if none. It may have been lost.
func (s *Storage) held(name string) *lock {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.locks[certmagic.StorageKeys.Safe(name)]
}

// Lock is certmagic.Storage's. It waits until ctx ends for a lock that somebody holds; a server that cannot be used is
// an error at once.
func (s *Storage) Lock(ctx context.Context, name string) error {
	for {
		ok, err := s.TryLock(ctx, name)
		if ok || err != nil {
			return err
		}
		if err := pause(ctx, jitter(500*time.Millisecond)); err != nil {
			return err
		}
	}
}

// TryLock is certmagic.TryLocker's.
func (s *Storage) TryLock(ctx context.Context, name string) (bool, error) {
	key := certmagic.StorageKeys.Safe(name)
	renewing, stop := context.WithCancel(context.Background())
	lock := &lock{token: rand.Text(), stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	if s.locks[key] != nil {
		s.mu.Unlock()
		stop()
		return false, ctx.Err()
	}
	s.locks[key] = lock
	s.mu.Unlock()
	ok, err := redigo.Bool(s.client.eval(ctx, acquireScript, s.lockKeys(name), lock.token, s.ttl.Milliseconds()))
	if err != nil || !ok {
		stop()
		if err != nil { // the server may have set it all the same
			_ = s.release(context.WithoutCancel(ctx), name, lock)
		}
		s.mu.Lock()
		delete(s.locks, key)
		s.mu.Unlock()
		return false, err
	}
	go func() {
		defer close(lock.done)
		s.keepAlive(renewing, name, lock)
	}()
	return true, nil
}

// keepAlive renews a lock until ctx ends. It goes on after a loss: RenewLockLease may acquire the lock again.
func (s *Storage) keepAlive(ctx context.Context, name string, lock *lock) {
	next := s.ttl / 3
	for pause(ctx, next) == nil {
		next = s.ttl / 3
		if _, err := s.renew(ctx, name, lock); err != nil {
			next = min(next, retryAfter)
		}
	}
}

// renew renews a lock and reports whether it is still ours.
func (s *Storage) renew(ctx context.Context, name string, lock *lock) (bool, error) {
	return redigo.Bool(s.client.eval(ctx, renewScript, s.lockKeys(name), lock.token, s.ttl.Milliseconds()))
}

// RenewLockLease is certmagic.LockLeaseRenewer's. It ignores the lease asked for, because keepAlive renews the lock,
// and waits until ctx ends for one that was lost. A server that cannot be used is an error.
func (s *Storage) RenewLockLease(ctx context.Context, name string, _ time.Duration) error {
	lock := s.held(name)
	if lock == nil {
		return fmt.Errorf("lock %q: not held", name)
	}
	ours, err := s.renew(ctx, name, lock)
	for err == nil && !ours {
		if err = pause(ctx, jitter(500*time.Millisecond)); err == nil {
			ours, err = redigo.Bool(s.client.eval(ctx, acquireScript, s.lockKeys(name), lock.token,
				s.ttl.Milliseconds()))
		}
	}
	return err
}

// ConfirmLock asks the server whether this process holds a lock at this very moment; an error says why not.
func (s *Storage) ConfirmLock(ctx context.Context, name string) error {
	lock := s.held(name)
	if lock == nil {
		return fmt.Errorf("lock %q: not held", name)
	}
	ours, err := s.renew(ctx, name, lock)
	if err == nil && !ours {
		err = lostLock(name)
	}
	return err
}

// Unlock is certmagic.Storage's. It fails while the server cannot be used; the lock then expires.
func (s *Storage) Unlock(ctx context.Context, name string) error {
	lock := s.held(name)
	if lock == nil {
		return fmt.Errorf("lock %q: not held", name)
	}
	lock.stop()
	<-lock.done
	err := s.release(ctx, name, lock)
	s.mu.Lock()
	delete(s.locks, certmagic.StorageKeys.Safe(name))
	s.mu.Unlock()
	return err
}

func (s *Storage) release(ctx context.Context, name string, lock *lock) error {
	ours, err := redigo.Bool(s.client.eval(ctx, releaseScript, s.lockKeys(name)[:1], lock.token))
	if err == nil && !ours {
		err = lostLock(name)
	}
	return err
}

// pause waits for d; it ends early with ctx, and its error.
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

// jitter is d to twice d, so that several gateways do not ask at the same moments.
func jitter(d time.Duration) time.Duration { return d + mathrand.N(d) }
