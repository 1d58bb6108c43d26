package verify

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// denials are responses that deny or seem to, to the reverse or to the forward question.
func denials() []struct {
	fault    string
	unproved Verdict // of an address that nothing is known of
	cause    string
	ends     bool // a proof in its time, with the second one
} {
	return []struct {
		fault    string
		unproved Verdict
		cause    string
		ends     bool
	}{
		{"nxdomain", Impostor, "", true},
		{"nodata", Impostor, "", true},
		{"nosoa", Impostor, "", false}, // NXDOMAIN is no referral (RFC 2308 section 2.1)
		{"bare", Unknown, CauseIndefinite, false},
		{"rootsoa", Unknown, CauseIndefinite, false},
		{"othersoa", Unknown, CauseIndefinite, false},
		{"othersoa-nodata", Unknown, CauseIndefinite, false},
		{"referral", Unknown, CauseLame, false},
		{"lame", Unknown, CauseLame, false},
		{"lame-nxdomain", Unknown, CauseLame, false},
		{"othername", Unknown, CauseGarbage, false},
		{"nxdomain-answers", Unknown, CauseGarbage, false},
		{"nxdomain-answers-soa", Unknown, CauseGarbage, false},
		{"nxdomain-header", Unknown, CauseGarbage, false},
		{"noerror-header", Unknown, CauseGarbage, false},
		{"truncated", Unknown, CauseTruncated, false},
		{"servfail", Unknown, CauseServfail, false},
		{"wrongtype", Unknown, CauseGarbage, false},
	}
}

// TestDenials: what RFC 2308 does not make definite makes no impostor, but for NXDOMAIN without an SOA record, and
// takes no proof away. In its time a proof ends with the second definite denial, a minute after the first.
func TestDenials(t *testing.T) {
	t.Parallel()
	const addr6 = "2001:4860:4801:10::1"
	clients := []struct{ addr, reverse, forward string }{
		{googlebotAddr, googlebotPTR, googlebotName + "."},
		{addr6, reverseOf(t, netip.MustParseAddr(addr6)), "crawl-2001-4860-4801-10--1.googlebot.com."},
	}
	for _, client := range clients {
		addr := netip.MustParseAddr(client.addr)
		for _, name := range []string{client.reverse, client.forward, "*"} {
			for _, c := range denials() {
				t.Run(client.addr+" "+c.fault+" "+name, func(t *testing.T) {
					t.Parallel()
					fault := "\nfault " + name + " " + c.fault
					inBubble(t, googlebotZone+googlebotZone6+fault, func(t *testing.T, z *zone, v *Verifier) {
						got := v.Identify(t.Context(), "googlebot", addr)
						if c.unproved == Unknown && got.Source == "" { // strays are waited for
							got.Source, got.Cause = SourceDNS, c.cause
						}
						want(t, got, c.unproved, SourceDNS, c.cause)
					})
					inBubble(t, googlebotZone+googlebotZone6, func(t *testing.T, z *zone, v *Verifier) {
						healthy, denied := googlebotZone+googlebotZone6, googlebotZone+googlebotZone6+fault
						z.set(healthy)
						renew := func(verdict Verdict) {
							t.Helper()
							v.Prefetch(addr)
							time.Sleep(lookupTimeout + time.Second)
							synctest.Wait()
							if got, _ := v.Peek("googlebot", addr); got.Verdict != verdict || got.Source != SourceCache {
								t.Errorf("%v from %q, want %v", got.Verdict, got.Source, verdict)
							}
						}
						want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceDNS, "") // for 30 minutes
						z.set(denied)
						time.Sleep(27*time.Minute + time.Second)
						renew(Genuine)
						asked := z.total()
						if renew(Genuine); z.total() != asked {
							t.Errorf("right after a denial: got %d queries, want none", z.total()-asked)
						}
						time.Sleep(minDenialGap)
						if c.ends {
							renew(Impostor)
							return
						}
						renew(Genuine)
						time.Sleep(3 * time.Minute) // its time is over
						for range 3 {
							want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceStale, "")
							time.Sleep(time.Hour)
						}
						z.set(healthy)
						v.Identify(t.Context(), "googlebot", addr)
						want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceCache, "")
					})
				})
			}
		}
	}
}
