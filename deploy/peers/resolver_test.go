//go:build peers

package peers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gate421/verify/verifytest"

	"github.com/miekg/dns"
)

const (
	fromUnbound = "apt-get install unbound"
	fromDnsmasq = "apt-get install dnsmasq-base"
	fromLibc    = "apt-get install libc-bin"
)

// startOdd serves what z knows at address, over UDP and, if tcp is set, over TCP, and is odd in one way: odd changes
// its replies, and returns nil for silence. Nil odd: it is not.
func startOdd(t *testing.T, z *zone, address string, tcp bool, odd func(query, reply *dns.Msg) *dns.Msg) *verifytest.Server {
	t.Helper()
	s := verifytest.New(z.records)
	t.Cleanup(s.Close)
	if odd != nil {
		s.SetFault(func(_ string, query, reply []byte) []byte {
			q, r := new(dns.Msg), new(dns.Msg)
			if q.Unpack(query) != nil || r.Unpack(reply) != nil {
				return nil
			}
			if r = odd(q, r); r == nil {
				return nil
			}
			packed, err := r.Pack()
			if err != nil {
				t.Error(err)
			}
			return packed
		})
	}
	if tcp {
		if err := s.Listen(address); err != nil {
			t.Fatal(err)
		}
		return s
	}
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.ServePacket(socket)
	return s
}

// bare leaves nothing of a reply but its code.
func bare(reply *dns.Msg, code int) *dns.Msg {
	reply.Rcode, reply.Question, reply.Answer, reply.Ns, reply.Extra = code, nil, nil, nil, nil
	return reply
}

// withEDNS and withCase make a server odd to questions with EDNS(0), or with capitals in the name.
func withEDNS(odd func(reply *dns.Msg) *dns.Msg) func(query, reply *dns.Msg) *dns.Msg {
	return func(query, reply *dns.Msg) *dns.Msg {
		if query.IsEdns0() == nil {
			return reply
		}
		return odd(reply)
	}
}

func withCase(odd func(reply *dns.Msg) *dns.Msg) func(query, reply *dns.Msg) *dns.Msg {
	return func(query, reply *dns.Msg) *dns.Msg {
		if name := query.Question[0].Name; name == strings.ToLower(name) {
			return reply
		}
		return odd(reply)
	}
}

func silent(*dns.Msg) *dns.Msg { return nil }

func rcode(code int) func(*dns.Msg) *dns.Msg {
	return func(reply *dns.Msg) *dns.Msg {
		reply.Rcode, reply.Answer, reply.Ns, reply.Extra = code, nil, nil, nil
		return reply
	}
}

func rcodeOnly(code int) func(*dns.Msg) *dns.Msg {
	return func(reply *dns.Msg) *dns.Msg { return bare(reply, code) }
}

func lowerCase(reply *dns.Msg) *dns.Msg {
	reply.Question[0].Name = strings.ToLower(reply.Question[0].Name)
	return reply
}

