package certs

import (
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// farAway is a renewal hint that leaves renewal to the certificate's life.
func farAway() string {
	return `{"suggestedWindow": {"start": "2050-01-01T00:00:00Z", "end": "2050-01-02T00:00:00Z"}}`
}

// load is visitors who knock without a pause until the test says so.
type load struct {
	done, failed atomic.Int64
	over         chan struct{}
	first        sync.Once
	err          error
	clients      sync.WaitGroup
}

func startLoad(p *pebble, name string, pool *x509.CertPool) *load {
	l := &load{over: make(chan struct{})}
	for range 4 {
		l.clients.Go(func() {
			for {
				select {
				case <-l.over:
					return
				default:
				}
				if _, err := knock(p.tlsPort, name, pool); err != nil {
					l.failed.Add(1)
					l.first.Do(func() { l.err = err })
				}
				l.done.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	return l
}

func (l *load) stop() {
	close(l.over)
	l.clients.Wait()
}

// Certificates of a short life are renewed while visitors come, and while the authority is gone when they are due.
// LIFETIME=120 HANDSHAKES=100000 is the long one: certificates of two minutes.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name           string
		life           time.Duration
		from, to       float64 // of the life: the authority is gone
		visitorsVerify bool
	}{
		// Renewal is due after two thirds; what is left after the outage is enough.
		{"through most of the window", time.Duration(sized(t, "LIFETIME", 16)) * time.Second, 0.6, 0.8, true},
		// The certificate runs out. It is served all the same, and replaced once the authority is back.
		{"past the end", time.Duration(sized(t, "LIFETIME", 16)) * time.Second / 4, 0.5, 1.5, false},
	} {
		p := newPebble(t, pebbleSetup{seconds: int(test.life / time.Second), refuses: 5})
		far := farAway()
		p.hints.Store(&far)
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			host := fmt.Sprintf("loaded%d.example", int(test.life.Seconds()))
			c, events := p.config(t, host)
			c.CheckEvery = 200 * time.Millisecond
			certs := mustOpen(t, c)
			p.doors(t, func(string) *Certificates { return certs })
			if err := certs.Manage(t.Context()); err != nil {
				t.Fatal(err)
			}
			events.wait(t, KindObtained)
			old := certs.Leaves()[0]
			pool := p.pool()
			if !test.visitorsVerify {
				pool = nil
			}
			visitors := startLoad(p, host, pool)
			at := func(share float64) {
				time.Sleep(time.Until(old.NotBefore.Add(time.Duration(share * float64(test.life)))))
			}
			at(test.from)
			p.down.Store(true)
			at(test.to)
			p.down.Store(false)
			back := time.Now()
			failures := 0
			for deadline := time.Now().Add(test.life + patience); certs.Leaves()[0].Equal(old); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("not renewed")
				}
			}
			took := time.Since(back)
			for _, e := range events.rest() {
				if e.Kind == KindFailed {
					failures++
					if e.Error == "" || time.Until(e.Next) > test.life/60+time.Second {
						t.Errorf("told %+v", e)
					}
				}
			}
			// One more renewal, with nothing in its way.
			again := certs.Leaves()[0]
			for deadline := time.Now().Add(test.life + patience); certs.Leaves()[0].Equal(again); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("not renewed again")
				}
			}
			for visitors.done.Load() < int64(sized(t, "HANDSHAKES", 100)) && visitors.failed.Load() == 0 {
				time.Sleep(20 * time.Millisecond)
			}
			visitors.stop()
			if failed := visitors.failed.Load(); failed > 0 {
				t.Errorf("%d of %d handshakes failed, the first with: %v", failed, visitors.done.Load(), visitors.err)
			}
			if failures == 0 {
				t.Error("the outage went unnoticed")
			}
			t.Logf("%d handshakes, none failed; %d attempts failed; renewed %v after the authority was back", visitors.done.Load(), failures, took.Round(time.Millisecond))
		})
	}
}
