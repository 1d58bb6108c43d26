//go:build peers

package certs

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gate421/certs/storagetest"
)

// balance is a load balancer: it leads each connection to one gateway that is up, in turn.
func balance(t *testing.T, port int, all []*gateway, before func(), portOf func(*gateway) int) {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	var leading sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		leading.Wait()
	})
	leading.Go(func() {
		for turn := 0; ; turn++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			before()
			var to net.Conn
			for i := range all {
				g := all[(turn+i)%len(all)]
				if _, up := g.up(); !up {
					continue
				}
				if to, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", portOf(g))); err == nil {
					break
				}
			}
			leading.Go(func() {
				defer conn.Close()
				if to == nil {
					return
				}
				defer to.Close()
				go func() {
					_, _ = io.Copy(to, conn)
					_ = to.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(conn, to)
			})
		}
	})
}

// TestPeersThreeGatewaysPebble has three gateways behind a load balancer, so that the authority comes to another one
// than has ordered in two of three cases. One is killed while it orders. Pebble signs one certificate a host.
func TestPeersThreeGatewaysPebble(t *testing.T) {
	const hosts, gateways = 12, 3
	server := storagetest.StartServer(t, freePort(t))
	p := newPebble(t, pebbleSetup{})
	fetched := make(chan struct{}, 1000)
	p.fetched.Store(&fetched)
	list := make([]string, hosts)
	for i := range list {
		list[i] = fmt.Sprintf("shop%d.example", i)
	}
	ca := p.authority()
	all := make([]*gateway, gateways)
	for i := range all {
		all[i] = &gateway{t: t, config: gatewayConfig{CA: ca.Directory, Root: ca.Root, Storage: "redis://" +
			server.Address(),
			Folder: filepath.Join(t.TempDir(), fmt.Sprintf("gateway%d", i)), Hosts: list, HTTP: freePort(t),
			HTTPS: freePort(t)}}
		t.Cleanup(all[i].kill)
	}
	var came atomic.Int64
	var killed atomic.Pointer[gateway]
	killOne := func() { // whoever orders when the authority comes for the third time or after
		if came.Add(1) < 3 || killed.Load() != nil {
			return
		}
		for _, g := range all {
			for _, host := range list {
				if g.ask(host, "/own") == "own" && killed.CompareAndSwap(nil, g) {
					g.kill()
					t.Logf("%s killed while it has the lock of %s", filepath.Base(g.config.Folder), host)
					return
				}
			}
		}
	}
	balance(t, p.httpPort, all, killOne, func(g *gateway) int { return g.config.HTTP })
	balance(t, p.tlsPort, all, killOne, func(g *gateway) int { return g.config.HTTPS })
	for _, g := range all {
		g.start()
	}
	shake := func(g *gateway) {
		for _, host := range list {
			if _, err := g.shake(host, p.pool()); err != nil {
				t.Error(err)
			}
		}
	}
	await := func(g *gateway) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
			shake(g)
			g.mu.Lock()
			n := len(g.served)
			g.mu.Unlock()
			if _, up := g.up(); n == hosts || !up {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %d hosts served, want %d", filepath.Base(g.config.Folder), n, hosts)
			}
		}
	}
	for _, g := range all {
		await(g)
	}
	if killed.Load() == nil {
		t.Fatal("no gateway was killed, want one")
	}
	killed.Load().start()
	await(killed.Load())
	for _, host := range list {
		for _, g := range all {
			if one := all[0].served[host]; one != nil && g.served[host] != nil && !one.Equal(g.served[host]) {
				t.Errorf("%s: the gateways serve two certificates, want one", host)
			}
		}
	}
	if len(fetched) != hosts {
		t.Errorf("got %d certificates, want %d", len(fetched), hosts)
	}
	t.Logf("%d orders, %d certificates, the authority came %d times", p.orders.Load(), len(fetched), came.Load())
}
