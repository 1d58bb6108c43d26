package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"gate421/cmd/gate421/terminal"
)

const demoHost = "shop.example"

// visitor is a client of the demo's site.
type visitor struct {
	name    string
	agent   string
	reverse string // its address's reverse name; "" none
	forward bool   // that name leads back to the address
}

const (
	crawlerAgent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	browserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

func visitors() []visitor {
	return []visitor{
		{"Googlebot", crawlerAgent, "crawl-66-249-66-1.googlebot.com.", true},
		{"a browser", browserAgent, "", false},
		{"an impostor from anywhere", crawlerAgent, "", false},
		{"an impostor with a forged reverse name", crawlerAgent, "crawl-66-249-66-66.googlebot.com.", false},
	}
}

// step is one request of the tour and its expected outcome.
type step struct {
	who, path, proto string
	status           int
	reason, verdict  string
}

func steps() []step {
	return []step{
		{"Googlebot", "/robots.txt", "HTTP/2.0", 200, "allowed", "genuine"},
		{"Googlebot", "/shop/", "HTTP/2.0", 421, "refused", "genuine"},
		{"Googlebot", "/shop/", "HTTP/1.1", 200, "http1", "genuine"},
		{"Googlebot", "/shop/shoes?page=2", "HTTP/2.0", 421, "refused", "genuine"},
		{"Googlebot", "/shop/shoes?page=2", "HTTP/1.1", 200, "http1", "genuine"},
		{"a browser", "/shop/", "HTTP/2.0", 200, "no_claim", ""},
		{"an impostor from anywhere", "/shop/", "HTTP/2.0", 200, "impostor", "impostor"},
		{"an impostor with a forged reverse name", "/shop/", "HTTP/2.0", 200, "impostor", "impostor"},
	}
}

// tour takes every step, prints it, and counts those that went wrong.
func (s *stage) tour(ctx context.Context) (wrong int, err error) {
	out := s.out
	fmt.Fprintf(out, "A site, https://%s, asks Googlebot to crawl over HTTP/1.1: http2_crawl: refuse\n", demoHost)
	if len(s.addresses) <= len(visitors()) {
		fmt.Fprintf(out, "(This machine's loopback has one address, so every visitor meets a gateway of its own.)\n")
	}
	last := ""
	for _, step := range steps() {
		var who visitor
		for _, v := range visitors() {
			if v.name == step.who {
				who = v
			}
		}
		g, address, err := s.gatewayFor(ctx, who)
		if err != nil {
			return wrong, err
		}
		if step.who != last {
			fmt.Fprintf(out, "\n%s, from %s\n", strings.ToUpper(step.who[:1])+step.who[1:], address)
			last = step.who
		}
		status, err := visit(ctx, g, who, address, step)
		if err != nil {
			return wrong, fmt.Errorf("%s: %s over %s: %w", step.who, step.path, step.proto, err)
		}
		line, err := g.next(ctx)
		if err != nil {
			return wrong, err
		}
		right := status == step.status && line["reason"] == step.reason && line["path"] == step.path &&
			line["proto"] == step.proto &&
			line["status"] == float64(step.status) && stringOf(line["verdict"]) == step.verdict && line["client_ip"] == address
		if !right {
			wrong++
		}
		s.show(step, status, line, right)
	}
	return wrong, nil
}

func (s *stage) show(step step, status int, line map[string]any, right bool) {
	out := s.out
	meaning := "ok"
	if status == 421 {
		meaning = "refuse"
	}
	detail := stringOf(line["reason"])
	if verdict := stringOf(line["verdict"]); verdict != "" && verdict != detail {
		detail += ", verdict " + verdict
	}
	if ptr := stringOf(line["ptr"]); ptr != "" {
		detail += ", reverse name " + ptr
	}
	fmt.Fprintf(out, "  %-8s  %-20s %s  %s\n", step.proto, step.path, terminal.Paint(out, meaning, fmt.Sprint(status)),
		terminal.Paint(out, "quiet", detail))
	if !right {
		fmt.Fprintf(out, "  %s expected %d, %s, verdict %q; the log says %v\n", terminal.Paint(out, "bad", "WRONG:"),
			step.status, step.reason, step.verdict, line)
	}
}

func stringOf(v any) string { s, _ := v.(string); return s }

// visit makes one request over one protocol on a connection of its own, as Googlebot does.
func visit(ctx context.Context, g *demoGateway, who visitor, address string, step step) (int, error) {
	pem, err := os.ReadFile(g.Root())
	if err != nil {
		return 0, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 5 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(step.proto == "HTTP/1.1")
	protocols.SetHTTP2(step.proto == "HTTP/2.0")
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", g.HTTPS().String())
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Protocols:       protocols,
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+demoHost+step.path, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("User-Agent", who.agent)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.Proto != step.proto {
		return 0, fmt.Errorf("answered over %s", resp.Proto)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}
