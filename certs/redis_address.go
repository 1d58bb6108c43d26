package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gomodule/redigo/redis"
)

// redisAddress is where a Redis or Valkey server is and how to be let in.
type redisAddress struct {
	shown          string // without the password, for people
	host           string // with the port
	user, password string
	db             int
	tls            *tls.Config // nil: none
	prefix         string      // of every key
}

// parseRedis reads redis://[user:password@]host[:port][/db][?prefix=NAME] or rediss://…, which is with TLS and knows
// ca=FILE, the authorities to trust (PEM) in place of the system's. The port is 6379 and the prefix gate421 if not given.
// Gateways that share certificates have the same prefix, others must not. Errors never repeat the password.
func parseRedis(address string) (redisAddress, error) {
	bad := func(what string) (redisAddress, error) {
		return redisAddress{}, fmt.Errorf("certificate storage: %s; want redis://user:password@host:6379/0, rediss:// for TLS, "+
			"special characters in the password as %%40", what)
	}
	u, err := url.Parse(address)
	if err != nil {
		return bad("not a URL")
	}
	a := redisAddress{shown: u.Redacted(), user: u.User.Username(), prefix: "gate421"}
	a.password, _ = u.User.Password()
	// A password with / or ? in it, its beginning taken for a port, would be shown as something else below.
	if u.User == nil && strings.Contains(address, "@") {
		return bad("no host before its path")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return bad(fmt.Sprintf("scheme %q", u.Scheme))
	}
	if u.Hostname() == "" {
		return bad("no host")
	}
	a.host = net.JoinHostPort(u.Hostname(), or(u.Port(), "6379"))
	if a.user != "" && a.password == "" {
		return bad("the user has no password") // or is one
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if a.db, err = strconv.Atoi(db); err != nil || a.db < 0 {
			return bad(fmt.Sprintf("database %q is not a number", db))
		}
	}
	options := u.Query()
	for name := range options {
		if name != "prefix" && (name != "ca" || u.Scheme != "rediss") {
			return bad(fmt.Sprintf("option %q", name))
		}
	}
	a.prefix = or(options.Get("prefix"), a.prefix)
	if u.Scheme == "rediss" {
		a.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
		if file := options.Get("ca"); file != "" {
			a.tls.RootCAs = x509.NewCertPool()
			if pem, err := readInput(file, "CERTIFICATE"); err != nil {
				return redisAddress{}, fmt.Errorf("certificate storage: %q: %w", file, err)
			} else if !a.tls.RootCAs.AppendCertsFromPEM(pem) {
				return redisAddress{}, fmt.Errorf("certificate storage: %q: no certificate in it", file)
			}
		}
	}
	return a, nil
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// dial connects, logs in and selects the database; ctx and redisPatience bound it.
func (a redisAddress) dial(ctx context.Context) (redis.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	connect := new(net.Dialer).DialContext
	if a.tls != nil {
		connect = (&tls.Dialer{Config: a.tls}).DialContext
	}
	return redis.DialContext(ctx, "tcp", a.host, redis.DialContextFunc(connect),
		redis.DialReadTimeout(redisPatience), redis.DialWriteTimeout(redisPatience),
		redis.DialUsername(a.user), redis.DialPassword(a.password), redis.DialDatabase(a.db))
}

// redisTrouble is that the server cannot be used: it cannot be reached, does not let us in, or does not do as asked.
type redisTrouble struct {
	address, words string
	err            error
}

func (t redisTrouble) Error() string {
	return fmt.Sprintf("certificate storage %q: %s", t.address, t.words)
}
func (t redisTrouble) Unwrap() error { return t.err }

// isStale reports whether err may only mean that the server closed a connection since it was last used.
func isStale(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// words says what is wrong and, where it is known, what cures it.
func (a redisAddress) words(err error) string {
	var refused redis.Error
	if errors.As(err, &refused) {
		return refusedWords(string(refused))
	}
	var noTLS tls.RecordHeaderError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &noTLS):
		return "does not speak TLS; want redis:// there, or its TLS port"
	case errors.As(err, &untrusted):
		return fmt.Sprintf("its TLS certificate is not good: %v; name its authority with ?ca=FILE", untrusted.Err)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		if a.tls != nil {
			return fmt.Sprintf("no answer within %v; is it running, does it speak TLS there, and does a firewall let us through?", redisPatience)
		}
		return fmt.Sprintf("no answer within %v; is it running, and does a firewall let us through?", redisPatience)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("cannot be reached: %v; is it running, and is the address right?", err)
	case isStale(err):
		return "hangs up; does it want TLS (rediss://), or is it another kind of server?"
	case strings.HasPrefix(err.Error(), "redigo:"):
		return "does not speak Redis's protocol; another kind of server, or TLS (rediss://)?"
	}
	return fmt.Sprintf("cannot be reached: %v", err)
}

// refusedWords explains an error the server answered with; its first word says which.
func refusedWords(answer string) string {
	kind, _, _ := strings.Cut(answer, " ")
	for _, known := range []struct{ has, words string }{
		{"NOAUTH", "wants a password; put it into the address: redis://user:password@host"},
		{"WRONGPASS", "refused the password; check user and password"},
		{"invalid password", "refused the password; check it"},
		{"AUTH", "refused to log us in: " + answer},
		{"NOPERM", "does not let this user do that; it needs ~PREFIX:* +@read +@write +@scripting +@connection: " + answer},
		{"No permission", "does not let this user do that; it needs ~PREFIX:* +@read +@write +@scripting +@connection: " + answer},
		{"READONLY", "is a replica that cannot be written to; give the address of the primary"},
		{"MOVED", "is part of a cluster, which is not supported; use one server"},
		{"CLUSTERDOWN", "is part of a cluster, which is not supported; use one server"},
		{"CROSSSLOT", "is part of a cluster, which is not supported; use one server"},
		{"LOADING", "is still reading its data; it takes care of itself"},
		{"OOM", "is out of memory; raise its maxmemory"},
		{"MISCONF", "cannot write to its disk and takes no changes; see its log"},
		{"WRONGTYPE", "has keys of another program under our prefix; choose another with ?prefix=NAME"},
		{"DB index", "has no such database; check the number at the end of the address"},
	} {
		if kind == known.has || strings.Contains(answer, known.has) {
			return known.words
		}
	}
	return "refused: " + answer
}
