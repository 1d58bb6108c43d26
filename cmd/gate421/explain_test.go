package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"gate421/gate/server/servertest"
)

// explainable is a configuration with a site of each kind, and a nameserver that knows Googlebot's real address.
func explainable(t *testing.T) (file string, dns *servertest.DNS) {
	t.Helper()
	dns = servertest.NewDNS(t)
	dns.GooglebotAt(t, "66.249.66.1")
	return fileOf(t, fmt.Sprintf(`
state: %q
certificates: {source: local}
verify: {resolver: %q, ranges: embedded}
sites:
  - {hosts: [shop.test, "*.shop.test"], origin: "http://127.0.0.1:3000", http2_crawl: refuse, paths: {/downloads/: allow, "/*.pdf$": observe}}
  - {hosts: [blog.test], origin: "http://127.0.0.1:3000", http2_crawl: observe, guard: null}
  - {hosts: [open.test], origin: "http://127.0.0.1:3000", http2_crawl: allow}
`, t.TempDir(), dns.Addr())), dns
}

func TestExplain(t *testing.T) {
	file, _ := explainable(t)
	for _, test := range []struct{ args, wanted string }{
		{"https://shop.test/", "site=shop.test claim=googlebot rule=http2_crawl state=refuse verdict=genuine assumed=true " +
			"guard=armed action=refuse reason=refused status=421"},
		{"https://SHOP.test./?page=2", "site=shop.test action=refuse reason=refused"},
		{"https://www.shop.test:8443/", "site=shop.test action=refuse reason=refused"},
		{"https://shop.test", "rule=http2_crawl action=refuse reason=refused"},
		{"https://shop.test/ --from 66.249.66.1",
			"verdict=genuine assumed= ptr=crawl-66-249-66-1.googlebot.com action=refuse reason=refused status=421"},
		{"https://shop.test/ --from ::ffff:66.249.66.1", "verdict=genuine action=refuse reason=refused"},
		{"https://shop.test/ --from 192.0.2.7", "verdict=impostor ptr= action=serve reason=impostor status="},
		{"https://shop.test/ --from 66.249.66.1 --http 1.1", "verdict= action=serve reason=http1 status="},
		{"https://shop.test/ --http=1.1", "verdict= assumed= action=serve reason=http1"},
		{"https://shop.test/ --agent curl/8.0", "claim= verdict= action=serve reason=no_claim"},
		{"https://shop.test/ --agent Googlebot-Image/1.0", "claim=googlebot action=refuse"},
		{"https://shop.test/ --agent=", "claim= action=serve reason=no_claim"},
		{"https://shop.test/downloads/a", "rule=/downloads/ state=allow verdict= action=serve reason=allowed"},
		{"https://shop.test/x/y.pdf", "rule=/*.pdf$ state=observe action=serve reason=observed would=refuse"},
		{"https://shop.test/x/y.pdf?z", "rule=http2_crawl state=refuse action=refuse"},
		{"https://shop.test/downloads%2F|a", "rule=http2_crawl"},
		{"https://shop.test/downloads/|%2Fa^\"#/x", "rule=/downloads/"},
		{"https://shop.test?x.pdf", "rule=/*.pdf$"},
		{"https://shop.test/robots.txt", "rule=/robots.txt$ built_in=true state=allow action=serve reason=allowed"},
		{"https://blog.test/", "rule=http2_crawl state=observe action=serve reason=observed would=refuse guard=off"},
		{"https://open.test/", "rule=http2_crawl state=allow action=serve reason=allowed"},
		{"https://elsewhere.test/", "site= rule= action=reject reason=unknown_host status=421"},
		{"https://elsewhere.test/ --http 1.1", "site= rule= action=reject reason=unknown_host status=404"},
	} {
		out := works(t, append([]string{"explain", "--json", "--config", file}, strings.Fields(test.args)...)...)
		var got map[string]any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("explain %s: %v in %q", test.args, err, out)
		}
		if want := servertest.Fields(test.wanted); !maps.Equal(servertest.Only(got, want), want) {
			t.Errorf("explain %s: %v in %v, wanted %v", test.args, servertest.Only(got, want), got, want)
		}
	}
}

func TestExplainInTroubleWithDNS(t *testing.T) {
	file, dns := explainable(t)
	if err := dns.Apply([]string{"fault servfail"}); err != nil {
		t.Fatal(err)
	}
	out := works(t, "explain", "https://shop.test/", "--from", "66.249.66.1", "--config", file)
	for _, line := range []string{"verdict    unknown, servfail", "decision   serve: the origin answers",
		"why        unverified: it could not be verified, and in doubt everyone is served"} {
		if !strings.Contains(out, line) {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
}

func TestExplainInWords(t *testing.T) {
	file, _ := explainable(t)
	for _, test := range []struct{ args, wanted string }{
		{"https://shop.test/a?b", `page       https://shop.test/a?b over HTTP/2
site       shop.test
claim      googlebot
rule       http2_crawl, the site's own state: refuse
verdict    genuine, assumed; --from IP verifies an address
guard      armed
decision   refuse: the gate answers 421
why        refused: a verified crawler over HTTP/2 where the rule says refuse
`},
		{"https://shop.test/robots.txt --from 66.249.66.1", `page       https://shop.test/robots.txt over HTTP/2
site       shop.test
claim      googlebot
rule       /robots.txt$, built in: allow
verdict    not asked for
guard      armed
decision   serve: the origin answers
why        allowed: the rule allows HTTP/2 crawling here
`},
		{"https://elsewhere.test/ --http 1.1 --agent curl", `page       https://elsewhere.test/ over HTTP/1.1
claim      none: the User-Agent names no crawler of this configuration
verdict    not asked for
decision   reject: the gate answers 404
why        unknown_host: no site of the configuration has this host
`},
	} {
		if got := works(t, append([]string{"explain", "--config", file},
			strings.Fields(test.args)...)...); got != test.wanted {
			t.Errorf("explain %s:\n%s\nwanted\n%s", test.args, got, test.wanted)
		}
	}
}

func TestExplainRefusesWhatItCannotExplain(t *testing.T) {
	file, _ := explainable(t)
	for _, address := range []string{"shop.test/a", "/a", "https:///a", "https://shop.test:port/"} {
		fails(t, 2, fmt.Sprintf("gate421: %q is no address of a page\nhint: write it whole: https://example.com/shop/",
			address), "explain", address, "--config", file)
	}
	fails(t, 2, `gate421: --from "66.249.66" is no IP address
hint: addresses look like 66.249.66.1 or 2001:4860:4801:10::1`, "explain", "https://shop.test/", "--from", "66.249.66", "--config", file)
}
