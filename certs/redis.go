package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/gomodule/redigo/redis"
)

const (
	// redisPatience is how long one operation may take, connecting and logging in included.
	redisPatience = 2 * time.Second
	// redisRest is how long nothing is asked of a server that could not be reached: the operations of many hosts
	// that come one after another must not wait for it one after another.
	redisRest = time.Second
	// redisIdle and redisConns are how many connections are kept and may be open.
	redisIdle, redisConns = 2, 16
	// redisBatch is how many names one step of a listing looks at: the server does nothing else meanwhile.
	redisBatch = 500
	// redisToken is how long a challenge's answer, which its order deletes, is kept if the order never ends.
	redisToken = time.Hour
	// redisSave is how long an obtained certificate waits for a server that is down, rather than be lost.
	redisSave = 15 * time.Minute
)

// redisStore is certmagic's storage in one Redis or Valkey server (version 5 or later), for several gateways that
// answer for the same hosts. Its rules:
//
//  1. The server has the truth. A value is a hash PREFIX:file:KEY with the fields value and modified (microseconds
//     since 1970); the sorted set PREFIX:files names them all, so that listing never walks the server's other keys.
//     Each change is one script, done whole or not at all.
//  2. Locks are held against the other gateways, see redis_lock.go. Without the server there are none, so nothing
//     is ordered while it is down.
//  3. What belongs to certificates is also kept in a folder, see redis_cache.go, and read from there while the server
//     cannot be asked, and only then. A gateway that runs puts a certificate that it serves back from there when the
//     server has lost it, see restore.
//  4. Nothing is waited for longer than redisPatience, except by those who ask for a lock, and except that a
//     certificate just obtained waits up to redisSave to be stored: ordering it again would cost more.
//
// Private keys of certificates and accounts are in the server as they are, not encrypted: whoever can read its memory,
// its dumps or its connections has them. Use rediss:// anywhere but on one machine, and an ACL user that can do no
// more than this prefix needs: ACL SETUSER gate421 on >PASSWORD ~gate421:* +@read +@write +@scripting +@connection.
// The server must not evict keys (maxmemory-policy noeviction). A cluster is not supported.
type redisStore struct {
	address redisAddress
	pool    *redis.Pool
	copies  copies
	expiry  time.Duration // of a lock nobody renews
	warn    func(string)  // in words, for people; not nil

	mu    sync.Mutex
	held  map[string]*redisLock
	rest  time.Time // until then nothing is asked
	down  error     // why the server cannot be used; nil: it can, or nobody has tried
	told  string    // the last warning
	since time.Time // when it was given
}

// openRedis prepares the storage at address without asking the server anything: one that is down is no reason not to
// start. copies is the folder for rule 3, warn takes what people should know.
func openRedis(address, folder string, warn func(string)) (*redisStore, error) {
	where, err := parseRedis(address)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	r := &redisStore{address: where, warn: warn, expiry: lockExpiry, held: make(map[string]*redisLock)}
	r.copies = copies{FileStorage: certmagic.FileStorage{Path: folder}, warn: r.tell}
	// A pool that waits has no goroutine of its own.
	r.pool = &redis.Pool{DialContext: where.dial, MaxIdle: redisIdle, MaxActive: redisConns, Wait: true,
		IdleTimeout: 3 * time.Minute}
	return r, nil
}

// close gives the connections back. Locks must have been given back before.
func (r *redisStore) close() error { return r.pool.Close() }

// do asks the server one thing, which must be safe to ask twice: a connection may have gone stale since it was used.
// An error is a redisTrouble, or ctx's own.
func (r *redisStore) do(ctx context.Context, command string, args ...any) (any, error) {
	if err := r.resting(); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	var reply any
	var err error
	for range redisIdle + 1 {
		if reply, err = r.once(within, command, args); !isStale(err) {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // that says nothing about the server
	}
	return reply, r.judge(err)
}

func (r *redisStore) once(ctx context.Context, command string, args []any) (any, error) {
	conn, err := r.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return redis.DoContext(conn, ctx, command, args...)
}

// eval runs a script over keys with arguments.
func (r *redisStore) eval(ctx context.Context, script string, keys []string, args ...any) (any, error) {
	all := []any{script, len(keys)}
	for _, key := range keys {
		all = append(all, key)
	}
	return r.do(ctx, "EVAL", append(all, args...)...)
}

func (r *redisStore) resting() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.rest) {
		return r.down
	}
	return nil
}

// judge says err in words, remembers whether the server can be used, and warns when it cannot.
func (r *redisStore) judge(err error) error {
	r.mu.Lock()
	if err == nil {
		r.down, r.rest = nil, time.Time{}
		r.mu.Unlock()
		return nil
	}
	trouble := redisTrouble{address: r.address.shown, words: r.address.words(err), err: err}
	r.down = trouble
	if !errors.As(err, new(redis.Error)) {
		r.rest = time.Now().Add(redisRest)
	}
	r.mu.Unlock()
	r.tell(trouble.Error() + "; certificates that are here are served, nothing is ordered until that is mended")
	return trouble
}

