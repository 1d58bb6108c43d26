package config

import (
	"slices"
	"strconv"
	"time"
)

// Key is a key of the configuration file. Defaults and bounds are written as the file would have them, so that
// messages, documentation and the decoder say the same.
type Key struct {
	Section string // where it stands: "" is the file itself; see Keys
	Name    string
	Default string   // of a single value; "" where the key has none: it is required, empty, or explained where it is decoded
	Low     string   // of a duration, a size or a whole number, the least value taken; "" for all others
	High    string   // the greatest, likewise
	Words   []string // if not nil, the value is one of these
}

// Keys is the table of all keys, in the order of the example configuration. A section is called like the key that it
// stands below; "sites" is an entry of the list of sites, "files" and "authority" are entries of certificates.files and
// certificates.ca, and "eab", "dns", "rotate", "origin_tls" and "guard" stand in a section of their own each.
func Keys() []Key {
	return []Key{
		{Name: "listen"},
		{Name: "admin", Default: "127.0.0.1:9421"},
		{Name: "state", Default: "/var/lib/gate421"},
		{Name: "certificates"},
		{Name: "crawlers", Default: "[googlebot]"},
		{Name: "verify"},
		{Name: "log"},
		{Name: "limits"},
		{Name: "sites"},

		{Section: "listen", Name: "https", Default: ":443"},
		{Section: "listen", Name: "http", Default: ":80"},
		{Section: "listen", Name: "proxy_protocol"},
		{Section: "listen", Name: "trusted_proxies"},
		{Section: "listen", Name: "client_ip_header"},
		{Section: "listen", Name: "client_protocol_header"},

		{Section: "certificates", Name: "source", Default: "acme", Words: []string{"acme", "local", "files"}},
		{Section: "certificates", Name: "email"},
		{Section: "certificates", Name: "ca", Default: "letsencrypt"},
		{Section: "certificates", Name: "dns"},
		{Section: "certificates", Name: "unknown_host", Default: "refuse", Words: []string{"refuse", "default"}},
		{Section: "certificates", Name: "storage"},
		{Section: "certificates", Name: "files"},

		{Section: "authority", Name: "directory"},
		{Section: "authority", Name: "root"},
		{Section: "authority", Name: "eab"},

		{Section: "eab", Name: "key_id"},
		{Section: "eab", Name: "hmac_key_file"},

		{Section: "dns", Name: "provider", Words: providers()},
		{Section: "dns", Name: "server"},
		{Section: "dns", Name: "key_name"},
		{
			Section: "dns",
			Name:    "key_algorithm",
			Words:   []string{"hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1"},
		},
		{Section: "dns", Name: "key_file"},
		{Section: "dns", Name: "account_file"},
		{Section: "dns", Name: "token_file"},
		{Section: "dns", Name: "delegated_to"},
		{Section: "dns", Name: "resolvers"},
		{Section: "dns", Name: "propagation", Default: "2m", Low: "0s", High: "1h"},

		{Section: "files", Name: "cert"},
		{Section: "files", Name: "key"},

		{Section: "verify", Name: "resolver", Default: "system"},
		{Section: "verify", Name: "wait", Default: "1s", Low: "10ms", High: "10s"},
		{Section: "verify", Name: "ranges", Default: "auto", Words: []string{"auto", "embedded", "none"}},

		{Section: "log", Name: "file", Default: "-"},
		{Section: "log", Name: "scope", Default: "all", Words: []string{"all", "crawlers"}},
		{Section: "log", Name: "client_ip", Default: "full", Words: []string{"full", "truncated"}},
		{Section: "log", Name: "query", Default: "keep", Words: []string{"keep", "drop"}},
		{Section: "log", Name: "rotate"},

		{Section: "rotate", Name: "size", Default: "256MiB", Low: "1MiB", High: "1024GiB"},
		{Section: "rotate", Name: "keep", Default: "14", Low: "1", High: "10000"},
		{Section: "rotate", Name: "compress", Default: "zstd", Words: []string{"zstd", "none"}},

		{Section: "limits", Name: "header_bytes", Default: "32KiB", Low: "4KiB", High: "1MiB"},
		{Section: "limits", Name: "header_fields", Default: "128", Low: "16", High: "10000"},
		{Section: "limits", Name: "header_time", Default: "10s", Low: "100ms", High: "2m"},
		{Section: "limits", Name: "stall_time", Default: "60s", Low: "100ms", High: "10m"},
		{Section: "limits", Name: "stall_bytes", Default: "64KiB", Low: "4KiB", High: "16MiB"},
		{Section: "limits", Name: "stream_idle_time", Default: "10m", Low: "100ms", High: "24h"},
		{Section: "limits", Name: "idle_time", Default: "120s", Low: "100ms", High: "1h"},
		{Section: "limits", Name: "ping_after", Default: "30s", Low: "100ms", High: "1h"},
		{Section: "limits", Name: "ping_time", Default: "15s", Low: "100ms", High: "5m"},
		{Section: "limits", Name: "streams", Default: "100", Low: "1", High: "1000"},
		{Section: "limits", Name: "frame_bytes", Default: "16KiB", Low: "16KiB", High: "1MiB"},
		{Section: "limits", Name: "stream_window", Default: "256KiB", Low: "64KiB", High: "16MiB"},
		{Section: "limits", Name: "connection_window", Default: "1MiB", Low: "64KiB", High: "64MiB"},
		{Section: "limits", Name: "connections", Default: "16384", Low: "16", High: "1000000"},
		{Section: "limits", Name: "connections_per_address", Default: "4096", Low: "1", High: "1000000"},
		{Section: "limits", Name: "requests_per_address", Default: "1024", Low: "1", High: "1000000"},
		{Section: "limits", Name: "write_time", Default: "60s", Low: "100ms", High: "10m"},
		{Section: "limits", Name: "origin_time", Default: "60s", Low: "100ms", High: "1h"},
		{Section: "limits", Name: "drain_grace", Default: "5s", Low: "0s", High: "10m"},
		{Section: "limits", Name: "drain_time", Default: "30s", Low: "100ms", High: "10m"},

		{Section: "sites", Name: "hosts"},
		{Section: "sites", Name: "origin"},
		{Section: "sites", Name: "origin_tls"},
		{Section: "sites", Name: "origin_time", Low: "100ms", High: "24h"}, // without it that of limits
		{Section: "sites", Name: "http2_crawl", Words: []string{"refuse", "observe", "allow"}},
		{Section: "sites", Name: "refuse_with", Default: "421", Words: []string{"421", "alpn"}},
		{Section: "sites", Name: "guard"},
		{Section: "sites", Name: "paths"},

		{Section: "origin_tls", Name: "server_name"},
		{Section: "origin_tls", Name: "ca"},
		{Section: "origin_tls", Name: "insecure_skip_verify", Default: "false", Words: []string{"true", "false"}},
		{Section: "origin_tls", Name: "client_cert"},
		{Section: "origin_tls", Name: "client_key"},

		{Section: "guard", Name: "refusals", Default: "100", Low: "1", High: "1000000"},
		{Section: "guard", Name: "within", Default: "24h", Low: "1m", High: "30d"},
	}
}

