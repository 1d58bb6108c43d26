// Package redis answers one question: how do several gateways share certificates through one Redis or Valkey server?
//
// It offers certmagic's storage in a server of version 5 or later, for gateways that answer for the same hosts. The
// rules:
//
//  1. The server has the truth. A value is a hash PREFIX:file:KEY with the fields value and modified (microseconds
//     since 1970); the sorted set PREFIX:files names them all, so that listing never walks the server's other keys.
//     Each change is one script, done whole or not at all.
//
//  2. Locks are held against the other gateways, see lock. Without the server there are none, so nothing is ordered
//     while it is down.
//
//  3. What belongs to certificates is also kept in a folder, see copies, and read from there while the server cannot be
//     asked, and only then.
//
//  4. Nothing is waited for longer than two seconds, except a lock that another gateway holds, and except that a
//     certificate just obtained waits up to a quarter of an hour to be stored: ordering it again would cost more.
//
// Private keys of certificates and accounts are in the server as they are, not encrypted: whoever can read its memory,
// its dumps or its connections has them. Use rediss:// anywhere but on one machine, and an ACL user that can do no
// more than this prefix needs: ACL SETUSER gate421 on >PASSWORD ~gate421:* +@read +@write +@scripting +@connection.
// The server must not evict keys (maxmemory-policy noeviction). A cluster is not supported.
package redis

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
	redigo "github.com/gomodule/redigo/redis"
)

const (
	// challengeTTL is how long a challenge's token, which its order deletes, is kept if the order never ends.
	challengeTTL = time.Hour
	// storeWithin is how long an obtained certificate waits for a server that is down, rather than be lost.
	storeWithin = 15 * time.Minute
	// warnEvery is how often the same warning is given at most.
	warnEvery = 10 * time.Minute
)

// Storage is certmagic.Storage, TryLocker and LockLeaseRenewer in a server. Its methods may be called from several
// goroutines. Their errors are an UnavailableError, fs.ErrNotExist, the context's own, or say that a lock was lost.
type Storage struct {
	client    *client
	copies    copies
	ttl       time.Duration // of a lock that nobody renews
	onWarning func(string)  // in plain words, for people; not nil

	mu         sync.Mutex
	locks      map[string]*lock // held by this process
	lastWarned time.Time
	lastText   string
}

// Open prepares the storage at address, see CheckAddress for its form. It asks the server nothing: one that is down is
// no reason not to start. folder is for the copies of rule 3 and is made if it is not there, with mode 0700. onWarning
// takes what people should know, in words that never repeat the password; it may be called from several goroutines and
// must not block.
func Open(address, folder string, onWarning func(string)) (*Storage, error) {
	at, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	s := &Storage{onWarning: onWarning, ttl: lockTTL, locks: make(map[string]*lock)}
	s.copies = copies{FileStorage: certmagic.FileStorage{Path: folder}, onWarning: s.warn}
	s.client = newClient(at, func(err UnavailableError) {
		s.warn(err.Error() + "; certificates that are here are served, nothing is ordered until that is mended")
	})
	return s, nil
}

// Close gives the connections back. Locks must have been given back before.
func (s *Storage) Close() error { return s.client.close() }

// warn passes a warning on, the same one at most every ten minutes.
func (s *Storage) warn(text string) {
	s.mu.Lock()
	again := text == s.lastText && time.Since(s.lastWarned) < warnEvery
	if !again {
		s.lastText, s.lastWarned = text, time.Now()
	}
	s.mu.Unlock()
	if !again {
		s.onWarning(text)
	}
}

// valueKey is the server's key of a value.
func (s *Storage) valueKey(key string) string { return s.client.address.prefix + ":file:" + key }

// indexKey is the server's key of the set of all values' names.
func (s *Storage) indexKey() string { return s.client.address.prefix + ":files" }

