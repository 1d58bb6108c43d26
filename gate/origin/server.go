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

// place is where a server is, or a folder.
type place struct {
	scheme string
	dial   string // host:port; the path of a socket or a folder
}

func parse(written string) (place, error) {
	scheme, rest, _ := strings.Cut(written, ":")
	switch scheme {
	case "file", "unix":
		return place{scheme, strings.TrimPrefix(rest, "//")}, nil
	}
	u, err := url.Parse(written)
	if err != nil {
		return place{}, err
	}
	ports := map[string]string{"http": "80", "h2c": "80", "https": "443", "h2": "443"}
	port := ports[u.Scheme]
	switch {
	case port == "":
		return place{}, errors.New("not an http://, https://, h2c:// or h2:// URL, and neither unix: nor file: before a path")
	case u.Host == "":
		return place{}, errors.New("has no host")
	case u.Port() != "":
		port = u.Port()
	}
	return place{u.Scheme, net.JoinHostPort(u.Hostname(), port)}, nil
}

// connector is a Config's Dial.
type connector func(ctx context.Context, network, address string) (net.Conn, error)

func (c connector) or(dialer *net.Dialer) connector {
	if c == nil {
		return dialer.DialContext
	}
	return c
}

// server is one of an origin's servers and what is known of its health.
type server struct {
	address string  // as configured
	direct  *direct // for HTTP/1.1
	proxy   *proxy  // for HTTP/2; nil: direct
	files   *Files

	flying   atomic.Int64  // requests
	failures atomic.Uint64 // since New
	trouble  trouble
	health
}

func newServer(written string, where place, c Config) (*server, error) {
	s, slow := &server{address: written, files: c.Files}, pace{c.StallTime, c.StallBytes}
	var secure *tls.Config
	var err error
	if where.scheme == "https" || where.scheme == "h2" {
		if secure, err = tlsConfig(c); err != nil {
			return nil, err
		}
	}
	switch where.scheme {
	case "h2", "h2c":
		if s.proxy, err = newProxy(where.dial, secure, c.Wait); err != nil {
			return nil, err
		}
		s.proxy.pace = slow
		s.proxy.pool.connector, s.proxy.pool.files = c.Dial, c.Files
		c.Files.add(s, s.proxy.pool.closeIdle)
		return s, nil
	case "unix":
		if where.dial == "" {
			return nil, errors.New("has no path")
		}
		s.direct = &direct{network: "unix", address: where.dial, wait: c.Wait, pace: slow, connector: c.Dial, files: c.Files}
		c.Files.add(s, s.direct.idle.closeIdle)
		return s, nil
	}
	s.direct = &direct{network: "tcp", address: where.dial, wait: c.Wait, pace: slow, connector: c.Dial, files: c.Files, dialer: net.Dialer{KeepAlive: 30 * time.Second}}
	c.Files.add(s, s.direct.idle.closeIdle)
	if secure != nil {
		secure.NextProtos = []string{"http/1.1"}
		s.direct.secure = secure
	}
	return s, nil
}

// serve asks this server, and passes its answer on if there is one.
func (s *server) serve(w http.ResponseWriter, r *http.Request, c *call) {
	defer s.flying.Add(-1)
	if s.proxy != nil {
		s.proxy.serve(w, r, c)
		return
	}
	s.direct.serve(w, r, c)
}

func (s *server) close() {
	s.files.remove(s)
	if s.proxy != nil {
		s.proxy.close()
		return
	}
	s.direct.idle.close()
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
