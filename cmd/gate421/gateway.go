package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gate421/certs"
	"gate421/gate"
	"gate421/gate/admin"
	"gate421/gate/audit"
	"gate421/gate/config"
	"gate421/gate/front"
	"gate421/gate/guard"
	"gate421/gate/origin"
	"gate421/gate/policy"
	"gate421/verify"
)

// gateway is the whole server, assembled from one configuration. It is opened, served once and closed.
type gateway struct {
	config   *config.Config
	live     atomic.Pointer[gate.Live]
	origins  []*origin.Origin // of the live configuration
	log      *audit.Log
	guard    *guard.Guard
	verifier *verify.Verifier
	ranges   *verify.LiveRanges // nil: they are not refreshed
	certs    *certs.Certificates
	admin    *admin.Admin
	handler  *gate.Handler
	door     atomic.Pointer[front.Server] // nil until it opens

	secure, plain, page net.Listener // plain and page may be nil

	trouble io.Writer // what an operator should see, one line a Write

	mu      sync.Mutex // a reload and the end may come together
	closed  bool
	closers []func() error
}

// openGateway prepares everything up to bound sockets, so that whatever is wrong is said before anyone is served. The
// decision log's "-" is stdout. After an error nothing is left open.
func openGateway(ctx context.Context, c *config.Config, stdout, trouble io.Writer) (_ *gateway, err error) {
	g := &gateway{config: c, trouble: trouble}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	for _, step := range []func(context.Context) error{
		g.openState,
		func(context.Context) error { return g.openLog(stdout) },
		func(context.Context) error { return g.openGuard() },
		func(context.Context) error { return g.openVerifier() },
		func(context.Context) error { return g.adopt(c) },
		g.openCertificates,
		g.listen,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	g.handler = &gate.Handler{Live: &g.live, Verifier: g.verifier, Guard: g.guard, Log: g.log, Covers: front.Covers}
	g.openAdmin()
	return g, nil
}

func (g *gateway) openState(context.Context) error {
	err := os.MkdirAll(g.config.State, 0o700)
	if err == nil {
		err = writable(g.config.State)
	}
	if err != nil {
		return hint(fmt.Errorf("state folder %q: %w", g.config.State, bare(err)), "create it for this user, or name another folder: state: in the configuration, --state with run")
	}
	return nil
}

func writable(folder string) error {
	f, err := os.CreateTemp(folder, ".writable-*")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}

func (g *gateway) openLog(stdout io.Writer) error {
	r := g.config.Log.Rotate
	c := audit.Config{File: g.config.Log.File, Stdout: stdout, Truncate: g.config.Log.ClientIP == "truncated",
		NoQuery: g.config.Log.Query == "drop", Troubled: g.heardLog, Rotated: g.heardRotation,
		Rotate: audit.Rotation{Size: r.Size, Keep: r.Keep, Compress: r.Compress == "zstd"}}
	if g.config.Log.Scope == "crawlers" {
		c.Scope = audit.ScopeCrawlers
	}
	log, err := audit.Open(c)
	if err != nil {
		return hint(err, "create its folder and let this user write there, or use file: \"-\" for standard output")
	}
	g.log = log
	g.closers = append(g.closers, log.Close)
	return nil
}

func (g *gateway) openGuard() error {
	watch, err := guard.Open(guard.Config{Folder: g.config.State, Notify: g.heardGuard})
	if err != nil {
		return hint(err, "if the file cannot be mended, remove it: the guard then counts anew and every site refuses again")
	}
	g.guard = watch
	g.closers = append(g.closers, watch.Close)
	return nil
}

func (g *gateway) openVerifier() error {
	resolver, err := verify.ParseResolver(g.config.Verify.Resolver)
	if err != nil && g.config.Verify.Resolver == "system" { // the site is served all the same
		g.say("%v", err)
		g.say("hint: until this is mended and gate421 restarted, nobody can be verified and nobody is refused; verify.resolver can name a DNS server")
	} else if err != nil {
		return hint(err, "verify.resolver names a DNS server by address, such as 192.0.2.53:53")
	}
	g.verifier = &verify.Verifier{Resolver: resolver, Wait: g.config.Verify.Wait}
	switch g.config.Verify.Ranges {
	case "none":
		g.verifier.Published = func() *verify.Ranges { return nil }
	case "auto":
		folder := filepath.Join(g.config.State, "ranges")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return hint(fmt.Errorf("state folder %q: %w", g.config.State, bare(err)), "run as the user who owns it")
		}
		g.ranges = &verify.LiveRanges{Dir: folder, Told: g.heardRanges}
		g.ranges.Load()
		g.verifier.Published = g.ranges.Ranges
	}
	g.closers = append(g.closers, g.verifier.Close)
	return nil
}