// Store is certmagic.Storage's. It fails if the lock that guards key was lost. Rule 4 says how long it may take.
func (s *Storage) Store(ctx context.Context, key string, value []byte) error {
	const script = ifHeld + `
		redis.call('HSET', KEYS[3], 'value', ARGV[3], 'modified', ARGV[4])
		redis.call('ZADD', KEYS[4], 0, ARGV[5])
		if ARGV[6] == '0' then redis.call('PERSIST', KEYS[3]) else redis.call('PEXPIRE', KEYS[3], ARGV[6]) end
		return 1`
	name, token := s.lockOf(key)
	keys := append(s.lockKeys(name), s.valueKey(key), s.indexKey())
	ttl := time.Duration(0)
	if isTransient(key) {
		ttl = challengeTTL
	}
	for start := time.Now(); ; {
		done, err := redigo.Int(s.client.eval(ctx, script, keys, token, s.ttl.Milliseconds(), value,
			time.Now().UnixMicro(),
			key, ttl.Milliseconds()))
		if err == nil && done == 0 {
			return lostLock(name)
		} else if err == nil {
			s.copies.put(ctx, key, value)
			return nil
		}
		if token == "" || ctx.Err() != nil || time.Since(start) > storeWithin {
			return err
		}
		if err := pause(ctx, retryAfter/2); err != nil {
			return err
		}
	}
}

// Load is certmagic.Storage's. It reads the copy while the server cannot be asked.
func (s *Storage) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := redigo.Bytes(s.client.do(ctx, "HGET", s.valueKey(key), "value"))
	switch {
	case errors.Is(err, redigo.ErrNil):
		return nil, &fs.PathError{Op: "load", Path: key, Err: fs.ErrNotExist}
	case errors.As(err, new(UnavailableError)):
		if value, other := s.copies.get(ctx, key); other == nil {
			return value, nil
		}
		return nil, err
	case err != nil:
		return nil, err
	}
	s.copies.put(ctx, key, value)
	return value, nil
}

// Copy reads this gateway's own copy of a value without asking the server; any error means that there is none to use.
func (s *Storage) Copy(ctx context.Context, key string) ([]byte, error) {
	return s.copies.get(ctx, key)
}

// Delete is certmagic.Storage's. It fails if the lock that guards key was lost. A challenge's token that cannot be
// deleted because the server is down is no error: it expires.
func (s *Storage) Delete(ctx context.Context, key string) error {
	const script = ifHeld + `
		local gone = redis.call('ZRANGEBYLEX', KEYS[3], ARGV[4], ARGV[5])
		table.insert(gone, ARGV[3])
		for _, key in ipairs(gone) do
			redis.call('DEL', ARGV[6] .. key)
			redis.call('ZREM', KEYS[3], key)
		end
		return 1`
	if isTransient(key) {
		ctx = context.WithoutCancel(ctx) // an order that is abandoned cleans up too
	}
	name, token := s.lockOf(key)
	first, last := lexRange(key)
	done, err := redigo.Int(s.client.eval(ctx, script, append(s.lockKeys(name), s.indexKey()), token,
		s.ttl.Milliseconds(),
		key, first, last, s.valueKey("")))
	switch {
	case err != nil && isTransient(key):
		return nil
	case err != nil:
		return err
	case done == 0:
		return lostLock(name)
	}
	s.copies.drop(ctx, key)
	return nil
}

// isTransient reports whether key is wanted for the time of an order only: a challenge's token, or the value that
// certmagic writes to see whether the storage works.
func isTransient(key string) bool {
	return path.Base(path.Dir(key)) == "challenge_tokens" || strings.HasPrefix(key, "rw_test_")
}

// SetAside moves what is below key to key.damaged, unless another gateway holds the lock that guards it.
func (s *Storage) SetAside(ctx context.Context, key string) error {
	if name := lockFor(key + "/any"); s.held(name) == nil {
		if ok, err := s.TryLock(ctx, name); !ok || err != nil {
			return err
		}
		defer s.Unlock(context.WithoutCancel(ctx), name)
	}
	keys, err := s.List(ctx, key, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, from := range keys {
		value, other := s.Load(ctx, from)
		if errors.Is(other, fs.ErrNotExist) {
			continue // a folder
		}
		if other == nil {
			other = s.Store(ctx, key+".damaged"+strings.TrimPrefix(from, key), value)
		}
		err = errors.Join(err, other)
	}
	if err != nil {
		return err
	}
	return s.Delete(ctx, key)
}
