package verify

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const googlebotZone6 = `
	1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.1.0.8.4.0.6.8.4.1.0.0.2.ip6.arpa. 3600 PTR crawl-2001-4860-4801-10--1.googlebot.com.
	crawl-2001-4860-4801-10--1.googlebot.com. 1800 AAAA 2001:4860:4801:10::1`

// TestFallback: servers that the C library gets answers from prove Googlebot within Wait, for every record type,
// whatever they make of EDNS(0) and of names in mixed case, and whether or not they answer over TCP.
func TestFallback(t *testing.T) {
	t.Parallel()
	behaviours := []string{
		"edns:formerr", "edns:formerr-header", "edns:formerr-part", "edns:notimp", "edns:notimp-header",
		"edns:servfail", "edns:servfail-header",
		"edns:badvers", "edns:refused", "edns:refused-header", "edns:bare", "edns:silent", "edns:garbage", "edns:notauth",
		"edns:referral", "edns:lame", "edns:noerror-header", "edns:nosoa", "edns:nxdomain", "edns:nodata",
		"mixed:foldcase", "mixed:silent", "mixed:nxdomain", "mixed:nosoa", "mixed:nodata", "mixed:bare", "mixed:servfail",
		"mixed:servfail-header", "mixed:refused-header", "mixed:formerr", "mixed:formerr-header", "mixed:notimp-header",
		"mixed:wrongquestion", "mixed:garbage", "mixed:nxdomain-answers",
		"edns:formerr-header+mixed:foldcase", "edns:silent+mixed:silent", "edns:formerr+mixed:silent",
		"edns:servfail+mixed:nxdomain",
		"edns:silent+mixed:nxdomain", "edns:silent+mixed:foldcase", "edns:notimp-header+mixed:refused-header",
	}
	types := []struct{ addr, only string }{
		{googlebotAddr, ""}, {"2001:4860:4801:10::1", ""},
		{googlebotAddr, googlebotPTR}, {googlebotAddr, googlebotName + "."},
		{"2001:4860:4801:10::1", "crawl-2001-4860-4801-10--1.googlebot.com."},
	}
	for _, fault := range behaviours {
		for _, tcp := range []string{"", "closed", "silent"} {
			for _, c := range types {
				name := c.only
				if name == "" {
					name = "*"
				}
				t.Run(fault+" tcp "+tcp+" "+c.addr+" "+name, func(t *testing.T) {
					inBubble(t, googlebotZone+googlebotZone6+"\nfault "+name+" "+fault, func(t *testing.T, z *zone, v *Verifier) {
						z.tcp, z.delay = tcp, 5*time.Millisecond
						addr := netip.MustParseAddr(c.addr)
						start := time.Now()
						want(t, v.Identify(t.Context(), "googlebot", addr), Genuine, SourceDNS, "")
						first := time.Since(start)
						// What works is remembered.
						start = time.Now()
						if got := v.Lookup(t.Context(), "googlebot", addr); got.Verdict != Genuine {
							t.Errorf("the second time: got %+v, want genuine", got)
						}
						if second := time.Since(start); first > time.Second || name == "*" && second > 50*time.Millisecond {
							t.Errorf("took %v and then %v, want at most 1 s and then 50 ms", first, second)
						}
					})
				})
			}
		}
	}
}

// TestFallbackAmongServers: two servers of the same kind, or a dead one before it, change nothing.
func TestFallbackAmongServers(t *testing.T) {
	for _, fault := range []string{
		"edns:silent", "mixed:silent", "edns:formerr-header", "mixed:nxdomain", "edns:silent+mixed:silent",
	} {
		for _, servers := range [][]string{
			{"192.0.2.53:53", "192.0.2.54:53"}, {"192.0.2.53:53", "192.0.2.54:53", "192.0.2.55:53"},
		} {
			inBubble(t, googlebotZone+"\nfault * "+fault, func(t *testing.T, z *zone, v *Verifier) {
				z.tcp = "closed"
				v.Resolver.Servers = servers
				want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Genuine, SourceDNS, "")
			})
		}
	}
}

// TestFallbackEnds: what a server keeps saying however it is asked is what it says, at once.
func TestFallbackEnds(t *testing.T) {
	for fault, cause := range map[string]string{
		"servfail": CauseServfail, "servfail-header": CauseServfail, "refused": CauseRefused, "refused-header": CauseRefused,
		"formerr": CauseFormErr, "formerr-header": CauseFormErr, "badvers": CauseFormErr, "notimp-header": CauseNotImp,
		"formerr-part": CauseFormErr, "servfail-part": CauseServfail,
		"notauth": CauseGarbage, "noerror-header": CauseGarbage, "nxdomain-header": CauseGarbage,
		"bare": CauseIndefinite, "referral": CauseLame, "lame": CauseLame, "nxdomain-answers": CauseGarbage,
		"truncated": CauseTruncated,
	} {
		for _, tcp := range []string{"", "closed"} {
			t.Run(fault+" tcp "+tcp, func(t *testing.T) {
				inBubble(t, googlebotZone+"\nfault * "+fault, func(t *testing.T, z *zone, v *Verifier) {
					z.tcp = tcp
					start := time.Now()
					got := v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr))
					want(t, got, Unknown, SourceDNS, cause)
					if got.Server != "192.0.2.53:53" || time.Since(start) != 0 {
						t.Errorf("took %v, server %q; want 0 s, server 192.0.2.53:53", time.Since(start), got.Server)
					}
					if n := z.total(); n > 4 {
						t.Errorf("got %d queries, want at most 4", n)
					}
				})
			})
		}
	}
}

