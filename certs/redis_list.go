package certs

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/gomodule/redigo/redis"
)

// Exists is certmagic's Storage. It is answered from the folder while the server cannot be asked.
func (r *redisStore) Exists(ctx context.Context, key string) bool {
	_, err := r.stat(ctx, key)
	if errors.As(err, new(redisTrouble)) {
		return r.copies.has(ctx, key)
	}
	return err == nil
}

// Stat is certmagic's Storage.
func (r *redisStore) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	info, err := r.stat(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		err = &fs.PathError{Op: "stat", Path: key, Err: fs.ErrNotExist}
	}
	return info, err
}

func (r *redisStore) stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	const script = `
		local value = redis.call('HGET', KEYS[1], 'value')
		if value then return {'file', #value, redis.call('HGET', KEYS[1], 'modified')} end
		if #redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, 1) > 0 then return {'folder'} end
		return {'nothing'}`
	first, last := below(key)
	found, err := redis.Values(r.eval(ctx, script, []string{r.file(key), r.files()}, first, last))
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	var kind string
	if found, err = redis.Scan(found, &kind); err != nil {
		return certmagic.KeyInfo{}, err
	}
	switch kind {
	case "file":
		var size, modified int64
		_, err := redis.Scan(found, &size, &modified)
		return certmagic.KeyInfo{Key: key, Size: size, Modified: time.UnixMicro(modified), IsTerminal: true}, err
	case "folder":
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, fs.ErrNotExist
}

// List is certmagic's Storage: as a folder of files would, it names folders too, and what is not there is
// fs.ErrNotExist. It asks in steps of redisBatch names; what comes or goes meanwhile may be in it or not.
func (r *redisStore) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	// Values that ended by themselves are still in the set: they are taken out here.
	const script = `
		local found = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
		local live = {found[#found] or ''}
		for _, key in ipairs(found) do
			if redis.call('EXISTS', ARGV[4] .. key) == 1 then table.insert(live, key)
			else redis.call('ZREM', KEYS[1], key) end
		end
		return live`
	var list []string
	first, last := below(prefix)
	for {
		found, err := redis.Strings(r.eval(ctx, script, []string{r.files()}, first, last, strconv.Itoa(redisBatch), r.file("")))
		if err != nil {
			return nil, err
		}
		if found[0] == "" {
			break
		}
		for _, key := range found[1:] {
			list = append(list, withFolders(prefix, key, recursive)...)
		}
		first = "(" + found[0]
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if len(list) == 0 {
		_, err := r.Stat(ctx, prefix)
		return nil, err
	}
	return list, nil
}

// withFolders names what key adds to a listing of prefix: itself and the folders on the way, or the first step only.
func withFolders(prefix, key string, recursive bool) []string {
	var names []string
	for at := len(prefix) + 1; at <= len(key); at++ {
		if at == len(key) || key[at] == '/' {
			names = append(names, key[:at])
			if !recursive {
				break
			}
		}
	}
	return names
}

// below is the range of the names in the folder key, for ZRANGEBYLEX: '0' comes next after '/'.
func below(key string) (first, last string) {
	if key == "" {
		return "-", "+"
	}
	return "[" + key + "/", "(" + key + "0"
}

// stamps tells for each key when it was last written, in one round trip: zero if it is not there.
func (r *redisStore) stamps(ctx context.Context, keys []string) ([]time.Time, error) {
	const script = `
		local when = {}
		for i, key in ipairs(KEYS) do when[i] = redis.call('HGET', key, 'modified') or '0' end
		return when`
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = r.file(key)
	}
	found, err := redis.Int64s(r.eval(ctx, script, names))
	if err != nil {
		return nil, err
	}
	stamps := make([]time.Time, len(found))
	for i, micros := range found {
		if micros != 0 {
			stamps[i] = time.UnixMicro(micros)
		}
	}
	return stamps, nil
}
