package redis

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	redigo "github.com/gomodule/redigo/redis"
)

// listBatch is how many names one step of a listing looks at: the server does nothing else meanwhile.
const listBatch = 500

// Exists is certmagic.Storage's. It looks for a copy while the server cannot be asked.
func (s *Storage) Exists(ctx context.Context, key string) bool {
	_, err := s.stat(ctx, key)
	if errors.As(err, new(UnavailableError)) {
		return s.copies.has(ctx, key)
	}
	return err == nil
}

// Stat is certmagic.Storage's.
func (s *Storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	info, err := s.stat(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		err = &fs.PathError{Op: "stat", Path: key, Err: fs.ErrNotExist}
	}
	return info, err
}

func (s *Storage) stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	const script = `
		local value = redis.call('HGET', KEYS[1], 'value')
		if value then return {'file', #value, redis.call('HGET', KEYS[1], 'modified')} end
		if #redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, 1) > 0 then return {'folder'} end
		return {'nothing'}`
	first, last := lexRange(key)
	found, err := redigo.Values(s.client.eval(ctx, script, []string{s.valueKey(key), s.indexKey()}, first, last))
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	var kind string
	if found, err = redigo.Scan(found, &kind); err != nil {
		return certmagic.KeyInfo{}, err
	}
	switch kind {
	case "file":
		var size, modified int64
		_, err := redigo.Scan(found, &size, &modified)
		return certmagic.KeyInfo{Key: key, Size: size, Modified: time.UnixMicro(modified), IsTerminal: true}, err
	case "folder":
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, fs.ErrNotExist
}

// List is certmagic.Storage's. Like a folder of files it names folders too, and what is not there is fs.ErrNotExist. It
// asks in steps of listBatch names: what is stored or deleted meanwhile may be in the list or not.
func (s *Storage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	// Values that expired are still in the set: they are taken out here.
	const script = `
		local found = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
		local live = {found[#found] or ''}
		for _, key in ipairs(found) do
			if redis.call('EXISTS', ARGV[4] .. key) == 1 then table.insert(live, key)
			else redis.call('ZREM', KEYS[1], key) end
		end
		return live`
	var list []string
	first, last := lexRange(prefix)
	for {
		found, err := redigo.Strings(s.client.eval(ctx, script, []string{s.indexKey()}, first, last,
			strconv.Itoa(listBatch), s.valueKey("")))
		if err != nil {
			return nil, err
		}
		if found[0] == "" {
			break
		}
		for _, key := range found[1:] {
			list = append(list, listed(prefix, key, recursive)...)
		}
		first = "(" + found[0]
	}
	slices.Sort(list)
	list = slices.Compact(list)
	if len(list) == 0 {
		_, err := s.Stat(ctx, prefix)
		return nil, err
	}
	return list, nil
}

// listed is what key adds to a listing of prefix: itself and the folders above it, or only the first of those names.
func listed(prefix, key string, recursive bool) []string {
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

// lexRange is the range of the names below key, for ZRANGEBYLEX: '0' is the character after '/'.
func lexRange(key string) (first, last string) {
	if key == "" {
		return "-", "+"
	}
	return "[" + key + "/", "(" + key + "0"
}

// ModifiedTimes has for each key when it was last written, in one round trip; zero if it is not there.
func (s *Storage) ModifiedTimes(ctx context.Context, keys []string) ([]time.Time, error) {
	const script = `
		local when = {}
		for i, key in ipairs(KEYS) do when[i] = redis.call('HGET', key, 'modified') or '0' end
		return when`
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = s.valueKey(key)
	}
	found, err := redigo.Int64s(s.client.eval(ctx, script, names))
	if err != nil {
		return nil, err
	}
	times := make([]time.Time, len(found))
	for i, micros := range found {
		if micros != 0 {
			times[i] = time.UnixMicro(micros)
		}
	}
	return times, nil
}