// adopt builds the rules and origins of a configuration and makes them the live ones. After an error the old ones stay.
func (g *gateway) adopt(c *config.Config) error {
	rules, err := c.Policy()
	if err != nil {
		return err
	}
	claims, err := verify.NewClaims(c.Crawlers)
	if err != nil {
		return err
	}
	live := &gate.Live{Policy: rules, Claims: claims, Version: c.Version, Origins: map[*policy.Site]gate.Origin{}}
	limits := map[string]guard.Limit{}
	var origins []*origin.Origin
	var errs []error
	for i, site := range rules.Sites() {
		s := c.Sites[i]
		o, err := origin.New(origin.Config{
			URL: s.Origin, ServerName: s.OriginTLS.ServerName, CA: s.OriginTLS.CA, InsecureSkipVerify: s.OriginTLS.InsecureSkipVerify, Wait: c.Limits.OriginTime,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("site %q: %w", site.Name, err))
			continue
		}
		origins = append(origins, o)
		live.Origins[site] = o
		if s.Guard != nil {
			limits[site.Name] = guard.Limit{Refusals: s.Guard.Refusals, Within: s.Guard.Within}
		}
	}
	if len(errs) > 0 {
		for _, o := range origins {
			o.Close()
		}
		return errors.Join(errs...)
	}
	g.guard.Limit(limits)
	g.live.Store(live)
	old := g.origins
	g.origins = origins
	time.AfterFunc(time.Minute, func() { // by then whoever began with the old rules has its file open or its connection
		for _, o := range old {
			o.Close()
		}
	})
	return nil
}

func (g *gateway) openCertificates(ctx context.Context) error {
	c := g.config
	wanted := wantedCertificates(c)
	wanted.Notify, wanted.HTTPSPort, wanted.HTTPPort = g.heardCertificates, portOf(c.Listen.HTTPS), portOf(c.Listen.HTTP)
	opened, err := certs.Open(ctx, wanted)
	switch {
	case err != nil && wanted.Source == certs.SourceFiles:
		return hint(err, "correct certificates.files, and let this user read what they name")
	case err != nil && wanted.Source == certs.SourceACME:
		return hint(err, acmeHint)
	case err != nil:
		return err
	}
	g.certs = opened
	g.closers = append(g.closers, opened.Close)
	return nil
}

func (g *gateway) openAdmin() {
	ranges := func() (int, time.Time) { return g.ranges.Ranges().Len(), g.ranges.Fetched() }
	if g.ranges == nil {
		ranges = nil
	}
	g.admin = admin.New(admin.Config{
		Ranges:       ranges,
		Policy:       func() *policy.Policy { return g.live.Load().Policy },
		Version:      func() string { return g.live.Load().Version },
		Guard:        g.guard.Status,
		LogReady:     g.log.Ready,
		Log:          g.log.Stats,
		Lookups:      g.lookups,
		Door:         g.doorway,
		Certificates: g.certificates,
		Product:      product(),
	})
	g.handler.Watch = g.admin.Watch
}

// serve serves until ctx ends, drains, and closes everything. It returns nil after an orderly end.
func (g *gateway) serve(ctx context.Context) error {
	started := time.Now()
	if err := g.certs.Manage(ctx); err != nil {
		return errors.Join(err, g.close())
	}
	g.log.Event("start", audit.Fields{
		"product": product(), "config": g.config.Version, "https": g.secure.Addr().String(), "http": addressOf(g.plain), "admin": addressOf(g.page), "sites": len(g.config.Sites),
	})
	l := g.config.Limits
	door := &front.Server{
		Handler: g.handler,
		Plain:   &gate.Redirect{Live: &g.live, Log: g.log, Port: redirectPort(g.secure)},
		Certificate: func(hello *tlsHello) (*tlsCertificate, error) {
			certificate, err := g.certs.GetCertificate(hello)
			var unknown certs.UnknownHostError
			if errors.As(err, &unknown) {
				return nil, nil // the alert is then unrecognized_name
			}
			return certificate, err
		},
		Challenge: g.certs.Challenge,
		Accepted:  g.verifier.Prepare,
		Trouble:   g.trouble,
		Limits: front.Limits{
			HeaderBytes: l.HeaderBytes, HeaderTime: l.HeaderTime, IdleTime: l.IdleTime, PingAfter: l.PingAfter, PingTime: l.PingTime, WriteTime: l.WriteTime,
			Streams: uint32(l.Streams), FrameBytes: uint32(l.FrameBytes), StreamWindow: int32(l.StreamWindow), ConnectionWindow: int32(l.ConnectionWindow), DrainTime: l.DrainTime,
		},
	}
	g.door.Store(door)
	page := g.servePage()
	refreshing, stop := context.WithCancel(ctx)
	refreshed := g.refreshRanges(refreshing)
	err := door.Serve(ctx, g.secure, g.plain)
	if page != nil {
		page.Close()
	}
	stop()
	<-refreshed
	g.verifier.Close() // whoever was still being looked up gets its line before the log ends
	g.log.Event("stop", audit.Fields{"seconds": time.Since(started).Round(time.Millisecond).Seconds()})
	return errors.Join(err, g.close())
}

// refreshRanges keeps the published ranges fresh until ctx ends; what it returns is closed then.
func (g *gateway) refreshRanges(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	if g.ranges == nil {
		close(ended)
		return ended
	}
	go func() {
		defer close(ended)
		g.ranges.Run(ctx) // its one error is a wrong URL, and the URLs are its own
	}()
	return ended
}

func (g *gateway) servePage() *http.Server {
	if g.page == nil {
		return nil
	}
	server := &http.Server{Handler: g.admin.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 32 << 10, ErrorLog: discard()}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server.Protocols = protocols
	go server.Serve(g.page) // ends with Close
	return server
}

// close closes what was opened, the last first. No reload comes after it.
func (g *gateway) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	var errs []error
	for i := len(g.closers) - 1; i >= 0; i-- {
		errs = append(errs, g.closers[i]())
	}
	g.closers = nil
	for _, o := range g.origins {
		o.Close()
	}
	g.origins = nil
	return errors.Join(errs...)
}
