package check

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"gate421/certs"
	"gate421/gate/config"
	"gate421/gate/hint"
	"gate421/gate/origin"
	"gate421/gate/server"
	"gate421/verify"
)

// Finding is one thing that was looked at.
type Finding struct {
	What string
	Bad  bool
	Hint string // with bad: the cure; without: what may be meant well
}

// Live tries out what a configuration asks for, without changing anything.
func Live(ctx context.Context, c *config.Config) []Finding {
	var out []Finding
	out = append(out, inspectSockets(ctx, c)...)
	for _, s := range c.Sites {
		for _, host := range s.Hosts {
			out = append(out, inspectName(ctx, host))
		}
	}
	for _, s := range c.Sites {
		for _, address := range s.Origin {
			out = append(out, inspectOrigin(ctx, s, address))
		}
	}
	out = append(out, inspectCertificates(ctx, c)...)
	return append(out, inspectResolver(ctx, c))
}

func inspectSockets(ctx context.Context, c *config.Config) []Finding {
	var out []Finding
	running := runsAlready(ctx, c.Admin)
	for _, socket := range [][2]string{
		{"listen.https", c.Listen.HTTPS}, {"listen.http", c.Listen.HTTP}, {"admin", c.Admin},
	} {
		if socket[1] == "" {
			continue
		}
		l, err := server.Listen(ctx, socket[0], socket[1])
		if err == nil {
			l.Close()
			out = append(out, Finding{What: fmt.Sprintf("%s: %s is free", socket[0], socket[1])})
			continue
		}
		if running && errors.Is(err, syscall.EADDRINUSE) {
			out = append(out, Finding{What: fmt.Sprintf("%s: %s is held by the gate421 that is running", socket[0], socket[1])})
			continue
		}
		out = append(out, Finding{What: err.Error(), Bad: true, Hint: hint.Of(err)})
	}
	return out
}

// runsAlready says whether a gate421 responds at the admin address; false where that is off.
func runsAlready(ctx context.Context, admin string) bool {
	host, port, err := net.SplitHostPort(admin)
	if err != nil || port == "0" {
		return false
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/metrics", nil)
	if err != nil {
		return false
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return bytes.Contains(text, []byte("\ngate421_build_info{"))
}

// inspectName looks whether a host resolves to an address of this machine. Behind address translation it cannot.
func inspectName(ctx context.Context, host string) Finding {
	if strings.HasPrefix(host, "*.") {
		return Finding{What: fmt.Sprintf("%s: a wildcard, not looked up", host)}
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return Finding{What: fmt.Sprintf("%s does not resolve: %v", host, hint.Cause(err)), Bad: true,
			Hint: "give the name an A or AAAA record with this machine's address, or remove it from the site"}
	}
	own, _ := net.InterfaceAddrs()
	var words []string
	for _, a := range addresses {
		a = a.Unmap()
		words = append(words, a.String())
		for _, mine := range own {
			if p, err := netip.ParsePrefix(mine.String()); err == nil && p.Addr().Unmap() == a {
				return Finding{What: fmt.Sprintf("%s leads to this machine (%s)", host, a)}
			}
		}
	}
	list := strings.Join(words, ", ")
	return Finding{What: fmt.Sprintf("%s leads to %s, which is no address of this machine", host, list),
		Hint: "that is as it should be behind address translation or a load balancer; otherwise correct its A or AAAA record"}
}

// inspectOrigin sends one request the way the gateway does, to one of a site's own servers.
func inspectOrigin(ctx context.Context, s config.Site, address string) Finding {
	name := fmt.Sprintf("origin %s of %s", address, s.Hosts[0])
	s.OriginTime = 0
	o, err := origin.New(server.OriginConfig(s, []string{address}, config.Limits{OriginTime: 10 * time.Second}))
	if err != nil {
		return Finding{What: fmt.Sprintf("site %q: %v", s.Hosts[0], err), Bad: true, Hint: originHint}
	}
	defer o.Close()
	host := strings.Replace(s.Hosts[0], "*.", "www.", 1)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", nil)
	if err != nil {
		return Finding{What: fmt.Sprintf("%s cannot be asked: %v", name, err), Bad: true}
	}
	r.RequestURI, r.RemoteAddr = "/", "127.0.0.1:0" // as a server's request has them
	response := &statusWriter{header: http.Header{}}
	start := time.Now()
	if _, _, _, err := o.Serve(response, r); err != nil {
		return Finding{What: fmt.Sprintf("%s does not answer: %v", name, err), Bad: true,
			Hint: "start it, or correct the site's origin; " + curl(address, host) + " shows what it says"}
	}
	took := time.Since(start).Milliseconds()
	f := Finding{What: fmt.Sprintf("%s answers%s: status %d in %d ms", name, protocolOf(address), response.status, took)}
	if response.status >= 500 {
		f.Bad, f.Hint = true, "look into the origin's own error log"
	}
	return f
}

// protocolOf is the protocol that a server is asked over, in words; "" for a folder.
func protocolOf(server string) string {
	switch scheme, _, _ := strings.Cut(server, ":"); scheme {
	case "file":
		return ""
	case "h2", "h2c":
		return " over HTTP/2"
	}
	return " over HTTP/1.1"
}

// curl is the command that asks a server as the gateway does.
func curl(server, host string) string {
	scheme, rest, _ := strings.Cut(server, ":")
	with := "curl -i -H 'Host: " + host + "' "
	switch scheme {
	case "unix":
		return with + "--unix-socket " + rest + " http://" + host + "/"
	case "h2c":
		return with + "--http2-prior-knowledge http:" + rest + "/"
	case "h2":
		return with + "--http2 https:" + rest + "/"
	}
	return with + server + "/"
}

// statusWriter takes a response and keeps its status, that of the first final response.
type statusWriter struct {
	header http.Header
	status int
}

func (s *statusWriter) Header() http.Header { return s.header }

func (s *statusWriter) WriteHeader(status int) {
	if s.status < 200 {
		s.status = status
	}
}

func (s *statusWriter) Write(p []byte) (int, error) {
	if s.status < 200 {
		s.status = http.StatusOK
	}
	return len(p), nil
}

func inspectCertificates(ctx context.Context, c *config.Config) []Finding {
	switch c.Certificates.Source {
	case certs.SourceLocal:
		return []Finding{{What: "certificates come from the local authority, which makes them at the start"}}
	case certs.SourceACME:
		return inspectStored(c)
	}
	opened, err := certs.Open(ctx, server.CertificatesConfig(c)) // files are only read
	if err != nil {
		return []Finding{{What: err.Error(), Bad: true, Hint: certificatesHint}}
	}
	defer opened.Close()
	return inspectLeaves(c, opened.Leaves())
}

// inspectStored reads what earlier orders have left in the state folder. Opening the source instead would make folders
// there, which would belong to the user who looked, and not to the gateway's.
func inspectStored(c *config.Config) []Finding {
	if _, err := os.Stat(c.State); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return []Finding{{What: "no certificates are kept yet; they are ordered at the first start"}}
		}
		return []Finding{{What: fmt.Sprintf("state folder %q: %v", c.State, hint.Cause(err)), Bad: true,
			Hint: "run as the user that gate421 will run as"}}
	}
	leaves, err := certs.Stored(server.CertificatesConfig(c))
	if err != nil {
		return []Finding{{What: err.Error(), Bad: true,
			Hint: "run as the user that gate421 runs as; " +
				"what is damaged is set aside at its start, and a new certificate ordered"}}
	}
	return inspectLeaves(c, leaves)
}

