package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"
	"testing"

	"gate421/gate/hint"
	"gate421/gate/server/servertest"
	"gate421/verify"
)

// addresses is a nameserver that knows a genuine address and impostors of each kind.
func addresses(t *testing.T) *servertest.DNS {
	t.Helper()
	dns := servertest.NewDNS(t)
	dns.GooglebotAt(t, "66.249.66.1")
	err := dns.Apply([]string{
		"95.216.227.158 crawl-95-216-227-158.googlebot.com",
		"91.208.197.96 crawl-66-249-66-66.googlebot.com 66.249.66.66",
		"192.0.2.4 crawl-1-2-3-4.fakegooglebot.com 192.0.2.4",
		"192.0.2.5 rate-limited-proxy-192-0-2-5.google.com 192.0.2.5",
	})
	if err != nil {
		t.Fatal(err)
	}
	return dns
}

func TestVerifyInWords(t *testing.T) {
	dns := addresses(t)
	seconds := regexp.MustCompile(`\d+\.\d{3} s`)
	for _, test := range []struct {
		ip      string
		code    int
		wanted  string
		resolve string
	}{
		{"66.249.66.1", 0, `66.249.66.1 is genuine
  reverse name     crawl-66-249-66-1.googlebot.com
  leads back to    66.249.66.1 (from crawl-66-249-66-1.googlebot.com)
  published range  66.249.66.0/27 of Google's published list of common crawlers
  time taken       0.000 s
`, ""},
		{"91.208.197.96", 1, `91.208.197.96 is impostor
  reverse name     crawl-66-249-66-66.googlebot.com
  leads back to    66.249.66.66 (from crawl-66-249-66-66.googlebot.com)
  published range  not in Google's published list of common crawlers
  time taken       0.000 s
`, ""},
		{"185.66.14.133", 1, `185.66.14.133 is impostor
  reverse name     none
  published range  not in Google's published list of common crawlers
  time taken       0.000 s
`, ""},
		{"192.0.2.4", 1, `192.0.2.4 is impostor
  reverse name     crawl-1-2-3-4.fakegooglebot.com
  published range  not in Google's published list of common crawlers
  time taken       0.000 s
`, ""},
	} {
		out, stderr, err := quiet(t.Context(), []string{"verify", test.ip, "--resolver", dns.Addr()}, "")
		got := seconds.ReplaceAllString(out, "0.000 s")
		if exitCode(err) != test.code || stderr != "" || got != test.wanted {
			t.Errorf("verify %s: exit %d, stderr %q\n%s\nwanted exit %d\n%s", test.ip, exitCode(err), stderr, got, test.code,
				test.wanted)
		}
		if err != nil && err.Error() != "" {
			t.Errorf("verify %s says %q on top of its verdict", test.ip, err)
		}
	}
}

func TestVerifyAsJSON(t *testing.T) {
	dns := addresses(t)
	for _, test := range []struct {
		args, stdin string
		code        int
		wanted      []string
	}{
		{"66.249.66.1", "", 0, []string{"ip=66.249.66.1 crawler=googlebot verdict=genuine cause= " +
			"ptr=[crawl-66-249-66-1.googlebot.com] forward=[66.249.66.1] published=66.249.66.0/27"}},
		{"::ffff:66.249.66.1", "", 0, []string{"ip=66.249.66.1 verdict=genuine"}},
		{"66.249.66.1 95.216.227.158", "", 1, []string{"verdict=genuine",
			"ip=95.216.227.158 verdict=impostor ptr=[crawl-95-216-227-158.googlebot.com] forward= published="}},
		{"-", "66.249.66.1\n\n  192.0.2.4  \n", 1, []string{"ip=66.249.66.1 verdict=genuine",
			"ip=192.0.2.4 verdict=impostor"}},
		{"-", "66.249.66.1", 0, []string{"verdict=genuine"}},
		{"192.0.2.5 --crawler adsbot-google", "", 0,
			[]string{"crawler=adsbot-google verdict=genuine ptr=[rate-limited-proxy-192-0-2-5.google.com]"}},
		{"192.0.2.5", "", 1, []string{"crawler=googlebot verdict=impostor"}},
		{"66.249.66.1 --crawler apis-google", "", 1, []string{"crawler=apis-google verdict=impostor"}},
		{"66.249.66.1 --crawler adsbot-google", "", 0, []string{"crawler=adsbot-google verdict=genuine"}},
	} {
		out, stderr, err := quiet(t.Context(), append([]string{"verify", "--json", "--resolver", dns.Addr()},
			strings.Fields(test.args)...), test.stdin)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if exitCode(err) != test.code || stderr != "" || len(lines) != len(test.wanted) {
			t.Errorf("verify %s: exit %d, stderr %q, %q; wanted exit %d", test.args, exitCode(err), stderr, lines, test.code)
			continue
		}
		for i, line := range lines {
			var got map[string]any
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			if want := servertest.Fields(test.wanted[i]); !maps.Equal(servertest.Only(got, want), want) {
				t.Errorf("verify %s: %v in %v, wanted %v", test.args, servertest.Only(got, want), got, want)
			}
		}
	}
}

