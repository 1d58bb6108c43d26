// Package server answers one question: what makes one running gateway out of a configuration and all the parts?
//
// A gateway is opened, announced, served once and closed: [Open] prepares everything up to bound sockets,
// [Gateway.Serve] serves until its context ends, drains and closes everything. [Gateway.Follow] has it take up a
// changed configuration while it serves: a version is built, and swapped in whole; whatever is wrong with it leaves
// everything as it is. What only a restart can take up (sockets, the state folder, the verifier, limits) is named.
// Sockets may come from systemd, which is notified of the start, of reloads and of the end.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	"gate421/gate/files"
	"gate421/gate/front"
	"gate421/gate/guard"
	"gate421/gate/hint"
	"gate421/gate/origin"
	"gate421/gate/policy"
	"gate421/verify"
)

// Gateway is the whole server, assembled from one configuration. It is opened, served once and closed.
type Gateway struct {
	config *config.Config // that it was opened with
	stdout io.Writer      // the decision log's "-"
	stderr io.Writer      // for the operator, one message a Write; requests write there, so it must not wait

	// What a reload replaces. Each is swapped whole.
	live            atomic.Pointer[gate.Live]
	certs           atomic.Pointer[certs.Certificates]
	log             decisionLog
	privacySettings atomic.Pointer[audit.Privacy]
	current         *config.Config   // that is live; under mu
	origins         []*origin.Origin // of the live configuration; under mu
	lastReload      atomic.Pointer[admin.Reload]

	// What only a restart replaces.
	guard       *guard.Guard
	verifier    *verify.Verifier
	health      *verify.Health
	ranges      *verify.LiveRanges // nil: they are not refreshed
	proxies     *gate.Proxies
	handler     *gate.Handler
	admin       *admin.Admin
	front       atomic.Pointer[front.Server] // nil before Serve
	frontLimits front.Limits
	descriptors *origin.Descriptors // of all origins; nil: unbounded, as the limit of the process is unknown

	httpsListener, httpListener, adminListener net.Listener // the last two are nil where they are off

	dnsFailing   atomic.Bool // reported to the operator
	limitNotices hourly
	draining     atomic.Bool // a signal has come

	mu           sync.Mutex // a reload and the end may come together
	closed       bool
	closers      []func() error
	serveContext context.Context // nil before Serve
	done         chan struct{}   // closed by close
	retired      sync.WaitGroup  // what was replaced and is still to be closed
	certsMu      sync.Mutex      // held while certificates are closed and the next begin to be managed
}

