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

// Reload reads the configuration again and takes over sites and their hosts, rules, origins, crawlers, certificates and the
// log. Whatever is wrong with it leaves everything as it is. What is bound to sockets, the state folder and the verifier needs
// a restart, and is named. again says that the log's file is to be opened again, as logrotate wants it.
func (g *Gateway) Reload(configuration func() (*config.Config, error), again bool) {
	c, err := configuration() // without the lock: nobody waits for a file system that hangs
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	if again {
		if err := g.log.current.Load().Reopen(); err != nil {
			g.say("%v; the old file stays in use", err)
		}
	}
	before, boot := g.live.Load().Policy, g.log.current.Load().Boot()
	if err == nil {
		err = g.unchanged(c)
	}
	var v *prepared
	if err == nil {
		v, err = g.prepare(context.Background(), c)
	}
	if err != nil {
		g.rejected(err)
		fmt.Fprintln(g.trouble, hint.Message(err))
		g.say("the configuration so far stays in use")
		g.log.Event("reload", audit.Fields{"error": firstLine(err.Error()), "config": g.live.Load().Version})
		return
	}
	fields := audit.Fields{"config": c.Version}
	if v.log != nil { // the lines before this one are there
		fields["after_boot"] = boot
		g.log.Event("reload", audit.Fields{"config": c.Version, "before_boot": v.log.Boot()})
	}
	g.adopt(v)
	g.reloaded.Store(&admin.Reload{At: time.Now(), File: g.config.File})
	g.say("configuration %s is in use", c.Version)
	g.log.Event("reload", fields)
	for _, change := range ruleChanges(before, g.live.Load().Policy) {
		g.log.Event("rule", change)
	}
}

// rejected notes that a change was not taken up, until one is.
func (g *Gateway) rejected(err error) {
	r := *g.reloaded.Load()
	r.Rejected, r.Error = time.Now(), firstLine(err.Error())
	var problems config.Problems
	if errors.As(err, &problems) && len(problems) > 1 {
		r.Error += ", and " + hint.Count(len(problems)-1, "more problem")
	}
	g.reloaded.Store(&r)
}

// unchanged names the keys that a running gateway cannot follow.
func (g *Gateway) unchanged(c *config.Config) error {
	limits := c.Limits
	limits.OriginTime = g.config.Limits.OriginTime // belongs to the origins, which are made anew
	var keys []string
	for _, key := range []struct {
		name     string
		old, new any
	}{
		{"listen", fmt.Sprint(g.config.Listen), fmt.Sprint(c.Listen)}, {"admin", g.config.Admin, c.Admin}, {"state", g.config.State, c.State},
		{"verify", g.config.Verify, c.Verify}, {"limits", g.config.Limits, limits},
	} {
		if key.old != key.new {
			keys = append(keys, key.name)
		}
	}
	if len(keys) > 0 {
		return hint.Add(fmt.Errorf("%s changed, which only a restart takes up", strings.Join(keys, ", ")), "restart gate421, or undo that part of the change")
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Follow reloads when it is told to or when the file's text has changed, until ctx ends. "" is no file. A text is tried once:
// what is wrong with it is not said again until it changes. Reading is another goroutine's, so that a file system that hangs
// keeps neither the watchdog nor the end waiting.
func (g *Gateway) Follow(ctx context.Context, hup <-chan os.Signal, file string, configuration func() (*config.Config, error)) {
	stirred, watchdog := stirs(ctx, file), watchdogTicks(ctx)
	tried := g.config.Version
	var looking chan string // the version that was looked at; nil: nobody looks
	due, signalled := false, false
	notifyReady()
	for {
		if looking == nil && due {
			looking = make(chan string, 1)
			go g.look(looking, file, tried, signalled, configuration)
			due, signalled = false, false
		}
		select {
		case <-ctx.Done():
			notifyStopping(g.grace(time.Now()) + g.config.Limits.DrainTime)
			if looking != nil {
				g.endWithin(looking)
			}
			return
		case <-watchdog:
			notifyAlive()
		case <-hup:
			due, signalled = true, true
		case <-stirred:
			due = true
		case tried = <-looking:
			looking = nil
		}
	}
}

// look reloads if it was asked for by a signal or the file's text is not the one that was tried last, and then says which text
// it has looked at.
func (g *Gateway) look(looked chan<- string, file, tried string, signalled bool, configuration func() (*config.Config, error)) {
	version := tried
	if file != "" {
		version = versionOf(file)
	}
	if signalled || version != tried {
		notifyReloading()
		g.Reload(configuration, signalled)
		notifyReady()
	}
	looked <- version
}

// endAtMost is how long the end waits for a reload that is under way.
const endAtMost = 5 * time.Second

func (g *Gateway) endWithin(looking <-chan string) {
	select {
	case <-looking:
	case <-time.After(endAtMost):
		g.say("a reload hangs while it reads a file, and is not waited for")
	}
}
