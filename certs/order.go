package certs

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"

	"github.com/caddyserver/certmagic"
)

// order makes one attempt: every issuer once, until one leads to a certificate. It has what went wrong with each, and
// nothing if host has a certificate now.
func (m *managed) order(ctx context.Context, host string, failed int) []failure {
	// Another process on the same storage may have obtained one.
	if m.load(ctx, host) == nil && !m.isDue(host) {
		return nil
	}
	var failures []failure
	for _, by := range m.issuers {
		cfg := by.cfg
		if failed%3 == 2 && by.withoutReplaces != nil {
			// The authority may reject the order only for the certificate that it says it replaces.
			cfg = by.withoutReplaces
		}
		asked, err := m.attempt(ctx, cfg, host)
		if err == nil {
			if err = m.load(ctx, host); err == nil {
				return nil
			} else if errors.Is(err, fs.ErrNotExist) {
				err = errUnusable
			}
		}
		failures = append(failures, failure{by, err, asked})
		if ctx.Err() != nil {
			break
		}
	}
	return failures
}

// attempt orders once, and ends with the first failure: certmagic alone would go on, with pauses of its own, holding a
// lock and reporting nothing. It uses certmagic's non-interactive call throughout: the other one prompts on standard
// input and changes certmagic's package defaults.
func (m *managed) attempt(ctx context.Context, cfg *certmagic.Config, host string) (asked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.attempting.Store(host, true)
	defer m.attempting.Delete(host)
	a := &attempt{cancel: cancel}
	err = cfg.RenewCertAsync(context.WithValue(ctx, attemptKey{}, a), host, false) // or obtains, if there is none
	asked, first := a.result()
	switch {
	case errors.Is(first, errAlreadyObtained):
		return asked, nil
	case first != nil:
		return asked, first
	}
	return asked, err
}

// errUnusable is for a certificate that was in storage, so that none was ordered, and that had to be set aside.
var errUnusable = errors.New("the stored certificate cannot be used")

// errAlreadyObtained ends an attempt that another gateway has made unnecessary.
var errAlreadyObtained = errors.New("another gateway obtained one from another issuer meanwhile")

// errNotDue declines what certmagic would order by its own schedule.
var errNotDue = certmagic.ErrNoRetry{Err: errors.New("left to the next check of what is due")}

// attempt is one order in progress. A nil *attempt is valid and ignores all calls.
type attempt struct {
	cancel context.CancelFunc

	mu    sync.Mutex
	asked bool // the authority was
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

// setAsked notes that the authority is asked from here on.
func (a *attempt) setAsked() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = true
}

func (a *attempt) result() (asked bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked, a.err
}

// onEvent is certmagic's hook. It loads what certmagic has just obtained, which is in storage but not in memory yet, so
// that a certificate is served before it is reported.
func (m *managed) onEvent(ctx context.Context, by *issuer, event string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	switch event {
	case "cert_obtaining":
		if by == nil {
			return errNotDue
		}
		if err := m.mayOrder(ctx, host); err != nil {
			attemptOf(ctx).end(err)
			return certmagic.ErrNoRetry{Err: err}
		}
		attemptOf(ctx).setAsked()
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
		m.dropReplaced(host)
		m.lastReported.Store(host, cert.Hash())
		m.deleteChallenges(ctx, host)
		m.notifier.send(Event{Kind: kind, Hosts: cert.Names, Issuer: by.name, NotAfter: cert.Leaf.NotAfter})
	case "cert_failed":
		if err, _ := data["error"].(error); err != nil && !errors.Is(err, context.Canceled) {
			attemptOf(ctx).end(err)
		}
	}
	return nil
}

// mayOrder is the last check before an authority is asked, with host's lock held; an error abandons the attempt.
func (m *managed) mayOrder(ctx context.Context, host string) error {
	// certmagic renews for the first name it finds in a certificate, which is the authority's choice.
	if !slices.Contains(m.hosts, host) {
		return UnknownHostError{Name: host}
	}
	if err := m.storage.confirmLock(ctx, orderLock+host); err != nil {
		return err
	}
	// While the lock was waited for, another gateway may have obtained one from another issuer than the one tried here.
	if len(m.issuers) > 1 {
		if cert, err := m.cfg.CacheManagedCertificate(ctx, host); err == nil && !cert.NeedsRenewal(m.cfg) {
			return errAlreadyObtained
		}
	}
	return nil
}