// tell warns of the same thing once in ten minutes.
func (r *redisStore) tell(words string) {
	r.mu.Lock()
	again := words == r.told && time.Since(r.since) < 10*time.Minute
	if !again {
		r.told, r.since = words, time.Now()
	}
	r.mu.Unlock()
	if !again {
		r.warn(words)
	}
}

// file is the server's name for a storage key's value.
func (r *redisStore) file(key string) string { return r.address.prefix + ":file:" + key }

// files is the server's name for the set of all storage keys.
func (r *redisStore) files() string { return r.address.prefix + ":files" }

// Store is certmagic's Storage. A value that a lost lock guards is refused. See rule 4 for how long it may take.
func (r *redisStore) Store(ctx context.Context, key string, value []byte) error {
	const script = ifHeld + `
		redis.call('HSET', KEYS[3], 'value', ARGV[3], 'modified', ARGV[4])
		redis.call('ZADD', KEYS[4], 0, ARGV[5])
		if ARGV[6] == '0' then redis.call('PERSIST', KEYS[3]) else redis.call('PEXPIRE', KEYS[3], ARGV[6]) end
		return 1`
	lock, token := r.guard(key)
	keys := append(r.lockKeys(lock), r.file(key), r.files())
	life := time.Duration(0)
	if passes(key) {
		life = redisToken
	}
	for start := time.Now(); ; {
		done, err := redis.Int(r.eval(ctx, script, keys, token, r.expiry.Milliseconds(), value, time.Now().UnixMicro(), key, life.Milliseconds()))
		if err == nil && done == 0 {
			return lostLock(lock)
		} else if err == nil {
			r.copies.put(ctx, key, value)
			return nil
		}
		if token == "" || ctx.Err() != nil || time.Since(start) > redisSave {
			return err
		}
		if err := pause(ctx, redisRest/2); err != nil {
			return err
		}
	}
}

// Load is certmagic's Storage. It is answered from the folder while the server cannot be asked.
func (r *redisStore) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := redis.Bytes(r.do(ctx, "HGET", r.file(key), "value"))
	switch {
	case errors.Is(err, redis.ErrNil):
		return nil, &fs.PathError{Op: "load", Path: key, Err: fs.ErrNotExist}
	case errors.As(err, new(redisTrouble)):
		if kept, no := r.copies.get(ctx, key); no == nil {
			return kept, nil
		}
		return nil, err
	case err != nil:
		return nil, err
	}
	r.copies.put(ctx, key, value)
	return value, nil
}

// Delete is certmagic's Storage. What a lost lock guards is not deleted. A challenge's answer that cannot be deleted
// because the server is down is no error: it ends by itself.
func (r *redisStore) Delete(ctx context.Context, key string) error {
	const script = ifHeld + `
		local gone = redis.call('ZRANGEBYLEX', KEYS[3], ARGV[4], ARGV[5])
		table.insert(gone, ARGV[3])
		for _, key in ipairs(gone) do
			redis.call('DEL', ARGV[6] .. key)
			redis.call('ZREM', KEYS[3], key)
		end
		return 1`
	if passes(key) {
		ctx = context.WithoutCancel(ctx) // an order that is abandoned cleans up too
	}
	lock, token := r.guard(key)
	first, last := below(key)
	done, err := redis.Int(r.eval(ctx, script, append(r.lockKeys(lock), r.files()), token, r.expiry.Milliseconds(), key, first, last, r.file("")))
	switch {
	case err != nil && passes(key):
		return nil
	case err != nil:
		return err
	case done == 0:
		return lostLock(lock)
	}
	r.copies.drop(ctx, key)
	return nil
}

// passes reports whether key is of passing use, a challenge's answer or a test of the storage.
func passes(key string) bool {
	return path.Base(path.Dir(key)) == "challenge_tokens" || isProbe(key)
}

// setAside keeps what is below key below key.damaged instead, unless another gateway is at work on that host.
func (r *redisStore) setAside(ctx context.Context, key string) error {
	if lock := lockFor(key + "/any"); r.holding(lock) == nil {
		if ok, err := r.TryLock(ctx, lock); !ok || err != nil {
			return err
		}
		defer r.Unlock(context.WithoutCancel(ctx), lock)
	}
	keys, err := r.List(ctx, key, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, from := range keys {
		value, no := r.Load(ctx, from)
		if errors.Is(no, fs.ErrNotExist) {
			continue // a folder
		}
		if no == nil {
			no = r.Store(ctx, key+".damaged"+strings.TrimPrefix(from, key), value)
		}
		err = errors.Join(err, no)
	}
	if err != nil {
		return err
	}
	return r.Delete(ctx, key)
}
