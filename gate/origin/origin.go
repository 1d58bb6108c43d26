// Package origin answers one question: how does a request reach the server behind the gate, and its answer the client,
// unchanged?
//
// An [Origin] is an HTTP/1.1 server (http:// or https://) or a folder (file:). What is passed on:
//
//   - method, path and query byte for byte, the Host as the client sent it, the header but for hop-by-hop fields, the body
//     streamed; the answer's status, header, body and trailers the same way back, content encodings untouched;
//   - X-Forwarded-For, -Host and -Proto are set to what the gate saw. Whatever a client sent under these names, Forwarded
//     and their kin included, is dropped: an origin may believe them.
//
// A request that HTTP/1.1 cannot carry in one way only is answered 400, and the origin hears nothing of it: HTTP/2 lets a
// client send methods and targets with spaces in them, and both protocols hosts that are none.
//
// Towards an https origin the name in the TLS handshake is the request's host and connections are pooled by host, because
// servers such as Apache answer 421 when the handshake's name and the Host differ. An origin's own 421 never reaches a
// client: over HTTP/1.x a crawler would take it for a page that is gone. A request without a body is tried once more on a
// new connection; what is still a 421 becomes a 502, origin_misdirected.
//
// Trouble with an origin is answered with 502 or 504, and named in the error that Serve returns.
package origin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Config of an Origin.
type Config struct {
	URL                string        // http://host[:port], https://host[:port] or file:/folder
	ServerName         string        // https: the name in the TLS handshake; "": the request's host
	CA                 string        // https: a PEM file of the authorities to trust; "": the system's
	InsecureSkipVerify bool          // https: take any certificate
	Wait               time.Duration // the longest until an answer begins; 0: 60 s
}

// Origin serves requests; it is safe for any number of goroutines. Close it when no request uses it any more.
type Origin struct {
	url     string
	serve   func(http.ResponseWriter, *http.Request) (int, time.Duration, error)
	release func()
}

// New prepares an origin. It connects to nothing; a folder has to exist.
func New(c Config) (*Origin, error) {
	if c.Wait == 0 {
		c.Wait = 60 * time.Second
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("origin %q: %w", c.URL, err)
	}
	o := &Origin{url: c.URL}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return nil, fmt.Errorf("origin %q: has no host", c.URL)
		}
		p, err := newProxy(u, c)
		if err != nil {
			return nil, fmt.Errorf("origin %q: %w", c.URL, err)
		}
		o.serve, o.release = p.serve, p.close
	case "file":
		f, err := newFolder(strings.TrimPrefix(strings.TrimPrefix(c.URL, "file:"), "//"))
		if err != nil {
			return nil, fmt.Errorf("origin %q: %w", c.URL, err)
		}
		o.serve, o.release = f.serve, f.close
	default:
		return nil, fmt.Errorf("origin %q: not an http://, https:// or file: URL", c.URL)
	}
	return o, nil
}

// Serve answers one request; see gate.Origin for what it returns. CONNECT is answered 405: the gate is no tunnel.
func (o *Origin) Serve(w http.ResponseWriter, r *http.Request) (status int, first time.Duration, err error) {
	if r.Method == http.MethodConnect {
		http.Error(w, "405: CONNECT is not served here.", http.StatusMethodNotAllowed)
		return 0, 0, nil
	}
	return o.serve(w, r)
}

// String is the URL as configured.
func (o *Origin) String() string { return o.url }

// Close lets go of idle connections or the folder.
func (o *Origin) Close() { o.release() }

func tlsConfig(c Config) (*tls.Config, error) {
	t := &tls.Config{ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify, MinVersion: tls.VersionTLS12}
	if c.CA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %q holds no PEM certificate", c.CA)
	}
	return t, nil
}

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
	Unreachable = "unreachable"        // no route, no such name, no connection in time
	Timeout     = "timeout"            // connected, but no answer in time
	Certificate = "certificate"        // the origin's certificate is not for this host, or nobody vouches for it
	Garbage     = "garbage"            // the answer is not HTTP
	Reset       = "reset"              // the connection broke, before the answer or in its body
	Misdirected = "origin_misdirected" // the origin answered 421 itself
	ClientGone  = "client_gone"        // the client left before the answer was complete
)

// cut is the cause of a failure that leaves a client with half an answer.
func cut(cause error) error { return errors.Join(http.ErrAbortHandler, cause) }