func TestVerifyInTroubleWithDNS(t *testing.T) {
	t.Parallel()
	for fault, cause := range map[string]string{"fault servfail": "servfail", "fault refused": "refused",
		"down": "unreachable"} {
		dns := addresses(t)
		if err := dns.Apply([]string{fault}); err != nil {
			t.Fatal(err)
		}
		out, _, err := quiet(t.Context(), []string{"verify", "66.249.66.1", "--resolver", dns.Addr()}, "")
		if exitCode(err) != 1 || !strings.HasPrefix(out,
			"66.249.66.1 is unknown ("+cause+")\n  DNS server       "+dns.Addr()) {
			t.Errorf("%s: exit %d, %s; want exit 1 and unknown (%s)", fault, exitCode(err), out, cause)
		}
	}
}

func TestVerifyRefusesWhatIsNoAddress(t *testing.T) {
	const looks = "hint: addresses look like 66.249.66.1 or 2001:4860:4801:10::1"
	dns := addresses(t)
	out := fails(t, 2, "gate421: \"66.249.66.300\" is no IP address\n"+looks, "verify", "66.249.66.1", "66.249.66.300",
		"--resolver", dns.Addr())
	if out != "" {
		t.Errorf("it looked up addresses before it had read them all: %q", out)
	}
	fails(t, 2, "gate421: \"crawl-66-249-66-1.googlebot.com\" is no IP address\n"+looks, "verify",
		"crawl-66-249-66-1.googlebot.com")
	fails(t, 2, "gate421: --crawler: no crawler is known as \"Bingbot\"\n"+
		"hint: only Google documents 421 as the way to opt out of "+
		"crawling over HTTP/2, so only its crawlers can be sent back: nearest is googlebot; known are googlebot, "+
		"storebot-google, "+
		"google-inspectiontool, googleother, google-cloudvertexbot, apis-google, adsbot-google, mediapartners-google and "+
		"google-safety "+
		"(gate421 verify --list says more of each)", "verify", "66.249.66.1", "--crawler", "Bingbot")
	fails(t, 2, "gate421: --crawler: no crawler is known as \"Googlebot\"\n"+
		"hint: did you mean googlebot? (gate421 verify --list "+
		"says more of each)", "verify", "66.249.66.1", "--crawler", "Googlebot")
	_, _, err := quiet(t.Context(), []string{"verify", "66.249.66.1", "--resolver", "dns.example"}, "")
	if exitCode(err) != 2 || !strings.HasPrefix(hint.Message(err), `gate421: resolver "dns.example": `) ||
		!strings.Contains(hint.Message(err), "\nhint: write --resolver 192.0.2.53:53") {
		t.Errorf("a resolver that is no address: exit %d, %s; want exit 2 and a hint", exitCode(err), hint.Message(err))
	}
}

func TestVerifyList(t *testing.T) {
	table := strings.Split(works(t, "verify", "--list"), "\n")
	if len(table) != len(verify.Catalogue())+2 || !strings.HasPrefix(table[0], "NAME ") {
		t.Errorf("verify --list has %d lines for %d crawlers: %q", len(table), len(verify.Catalogue()), table)
	}
	for i, crawler := range verify.Catalogue() {
		line := table[i+1]
		if !strings.HasPrefix(line, crawler.Name+" ") || !strings.Contains(line, strings.Join(crawler.Tokens, ", ")) ||
			!strings.Contains(line, crawler.Names[0]) {
			t.Errorf("the line of %s is %q, want its name, tokens and %s", crawler.Name, line, crawler.Names[0])
		}
	}
	var asJSON []map[string]any
	if err := json.Unmarshal([]byte(works(t, "verify", "--list", "--json")), &asJSON); err != nil {
		t.Fatal(err)
	}
	if len(asJSON) != len(verify.Catalogue()) {
		t.Fatalf("verify --list --json has %d crawlers, want %d", len(asJSON), len(verify.Catalogue()))
	}
	for _, key := range []string{"name", "class", "tokens", "names"} {
		if asJSON[0][key] == nil {
			t.Errorf("verify --list --json has no %q, in the lower case of every other output: %v", key, asJSON[0])
		}
	}
}
