package verify

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// failure is why a question got no answer. It is immutable; nil is no failure.
type failure struct {
	cause  string // one of the Cause constants
	server string // as in Resolver.Servers; "": no server had a part in it
	detail string // what the system or the server said, in a few words that need no quoting; "": the cause says all
}

// maxDetail is the longest detail kept, in bytes.
const maxDetail = 80

func newFailure(server, cause, detail string) *failure {
	plain := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '?'
		}
		return c
	}, detail)
	return &failure{cause: cause, server: server, detail: plain[:min(len(plain), maxDetail)]}
}

// saysMoreThan reports whether f says more about the cause than other does: any response says more than silence.
func (f *failure) saysMoreThan(other *failure) bool {
	return other == nil || f != nil && (f.cause != CauseTimeout || other.cause == CauseTimeout)
}

// networkFailure returns the failure that an error of the network means.
func networkFailure(ctx context.Context, server string, err error) *failure {
	var (
		timeout     net.Error
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		hostname    x509.HostnameError
		system      syscall.Errno
	)
	switch {
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return newFailure(server, CauseTimeout, "")
	case errors.As(err, &hostname):
		return newFailure(server, CauseTLS, "certificate is for another name")
	case errors.As(err, &certificate):
		return newFailure(server, CauseTLS, "certificate is not trusted")
	case errors.As(err, &record):
		return newFailure(server, CauseTLS, "no TLS")
	case errors.As(err, &alert):
		return newFailure(server, CauseTLS, alert.Error())
	case errors.As(err, &system):
		return newFailure(server, CauseUnreachable, system.Error())
	case errors.Is(err, io.EOF):
		return newFailure(server, CauseUnreachable, "it closed the connection")
	default:
		return newFailure(server, CauseUnreachable, "")
	}
}

// text is the detail, or else the cause.
func (f *failure) text() string {
	return cmp.Or(f.detail, f.cause)
}
