package verify

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// healthIn runs a test with a Health that is running, and the words of its conditions since the start.
func healthIn(t *testing.T, text string, test func(t *testing.T, z *zone, v *Verifier, said func() string)) {
	t.Helper()
	inBubble(t, text, func(t *testing.T, z *zone, v *Verifier) {
		var conditions []string
		start := time.Now()
		h := &Health{Verifier: v, OnCondition: func(c Condition) {
			word := "well"
			if !c.Working {
				word = c.Why()
			}
			conditions = append(conditions, fmt.Sprintf("%.0fs %s", time.Since(start).Seconds(), word))
			if strings.Join(c.Servers, " ") != "192.0.2.53:53" {
				t.Errorf("got the servers %v, want 192.0.2.53:53", c.Servers)
			}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.Run(ctx)
		}()
		test(t, z, v, func() string {
			synctest.Wait()
			s := strings.Join(conditions, "; ")
			conditions = nil
			return s
		})
		cancel()
		<-ended
	})
}

func TestHealthAtTheStart(t *testing.T) {
	for fault, want := range map[string]string{
		"none":        "0s well",
		"servfail":    "0s servfail 192.0.2.53:53",
		"refused":     "0s refused 192.0.2.53:53",
		"silent":      "5s timeout 192.0.2.53:53",
		"bare":        "0s indefinite 192.0.2.53:53 NOERROR without records or SOA",
		"nxdomain":    "0s denied: 66.249.66.1 has no name",
		"null":        "0s filtered 192.0.2.53:53 crawl-66-249-66-1.googlebot.com is 0.0.0.0",
		"edns:silent": "0s well",
	} {
		healthIn(t, googlebotZone+"\nfault * "+fault, func(t *testing.T, z *zone, v *Verifier, said func() string) {
			time.Sleep(6 * time.Second)
			if got := said(); got != want {
				t.Errorf("%s: %q, want %q", fault, got, want)
			}
		})
	}
}

// TestHealthOverTime: a resolver that fails is probed again until it is well, and one that is well when lookups come to
// nothing; each change is told of once.
func TestHealthOverTime(t *testing.T) {
	healthIn(t, googlebotZone+"\nfault * servfail", func(t *testing.T, z *zone, v *Verifier, said func() string) {
		time.Sleep(time.Hour)
		if got := said(); got != "0s servfail 192.0.2.53:53" {
			t.Errorf("in an hour: got %q, want one condition, servfail", got)
		}
		if n := z.count(googlebotPTR + " PTR"); n < 3*12 || n > 3*20 {
			t.Errorf("in an hour: got %d queries, want a probe every five minutes or so", n)
		}
		z.fail("", 0)
		time.Sleep(maxProbeInterval + checkEvery)
		if got := said(); !strings.HasSuffix(got, " well") {
			t.Errorf("after its end: got %q, want well", got)
		}
		queries := z.total()
		time.Sleep(time.Hour)
		if z.total() != queries {
			t.Errorf("while all is well: got %d queries, want none", z.total()-queries)
		}
		z.fail("refused", 0)
		lookups := func(n int) {
			for i := range n {
				v.Identify(t.Context(), "googlebot", netip.AddrFrom4([4]byte{192, 0, byte(i), 1}))
				time.Sleep(time.Second)
			}
		}
		lookups(probeAfterFailures - 1)
		time.Sleep(time.Minute)
		if got := said(); got != "" {
			t.Errorf("after %d failures: got %q, want no condition", probeAfterFailures-1, got)
		}
		lookups(2)
		time.Sleep(checkEvery)
		if got := said(); !strings.HasSuffix(got, " refused 192.0.2.53:53") {
			t.Errorf("after failures in a row: got %q, want refused", got)
		}
	})
}

// TestHealthAfterAProof: that somebody was proved is reason to look again soon.
func TestHealthAfterAProof(t *testing.T) {
	healthIn(t, googlebotZone+"\nfault * servfail", func(t *testing.T, z *zone, v *Verifier, said func() string) {
		time.Sleep(time.Hour)
		said()
		z.fail("", 0)
		want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Genuine, SourceDNS, "")
		time.Sleep(minProbeInterval + checkEvery)
		if got := said(); !strings.HasSuffix(got, " well") {
			t.Errorf("%q", got)
		}
	})
}

// TestHealthWhenPublishedAddressesAreDenied: when the addresses that Google publishes are denied one after the other,
// the resolver is probed.
func TestHealthWhenPublishedAddressesAreDenied(t *testing.T) {
	healthIn(t, googlebotZone, func(t *testing.T, z *zone, v *Verifier, said func() string) {
		time.Sleep(time.Minute)
		said()
		z.fail("nxdomain", 0)
		for i := range probeAfterFailures {
			v.Identify(t.Context(), "googlebot", netip.AddrFrom4([4]byte{66, 249, 66, byte(i + 2)}))
		}
		time.Sleep(2 * checkEvery)
		if got := said(); !strings.Contains(got, "denied") {
			t.Errorf("%q", got)
		}
	})
}
