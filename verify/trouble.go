package verify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// trouble is what kept a question from being answered. It is immutable; a nil one is none.
type trouble struct {
	cause  string // one of the Cause constants
	server string // as in Resolver.Servers; "": no server had a part in it
	detail string // what the system or the server said, in few words that need no quoting; "": the cause says all
}

// mostDetail is the longest detail kept, in bytes.
const mostDetail = 80

func troubleAt(server, cause, detail string) *trouble {
	plain := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '?'
		}
		return c
	}, detail)
	return &trouble{cause: cause, server: server, detail: plain[:min(len(plain), mostDetail)]}
}

// tells reports whether t says more about its cause than other does: an answer says more than silence.
func (t *trouble) tells(other *trouble) bool {
	return other == nil || t != nil && (t.cause != CauseTimeout || other.cause == CauseTimeout)
}

// networkTrouble names what an error of the network means.
func networkTrouble(ctx context.Context, server string, err error) *trouble {
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
		return troubleAt(server, CauseTimeout, "")
	case errors.As(err, &hostname):
		return troubleAt(server, CauseTLS, "certificate is for another name")
	case errors.As(err, &certificate):
		return troubleAt(server, CauseTLS, "certificate is not trusted")
	case errors.As(err, &record):
		return troubleAt(server, CauseTLS, "no TLS")
	case errors.As(err, &alert):
		return troubleAt(server, CauseTLS, alert.Error())
	case errors.As(err, &system):
		return troubleAt(server, CauseUnreachable, system.Error())
	case errors.Is(err, io.EOF):
		return troubleAt(server, CauseUnreachable, "it closed the connection")
	default:
		return troubleAt(server, CauseUnreachable, "")
	}
}

// words are the detail, or else the cause.
func (t *trouble) words() string {
	if t.detail != "" {
		return t.detail
	}
	return t.cause
}
