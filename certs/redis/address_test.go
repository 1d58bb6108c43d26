package redis

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

func TestErrorReplies(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	for reply, want := range map[string]string{
		"NOAUTH Authentication required.":                                 "wants a password",
		"WRONGPASS invalid username-password pair or user is disabled.":   "refused the password",
		"ERR invalid password":                                            "refused the password",
		"NOPERM this user has no permissions to run the 'eval' command":   "does not let this user",
		"READONLY You can't write against a read only replica.":           "give the address of the primary",
		"MOVED 3999 127.0.0.1:6381":                                       "part of a cluster",
		"LOADING Redis is loading the dataset in memory":                  "still reading its data",
		"OOM command not allowed when used memory > 'maxmemory'.":         "raise its maxmemory",
		"MISCONF Redis is configured to save RDB snapshots":               "cannot write to its disk",
		"WRONGTYPE Operation against a key holding the wrong kind of one": "?prefix=NAME",
		"ERR unknown command":                                             "refused: ERR unknown command",
	} {
		s, warned := openStorage(t, "redis://"+server.Addr())
		server.SetError(reply)
		_, err := s.Load(t.Context(), "certificates/x")
		if err == nil || !strings.HasPrefix(err.Error(), `certificate storage "redis://127.0.0.1:`) ||
			!strings.Contains(err.Error(), want) || !strings.Contains(warned.all(), want) {
			t.Errorf("%q: got %v and warned of %q, want %q in both", reply, err, warned.all(), want)
		}
		server.SetError("")
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]address{
		"redis://cache.example": {host: "cache.example:6379", prefix: "gate421"},
		"redis://:p%40ss@[::1]:7000/2": {host: "[::1]:7000", password: "p@ss", db: 2,
			prefix: "gate421"},
		"rediss://me:word@cache.example:1/?prefix=shop": {host: "cache.example:1", user: "me", password: "word",
			prefix: "shop"},
	} {
		got, err := parseAddress(text)
		if secure := strings.HasPrefix(text, "rediss"); secure != (got.tls != nil) {
			t.Errorf("%q: got TLS %v, want %v", text, got.tls != nil, secure)
		}
		if strings.Contains(got.redacted, "p%40ss") || strings.Contains(got.redacted, "word@") {
			t.Errorf("%q is shown as %q, want no password in it", text, got.redacted)
		}
		got.tls, got.redacted = nil, ""
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"cache.example:6379":               "scheme",
		"http://x":                         `scheme "http"`,
		"redis://":                         "no host",
		"redis://me@x":                     "no password",
		"redis://x/one":                    "not a number",
		"redis://x/?timeout=3":             `option "timeout"`,
		"redis://x/?ca=/x":                 `option "ca"`,
		"rediss://x/?ca=/does/not/exist":   "no such file",
		"redis://me:top secret%zz@x":       "not a URL",
		"redis://me:topsecret@x:port/word": "not a URL",
		"redis://topsecret@x":              "no password",
		"redis://me:1/topsecret@x/0":       "before its path",
		"redis://me:1?topsecret@x/0":       "before its path",
		"redis://me:1#topsecret@x/0":       "before its path",
	} {
		err := CheckAddress(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "top") {
			t.Errorf("%q: got %v, want %q and no password in it", text, err, want)
		}
	}
}
