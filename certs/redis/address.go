package redis

import (
	"cmp"
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

	redigo "github.com/gomodule/redigo/redis"

	"gate421/certs/pemfile"
)

// address is where a Redis or Valkey server is and how to log in.
type address struct {
	redacted       string // without the password, for people
	host           string // with the port
	user, password string
	db             int
	tls            *tls.Config // nil: none
	prefix         string      // of every key
}

// CheckAddress says what is wrong with an address of the form
// redis://[user:password@]host[:port][/db][?prefix=NAME], or rediss://… for TLS, which also takes ca=FILE: the
// authorities to trust (PEM) in place of the system's. The port is 6379 and the prefix gate421 if not given. Gateways
// that share certificates have the same prefix, others must not. It uses no network. Errors never repeat the password.
func CheckAddress(text string) error {
	_, err := parseAddress(text)
	return err
}

func parseAddress(text string) (address, error) {
	bad := func(what string) (address, error) {
		return address{}, fmt.Errorf("certificate storage: %s; want redis://user:password@host:6379/0, "+
			"rediss:// for TLS, special characters in the password as %%40", what)
	}
	u, err := url.Parse(text)
	if err != nil {
		return bad("not a URL")
	}
	a := address{redacted: u.Redacted(), user: u.User.Username(), prefix: "gate421"}
	a.password, _ = u.User.Password()
	// A password with / or ? in it, its beginning taken for a port, would be shown as something else below.
	if u.User == nil && strings.Contains(text, "@") {
		return bad("no host before its path")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return bad(fmt.Sprintf("scheme %q", u.Scheme))
	}
	if u.Hostname() == "" {
		return bad("no host")
	}
	a.host = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "6379"))
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
	a.prefix = cmp.Or(options.Get("prefix"), a.prefix)
	if u.Scheme == "rediss" {
		a.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
		if file := options.Get("ca"); file != "" {
			a.tls.RootCAs = x509.NewCertPool()
			if pem, err := pemfile.Read(file, "CERTIFICATE"); err != nil {
				return address{}, fmt.Errorf("certificate storage: %q: %w", file, err)
			} else if !a.tls.RootCAs.AppendCertsFromPEM(pem) {
				return address{}, fmt.Errorf("certificate storage: %q: no certificate in it", file)
			}
		}
	}
	return a, nil
}

// dial connects, logs in and selects the database; ctx and timeout bound it.
func (a address) dial(ctx context.Context) (redigo.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	connect := new(net.Dialer).DialContext
	if a.tls != nil {
		connect = (&tls.Dialer{Config: a.tls}).DialContext
	}
	return redigo.DialContext(ctx, "tcp", a.host, redigo.DialContextFunc(connect),
		redigo.DialReadTimeout(timeout), redigo.DialWriteTimeout(timeout),
		redigo.DialUsername(a.user), redigo.DialPassword(a.password), redigo.DialDatabase(a.db))
}

// UnavailableError says that the server cannot be used: it cannot be reached, rejects the login, or does not do what it
// is asked for. Its text says why, in words for people, and what cures that where it is known.
type UnavailableError struct {
	address string // without the password
	reason  string
	err     error
}

func (u UnavailableError) Error() string {
	return fmt.Sprintf("certificate storage %q: %s", u.address, u.reason)
}

// Unwrap has what the network or the server said.
func (u UnavailableError) Unwrap() error { return u.err }

// isStale reports whether err may only mean that the server closed a connection since it was last used.
func isStale(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE)
}

// explain says in plain words what went wrong and, where it is known, what cures it.
func (a address) explain(err error) string {
	var reply redigo.Error
	if errors.As(err, &reply) {
		return explainReply(string(reply))
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
			return fmt.Sprintf("no answer within %v; is it running, does it speak TLS there, "+
				"and does a firewall let us through?", timeout)
		}
		return fmt.Sprintf("no answer within %v; is it running, and does a firewall let us through?", timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("cannot be reached: %v; is it running, and is the address right?", err)
	case isStale(err):
		return "hangs up; does it want TLS (rediss://), or is it another kind of server?"
	case strings.HasPrefix(err.Error(), "redigo:"):
		return "does not speak Redis's protocol; another kind of server, or TLS (rediss://)?"
	}
	return fmt.Sprintf("cannot be reached: %v", err)
}

// explainReply says what an error reply means; its first word says which error it is.
func explainReply(reply string) string {
	const rights = "it needs ~PREFIX:* +@read +@write +@scripting +@connection: "
	kind, _, _ := strings.Cut(reply, " ")
	for _, known := range []struct{ has, reason string }{
		{"NOAUTH", "wants a password; put it into the address: redis://user:password@host"},
		{"WRONGPASS", "refused the password; check user and password"},
		{"invalid password", "refused the password; check it"},
		{"AUTH", "refused to log us in: " + reply},
		{"NOPERM", "does not let this user do that; " + rights + reply},
		{"No permission", "does not let this user do that; " + rights + reply},
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
		if kind == known.has || strings.Contains(reply, known.has) {
			return known.reason
		}
	}
	return "refused: " + reply
}