// Open prepares everything up to bound sockets, so that whatever is wrong is reported before anyone is served. The
// decision log's "-" is stdout; stderr takes messages for the operator and must never wait, see [Messages]. After an
// error nothing is left open.
func Open(ctx context.Context, c *config.Config, stdout, stderr io.Writer) (_ *Gateway, err error) {
	g := &Gateway{config: c, stdout: stdout, stderr: stderr, done: make(chan struct{})}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	g.frontLimits = g.newFrontLimits()
	g.descriptors = newOriginDescriptors(openFiles(), g.frontLimits.Connections)
	for _, step := range []func(context.Context) error{
		g.openState,
		func(context.Context) error { return g.openLog() },
		func(context.Context) error { return g.openGuard() },
		func(context.Context) error { return g.openVerifier() },
		g.openVersion,
		g.listen,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	g.proxies = gate.NewProxies(c.Listen.TrustedProxies, c.Listen.ClientIPHeader, c.Listen.ClientProtocolHeader)
	g.handler = &gate.Handler{
		Live: &g.live, Verifier: g.verifier, Guard: g.guard, Log: &g.log, Proxies: g.proxies,
		Covers: front.Covers, Paid: front.SpendCredit, Admit: admit,
	}
	g.openAdmin()
	return g, nil
}

func (g *Gateway) openState(context.Context) error {
	err := os.MkdirAll(g.config.State, 0o700)
	worldWritable := false
	if err == nil {
		worldWritable, err = files.Folder(g.config.State)
	}
	if err == nil {
		err = tryWrite(g.config.State)
	}
	if cure := files.Cure(err); cure != "" {
		return hint.Add(fmt.Errorf("state folder %q: %w", g.config.State, err), "%s", cure)
	}
	if worldWritable {
		g.printf("everybody on this machine can write in the state folder %q, "+
			"where keys and the guard's counts are", g.config.State)
		g.printf("hint: chmod go-w %s", hint.ShellWord(g.config.State))
	}
	if err != nil {
		return hint.Add(fmt.Errorf("state folder %q: %w", g.config.State, hint.Cause(err)),
			"create it for this user, or name another folder: state: in the configuration, --state with run")
	}
	return nil
}

func tryWrite(folder string) error {
	f, err := os.CreateTemp(folder, ".writable-*")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}

func (g *Gateway) openLog() error {
	log, err := g.newLog(g.config)
	if err != nil {
		return err
	}
	g.log.current.Store(log)
	g.closers = append(g.closers, g.log.close)
	return nil
}

func (g *Gateway) openGuard() error {
	opened, err := guard.Open(guard.Config{Folder: g.config.State, OnEvent: g.onGuardEvent})
	if err != nil {
		return hint.Add(err, "if the file cannot be mended, remove it: "+
			"the guard then counts anew and every site refuses again")
	}
	g.guard = opened
	g.closers = append(g.closers, opened.Close)
	return nil
}

func (g *Gateway) openVerifier() error {
	resolver, err := verify.ParseResolver(g.config.Verify.Resolver)
	if err != nil && g.config.Verify.Resolver == "system" { // the site is served all the same
		g.printf("%v", err)
		g.printf("hint: until this is mended and gate421 restarted, nobody can be verified and nobody is refused; " +
			"verify.resolver can name a DNS server")
	} else if err != nil {
		return hint.Add(err, "verify.resolver names a DNS server by address, such as 192.0.2.53:53")
	}
	if resolver != nil {
		resolver.OnServers = g.onResolverServers
	}
	g.verifier = &verify.Verifier{Resolver: resolver, Wait: g.config.Verify.Wait}
	g.health = &verify.Health{Verifier: g.verifier, OnCondition: g.onResolverCondition}
	switch g.config.Verify.Ranges {
	case "none":
		g.verifier.Published = func() *verify.Ranges { return nil }
	case "auto":
		folder := filepath.Join(g.config.State, "ranges")
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return hint.Add(fmt.Errorf("state folder %q: %w", g.config.State, hint.Cause(err)), "run as the user who owns it")
		}
		g.ranges = &verify.LiveRanges{Dir: folder, OnRanges: g.onRanges()}
		g.ranges.Load()
		g.verifier.Published = g.ranges.Ranges
	}
	g.closers = append(g.closers, g.verifier.Close)
	return nil
}

// openVersion makes the first configuration the live one.
func (g *Gateway) openVersion(ctx context.Context) error {
	g.closers = append(g.closers, func() error {
		if current := g.certs.Load(); current != nil {
			return current.Close()
		}
		return nil
	})
	v, err := g.newVersion(ctx, g.config)
	if err != nil {
		return err
	}
	g.adopt(v)
	g.lastReload.Store(&admin.Reload{At: time.Now(), File: g.config.File})
	return nil
}

func (g *Gateway) openAdmin() {
	ranges := g.rangeLists
	if g.ranges == nil {
		ranges = nil
	}
	reload := func() admin.Reload { return *g.lastReload.Load() }
	if g.config.File == "" {
		reload = nil
	}
	g.admin = admin.New(admin.Config{
		Reload:         reload,
		Ranges:         ranges,
		Policy:         func() *policy.Policy { return g.live.Load().Policy },
		Version:        func() string { return g.live.Load().Version },
		Guard:          g.guard.Status,
		LogReady:       g.log.Ready,
		Privacy:        g.privacy,
		Log:            g.log.Stats,
		Lookups:        g.lookups,
		Verification:   g.verification,
		Origins:        g.originStatus,
		Front:          g.frontStats,
		Enforced:       g.enforced,
		Serving:        g.ready,
		Certificates:   g.certificates,
		ResumeCommand:  g.resumeCommand,
		ExplainCommand: g.explainCommand,
		Product:        product(),
	})
	g.handler.OnRecord = g.admin.OnRecord
}

// close closes what was opened, in reverse order. No reload comes after it; one that hangs in a file system is waited
// for closeTimeout at most.
func (g *Gateway) close() error {
	locked := make(chan struct{})
	go func() {
		g.mu.Lock()
		close(locked)
	}()
	select {
	case <-locked:
		defer g.mu.Unlock()
	case <-time.After(closeTimeout):
	}
	if !g.closed {
		close(g.done)
	}
	g.closed = true
	g.retired.Wait()
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
