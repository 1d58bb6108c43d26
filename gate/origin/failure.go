package origin

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"gate421/gate/http1/client"

	//lint:file-ignore SA1019 x/net's engine is wanted: the copy in Go 1.26's net/http has published holes that x/net has mended.
	"golang.org/x/net/http2"
)

// Failure is what went wrong with an origin, in one word for the record.
type Failure struct {
	word  string
	cause error
}

// Error says the word and the cause.
func (f *Failure) Error() string {
	if f.cause == nil {
		return f.word
	}
	return f.word + ": " + f.cause.Error()
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.cause }

// Word is one of those below.
func (f *Failure) Word() string { return f.word }

// The words of failures.
const (
	Refused     = "refused"            // the connection was refused
	Unreachable = "unreachable"        // no route, no such name or socket, no connection in time
	Timeout     = "timeout"            // connected, but no response in time
	Certificate = "certificate"        // the origin's certificate is not for this host, or nobody vouches for it
	Garbage     = "garbage"            // the response is not HTTP
	Reset       = "reset"              // the connection broke, before the response or in its body
	Misdirected = "origin_misdirected" // the origin answered 421 itself
	ClientGone  = "client_gone"        // the client left before the response was complete
	ClientSlow  = "client_slow"        // a limit on the client's pace cut off its body, or the response to it
)

// aborted is the cause of a failure that leaves a client with half a response.
func aborted(cause error) error { return errors.Join(http.ErrAbortHandler, cause) }

// respond is what the client of a failed request gets. last says that its connection ends with it.
func (f *Failure) respond(w http.ResponseWriter, last bool) {
	status, text := http.StatusBadGateway, "502: the site's own server did not answer properly. Please try again later.\n"
	switch f.word {
	case Timeout:
		status, text = http.StatusGatewayTimeout, "504: the site's own server did not answer in time. Please try again later.\n"
	case ClientSlow:
		status, text = http.StatusRequestTimeout, "408: the request's body came too slowly.\n"
	case ClientGone: // heard only by a client whose body was broken
		status, text = http.StatusBadRequest, "400: the request's body broke off.\n"
	}
	h := w.Header()
	clear(h)
	if last {
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// failureOf finds the word for what went wrong before a response began.
func failureOf(err error, gone bool) *Failure {
	var failure *Failure
	var network net.Error
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var stream http2.StreamError
	word := Garbage
	switch {
	case errors.As(err, &failure):
		return failure
	case gone:
		word = ClientGone
	case errors.As(err, &certificate):
		word = Certificate
	case errors.Is(err, syscall.ECONNREFUSED):
		word = Refused
	case errors.As(err, &op) && op.Op == "dial":
		word = Unreachable
	case errors.As(err, &network) && network.Timeout():
		word = Timeout
	case errors.Is(err, client.ErrStale), lost(err), unprocessed(err), errors.As(err, &stream),
		strings.Contains(err.Error(), "server closed idle connection"):
		word = Reset
	}
	return &Failure{word, err}
}
