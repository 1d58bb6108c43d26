//go:build peers

package peers

import (
	"fmt"
	"testing"
)

// nginx gets every target byte for byte, over HTTP/1.1 and HTTP/2, from clients of both. What nginx itself turns down
// for its percent signs is answered 400 and on record.
func TestTargetsAtNginx(t *testing.T) {
	dir := folder(t)
	one, two := freePort(t), freePort(t)
	nginx(t, dir, fmt.Sprintf("server { listen %s; return 200 $request_uri; }\nserver { listen %s http2; return 200 $request_uri; }", one, two))
	g := serve(t, setup{sites: fmt.Sprintf(`
  - {hosts: [one.test], origin: "http://%s", http2_crawl: refuse}
  - {hosts: [two.test], origin: "h2c://%s", http2_crawl: refuse}
`, one, two)})
	curl := func(args ...string) string {
		t.Helper()
		said, _ := run(t, tool(t, "curl", fromCurl), append([]string{"-sS", "--max-time", "60", "--path-as-is", "--globoff", "--cacert", g.root,
			"--connect-to", "::127.0.0.1:" + g.port, "-w", " %{http_code}"}, args...)...)
		return said
	}
	requests := 0
	for _, target := range []string{"/a%2Fb", "/a%2Fb|c", "/%2F^\"<>`{}", "//evil.test/%2F|", "///", "/a/./b/../c%2e%2e/", "/?a=%zz|", "/?"} {
		for _, host := range []string{"one.test", "two.test"} {
			for _, protocol := range []string{"--http1.1", "--http2"} {
				requests++
				if got := curl(protocol, "--request-target", target, "https://"+host+"/"); got != target+" 200" {
					t.Errorf("%s from %s %s: %q", target, host, protocol, got)
				}
			}
		}
	}
	for _, target := range []string{"/%", "/100%", "/%zz/"} {
		if got := curl("--request-target", target, "http://"+one+"/"); got[len(got)-4:] != " 400" {
			t.Errorf("nginx takes %s: %q", target, got)
		}
		requests++
		if got := curl("--http1.1", "--request-target", target, "https://one.test/"); got != "400: the request is malformed.\n 400" {
			t.Errorf("%s: %q", target, got)
		}
	}
	records := g.finish(t)
	if malformed := count(records, func(r record) bool { return r.Status == 400 && r.OriginStatus == 0 }); len(records) != requests || malformed != 3 {
		t.Errorf("%d records of %d requests, %d of malformed ones", len(records), requests, malformed)
	}
}
