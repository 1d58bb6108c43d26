// Package demo answers one question: what does a gateway do, seen on a machine that has none?
//
// Everything stays on loopback: a small shop, a local certificate authority, a DNS server that says which loopback
// address is Googlebot, and the real gateway in the middle. Four visitors take a tour; each decision is compared with
// what it should be.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gate421/gate/audit"
	"gate421/gate/config"
	"gate421/gate/hint"
	"gate421/gate/server"
)

// Run takes the visitors on their tour, and then serves until ctx ends unless once is set. It fails if a decision was
// wrong.
func Run(ctx context.Context, stdout, stderr io.Writer, once bool) error {
	return demonstrate(ctx, stdout, stderr, once, loopback())
}

// demonstrate is the demo on a machine that has these loopback addresses, the one for everything else first. With fewer
// addresses than visitors, each visitor meets a gateway of its own, whose DNS knows the one address as that visitor.
func demonstrate(ctx context.Context, stdout, stderr io.Writer, once bool, addresses []string) (err error) {
	folder, err := os.MkdirTemp("", "gate421-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	site, err := startSite(ctx)
	if err != nil {
		return err
	}
	stage := &stage{
		out: stdout, messages: &server.Messages{To: stderr}, folder: folder, origin: site, addresses: addresses,
		ended: make(chan error, len(visitors())),
	}
	defer stage.messages.Flush(server.FlushTimeout)
	defer func() {
		cancel()
		err = errors.Join(err, stage.wait())
	}()
	defer stage.printDecisions(false) // so that no gateway blocks on a pipe that nobody reads
	wrong, err := stage.tour(ctx)
	if err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%s of the tour went wrong", hint.Count(wrong, "step"))
	}
	fmt.Fprintf(stdout, "\nEvery decision was as it should be, and each is a line of the decision log.\n")
	if once {
		return nil
	}
	stage.printAddresses()
	stage.printDecisions(true)
	<-ctx.Done()
	return nil
}

// stage is what the demo runs on: one gateway, or one for each kind of visitor.
type stage struct {
	out       io.Writer
	messages  *server.Messages // of the gateways, on stderr
	folder    string
	origin    string
	addresses []string
	gateways  map[string]*demoGateway // by visitor; one under "all" where addresses suffice
	running   int
	ended     chan error
}

// demoGateway is a gateway with the lines that its log writes.
type demoGateway struct {
	*server.Gateway
	lines <-chan map[string]any
	once  sync.Once
}

// gatewayFor is the running gateway that a visitor meets, and the visitor's address.
func (s *stage) gatewayFor(ctx context.Context, v visitor) (*demoGateway, string, error) {
	zone, address, name := newZone(), s.addresses[0], v.name
	if len(s.addresses) > len(visitors()) {
		name = "all"
		for i, each := range visitors() {
			zone.add(s.addresses[i+1], each)
			if each.name == v.name {
				address = s.addresses[i+1]
			}
		}
	} else {
		zone.add(address, v)
	}
	if g := s.gateways[name]; g != nil {
		return g, address, nil
	}
	g, err := s.open(ctx, name, zone)
	if err != nil {
		return nil, "", err
	}
	if s.gateways == nil {
		s.gateways = map[string]*demoGateway{}
	}
	s.gateways[name] = g
	return g, address, nil
}

func (s *stage) open(ctx context.Context, name string, zone *zone) (*demoGateway, error) {
	dns, err := zone.serve(ctx)
	if err != nil {
		return nil, err
	}
	loaded, err := config.Parse("demo.yaml", fmt.Appendf(nil, demoConfig, s.addresses[0],
		filepath.Join(s.folder, strings.ReplaceAll(name, " ", "-")), dns, demoHost, s.origin), []string{"googlebot"})
	if err != nil {
		return nil, err
	}
	read, write := io.Pipe()
	g, err := server.Open(ctx, loaded, write, s.messages)
	if err != nil {
		return nil, err
	}
	lines := make(chan map[string]any, 1024)
	go func() {
		defer close(lines)
		for decoder := json.NewDecoder(read); ; {
			var line map[string]any
			if decoder.Decode(&line) != nil {
				return
			}
			if line["event"] == "decision" {
				lines <- line
			}
		}
	}()
	s.running++
	go func() {
		err := g.Serve(ctx)
		write.Close()
		s.ended <- err
	}()
	return &demoGateway{Gateway: g, lines: lines}, nil
}

// demoConfig is what a site owner would write, except for the addresses.
const demoConfig = `
listen: {https: "%[1]s:0", http: ""}
admin: "%[1]s:0"
state: %[2]q
certificates: {source: local}
verify: {resolver: "%[3]s", wait: 5s, ranges: embedded}
log: {file: "-"}
limits: {drain_time: 1s}
sites:
  - hosts: [%[4]s]
    origin: %[5]s
    http2_crawl: refuse
`

func (s *stage) wait() error {
	var errs []error
	for range s.running {
		errs = append(errs, <-s.ended)
	}
	return errors.Join(errs...)
}

// printDecisions reads the lines of all gateways to their end, and prints them if show is set. Only the first call for
// a gateway does.
func (s *stage) printDecisions(show bool) {
	for _, g := range s.gateways {
		g.once.Do(func() {
			go func() {
				for line := range g.lines {
					if show {
						fmt.Fprintf(s.out, "  %-8v  %-20v %v  %v\n", line["proto"], line["path"], line["status"], line["reason"])
					}
				}
			}()
		})
	}
}

func (s *stage) printAddresses() {
	out := s.out
	for name, g := range s.gateways {
		which := ""
		if name != "all" {
			which = " (" + name + "'s)"
		}
		fmt.Fprintf(out, "\nAdmin page%s: http://%s/\n", which, g.Admin())
		fmt.Fprintf(out, "Try it yourself: curl --cacert %s --resolve %s:%s:%s https://%s:%s/shop/\n", g.Root(), demoHost,
			port(g.HTTPS()), s.addresses[0], demoHost, port(g.HTTPS()))
	}
	fmt.Fprintf(out, "\nServing until Ctrl-C.\n")
}

func port(a net.Addr) string {
	_, p, _ := net.SplitHostPort(a.String())
	return p
}

// next waits for the next decision in the log.
func (d *demoGateway) next(ctx context.Context) (map[string]any, error) {
	select {
	case line, ok := <-d.lines:
		if !ok {
			return nil, errors.New("the decision log ended")
		}
		return line, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(10 * time.Second):
		return nil, audit.ErrUnavailable
	}
}

// loopback finds the addresses that programs on this machine can use among themselves: on Linux any of 127.0.0.0/8, on
// others often only the first.
func loopback() []string {
	all := []string{"127.0.0.1"}
	for n := 2; n <= 1+len(visitors()); n++ {
		address := fmt.Sprintf("127.0.0.%d", n)
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			break
		}
		l.Close()
		all = append(all, address)
	}
	return all
}
