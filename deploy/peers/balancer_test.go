//go:build peers

package peers

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// balancer starts HAProxy in front of a gateway as a TCP balancer that sends no PROXY header, so that all visitors have
// its one address, a public one. It returns the port of the balancer.
func balancer(t *testing.T, g *gateway, source string) string {
	t.Helper()
	dir, address := folder(t), freePort(t)
	config := write(t, filepath.Join(dir, "haproxy.cfg"), fmt.Appendf(nil, `
global
	maxconn 5000
	log stdout format raw local0 notice
defaults
	mode tcp
	timeout connect 10s
	timeout client 60s
	timeout server 60s
frontend visitors
	bind %s
	default_backend gateway
backend gateway
	source %s
	server gateway 127.0.0.1:%s
`, address, source, g.port))
	start(t, "Loading success", tool(t, "haproxy", fromHAProxy), "-W", "-db", "-f", config)
	_, port, _ := strings.Cut(address, ":")
	return port
}

// A thousand visitors at once who all have one balancer's public address are served. Where one address may have less,
// the log and stderr say who is closed, and what can be done about it.
func TestVisitorsOfOneAddress(t *testing.T) {
	if !inside(t) {
		return
	}
	dir := folder(t)
	page(t, dir, "www", "index.html", 1024)
	site := fmt.Sprintf("\n  - {hosts: [%s], origin: \"file:%s/www\", http2_crawl: refuse}\n", shop, dir)
	const visitors = 1000
	g := serve(t, setup{sites: site})
	front := *g
	front.port = balancer(t, g, forgedBack)
	for _, how := range [][]string{{"--h1"}, {"-m", "2"}} {
		l := front.h2load(t, "127.0.0.1", shop, browserAgent, append(how, "-c", fmt.Sprint(visitors), "-n", fmt.Sprint(2*visitors))...)
		if l.err != nil || l.statuses[200] != 2*visitors || len(l.statuses) != 1 {
			t.Errorf("h2load %q: %v; by status %v, want %d times 200", how, l.err, l.statuses, 2*visitors)
		}
	}
	if said := g.text(); strings.Contains(said, "limits.") {
		t.Errorf("it said\n%s", said)
	}
	if records := g.finish(t); len(records) != 4*visitors || records[0].ClientIP != forgedBack {
		t.Errorf("%d records, the first of %s", len(records), records[0].ClientIP)
	}

	g = serve(t, setup{sites: site, more: "limits: {connections_per_address: 20}"})
	front = *g
	front.port = balancer(t, g, forgedBack)
	l := front.h2load(t, "127.0.0.1", shop, browserAgent, "--h1", "-c", "200", "-n", "200")
	g.await(t, "gate421: "+forgedBack+" has 20 connections with requests under way or just opened, as many as one address may have (limits.connections_per_address)")
	g.await(t, "hint: if it is a load balancer")
	t.Logf("of 200 visitors at once by status %v", l.statuses)
	g.finish(t)
	type limit struct {
		Event, Limit, What, Network string
		Times                       int
	}
	var told []limit
	closed := 0
	for line := range strings.Lines(string(read(t, g.log))) {
		var one limit
		if err := json.Unmarshal([]byte(line), &one); err == nil && one.Event == "limit" {
			told = append(told, one)
			closed += one.Times
		}
	}
	if len(told) != 2 || told[0].What != "began" || told[1].What != "ended" || told[0].Limit != "address" || told[0].Network != forgedBack+"/32" || closed < 2 || closed > 180 {
		t.Errorf("the log says %+v", told)
	}
}

// One of two gateways behind HAProxy, which asks them whether they are ready, is ended while visitors come on new
// connections: none of them is turned away.
func TestBalancerLosesNobodyAtTheEnd(t *testing.T) {
	dir := folder(t)
	page(t, dir, "www", "index.html", 1024)
	var gateways []*gateway
	servers := ""
	for i := range 2 {
		g := serve(t, setup{admin: "127.0.0.1:0", sites: fmt.Sprintf("\n  - {hosts: [%s], origin: \"file:%s/www\", http2_crawl: refuse}\n", shop, dir)})
		gateways = append(gateways, g)
		_, admin, _ := strings.Cut(g.await(t, "metrics and health on "), "metrics and health on http://127.0.0.1:")
		servers += fmt.Sprintf("\tserver gateway%d 127.0.0.1:%s check port %s inter 100ms fall 2 rise 1\n", i, g.port, strings.TrimSuffix(admin, "/"))
	}
	address := freePort(t)
	config := write(t, filepath.Join(dir, "haproxy.cfg"), fmt.Appendf(nil, `
global
	maxconn 1000
	log stdout format raw local0 notice
defaults
	mode tcp
	timeout connect 10s
	timeout client 60s
	timeout server 60s
frontend visitors
	bind %s
	default_backend gateways
backend gateways
	option httpchk GET /readyz
	option log-health-checks
	retries 0
%s`, address, servers))
	start(t, "Loading success", tool(t, "haproxy", fromHAProxy), "-W", "-db", "-f", config)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: shop},
	}}
	var answered atomic.Int64
	stop, ended := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			r, _ := http.NewRequest("GET", "https://"+address+"/index.html", nil)
			r.Host = shop
			answer, err := client.Do(r)
			if err != nil {
				ended <- err
				return
			}
			answer.Body.Close()
			answered.Add(1)
		}
	}()
	more := func(n int64) {
		for from, deadline := answered.Load(), time.Now().Add(patience); answered.Load() < from+n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nobody is answered any more")
			}
		}
	}
	more(50)
	gateways[0].signal(t, syscall.SIGTERM)
	gateways[0].await(t, "gate421: not ready any more; new connections are taken for another 5s")
	gateways[0].wait(t)
	if code := gateways[0].cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	more(50)
	close(stop)
	if err := <-ended; err != nil {
		t.Errorf("after %d answers: %v", answered.Load(), err)
	}
	t.Logf("%d visitors were answered", answered.Load())
	if records := gateways[1].finish(t); len(records) < 50 {
		t.Errorf("the other gateway has %d records", len(records))
	}
}
