package certs

import (
	"sync/atomic"
	"time"
)

// The values of Event.Kind.
const (
	KindObtained = "obtained" // a host got its first certificate
	KindRenewed  = "renewed"  // a host's certificate was replaced before it expired
	KindLoaded   = "loaded"   // a certificate was read from storage or a file, at the start or because it changed
	KindFailed   = "failed"   // an attempt failed; the certificate in use stays, and it is tried again
	KindWarning  = "warning"  // it works, and somebody should look at it
	KindTerms    = "terms"    // an account is about to be made with an authority, whose terms are thereby accepted
)

// Event is one thing that happened to the certificate of some hosts.
type Event struct {
	Kind     string    // one of the Kind constants
	Hosts    []string  // the names the certificate has, or was wanted for
	Issuer   string    // who signed it, or was asked to; "" if that is not known
	NotAfter time.Time // when the certificate expires; zero if there is none
	Error    string    // in plain words, for KindFailed and KindWarning; "" otherwise
	Hint     string    // the cure; "" where none is known
	Next     time.Time // when it is tried again, for KindFailed; zero if there is no such time
	Terms    string    // where the terms can be read, for KindTerms; "" if the authority does not say
}

// notifier passes events on until it is stopped, so that none arrives after Close.
type notifier struct {
	onEvent func(Event) // nil: ignored
	stopped atomic.Bool
}

func (n *notifier) send(e Event) {
	if n.onEvent != nil && !n.stopped.Load() {
		n.onEvent(e)
	}
}

func (n *notifier) stop() { n.stopped.Store(true) }