// asSystem runs a program for which the system's resolver is what resolv.conf says, and nothing but the DNS.
func asSystem(t *testing.T, resolvConf string, program string, args ...string) (string, error) {
	t.Helper()
	dir := folder(t)
	write(t, filepath.Join(dir, "resolv.conf"), []byte(resolvConf))
	write(t, filepath.Join(dir, "nsswitch.conf"), []byte("hosts: dns\n"))
	script := `for f in resolv nsswitch; do mount --bind "$0/$f.conf" "$(readlink -f /etc/$f.conf)"; done; exec "$@"`
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(t, "unshare", fromUtilLinux), append([]string{"-m", "sh", "-e", "-c", script, dir, program}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// cLibrary says whether the C library finds an address's name and that the name leads back.
func cLibrary(t *testing.T, resolvConf, address, name string) bool {
	t.Helper()
	getent := tool(t, "getent", fromLibc)
	reverse, _ := asSystem(t, resolvConf, getent, "hosts", address)
	forward, _ := asSystem(t, resolvConf, getent, "hosts", name)
	return strings.Contains(reverse, name) && strings.HasPrefix(forward, address+" ")
}

// verified is what gate421 verify says, by the system's resolver.
func verified(t *testing.T, resolvConf, address string) (verdict string, took time.Duration) {
	t.Helper()
	start := time.Now()
	out, _ := asSystem(t, resolvConf, program(t), "verify", address)
	first, _, _ := strings.Cut(out, "\n")
	return strings.TrimPrefix(first, address+" is "), time.Since(start)
}

// TestOddServersBesideTheCLibrary: whatever the C library gets an answer from verifies, for IPv4 and IPv6.
func TestOddServersBesideTheCLibrary(t *testing.T) {
	if !inside(t) {
		return
	}
	z := googleZone(t)
	odd := map[string]func(query, reply *dns.Msg) *dns.Msg{
		"nothing odd":                      nil,
		"EDNS: FORMERR":                    withEDNS(rcode(dns.RcodeFormatError)),
		"EDNS: FORMERR, a header":          withEDNS(rcodeOnly(dns.RcodeFormatError)),
		"EDNS: NOTIMP, a header":           withEDNS(rcodeOnly(dns.RcodeNotImplemented)),
		"EDNS: SERVFAIL":                   withEDNS(rcode(dns.RcodeServerFailure)),
		"EDNS: SERVFAIL, a header":         withEDNS(rcodeOnly(dns.RcodeServerFailure)),
		"EDNS: REFUSED, a header":          withEDNS(rcodeOnly(dns.RcodeRefused)),
		"EDNS: silence":                    withEDNS(silent),
		"capitals: lower case":             withCase(lowerCase),
		"capitals: silence":                withCase(silent),
		"capitals: NXDOMAIN":               withCase(rcode(dns.RcodeNameError)),
		"capitals: SERVFAIL, a header":     withCase(rcodeOnly(dns.RcodeServerFailure)),
		"capitals: NOERROR, nothing in it": withCase(rcode(dns.RcodeSuccess)),
	}
	crawlers := map[string]string{
		googlebot4: "crawl-66-249-66-1.googlebot.com", googlebot6: "crawl-2001-4860-4801-10--1.googlebot.com",
	}
	rows := 0
	for about, how := range odd {
		for _, tcp := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, TCP %v", about, tcp), func(t *testing.T) {
				rows++
				address := fmt.Sprintf("127.0.1.%d", rows) // a port that nobody else has
				startOdd(t, z, address+":53", tcp, how)
				conf := "nameserver " + address + "\n"
				for crawler, name := range crawlers {
					found := cLibrary(t, conf, crawler, name)
					verdict, took := verified(t, conf, crawler)
					t.Logf("%s: the C library finds it: %v; gate421 says %s after %v", crawler, found, verdict, took.Round(time.Millisecond))
					if !found || verdict != "genuine" {
						t.Errorf("%s: the C library finds it: %v; gate421 says %s", crawler, found, verdict)
					}
				}
				if verdict, _ := verified(t, conf, forgedDead); verdict != "impostor" {
					t.Errorf("a forged name is %s", verdict)
				}
			})
		}
	}
}

