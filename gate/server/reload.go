package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gate421/gate/admin"
	"gate421/gate/audit"
	"gate421/gate/config"
	"gate421/gate/hint"
)

// Loader reads the configuration again.
type Loader func() (*config.Config, error)

// Reload reads the configuration again and takes up sites and their hosts, rules, origins, crawlers, certificates and
// the log. Whatever is wrong with it leaves everything as it is. Changed keys that need a restart (listeners, the state
// folder, the verifier, limits) are named in the error. With reopen the log's file is opened again, as logrotate wants
// it.
func (g *Gateway) Reload(load Loader, reopen bool) {
	c, err := load() // without the lock, which a file system that hangs would hold
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	if reopen {
		if err := g.log.current.Load().Reopen(); err != nil {
			g.printf("%v; the old file stays in use", err)
		}
	}
	before, boot := g.live.Load().Policy, g.log.current.Load().Boot()
	if err == nil {
		err = g.checkUnchanged(c)
	}
	var v *version
	if err == nil {
		v, err = g.newVersion(context.Background(), c)
	}
	if err != nil {
		g.noteRejected(err)
		fmt.Fprintln(g.stderr, hint.Message(err))
		g.printf("the configuration so far stays in use")
		g.log.Event("reload", audit.Fields{"error": firstLine(err.Error()), "config": g.live.Load().Version})
		return
	}
	fields := audit.Fields{"config": c.Version}
	if v.log != nil { // earlier lines are in the old log
		fields["after_boot"] = boot
		g.log.Event("reload", audit.Fields{"config": c.Version, "before_boot": v.log.Boot()})
	}
	g.adopt(v)
	g.lastReload.Store(&admin.Reload{At: time.Now(), File: g.config.File})
	g.printf("configuration %s is in use", c.Version)
	g.log.Event("reload", fields)
	for _, change := range ruleChanges(before, g.live.Load().Policy) {
		g.log.Event("rule", change)
	}
}

// noteRejected remembers an error for the admin page until a reload succeeds.
func (g *Gateway) noteRejected(err error) {
	r := *g.lastReload.Load()
	r.Rejected, r.Error = time.Now(), firstLine(err.Error())
	var problems config.Problems
	if errors.As(err, &problems) && len(problems) > 1 {
		r.Error += ", and " + hint.Count(len(problems)-1, "more problem")
	}
	g.lastReload.Store(&r)
}

// checkUnchanged fails if keys changed that only a restart takes up.
func (g *Gateway) checkUnchanged(c *config.Config) error {
	limits := c.Limits
	limits.OriginTime = g.config.Limits.OriginTime // belongs to the origins, which every version makes
	var keys []string
	for _, key := range []struct {
		name     string
		old, new any
	}{
		{"listen", fmt.Sprint(g.config.Listen), fmt.Sprint(c.Listen)}, {"admin", g.config.Admin, c.Admin},
		{"state", g.config.State, c.State}, {"verify", g.config.Verify, c.Verify}, {"limits", g.config.Limits, limits},
	} {
		if key.old != key.new {
			keys = append(keys, key.name)
		}
	}
	if len(keys) > 0 {
		return hint.Add(fmt.Errorf("%s changed, which only a restart takes up", strings.Join(keys, ", ")),
			"restart gate421, or undo that part of the change")
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Follow reloads on hup and when the file's text has changed, until ctx ends; "" is no file. It also tells systemd that
// the gateway is ready, reloading, alive and stopping. A text is tried once: what is wrong with it is not reported
// again until it changes. A goroutine of its own reads the file, so that a file system that hangs blocks neither the
// watchdog nor the end.
func (g *Gateway) Follow(ctx context.Context, hup <-chan os.Signal, file string, load Loader) {
	changed, watchdog := changes(ctx, file), watchdogTicks(ctx)
	tried := g.config.Version
	var reloading chan string // gets the version that was tried; nil: no reload is under way
	due, signalled := false, false
	notifyReady()
	for {
		if reloading == nil && due {
			reloading = make(chan string, 1)
			go g.reloadIfChanged(reloading, file, tried, signalled, load)
			due, signalled = false, false
		}
		select {
		case <-ctx.Done():
			notifyStopping(g.grace(time.Now()) + g.config.Limits.DrainTime)
			if reloading != nil {
				g.awaitReload(reloading)
			}
			return
		case <-watchdog:
			notifyAlive()
		case <-hup:
			due, signalled = true, true
		case <-changed:
			due = true
		case tried = <-reloading:
			reloading = nil
		}
	}
}

// reloadIfChanged reloads after a signal, or if the file's version is not the one that was tried last. It sends the
// version that it found.
func (g *Gateway) reloadIfChanged(found chan<- string, file, tried string, signalled bool, load Loader) {
	version := tried
	if file != "" {
		version = versionOf(file)
	}
	if signalled || version != tried {
		notifyReloading()
		g.Reload(load, signalled)
		notifyReady()
	}
	found <- version
}

// closeTimeout is how long the end waits for a reload that is under way.
const closeTimeout = 5 * time.Second

func (g *Gateway) awaitReload(reloading <-chan string) {
	select {
	case <-reloading:
	case <-time.After(closeTimeout):
		g.printf("a reload hangs while it reads a file, and is not waited for")
	}
}