func inspectLeaves(c *config.Config, leaves []*x509.Certificate) []Finding {
	var out []Finding
	for _, s := range c.Sites {
		for _, host := range s.Hosts {
			f := inspectCertificate(leaves, host)
			if f.What == "" {
				f.What = fmt.Sprintf("no certificate for %s is kept yet; it is ordered at the start", host)
				if c.Certificates.Storage != "" {
					f.What = fmt.Sprintf("no certificate for %s has been copied here from certificates.storage; "+
						"what it lacks is ordered at the start", host)
				}
			}
			out = append(out, f)
		}
	}
	return out
}

// inspectCertificate is the zero value for a host that has none.
func inspectCertificate(leaves []*x509.Certificate, host string) Finding {
	name := strings.Replace(host, "*.", "www.", 1)
	for _, leaf := range leaves {
		if leaf.VerifyHostname(name) != nil {
			continue
		}
		left := time.Until(leaf.NotAfter)
		if left <= 0 {
			day := leaf.NotAfter.Format(time.DateOnly)
			return Finding{What: fmt.Sprintf("certificate for %s ended on %s", host, day), Bad: true, Hint: "renew it"}
		}
		return Finding{What: fmt.Sprintf("certificate for %s: %.0f days left", host, left.Hours()/24)}
	}
	return Finding{}
}

// inspectResolver asks about an address that has belonged to Googlebot for twenty years.
func inspectResolver(ctx context.Context, c *config.Config) Finding {
	resolver, err := verify.ParseResolver(c.Verify.Resolver)
	if err != nil {
		return Finding{What: err.Error(), Bad: true, Hint: "name a DNS server by address: verify: {resolver: 192.0.2.53:53}"}
	}
	v := &verify.Verifier{Resolver: resolver}
	defer v.Close()
	words, well := server.ResolverWords(c.Verify.Resolver, v.Condition(ctx))
	if well {
		return Finding{What: words}
	}
	return Finding{What: words, Bad: true, Hint: server.ResolverHint}
}