// TestFallbackEndsOverTCP: a server that is there over TCP alone is not asked again and again for what it cannot say.
func TestFallbackEndsOverTCP(t *testing.T) {
	const failing = "1.2.0.192.in-addr.arpa."
	for fault, cause := range map[string]string{
		"servfail": CauseServfail, "refused-header": CauseRefused, "formerr": CauseFormErr, "bare": CauseIndefinite,
		"lame":      CauseLame,
		"truncated": CauseTruncated, "edns:servfail": "",
	} {
		text := googlebotZone + "\n" + failing + " IN PTR host.example.\nfault " + failing + " " + fault
		inBubble(t, text, func(t *testing.T, z *zone, v *Verifier) {
			v.Resolver.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if network == "udp" {
					return nil, syscall.ECONNREFUSED
				}
				return z.dial(ctx, network, address)
			}
			for range 2 { // without a workaround, and with one
				before := z.total()
				got := v.Lookup(t.Context(), "googlebot", netip.MustParseAddr("192.0.2.1"))
				if n := z.total() - before; got.Cause != cause || n > 3 {
					t.Errorf("%s: got %+v after %d queries, want cause %q after at most 3", fault, got, n, cause)
				}
				want(t, v.Lookup(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Genuine, SourceDNS, "")
			}
		})
	}
}

// TestImpostorsStay: whoever is denied properly is an impostor, however the server has to be asked.
func TestImpostorsStay(t *testing.T) {
	for _, fault := range []string{
		"none", "edns:formerr-header", "edns:silent", "mixed:foldcase", "mixed:silent", "mixed:nxdomain",
	} {
		inBubble(t, "fault * "+fault, func(t *testing.T, z *zone, v *Verifier) {
			for range 2 {
				want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr("192.0.2.1")), Impostor, SourceDNS, "")
				time.Sleep(impostorTTL + time.Second)
			}
		})
	}
}

// silentConn is a connection on which nothing comes back.
type silentConn struct {
	net.Conn
	closed   func()
	deadline chan struct{}
	once     sync.Once
}

func (c *silentConn) Read([]byte) (int, error) { <-c.deadline; return 0, os.ErrDeadlineExceeded }

func (c *silentConn) Write(p []byte) (int, error) { return len(p), nil }

func (c *silentConn) SetDeadline(time.Time) error {
	c.once.Do(func() { close(c.deadline) })
	return nil
}

func (c *silentConn) Close() error { c.closed(); return nil }

// TestSilenceTakesFewSockets: while the DNS is silent, lookups do not take the files that the process needs to serve.
func TestSilenceTakesFewSockets(t *testing.T) {
	for _, servers := range [][]string{{"192.0.2.1:53"}, {"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"}} {
		synctest.Test(t, func(t *testing.T) {
			var open atomic.Int64
			r := &Resolver{Servers: servers, Dial: func(context.Context, string, string) (net.Conn, error) {
				open.Add(1)
				return &silentConn{closed: func() { open.Add(-1) }, deadline: make(chan struct{})}, nil
			}}
			v := &Verifier{Resolver: r}
			defer v.Close()
			const lookups = 64 // at a time, by default
			for i := range 2 * lookups {
				v.IdentifyAsync("googlebot", netip.AddrFrom4([4]byte{66, 249, 66, byte(i + 1)}), func(Result) {})
			}
			var most int64
			for range 110 {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				most = max(most, open.Load())
			}
			if most < ownAttempts*lookups || most > ownAttempts*lookups+maxSharedAttempts {
				t.Errorf("%d servers: got up to %d sockets, want %d and at most %d more",
					len(servers), most, ownAttempts*lookups, maxSharedAttempts)
			}
			if open.Load() != 0 || r.sharedAttempts.Load() != 0 {
				t.Errorf("%d servers: at the end got %d sockets and %d shared attempts, want none",
					len(servers), open.Load(), r.sharedAttempts.Load())
			}
		})
	}
}

// TestWorkaroundsExpire: after a while a server is asked as well as can be again.
func TestWorkaroundsExpire(t *testing.T) {
	inBubble(t, googlebotZone+"\nfault * mixed:silent", func(t *testing.T, z *zone, v *Verifier) {
		z.tcp = "closed"
		addr := netip.MustParseAddr(googlebotAddr)
		lookup := func() (took time.Duration) {
			start := time.Now()
			if got := v.Lookup(t.Context(), "googlebot", addr); got.Verdict != Genuine {
				t.Errorf("got %+v, want genuine", got)
			}
			return time.Since(start)
		}
		if lookup() == 0 || lookup() != 0 {
			t.Error("got two lookups of the same length, want only the first to wait: the workaround is remembered")
		}
		z.fail("", 0)
		time.Sleep(workaroundTTL + time.Second)
		if lookup() != 0 {
			t.Error("a lookup waits for a server without a fault, want it at once")
		}
		z.fail("plain:silent", 0)
		if lookup() != 0 {
			t.Error("a lookup waits, want a query in mixed case first again")
		}
	})
}