// TestServersThatDenyBesideTheCLibrary: what neither proves nor properly denies leaves Googlebot unknown, never an
// impostor; a server that takes more than a second for every answer proves it all the same.
func TestServersThatDenyBesideTheCLibrary(t *testing.T) {
	if !inside(t) {
		return
	}
	z := googleZone(t)
	always := func(change func(reply *dns.Msg)) func(query, reply *dns.Msg) *dns.Msg {
		return func(_, reply *dns.Msg) *dns.Msg {
			change(reply)
			return reply
		}
	}
	for i, row := range []struct {
		about   string
		odd     func(query, reply *dns.Msg) *dns.Msg
		library bool // it finds Googlebot
		verdict string
	}{
		{"NXDOMAIN with the records", always(func(reply *dns.Msg) { reply.Rcode = dns.RcodeNameError }), false, "unknown (garbage)"},
		{"NOERROR with nothing", always(func(reply *dns.Msg) { reply.Answer, reply.Ns = nil, nil }), false, "unknown (indefinite)"},
		{"SERVFAIL, a header", always(func(reply *dns.Msg) { bare(reply, dns.RcodeServerFailure) }), false, "unknown (servfail)"},
		{"REFUSED, a header", always(func(reply *dns.Msg) { bare(reply, dns.RcodeRefused) }), false, "unknown (refused)"},
		{"records of another name", always(func(reply *dns.Msg) {
			for _, rr := range reply.Answer {
				rr.Header().Name = "other.example."
			}
		}), false, "unknown (garbage)"},
		{"0.0.0.0 for every address", always(func(reply *dns.Msg) {
			for _, rr := range reply.Answer {
				if a, ok := rr.(*dns.A); ok {
					a.A = net.IPv4zero
				}
			}
		}), false, "unknown (filtered)"},
		{"NXDOMAIN with its SOA record", func(query, reply *dns.Msg) *dns.Msg {
			reply.Rcode, reply.Answer = dns.RcodeNameError, nil
			reply.Ns = []dns.RR{&dns.SOA{
				Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
				Ns:  "ns.google.com.", Mbox: "host.google.com.", Minttl: 60,
			}}
			return reply
		}, false, "impostor"},
		{"1.1 s for every answer", always(func(*dns.Msg) { time.Sleep(1100 * time.Millisecond) }), true, "genuine"},
		{"1.1 s, and it drops EDNS", withEDNS(silent), true, "genuine"},
	} {
		t.Run(row.about, func(t *testing.T) {
			odd := row.odd
			if strings.HasPrefix(row.about, "1.1 s, and") {
				odd = func(query, reply *dns.Msg) *dns.Msg {
					time.Sleep(1100 * time.Millisecond)
					return row.odd(query, reply)
				}
			}
			address := fmt.Sprintf("127.0.4.%d", i+1)
			startOdd(t, z, address+":53", true, odd)
			conf := "nameserver " + address + "\n"
			library := cLibrary(t, conf, googlebot4, "crawl-66-249-66-1.googlebot.com")
			verdict, took := verified(t, conf, googlebot4)
			t.Logf("the C library finds it: %v; gate421 says %s after %v", library, verdict, took.Round(time.Millisecond))
			if library != row.library || verdict != row.verdict {
				t.Errorf("the C library finds it: %v, want %v; gate421 says %s, want %s", library, row.library, verdict, row.verdict)
			}
		})
	}
}

// forwarder is a real resolver in front of the zone.
type forwarder struct {
	name  string
	start func(t *testing.T, dir, address, upstream string)
}

func forwarders() []forwarder {
	unbound := func(options string) func(t *testing.T, dir, address, upstream string) {
		return func(t *testing.T, dir, address, upstream string) {
			conf := write(t, filepath.Join(dir, "unbound.conf"), fmt.Appendf(nil, `
server:
  interface: %s
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "%s"
  pidfile: ""
  use-syslog: no
  verbosity: 1
  do-not-query-localhost: no
  module-config: "iterator"
  access-control: 127.0.0.0/8 allow
  local-zone: "127.in-addr.arpa." nodefault
%s
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: %s
`, address, dir, options, upstream))
			start(t, "start of service", tool(t, "unbound", fromUnbound), "-d", "-c", conf)
		}
	}
	dnsmasq := func(options ...string) func(t *testing.T, dir, address, upstream string) {
		return func(t *testing.T, dir, address, upstream string) {
			args := append([]string{"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--bind-interfaces", "--pid-file",
				"--listen-address=" + address, "--server=" + upstream, "--log-facility=-", "--log-queries"}, options...)
			start(t, "started", tool(t, "dnsmasq", fromDnsmasq), args...)
		}
	}
	named := func(options string) func(t *testing.T, dir, address, upstream string) {
		return func(t *testing.T, dir, address, upstream string) {
			conf := write(t, filepath.Join(dir, "named.conf"), fmt.Appendf(nil, `
options { directory "%s"; listen-on { %s; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; dnssec-validation no;
  recursion yes; allow-query { any; }; forward only; forwarders { %s; }; empty-zones-enable no; %s };
controls { };
`, dir, address, upstream, options))
			start(t, " running", tool(t, "named", fromBind), "-g", "-n", "1", "-c", conf)
		}
	}
	return []forwarder{
		{"unbound", unbound("")},
		{"unbound, hardened, with names in mixed case", unbound(`
  use-caps-for-id: yes
  harden-short-bufsize: yes
  harden-large-queries: yes
  harden-glue: yes
  harden-referral-path: yes
  harden-below-nxdomain: yes
  harden-algo-downgrade: yes
  qname-minimisation: yes
  qname-minimisation-strict: yes
  deny-any: yes
  minimal-responses: yes`)},
		{"unbound, UDP of 512 bytes", unbound("  edns-buffer-size: 512\n  max-udp-size: 512")},
		{"unbound, TCP alone", unbound("  do-udp: no")},
		{"unbound, without TCP", unbound("  do-tcp: no")},
		{"dnsmasq", dnsmasq()},
		{"dnsmasq, UDP of 512 bytes", dnsmasq("--edns-packet-max=512")},
		{"dnsmasq, without a cache", dnsmasq("--cache-size=0")},
		{"dnsmasq, private networks and DNS rebinding kept out", dnsmasq("--bogus-priv", "--stop-dns-rebind", "--domain-needed")},
		{"bind9", named("")},
		{"bind9, minimal", named("minimal-responses yes; edns-udp-size 512; max-udp-size 512;")},
	}
}