// names lists the keys of a section.
func names(section string) []string {
	var all []string
	for _, k := range Keys() {
		if k.Section == section {
			all = append(all, k.Name)
		}
	}
	return all
}

func isKey(section, name string) bool { return slices.Contains(names(section), name) }

// key is an entry of the table; the zero Key where there is none.
func key(section, name string) Key {
	for _, k := range Keys() {
		if k.Section == section && k.Name == name {
			return k
		}
	}
	return Key{}
}

// word is the value of a key that has Words; "" if it has a wrong one.
func (r *reader) word(values map[string]*node, section, name string) string {
	k := key(section, name)
	n := values[name]
	if n == nil {
		return k.Default
	}
	word, _ := r.choice(n, k.Words...)
	return word
}

// durationOf is the value of a key that is a duration; its default if it has a wrong one.
func (r *reader) durationOf(values map[string]*node, section, name string) time.Duration {
	k := key(section, name)
	if n := values[name]; n != nil {
		if d, ok := r.duration(n, duration(k.Low), duration(k.High)); ok {
			return d
		}
	}
	return duration(k.Default)
}

// sizeOf is the value in bytes of a key that is a size; its default if it has a wrong one.
func (r *reader) sizeOf(values map[string]*node, section, name string) int64 {
	k := key(section, name)
	if n := values[name]; n != nil {
		if v, ok := r.size(n, size(k.Low), size(k.High)); ok {
			return v
		}
	}
	return size(k.Default)
}

// numberOf is the value of a key that is a whole number; its default if it has a wrong one.
func (r *reader) numberOf(values map[string]*node, section, name string) int {
	k := key(section, name)
	if n := values[name]; n != nil {
		if v, ok := r.integer(n, number64(k.Low), number64(k.High)); ok {
			return int(v)
		}
	}
	return int(number64(k.Default))
}

// The table's own values are well formed, which its test holds it to. "" is 0.

func duration(s string) time.Duration {
	d, _ := parseDuration(s)
	return d
}

func size(s string) int64 {
	v, _ := parseSize(s)
	return v
}

func number64(s string) int64 {
	v, _ := strconv.ParseInt(s, 10, 64)
	return v
}
