package audit

import (
	"bytes"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// kept are the lines of a log by what they are.
type keptLines struct {
	ordinary, proved, events int
	lost, leftOut, gaps      int
	bytes                    int
	networks                 []string
}

func keptIn(t *testing.T, text []byte) (k keptLines) {
	t.Helper()
	k.bytes = len(text)
	last := 0.0
	for _, line := range lines(t, text) {
		number := func(name string) int { n, _ := line[name].(float64); return int(n) }
		if missing := line["seq"].(float64) - last - 1; int(missing) != number("lost")+number("left_out") {
			t.Fatalf("%v numbers miss before %v", missing, line)
		}
		last = line["seq"].(float64)
		switch {
		case line["event"] == "gap":
			k.gaps++
			k.lost += number("lost")
			k.leftOut += number("left_out")
			if name, ok := line["network"].(string); ok {
				k.networks = append(k.networks, name)
			}
		case line["event"] != "decision":
			k.events++
		case line["verdict"] == "genuine":
			k.proved++
		default:
			k.ordinary++
		}
	}
	return k
}

// washing are requests that cost their sender next to nothing and the log as much as one can.
func washing() map[string]func(n int) *Record {
	stranger := func(n int) *Record {
		r := full()
		r.Claim, r.Verdict, r.Action, r.Reason, r.Status = "", "", "serve", "no_claim", 0
		r.ClientIP, r.Agent = netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}), "x"
		r.Unpaid, r.Gone = true, true
		return r
	}
	return map[string]func(n int) *Record{
		"a long path": func(n int) *Record { r := stranger(n); r.Path = "/" + strings.Repeat("a", 2047); return r },
		"a path that is written three times as long": func(n int) *Record {
			r := stranger(n)
			r.Path = "/" + strings.Repeat("\xff", 2047)
			return r
		},
		"long agents": func(n int) *Record { r := stranger(n); r.Agent = strings.Repeat("\x80", 512); return r },
		"claims": func(n int) *Record {
			r := stranger(n)
			r.Claim, r.Verdict, r.Reason, r.Path, r.PTR = "googlebot", "impostor", "impostor", "/"+strings.Repeat("a",
				2047), ""
			return r
		},
		"a whole network": func(n int) *Record {
			r := stranger(n)
			r.Path = "/" + strings.Repeat("a", 2047)
			r.ClientIP = netip.MustParseAddr("2001:db8:7::").Next()
			six := r.ClientIP.As16()
			six[6], six[7], six[8] = byte(n), byte(n>>8), byte(n>>16)
			r.ClientIP = netip.AddrFrom16(six)
			return r
		},
		"answers that are waited for": func(n int) *Record { r := stranger(n); r.Path, r.Gone = "/"+strings.Repeat("a", 2047), false; return r },
	}
}

// A client that sends 8,000 requests a second of some 60 bytes, for eight seconds: its lines are bounded, those that
// are left out are counted, and neither crawlers' lines nor other people's are among them.
func TestWhatANetworkCostsIsBounded(t *testing.T) {
	t.Parallel()
	for name, request := range washing() {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			l := open(t, Config{File: "-", Stdout: &out})
			const seconds, each, wire = 8, 8000, 61
			own := network(request(0).ClientIP)
			visitor := full()
			visitor.Claim, visitor.Verdict, visitor.Action, visitor.Path = "", "", "serve", "/"+strings.Repeat("v", 600)
			visitor.ClientIP = netip.MustParseAddr("198.51.100.7")
			for l.allowed.place(visitor.ClientIP) == l.allowed.place(own.Addr()) {
				visitor.ClientIP = netip.MustParseAddr("192.0.2.7")
			}
			for range seconds {
				for n := range each {
					l.Decision(request(n))
					if n%100 == 0 {
						l.Decision(visitor)
						time.Sleep(10 * time.Millisecond)
						synctest.Wait()
					}
				}
				if err := l.Refusal(full()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				back := full()
				back.Action, back.Gone, back.Unpaid, back.Path = "serve", true, true, "/"+strings.Repeat("g", 1500)
				l.Decision(back)
				l.Event("rule", nil)
			}
			l.Close()
			k := keptIn(t, out.Bytes())
			if visitors := bytes.Count(out.Bytes(), []byte(visitor.Path)); visitors != seconds*each/100 {
				t.Errorf("%s: %d lines of a visitor", name, visitors)
			}
			if k.proved != 2*seconds || k.events != seconds || bytes.Count(out.Bytes(), []byte(`"cut":`)) == 0 ||
				k.lost != 0 {
				t.Errorf("%s: %d of crawlers, %d events, %d lost", name, k.proved, k.events, k.lost)
			}
			if got := k.ordinary + k.leftOut; got != seconds*(each+each/100) {
				t.Errorf("%s: %d lines and left out, want %d", name, got, seconds*(each+each/100))
			}
			if k.gaps == 0 || k.gaps > seconds+2 ||
				slices.ContainsFunc(k.networks, func(n string) bool { return n != own.String() }) {
				t.Errorf("%s: %d gap lines about %q", name, k.gaps, k.networks)
			}
			t.Logf("%s: %d requests, %.1f MB on the wire, %.1f MB of log, %.1f times", name, seconds*each,
				seconds*each*wire/1e6, float64(k.bytes)/1e6, float64(k.bytes)/float64(seconds*each*wire))
			if most := lineBurst + (seconds+1)*lineRate + 4<<20; k.bytes > most {
				t.Errorf("%s: %d bytes, want %d at the most", name, k.bytes, most)
			}
		})
	}
}