// TestRealResolvers: through real resolvers, in plain and in odd settings, crawlers are proven and impostors denied,
// also from the resolver's own cache.
func TestRealResolvers(t *testing.T) {
	if !inside(t) {
		return
	}
	z := googleZone(t)
	startOdd(t, z, "127.0.0.99:53", true, nil)
	const address = "127.0.0.1" // some of them want one that an interface has
	for _, f := range forwarders() {
		t.Run(f.name, func(t *testing.T) {
			f.start(t, folder(t), address, "127.0.0.99")
			conf := "nameserver " + address + "\n"
			if strings.Contains(f.name, "TCP alone") {
				conf += "options use-vc\n"
			}
			for range 2 { // the second time from its cache
				for crawler, name := range map[string]string{
					googlebot4: "crawl-66-249-66-1.googlebot.com", googlebot6: "crawl-2001-4860-4801-10--1.googlebot.com",
				} {
					found := cLibrary(t, conf, crawler, name)
					if verdict, took := verified(t, conf, crawler); verdict != "genuine" || !found {
						t.Errorf("%s is %s after %v; the C library finds it: %v", crawler, verdict, took, found)
					}
				}
				for _, impostor := range []string{forgedBack, forgedDead, "192.0.2.1", "2001:db8::1"} {
					if verdict, took := verified(t, conf, impostor); verdict != "impostor" {
						t.Errorf("%s is %s after %v", impostor, verdict, took)
					}
				}
			}
		})
	}
}

// TestResolvConfIsFollowed: the running gateway asks whom /etc/resolv.conf names, from a moment after it does.
func TestResolvConfIsFollowed(t *testing.T) {
	if !inside(t) {
		return
	}
	z := googleZone(t, "66.249.66.2", "66.249.66.3")
	startOdd(t, z, "127.0.3.1:53", true, nil)
	second := startOdd(t, z, "127.0.3.2:53", true, nil)
	dir := folder(t)
	conf := write(t, filepath.Join(dir, "resolv.conf"), []byte("nameserver 127.0.3.9\n"))
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	output(t, tool(t, "mount", fromUtilLinux), "--bind", conf, target) // of this process's own mount namespace
	t.Cleanup(func() { exec.Command("umount", target).Run() })
	g := serve(t, setup{listen: ":0", resolver: "system", wait: "1s", sites: fmt.Sprintf(`
  - {hosts: [%s], origin: "http://%s", http2_crawl: refuse}
`, shop, onePage(t))})
	ask := func(from, path string) int {
		return g.curl(t, visit{from: from, agent: googlebotAgent, proto: "HTTP/2.0", url: "https://" + shop + path}).status
	}
	if status := ask(googlebot4, "/nobody"); status != 200 {
		t.Errorf("without a DNS server: %d", status)
	}
	for i, step := range []struct{ text, from, said string }{
		{"nameserver 127.0.3.1\n", "66.249.66.2", "the DNS servers are now 127.0.3.1:53; until now 127.0.3.9:53"},
		{"# a VPN\nnameserver 127.0.3.2\noptions timeout:1\n", "66.249.66.3", "the DNS servers are now 127.0.3.2:53; until now 127.0.3.1:53"},
	} {
		if err := os.WriteFile(conf, []byte(step.text), 0o644); err != nil {
			t.Fatal(err)
		}
		g.process.await(t, step.said)
		if status := ask(step.from, fmt.Sprintf("/step/%d", i)); status != 421 {
			t.Errorf("%q: %d", step.text, status)
		}
	}
	if second.Queries("", "") == 0 {
		t.Error("the second server was not asked")
	}
	g.finish(t)
}
