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

// prepared is everything that a version of the configuration needs and a running gateway can take over.
type prepared struct {
	config  *config.Config
	live    *gate.Live
	origins []*origin.Origin
	limits  map[string]guard.Limit
	certs   *certs.Certificates // nil: those in use stay
	log     *audit.Log          // nil: the one in use stays
}

// prepare builds a version. Nothing of it is in use yet; after an error nothing of it is left.
func (g *Gateway) prepare(ctx context.Context, c *config.Config) (_ *prepared, err error) {
	v := &prepared{config: c}
	defer func() {
		if err != nil {
			v.drop()
		}
	}()
	if err := g.build(v); err != nil {
		return nil, err
	}
	if g.latest == nil || !slices.Equal(hostsOf(g.latest), hostsOf(c)) || !reflect.DeepEqual(g.latest.Certificates, c.Certificates) {
		if v.certs, err = g.newCertificates(ctx, c); err != nil {
			return nil, err
		}
	}
	if g.latest != nil && g.latest.Log != c.Log {
		if v.log, err = g.newLog(c); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (g *Gateway) build(v *prepared) error {
	rules, err := v.config.Policy()
	if err != nil {
		return err
	}
	claims, err := verify.NewClaims(v.config.Crawlers)
	if err != nil {
		return err
	}
	v.live = &gate.Live{Policy: rules, Claims: claims, Version: v.config.Version, Origins: map[*policy.Site]gate.Origin{}}
	v.limits = map[string]guard.Limit{}
	var errs []error
	for i, site := range rules.Sites() {
		s := v.config.Sites[i]
		wanted := OriginConfig(s, s.Origin, v.config.Limits)
		wanted.Files = g.files
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

func (v *prepared) drop() {
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

// adopt takes a version over. Each part is swapped whole, and what a request is decided and served by is one part. What was in
// use is closed when whoever began with it can be expected to be done.
func (g *Gateway) adopt(v *prepared) {
	private := privacyOf(v.config.Log)
	g.private.Store(&private)
	if v.log != nil {
		old := g.log.current.Swap(v.log)
		g.retire(time.Second, old.Close) // no call takes longer
	}
	if v.certs != nil {
		old, serving := g.certs.Swap(v.certs), g.serving
		g.retire(0, func() error {
			if old == nil {
				return nil
			}
			g.turn.Lock() // one after the other, however quickly versions follow each other
			defer g.turn.Unlock()
			err := old.Close() // before the new one may order what the old one is ordering
			if serving != nil && g.certs.Load() == v.certs {
				err = errors.Join(err, v.certs.Manage(serving))
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
	g.origins, g.latest = v.origins, v.config
	time.AfterFunc(time.Minute, func() { // by then whoever began with the old rules has its file open or its connection
		for _, o := range old {
			o.Close()
		}
	})
}

// retire closes something after a while, or at the end if that comes first.
func (g *Gateway) retire(after time.Duration, closing func() error) {
	g.retired.Go(func() {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-g.ended:
		}
		if err := closing(); err != nil {
			g.say("%v", err)
		}
	})
}

// newCertificates opens the certificates for a version's hosts.
func (g *Gateway) newCertificates(ctx context.Context, c *config.Config) (*certs.Certificates, error) {
	wanted := CertificatesConfig(c)
	wanted.OnEvent = g.heardCertificates
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
