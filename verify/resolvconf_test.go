//go:build unix

package verify

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseResolvConf(t *testing.T) {
	type config struct {
		servers  []string
		timeout  time.Duration
		attempts int
		rotate   bool
		tcp      bool
		static   bool
	}
	for text, want := range map[string]config{
		"":                                {},
		"search example\n":                {},
		"nameserver 192.0.2.53":           {servers: []string{"192.0.2.53:53"}},
		"nameserver\t192.0.2.53 \n":       {servers: []string{"192.0.2.53:53"}},
		"nameserver 192.0.2.53\r\n":       {servers: []string{"192.0.2.53:53"}},
		"nameserver 192.0.2.53 # a\n":     {servers: []string{"192.0.2.53:53"}},
		"nameserver 192.0.2.53;a\n":       {servers: []string{"192.0.2.53:53"}},
		"nameserver 2001:db8::53\n":       {servers: []string{"[2001:db8::53]:53"}},
		"nameserver fe80::1%eth0\n":       {servers: []string{"[fe80::1%eth0]:53"}},
		"# nameserver 192.0.2.53\n":       {},
		"; nameserver 192.0.2.53\n":       {},
		" nameserver 192.0.2.53\n":        {}, // as the C library has it: the keyword begins the line
		"nameserver192.0.2.53\n":          {},
		"nameserver\n":                    {},
		"nameserver dns.example\n":        {},
		"nameserver 192.0.2.53:5353\n":    {},
		"nameserver 192.0.2\n":            {},
		"Nameserver 192.0.2.53\n":         {},
		"nameserver 192.0.2.1 192.0.2.2":  {servers: []string{"192.0.2.1:53"}},
		"options timeout:2 attempts:4\n":  {timeout: 2 * time.Second, attempts: 4},
		"options timeout:99 attempts:9\n": {timeout: 30 * time.Second, attempts: 5},
		"options timeout:0 attempts:0\n":  {timeout: time.Second, attempts: 1},
		"options timeout: attempts:x\n":   {},
		"options rotate use-vc":           {rotate: true, tcp: true},
		"options rotate\noptions use-vc":  {rotate: true, tcp: true},
		"options no-reload":               {static: true},
		"options ndots:5 edns0 trust-ad single-request single-request-reopen inet6 no-tld-query debug ip6-dotint": {},
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n": {
			servers: []string{"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"}},
	} {
		u := parseResolvConf(text, nil)
		got := config{u.addresses(), u.timeout, u.attempts, u.rotate, u.tcp, u.noReload}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// FuzzResolvConf: whatever the file says, there are at most three servers, each of which can be dialled.
func FuzzResolvConf(f *testing.F) {
	f.Add("nameserver 192.0.2.53\noptions timeout:1 rotate\n")
	f.Add("nameserver fe80::1%eth0 ;x\n\n#\nnameserver ::\noptions attempts:-1\x00")
	f.Fuzz(func(t *testing.T, text string) {
		u := parseResolvConf(text, nil)
		bounded := u.timeout >= 0 && u.timeout <= maxSeconds*time.Second && u.attempts >= 0 && u.attempts <= maxRounds
		if len(u.servers) > maxServers || !bounded {
			t.Errorf("%+v", u)
		}
		for _, s := range u.servers {
			if _, err := netip.ParseAddrPort(s.address); err != nil {
				t.Error(err)
			}
		}
	})
}

// config is a file that a Resolver follows in a bubble, and what it told of it.
type configFile struct {
	t      *testing.T
	path   string
	r      *Resolver
	events []ServersEvent
}

func (c *configFile) write(text string) {
	c.t.Helper()
	if err := os.WriteFile(c.path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// asks looks whom the resolver asks when the file has been looked at twice.
func (c *configFile) asks(servers ...string) {
	c.t.Helper()
	for range 2 {
		time.Sleep(rereadAfter)
		c.r.Addresses()
	}
	if got := c.r.Addresses(); !slices.Equal(got, servers) {
		c.t.Errorf("asks %v, want %v", got, servers)
	}
}

// said takes the events until now: servers, and the problem in words.
func (c *configFile) said() string {
	var out []string
	for _, e := range c.events {
		text := strings.Join(e.Servers, ",")
		if e.Err != nil {
			text += " " + strings.ReplaceAll(e.Err.Error(), c.path, "FILE")
		}
		out = append(out, text)
	}
	c.events = nil
	return strings.Join(out, "; ")
}

func following(t *testing.T, test func(t *testing.T, c *configFile)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &configFile{t: t, path: filepath.Join(t.TempDir(), "resolv.conf")}
		c.r = &Resolver{File: c.path, OnServers: func(e ServersEvent) { c.events = append(c.events, e) }}
		test(t, c)
	})
}

// A changed file counts for the first query that is lookAfter later than the last look: until then there is none, so
// that many queries make no more system calls than one.
func TestChangedResolvConfIsSeenAtOnce(t *testing.T) {
	const one, two, three = "192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"
	following(t, func(t *testing.T, c *configFile) {
		expect := func(when, want string) {
			t.Helper()
			if got := c.r.Addresses(); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: asks %v, want %s", when, got, want)
			}
		}
		c.write("nameserver 192.0.2.1\n")
		expect("at first", one)
		c.write("# another size\nnameserver 192.0.2.2\n")
		time.Sleep(lookAfter - time.Millisecond)
		expect("before the next look", one)
		time.Sleep(time.Millisecond)
		expect("at the next look", two)
		other := filepath.Join(filepath.Dir(c.path), "other")
		if err := os.WriteFile(other, []byte("# another file\nnameserver 192.0.2.3\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(other, c.path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookAfter)
		expect("replaced by one of the same size", three)
		// A file that a look cannot tell from the one before is read all the same after a while.
		info, err := os.Stat(c.path)
		if err != nil {
			t.Fatal(err)
		}
		c.write("# another file\nnameserver 192.0.2.1\n")
		if err := os.Chtimes(c.path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookAfter)
		expect("unchanged for all that can be seen", three)
		time.Sleep(rereadAfter)
		expect("read whatever a look shows", one)
	})
}

func TestRereadResolvConf(t *testing.T) {
	const one, two = "192.0.2.1:53", "192.0.2.2:53"
	following(t, func(t *testing.T, c *configFile) {
		expect := func(want string) {
			t.Helper()
			if got := c.said(); got != want {
				t.Errorf("said %q, want %q", got, want)
			}
		}
		// Missing at the start, as resolv.conf(5) has it; then it appears.
		c.asks(localServer)
		expect(localServer + " stat FILE: no such file or directory")
		c.write("nameserver 192.0.2.1\n")
		c.asks(one)
		expect(one)
		c.write("nameserver 192.0.2.1\n# nothing new\n")
		c.asks(one)
		expect("")
		// Replaced by a rename, by the switch of a link, through a link.
		other := filepath.Join(filepath.Dir(c.path), "other")
		if err := os.WriteFile(other, []byte("nameserver 192.0.2.2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(other, c.path); err != nil {
			t.Fatal(err)
		}
		c.asks(two)
		expect(two)
		if err := os.WriteFile(other, []byte("nameserver 192.0.2.1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(c.path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(other, c.path); err != nil {
			t.Fatal(err)
		}
		c.asks(one)
		expect(one)
		if err := os.WriteFile(other, []byte("nameserver 192.0.2.2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c.asks(two)
		expect(two)
		// Without an end of line it may be half of one; when it stays so it counts.
		c.write("nameserver 192.0.2.1")
		time.Sleep(rereadAfter)
		if got := c.r.Addresses(); !slices.Equal(got, []string{two}) {
			t.Errorf("half a line: got the servers %v, want those before", got)
		}
		c.asks(one)
		expect(one)
		// Empty for a moment; empty for good; in order again.
		c.write("")
		time.Sleep(rereadAfter)
		c.r.Addresses()
		c.write("nameserver 192.0.2.1\n")
		c.asks(one)
		expect("")
		c.write("")
		c.asks(one, localServer)
		expect(one + "," + localServer + " FILE names no server")
		c.asks(one, localServer)
		expect("")
		c.write("nameserver 192.0.2.2\n")
		c.asks(two)
		expect(two)
		if err := os.Remove(c.path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(c.path, 0o700); err != nil {
			t.Fatal(err)
		}
		c.asks(two, localServer)
		expect(two + "," + localServer + " FILE is no file")
	})
}

// TestRereadDuringLookup: a lookup under way keeps its server, the next one has the new one, and what is known of a
// server that stays is kept.
func TestRereadDuringLookup(t *testing.T) {
	following(t, func(t *testing.T, c *configFile) {
		c.write("nameserver 192.0.2.1\n")
		old, new := newZone(googlebotZone), newZone(googlebotZone)
		old.delay = 2 * time.Second
		c.r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "192.0.2.1:") {
				return old.dial(ctx, network, address)
			}
			return new.dial(ctx, network, address)
		}
		v := &Verifier{Resolver: c.r, Wait: 4 * time.Second}
		defer v.Close()
		time.AfterFunc(time.Second, func() { c.write("nameserver 192.0.2.2\n") })
		start := time.Now()
		want(t, v.Identify(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr)), Genuine, SourceDNS, "")
		took, question := time.Since(start), googlebotPTR+" PTR"
		if took < 2*time.Second || old.count(question) == 0 || new.count(question) != 0 {
			t.Errorf("took %v with %d queries at the old server and %d at the new one, want the old one alone",
				took, old.count(question), new.count(question))
		}
		time.Sleep(2 * rereadAfter)
		got := v.Lookup(t.Context(), "googlebot", netip.MustParseAddr(googlebotAddr))
		if got.Verdict != Genuine || new.count(question) != 1 {
			t.Errorf("got %+v with %d queries at the new server, want genuine with 1", got, new.count(question))
		}
	})
	before := parseResolvConf("nameserver 192.0.2.1\nnameserver 192.0.2.2\n", nil)
	after := parseResolvConf("nameserver 192.0.2.2\n", before)
	if after.servers[0] != before.servers[1] {
		t.Error("got a new state of a server that stays, want what was learned about it kept")
	}
}

// TestResolvConfNoReload: no-reload means what resolv.conf(5) says.
func TestResolvConfNoReload(t *testing.T) {
	following(t, func(t *testing.T, c *configFile) {
		c.write("nameserver 192.0.2.1\noptions no-reload\n")
		c.asks("192.0.2.1:53")
		c.write("nameserver 192.0.2.2\n")
		c.asks("192.0.2.1:53")
	})
}

// dialled are connections in the order in which they were made.
type dialled struct {
	mu  sync.Mutex
	all []string
}

func (d *dialled) add(connection string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, connection)
}

func (d *dialled) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.all)
}

// TestResolvConfOptions: what the options do to queries.
func TestResolvConfOptions(t *testing.T) {
	setup := func(t *testing.T, options, fault string, test func(t *testing.T, v *Verifier, dials *dialled)) {
		following(t, func(t *testing.T, c *configFile) {
			c.write("nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions " + options + "\n")
			z := newZone(googlebotZone + "\nfault * " + fault)
			var dials dialled
			c.r.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				dials.add(network + " " + strings.TrimSuffix(strings.TrimPrefix(address, "192.0.2."), ":53"))
				return z.dial(ctx, network, address)
			}
			v := &Verifier{Resolver: c.r}
			defer v.Close()
			test(t, v, &dials)
		})
	}
	addr := netip.MustParseAddr(googlebotAddr)
	for options, want := range map[string]string{
		"edns0":         "udp 1,udp 1,udp 1,udp 1",
		"rotate":        "udp 1,udp 2,udp 1,udp 2",
		"use-vc":        "tcp 1,tcp 1,tcp 1,tcp 1",
		"rotate use-vc": "tcp 1,tcp 2,tcp 1,tcp 2",
	} {
		setup(t, options, "none", func(t *testing.T, v *Verifier, dials *dialled) {
			for range 2 {
				if got := v.Lookup(t.Context(), "googlebot", addr); got.Verdict != Genuine {
					t.Errorf("%s: got %+v, want genuine", options, got)
				}
			}
			if got := strings.Join(dials.list(), ","); got != want {
				t.Errorf("%s: got %s, want %s", options, got, want)
			}
		})
	}
	for options, want := range map[string]time.Duration{
		"timeout:1 attempts:1": 2 * time.Second, "timeout:1 attempts:2": 4 * time.Second,
		"timeout:2 attempts:1": 4 * time.Second, "timeout:9": lookupTimeout, "attempts:1": lookupTimeout,
	} {
		setup(t, options, "silent", func(t *testing.T, v *Verifier, dials *dialled) {
			start := time.Now()
			v.Lookup(t.Context(), "googlebot", addr)
			if took := time.Since(start); took != want {
				t.Errorf("%s: took %v, want %v", options, took, want)
			}
		})
	}
	for options, want := range map[string]time.Duration{
		"timeout:1": time.Second, "timeout:2": 2 * time.Second, "rotate": udpInterval,
	} {
		setup(t, options, "silent", func(t *testing.T, v *Verifier, dials *dialled) {
			go v.Lookup(t.Context(), "googlebot", addr)
			time.Sleep(want - time.Millisecond)
			synctest.Wait()
			before := slices.Contains(dials.list(), "udp 2")
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if after := slices.Contains(dials.list(), "udp 2"); before || !after {
				t.Errorf("%s: got the next server asked too early (%v) or too late (%v), want it after %v",
					options, before, !after, want)
			}
		})
	}
}

func TestSystemResolver(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "resolv.conf")
	if r, err := systemResolver("linux", missing); err != nil || !slices.Equal(r.Addresses(), []string{localServer}) {
		t.Errorf("without a file: got %v, %v; want %s", r.Addresses(), err, localServer)
	}
	if _, err := systemResolver("windows", missing); err == nil || !strings.Contains(err.Error(), "name a server") {
		t.Errorf("on a system that has no such file: got the error %v, want one that says to name a server", err)
	}
}

// TestResolvConfIsAPipe: what never ends is not read.
func TestResolvConfIsAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Resolver{File: path}
	if got := r.Addresses(); !slices.Equal(got, []string{localServer}) {
		t.Errorf("got the servers %v, want %s", got, localServer)
	}
}
