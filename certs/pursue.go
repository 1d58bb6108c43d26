package certs

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// pauses are those between the attempts for one host; the last one goes on. Let's Encrypt lets five validations of a
// name fail in an hour, and these are five.
func pauses() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour}
}

// manage orders what is missing and what is due, now and from then on, until ctx ends or close is called.
func (m *managed) manage(ctx context.Context) error {
	ctx, m.stop = context.WithCancel(ctx)
	m.managing.Store(true)
	context.AfterFunc(ctx, func() { m.managing.Store(false) })
	for _, host := range m.hosts {
		if len(m.certificates(host)) == 0 {
			m.pursue(ctx, host)
		}
	}
	m.working.Go(func() { m.follow(ctx) })
	m.working.Go(func() {
		// It asks for renewal hints; what it would renew by itself, onEvent turns down.
		_ = m.cache.RenewManagedCertificates(ctx)
		m.look(ctx)
	})
	return nil
}

// look pursues what has become due, until ctx ends.
func (m *managed) look(ctx context.Context) {
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for {
		for _, host := range m.hosts {
			if len(m.certificates(host)) > 0 && m.isDue(host) {
				m.pursue(ctx, host)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pursue orders a certificate for host in the background until it has one or ctx ends. A host that is being pursued
// already is left alone. Between two attempts nothing is held: no lock, no place in a queue.
func (m *managed) pursue(ctx context.Context, host string) {
	if _, already := m.pursued.LoadOrStore(host, true); already {
		return
	}
	m.working.Go(func() {
		defer m.pursued.Delete(host)
		for failures := 0; ; {
			problems := m.order(ctx, host, failures)
			if len(problems) == 0 || ctx.Err() != nil {
				return
			}
			wait := jitter(followEvery) // for a storage in trouble, which tells that itself
			if slices.ContainsFunc(problems, problem.counts) {
				next := m.next(host, failures, problems)
				m.fail(host, problems, next)
				wait = time.Until(next)
				failures++
			}
			if pause(ctx, wait) != nil {
				return
			}
		}
	})
}

// problem is what came of one way.
type problem struct {
	by    *way
	err   error
	asked bool // the authority was, or was about to be
}

// counts reports whether it is a failure, and not just a storage that is down before anybody was asked.
func (p problem) counts() bool { return p.asked || !errors.As(p.err, new(redisTrouble)) }

// isHiccup reports whether no authority counts it.
func (p problem) isHiccup() bool { return isHiccup(p.err) || !p.asked && errors.Is(p.err, errUnusable) }

// order makes one attempt: every way once, until one leads to a certificate. None left is what went wrong with each.
func (m *managed) order(ctx context.Context, host string, failures int) []problem {
	// Storage may have one already, from another process on it.
	if m.takeUp(ctx, host) == nil && !m.isDue(host) {
		return nil
	}
	var problems []problem
	for _, w := range m.ways {
		cfg := w.cfg
		if failures%3 == 2 && w.anew != nil {
			// The authority may not want to hear of the certificate that is replaced, and only for that refuse.
			cfg = w.anew
		}
		asked, err := m.attempt(ctx, cfg, host)
		if err == nil {
			if err = m.takeUp(ctx, host); err == nil {
				return nil
			} else if errors.Is(err, fs.ErrNotExist) {
				err = errUnusable
			}
		}
		problems = append(problems, problem{w, err, asked})
		if ctx.Err() != nil {
			break
		}
	}
	return problems
}

// isDue reports whether host's certificate, which is there, is to be renewed.
func (m *managed) isDue(host string) bool {
	list := m.cached(host)
	return len(list) == 0 || list[0].NeedsRenewal(m.cfg)
}

// attempt orders once. certmagic would go on by itself after a failure, with pauses of its own, a lock in its hand and
// nothing said: the attempt's context ends with its first failure. It is asked for its non-interactive way throughout:
// the other one prompts on standard input and changes its package defaults.
func (m *managed) attempt(ctx context.Context, cfg *certmagic.Config, host string) (asked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.ordering.Store(host, true)
	defer m.ordering.Delete(host)
	a := &attempt{cancel: cancel}
	err = cfg.RenewCertAsync(context.WithValue(ctx, attemptKey{}, a), host, false) // obtains if there is nothing to renew
	asked, first := a.outcome()
	switch {
	case errors.Is(first, errThere):
		return asked, nil
	case first != nil:
		return asked, first
	}
	return asked, err
}

// errUnusable is for a certificate that was in storage, so that none was ordered, and that had to be set aside.
var errUnusable = errors.New("the stored certificate cannot be used")

// errThere ends an attempt that another gateway has made unnecessary.
var errThere = errors.New("obtained by another way meanwhile")

// attempt is one order in progress. Its nil is no attempt, and takes everything.
type attempt struct {
	cancel context.CancelFunc

	mu    sync.Mutex
	asked bool // the authority is
	err   error
}

type attemptKey struct{}

// attemptOf is the attempt that certmagic works on in ctx; nil if there is none.
func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// end ends the attempt; the first error is the one that counts.
func (a *attempt) end(err error) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
	a.cancel()
}

// begin notes that the authority is asked from here on.
func (a *attempt) begin() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = true
}

func (a *attempt) outcome() (asked bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked, a.err
}

// next is when the attempt after so many failures and this one is made: after a growing pause, which is at most a
// sixtieth of the life of the certificate in use, but not before an authority wants to hear from us again. A hiccup that
// no authority counts is tried again at once, and so is what was in storage and could not be used.
func (m *managed) next(host string, failures int, problems []problem) time.Time {
	list := pauses()
	pause := list[min(failures, len(list)-1)]
	if failures < 10 && !slices.ContainsFunc(problems, func(p problem) bool { return !p.isHiccup() }) {
		pause = time.Second
	}
	if cert := pick(nil, m.certificates(host)); cert != nil {
		pause = max(min(pause, cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)/60), 100*time.Millisecond)
	}
	at := time.Now().Add(pause)
	var earliest time.Time // zero as soon as one authority names none
	for i, p := range problems {
		if wanted := notBefore(p.err); i == 0 || wanted.Before(earliest) {
			earliest = wanted
		}
	}
	if earliest.After(at) {
		at = earliest
	}
	return at
}

// fail tells what went wrong with each way.
func (m *managed) fail(host string, problems []problem, next time.Time) {
	event := Event{Kind: KindFailed, Hosts: []string{host}, Next: next}
	var issuers, words, hints []string
	for _, p := range problems {
		t := m.words(p.err)
		if len(problems) > 1 {
			t.words = p.by.name + ": " + t.words
		}
		issuers, words = append(issuers, p.by.name), append(words, t.words)
		if t.hint != "" && !slices.Contains(hints, t.hint) {
			hints = append(hints, t.hint)
		}
	}
	event.Issuer, event.Error, event.Hint = strings.Join(issuers, ", "), strings.Join(words, "; "), strings.Join(hints, "; ")
	if cert := pick(nil, m.certificates(host)); cert != nil {
		event.NotAfter = cert.Leaf.NotAfter
	}
	m.told.tell(event)
}

// errNotNow turns down what certmagic would order by its own clock.
var errNotNow = certmagic.ErrNoRetry{Err: errors.New("left to the next look at what is due")}

// onEvent is certmagic's hook. What has just been obtained is in storage but not in memory yet; it is loaded here, so
// that a certificate that was told is a certificate that is served.
func (m *managed) onEvent(ctx context.Context, by *way, event string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	switch event {
	case "cert_obtaining":
		if by == nil {
			return errNotNow
		}
		if err := m.mayOrder(ctx, host); err != nil {
			attemptOf(ctx).end(err)
			return certmagic.ErrNoRetry{Err: err}
		}
		attemptOf(ctx).begin()
	case "cert_obtained":
		cert, err := by.cfg.CacheManagedCertificate(ctx, host)
		if err != nil {
			attemptOf(ctx).end(errors.New("obtained, but not to be read back: " + err.Error()))
			return nil
		}
		kind := KindObtained
		if again, _ := data["renewal"].(bool); again || len(m.certificates(host)) > 1 {
			kind = KindRenewed
		}
		m.newest(host)
		m.known.Store(host, cert.Hash())
		m.forgetChallenges(ctx, host)
		m.told.tell(Event{Kind: kind, Hosts: cert.Names, Issuer: by.name, NotAfter: cert.Leaf.NotAfter})
	case "cert_failed":
		if err, _ := data["error"].(error); err != nil && !errors.Is(err, context.Canceled) {
			attemptOf(ctx).end(err)
		}
	}
	return nil
}

// mayOrder is asked last before an authority is, with host's lock held; an error abandons the order.
func (m *managed) mayOrder(ctx context.Context, host string) error {
	// certmagic renews for the first name it finds in a certificate, which is the authority's choice.
	if !slices.Contains(m.hosts, host) {
		return UnknownHostError{Name: host}
	}
	if err := m.store.mayOrder(ctx, host); err != nil {
		return err
	}
	// While the lock was waited for, another gateway may have found another way than the one that is tried here.
	if len(m.ways) > 1 {
		if cert, err := m.cfg.CacheManagedCertificate(ctx, host); err == nil && !cert.NeedsRenewal(m.cfg) {
			return errThere
		}
	}
	return nil
}

// forgetChallenges deletes what orders for host that were killed have left behind. The lock of host is held.
func (m *managed) forgetChallenges(ctx context.Context, host string) {
	for _, key := range m.challengeKeys(host) {
		_ = m.store.kept.Delete(ctx, key) // it is overwritten by the next order, and answers nobody else's
	}
}
