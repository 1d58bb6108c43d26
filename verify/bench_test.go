package verify

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

func warm(tb testing.TB) (*Verifier, netip.Addr) {
	tb.Helper()
	z := newZone(googlebotZone)
	v := &Verifier{Resolver: z.inMemory(), Wait: 5 * time.Second}
	tb.Cleanup(func() { v.Close() })
	addr := netip.MustParseAddr(googlebotAddr)
	if got := v.Identify(context.Background(), "googlebot", addr); got.Verdict != Genuine {
		tb.Fatalf("%+v", got)
	}
	return v, addr
}

func TestIdentifyWarmDoesNotAllocate(t *testing.T) {
	v, addr := warm(t)
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() { v.Identify(ctx, "googlebot", addr) }); n != 0 {
		t.Errorf("Identify allocates %v times, want 0", n)
	}
	if n := testing.AllocsPerRun(1000, func() { v.Peek("googlebot", addr) }); n != 0 {
		t.Errorf("Peek allocates %v times, want 0", n)
	}
}

func BenchmarkIdentifyWarm(b *testing.B) {
	v, addr := warm(b)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if v.Identify(ctx, "googlebot", addr).Verdict != Genuine {
			b.Fatal("not genuine")
		}
	}
}

func BenchmarkClaimsBrowser(b *testing.B) {
	claims := googlebotClaims(b)
	b.ReportAllocs()
	for b.Loop() {
		if claims.Of(agentBrowser) != "" {
			b.Fatal("claims something")
		}
	}
}

func BenchmarkClaimsGooglebot(b *testing.B) {
	claims := googlebotClaims(b)
	b.ReportAllocs()
	for b.Loop() {
		if claims.Of(agentGooglebot) != "googlebot" {
			b.Fatal("claims nothing")
		}
	}
}

func googlebotClaims(tb testing.TB) *Claims {
	tb.Helper()
	claims, err := NewClaims([]string{"googlebot"})
	if err != nil {
		tb.Fatal(err)
	}
	return claims
}
