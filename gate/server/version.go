package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"gate421/certs"
	"gate421/gate"
	"gate421/gate/audit"
	"gate421/gate/config"
	"gate421/gate/guard"
	"gate421/gate/hint"
	"gate421/gate/origin"
	"gate421/gate/policy"
	"gate421/verify"
)

// version is all that is made from one version of the configuration and that a running gateway can take up.
type version struct {
	config  *config.Config
	live    *gate.Live
	origins []*origin.Origin
	limits  map[string]guard.Limit
	certs   *certs.Certificates // nil: those in use are kept
	log     *audit.Log          // nil: the one in use is kept
}

// newVersion builds a version that is not in use yet. After an error nothing of it is left open.
func (g *Gateway) newVersion(ctx context.Context, c *config.Config) (_ *version, err error) {
	v := &version{config: c}
	defer func() {
		if err != nil {
			v.discard()
		}
	}()
	if err := g.buildPolicy(v); err != nil {
		return nil, err
	}
	if g.current == nil || !slices.Equal(hostsOf(g.current), hostsOf(c)) ||
		!reflect.DeepEqual(g.current.Certificates, c.Certificates) {
		if v.certs, err = g.newCertificates(ctx, c); err != nil {
			return nil, err
		}
	}
	if g.current != nil && g.current.Log != c.Log {
		if v.log, err = g.newLog(c); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// buildPolicy makes a version's policy, origins and limits of the guard.
func (g *Gateway) buildPolicy(v *version) error {
	rules, err := v.config.Policy()
	if err != nil {
		return err
	}
	claims, err := verify.NewClaims(v.config.Crawlers)
	if err != nil {
		return err
	}
	v.live = &gate.Live{
		Policy: rules, Claims: claims, Version: v.config.Version, Origins: map[*policy.Site]gate.Origin{},
	}
	v.limits = map[string]guard.Limit{}
	var errs []error
	for i, site := range rules.Sites() {
		s := v.config.Sites[i]
		wanted := OriginConfig(s, s.Origin, v.config.Limits)
		wanted.Descriptors = g.descriptors
		wanted.OnHealth = func(h origin.Health) { g.onOriginHealth(site.Name, h) }
		o, err := origin.New(wanted)
		if err != nil {
			errs = append(errs, fmt.Errorf("site %q: %w", site.Name, err))
			continue
		}
		v.origins = append(v.origins, o)
		v.live.Origins[site] = o
		if s.Guard != nil {
			v.limits[site.Name] = guard.Limit{Refusals: s.Guard.Refusals, Within: s.Guard.Within}
		}
	}
	return errors.Join(errs...)
}

// discard closes a version that never came into use.
func (v *version) discard() {
	for _, o := range v.origins {
		o.Close()
	}
	if v.certs != nil {
		v.certs.Close()
	}
	if v.log != nil {
		v.log.Close()
	}
}

// adopt makes a version the one in use. Each part is swapped whole, and all that a request is decided and served with
// is one part. What was in use is closed when the requests that began with it can be expected to be done.
func (g *Gateway) adopt(v *version) {
	privacy := privacyOf(v.config.Log)
	g.privacySettings.Store(&privacy)
	if v.log != nil {
		old := g.log.current.Swap(v.log)
		g.retire(time.Second, old.Close) // no call takes longer
	}
	if v.certs != nil {
		old, ctx := g.certs.Swap(v.certs), g.serveContext
		g.retire(0, func() error {
			if old == nil {
				return nil
			}
			g.certsMu.Lock() // one after the other, however quickly versions follow each other
			defer g.certsMu.Unlock()
			err := old.Close() // before the new one may order what the old one is ordering
			if ctx != nil && g.certs.Load() == v.certs {
				err = errors.Join(err, v.certs.Manage(ctx))
			}
			return err
		})
	}
	g.guard.Limit(v.limits, v.config.Crawlers)
	g.live.Store(v.live)
	for _, site := range v.live.Policy.Sites() {
		if !site.Refuses() {
			g.guard.Forget(site.Name)
		}
	}
	old := g.origins
	g.origins, g.current = v.origins, v.config
	time.AfterFunc(time.Minute, func() { // by then every request that began with them has its connection or file
		for _, o := range old {
			o.Close()
		}
	})
}

// retire closes something after a while, or at the end if that comes first.
func (g *Gateway) retire(after time.Duration, closeOld func() error) {
	g.retired.Go(func() {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-g.done:
		}
		if err := closeOld(); err != nil {
			g.printf("%v", err)
		}
	})
}

// newCertificates opens the certificates for a version's hosts.
func (g *Gateway) newCertificates(ctx context.Context, c *config.Config) (*certs.Certificates, error) {
	wanted := CertificatesConfig(c)
	wanted.OnEvent = g.onCertificateEvent
	wanted.HTTPSPort, wanted.HTTPPort = portOf(c.Listen.HTTPS), portOf(c.Listen.HTTP)
	opened, err := certs.Open(ctx, wanted)
	switch {
	case err != nil && wanted.Source == certs.SourceFiles:
		return nil, hint.Add(err, "correct certificates.files, and let this user read what they name")
	case err != nil && wanted.Source == certs.SourceACME:
		return nil, hint.Add(err, ACMEHint)
	}
	return opened, err
}

func hostsOf(c *config.Config) []string {
	var all []string
	for _, s := range c.Sites {
		all = append(all, s.Hosts...)
	}
	return all
}