// Whoever sends slowly gets no further: long values that were not paid for are soon cut.
func TestSlowWashing(t *testing.T) {
	t.Parallel()
	for name, request := range washing() {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			l := open(t, Config{File: "-", Stdout: &out})
			const requests, wire = 100 * 200, 61
			for n := range requests {
				l.Decision(request(n))
				time.Sleep(10 * time.Millisecond)
			}
			l.Close()
			t.Logf("%s: %.1f times", name, float64(out.Len())/(requests*wire))
			if most := requests*900 + longBurst + 200*longRate; out.Len() > most {
				t.Errorf("%s: %d bytes, want %d at the most", name, out.Len(), most)
			}
		})
	}
}

// An ordinary site of 2,000 requests a second loses nothing, even behind a balancer that hides its visitors, where some
// of them do not wait for their answers; and what was paid for is not cut.
func TestOrdinaryTrafficIsNotBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &counter{}
		l := open(t, Config{File: "-", Stdout: out})
		const seconds, each = 100, 2000
		r := full()
		r.Claim, r.Verdict, r.VerdictSource, r.PTR, r.Rule, r.State, r.Action, r.Reason = "", "", "", "", "", "", "serve", "no_claim"
		r.VerdictCause, r.Would, r.OriginError = "", "", ""
		r.Agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
		r.ClientIP = netip.MustParseAddr("198.51.100.1")
		for range seconds {
			for n := range each {
				r.Path, r.Gone = "/a/page/of/the/site?with=some&words=in-its-query&and=more-of-them", n%40 == 0
				if n%10 == 0 {
					r.Path = "/" + strings.Repeat("a", 700)
				}
				l.Decision(r)
				if n%20 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
		}
		l.Close()
		if s := l.Stats(); s.LeftOutLines+s.LostLines > 0 || out.lines != seconds*each || out.cut > 0 {
			t.Errorf("%d lines, %d left out, %d lost, %d cut", out.lines, s.LeftOutLines, s.LostLines, out.cut)
		}
	})
}

// counter counts lines.
type counter struct{ lines, cut int }

func (c *counter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte("\n"))
	c.cut += bytes.Count(p, []byte(`"cut":`))
	return len(p), nil
}

var _ io.Writer = (*counter)(nil)

// While the file is slow, ordinary lines leave room in the queue for those that prove something.
func TestQueueKeepsRoomForCrawlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{room: -1, held: make(chan struct{})}
		l := open(t, Config{File: "-", Stdout: disk})
		stranger := &Record{Action: "serve", Reason: "no_claim"}
		for range maxQueueLines {
			l.Decision(stranger)
		}
		crawler := full()
		crawler.Action = "serve"
		const crawlers = 1000
		for range crawlers {
			l.Decision(crawler)
		}
		l.Event("guard", nil)
		close(disk.held)
		synctest.Wait()
		l.Close()
		if k := keptIn(t, disk.out.Bytes()); k.proved != crawlers || k.events != 1 ||
			k.lost != maxQueueLines-ordinaryLines {
			t.Errorf("%+v", k)
		}
	})
}

func TestExcess(t *testing.T) {
	for _, test := range []struct {
		r    Record
		want int
	}{
		{Record{}, 0},
		{Record{Path: "/" + strings.Repeat("a", 199), Agent: strings.Repeat("a", 200), Host: strings.Repeat("a", 64)}, 0},
		{Record{Path: strings.Repeat("a", 300)}, 100},
		{Record{Path: strings.Repeat("a", 5000)}, 2048 - 200},
		{Record{Path: strings.Repeat("\xff", 5000)}, 3*2048 - 200},
		{Record{Path: strings.Repeat("ü", 50)}, 100},
		{Record{Host: strings.Repeat("a", 300), SNI: strings.Repeat("a", 100), Method: "PROPFIND-AND-MORE"}, 191 + 36 + 1},
	} {
		if got := test.r.Excess(); got != test.want {
			t.Errorf("%.20q %.20q: %d, want %d", test.r.Path, test.r.Host, got, test.want)
		}
	}
}

// A clock that is set back opens the allowance again and closes it for nobody.
func TestAllowanceAndClock(t *testing.T) {
	a := newAllowances()
	ip := netip.MustParseAddr("203.0.113.1")
	late := a.began.Add(24 * time.Hour)
	for a.line(ip, late, 1<<20) {
	}
	if !a.line(ip, late.Add(time.Second), 1<<20) {
		t.Error("nothing a second later")
	}
	if !a.line(ip, a.began, 1<<20) {
		t.Error("nothing after the clock was set back")
	}
}

// Where many visitors may stand behind one address, it has no bound: whoever they are, their lines are written.
func TestAddressesOfManyAreNotBounded(t *testing.T) {
	for address, bounded := range map[string]bool{
		"127.0.0.1": false, "10.1.2.3": false, "172.17.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "169.254.1.1": false,
		"::1": false, "fd00::1": false, "fe80::1": false, "::ffff:10.1.2.3": false,
		"203.0.113.1": true, "100.128.0.1": true, "2001:db8::1": true, "::ffff:203.0.113.1": true,
	} {
		a, at := newAllowances(), time.Now()
		left := false
		for range 3 {
			left = !a.line(netip.MustParseAddr(address), at, lineBurst) || left
		}
		if left != bounded {
			t.Errorf("%s: left out %v, want %v", address, left, bounded)
		}
	}
}
