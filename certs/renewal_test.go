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

// windowInThePast is a renewal hint that wants the certificate replaced at once.
func windowInThePast() string {
	return `{"suggestedWindow": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}}`
}

// waitReplaced waits until another certificate than old is served.
func waitReplaced(t *testing.T, certs *Certificates, old *x509.Certificate) {
	t.Helper()
	for deadline := time.Now().Add(3 * patience); certs.Leaves()[0].Equal(old); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the certificate that ends at %v is still served, want another one", old.NotAfter)
		}
	}
}

// load is clients that connect without a pause until the test stops them.
type load struct {
	done, failed atomic.Int64
	over         chan struct{} // closed by stop
	ended        sync.Once
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
				if _, err := connect(p.tlsPort, name, pool); err != nil {
					l.failed.Add(1)
					l.first.Do(func() { l.err = err })
				}
				l.done.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return l
}

// stop ends the clients and waits for them. Calling it again does nothing.
func (l *load) stop() {
	l.ended.Do(func() { close(l.over) })
	l.clients.Wait()
}

// The authority goes down when a certificate is due, while clients connect all the time. LIFETIME=120 HANDSHAKES=100000
// is the long one.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	const orderly, expired = "during an order", "until the certificate has expired"
	for name, life := range map[string]time.Duration{
		orderly: time.Duration(sized(t, "LIFETIME", 60)) * time.Second,
		expired: time.Duration(max(3, sized(t, "LIFETIME", 0)/4)) * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPebble(t, pebbleSetup{seconds: int(life / time.Second), rejects: 5})
			far, now := farAway(), windowInThePast()
			p.hints.Store(&far)
			host := fmt.Sprintf("loaded%d.example", int(life.Seconds()))
			c, events := p.config(t, host)
			c.CheckEvery = 200 * time.Millisecond
			certs := mustOpen(t, c)
			p.listen(t, func(string) *Certificates { return certs })
			if err := certs.Manage(t.Context()); err != nil {
				t.Fatal(err)
			}
			events.wait(t, KindObtained)
			old := certs.Leaves()[0]
			end, pool := time.Now(), p.pool()
			if name == orderly { // renewal is due when the authority says so
				p.watch.Store(host, func() { p.down.Store(true) })
				p.hints.Store(&now)
			} else { // it is due after two thirds of the life; an expired certificate is served all the same
				p.down.Store(true)
				end, pool = old.NotAfter.Add(time.Second), nil
			}
			clients := startLoad(p, host, pool)
			defer clients.stop()
			failed := events.wait(t, KindFailed)
			if failed.Error == "" || time.Until(failed.Next) > life/60+time.Second {
				t.Errorf("got %+v, want an error and the next attempt within %v", failed, life/60)
			}
			time.Sleep(time.Until(end))
			p.watch.Delete(host)
			p.down.Store(false)
			waitReplaced(t, certs, old)
			// One more renewal, at once, with nothing in its way.
			again := certs.Leaves()[0]
			p.hints.Store(&now)
			waitReplaced(t, certs, again)
			for clients.done.Load() < int64(sized(t, "HANDSHAKES", 100)) && clients.failed.Load() == 0 {
				time.Sleep(20 * time.Millisecond)
			}
			clients.stop()
			if failed := clients.failed.Load(); failed > 0 {
				t.Errorf("%d of %d handshakes failed, want none; the first with: %v", failed, clients.done.Load(),
					clients.err)
			}
			t.Logf("%d handshakes", clients.done.Load())
		})
	}
}
