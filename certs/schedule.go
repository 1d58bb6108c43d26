package certs

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gate421/certs/redis"
)

// retryPauses are the pauses between the attempts for one host; the last one repeats. Let's Encrypt allows five failed
// validations of a name in an hour, and the first hour has five.
func retryPauses() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour}
}

// manage orders what is missing and what is due, now and from then on, until ctx ends or close is called.
func (m *managed) manage(ctx context.Context) error {
	ctx, m.stop = context.WithCancel(ctx)
	m.managing.Store(true)
	context.AfterFunc(ctx, func() { m.managing.Store(false) })
	for _, host := range m.hosts {
		if len(m.certificates(host)) == 0 {
			m.obtain(ctx, host)
		}
	}
	m.working.Go(func() { m.follow(ctx) })
	m.working.Go(func() {
		// This fetches renewal hints; what it would renew by itself, onEvent declines.
		_ = m.cache.RenewManagedCertificates(ctx)
		m.renewDue(ctx)
	})
	return nil
}

// renewDue renews what has become due, until ctx ends.
func (m *managed) renewDue(ctx context.Context) {
	tick := time.NewTicker(m.checkEvery)
	defer tick.Stop()
	for {
		for _, host := range m.hosts {
			if len(m.certificates(host)) > 0 && m.isDue(host) {
				m.obtain(ctx, host)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// obtain orders a certificate for host in the background until it has one or ctx ends. It does nothing for a host that
// it works on already. Between two attempts it holds nothing: no lock, no place in a queue.
func (m *managed) obtain(ctx context.Context, host string) {
	if _, already := m.obtaining.LoadOrStore(host, true); already {
		return
	}
	m.working.Go(func() {
		defer m.obtaining.Delete(host)
		for failed := 0; ; {
			failures := m.order(ctx, host, failed)
			if len(failures) == 0 || ctx.Err() != nil {
				return
			}
			wait := jitter(m.followEvery) // for a storage in trouble, which reports that itself
			if slices.ContainsFunc(failures, failure.counts) {
				next := m.nextAttempt(host, failed, failures)
				m.reportFailure(host, failures, next)
				wait = time.Until(next)
				failed++
			}
			if pause(ctx, wait) != nil {
				return
			}
		}
	})
}

// failure is why one issuer led to no certificate.
type failure struct {
	issuer *issuer
	err    error
	asked  bool // the authority was, or was about to be
}

// counts reports whether it makes the next pause longer. A storage that is down before anybody was asked does not.
func (f failure) counts() bool { return f.asked || !errors.As(f.err, new(redis.UnavailableError)) }

// isTransient reports whether no authority counts it.
func (f failure) isTransient() bool {
	return isBadNonce(f.err) || !f.asked && errors.Is(f.err, errUnusable)
}

// nextAttempt is when to try again after so many failed attempts and this one.
//
// The pauses grow, and are at most a sixtieth of the life of the certificate in use. They end no earlier than the
// authorities want to hear from us again. What no authority counts is tried again after a second.
func (m *managed) nextAttempt(host string, failed int, failures []failure) time.Time {
	list := retryPauses()
	pause := list[min(failed, len(list)-1)]
	if failed < 10 && !slices.ContainsFunc(failures, func(f failure) bool { return !f.isTransient() }) {
		pause = time.Second
	}
	if cert := pick(nil, m.certificates(host)); cert != nil {
		pause = max(min(pause, cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)/60), 100*time.Millisecond)
	}
	at := time.Now().Add(pause)
	var earliest time.Time // zero as soon as one authority names none
	for i, f := range failures {
		if wanted := notBefore(f.err); i == 0 || wanted.Before(earliest) {
			earliest = wanted
		}
	}
	if earliest.After(at) {
		at = earliest
	}
	return at
}

// reportFailure reports what went wrong with each issuer.
func (m *managed) reportFailure(host string, failures []failure, next time.Time) {
	event := Event{Kind: KindFailed, Hosts: []string{host}, Next: next}
	var issuers, texts, hints []string
	for _, f := range failures {
		e := m.explain(f.err)
		if len(failures) > 1 {
			e.text = f.issuer.name + ": " + e.text
		}
		issuers, texts = append(issuers, f.issuer.name), append(texts, e.text)
		if e.hint != "" && !slices.Contains(hints, e.hint) {
			hints = append(hints, e.hint)
		}
	}
	event.Issuer = strings.Join(issuers, ", ")
	event.Error = strings.Join(texts, "; ")
	event.Hint = strings.Join(hints, "; ")
	if cert := pick(nil, m.certificates(host)); cert != nil {
		event.NotAfter = cert.Leaf.NotAfter
	}
	m.notifier.send(event)
}

// pause waits for d; it ends early with ctx, and its error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// jitter is d to twice d, so that several gateways do not ask at the same moments.
func jitter(d time.Duration) time.Duration { return d + rand.N(d) }
