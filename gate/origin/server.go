package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"gate421/gate/files"
)

// location is where a server is, or a folder.
type location struct {
	scheme string
	dial   string // host:port; the path of a socket or a folder
}

func parse(written string) (location, error) {
	scheme, rest, _ := strings.Cut(written, ":")
	switch scheme {
	case "file", "unix":
		return location{scheme, strings.TrimPrefix(rest, "//")}, nil
	}
	u, err := url.Parse(written)
	if err != nil {
		return location{}, err
	}
	ports := map[string]string{"http": "80", "h2c": "80", "https": "443", "h2": "443"}
	port := ports[u.Scheme]
	switch {
	case port == "":
		return location{}, errors.New(
			"not an http://, https://, h2c:// or h2:// URL, and neither unix: nor file: before a path",
		)
	case u.Host == "":
		return location{}, errors.New("has no host")
	case u.Port() != "":
		port = u.Port()
	}
	return location{u.Scheme, net.JoinHostPort(u.Hostname(), port)}, nil
}

// dialFunc is a Config's Dial.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (d dialFunc) or(dialer *net.Dialer) dialFunc {
	if d == nil {
		return dialer.DialContext
	}
	return d
}

// server is one of an origin's servers and what is known of its health.
type server struct {
	address string      // as configured
	http1   *http1Proxy // for HTTP/1.1
	http2   *http2Proxy // for HTTP/2; nil: http1 is used
	files   *Descriptors

	inFlight atomic.Int64  // requests
	failures atomic.Uint64 // since New
	outage   outage
	health
}

func newServer(written string, where location, c Config) (*server, error) {
	s, slow := &server{address: written, files: c.Descriptors}, minRate{c.StallTime, c.StallBytes}
	var secure *tls.Config
	var err error
	if where.scheme == "https" || where.scheme == "h2" {
		if secure, err = tlsConfig(c); err != nil {
			return nil, err
		}
	}
	switch where.scheme {
	case "h2", "h2c":
		if s.http2, err = newProxy(where.dial, secure, c.Wait); err != nil {
			return nil, err
		}
		s.http2.pace = slow
		s.http2.pool.connector, s.http2.pool.files = c.Dial, c.Descriptors
		c.Descriptors.add(s, s.http2.pool.closeIdle)
		return s, nil
	case "unix":
		if where.dial == "" {
			return nil, errors.New("has no path")
		}
		s.http1 = &http1Proxy{
			network:   "unix",
			address:   where.dial,
			wait:      c.Wait,
			pace:      slow,
			connector: c.Dial,
			files:     c.Descriptors,
		}
		c.Descriptors.add(s, s.http1.idle.closeIdle)
		return s, nil
	}
	s.http1 = &http1Proxy{
		network:   "tcp",
		address:   where.dial,
		wait:      c.Wait,
		pace:      slow,
		connector: c.Dial,
		files:     c.Descriptors,
		dialer:    net.Dialer{KeepAlive: 30 * time.Second},
	}
	c.Descriptors.add(s, s.http1.idle.closeIdle)
	if secure != nil {
		secure.NextProtos = []string{"http/1.1"}
		s.http1.secure = secure
	}
	return s, nil
}

// serve asks this server, and passes its response on if there is one.
func (s *server) serve(w http.ResponseWriter, r *http.Request, c *call) {
	defer s.inFlight.Add(-1)
	if s.http2 != nil {
		s.http2.serve(w, r, c)
		return
	}
	s.http1.serve(w, r, c)
}

func (s *server) close() {
	s.files.remove(s)
	if s.http2 != nil {
		s.http2.close()
		return
	}
	s.http1.idle.close()
}

// maxPEM is the largest file of certificates or a key that is read.
const maxPEM = 16 << 20

func clientPair(c Config) (tls.Certificate, error) {
	certificate, err := files.Read(c.ClientCert, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := files.Read(c.ClientKey, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

func tlsConfig(c Config) (*tls.Config, error) {
	t := &tls.Config{ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify, MinVersion: tls.VersionTLS12}
	if c.ClientCert != "" || c.ClientKey != "" {
		pair, err := clientPair(c)
		if err != nil {
			return nil, fmt.Errorf("client_cert: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	if c.CA == "" {
		return t, nil
	}
	pem, err := files.Read(c.CA, maxPEM)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %q holds no PEM certificate", c.CA)
	}
	return t, nil
}
