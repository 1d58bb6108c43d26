//go:build peers

package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// visitor is a client inside the test, for more visits than there can be processes. It may be used by several
// goroutines.
type visitor struct {
	client *http.Client
	agent  string
	proto  string
}

// trusted are the authorities that the gateway's clients trust.
func (g *gateway) trusted(t *testing.T) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(read(t, g.root)) {
		t.Fatalf("%s holds no certificate", g.root)
	}
	return pool
}

// visitor has an address of its own and speaks one protocol only, HTTP/2.0 or HTTP/1.1, to whatever host it visits.
func (g *gateway) visitor(trusted *x509.CertPool, from, agent, proto string) *visitor {
	local := netip.MustParseAddr(from)
	to := net.JoinHostPort("127.0.0.1", g.port)
	if local.Is6() {
		to = net.JoinHostPort("::1", g.port)
	}
	dialer := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(proto == "HTTP/1.1")
	protocols.SetHTTP2(proto == "HTTP/2.0")
	return &visitor{agent: agent, proto: proto, client: &http.Client{Timeout: patience, Transport: &http.Transport{
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{RootCAs: trusted},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, to)
		},
	}}}
}

// get makes a request and reads its whole answer. It is answered over the visitor's protocol or not at all.
func (v *visitor) get(ctx context.Context, path string) (status int, took time.Duration, err error) {
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+shop+path, nil)
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("User-Agent", v.agent)
	res, err := v.client.Do(req)
	if err != nil {
		return 0, time.Since(began), err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, time.Since(began), err
}

// leave closes the visitor's connections.
func (v *visitor) leave() { v.client.CloseIdleConnections() }
