package report

import (
	"fmt"
	"strings"
	"testing"
)

// Claims from where no crawler can be say that something hides the clients; one or two tests of the owner's say nothing.
func TestHiddenClients(t *testing.T) {
	for _, test := range []struct {
		client, verdict  string
		claims, verified int
		want             bool
	}{
		{"10.0.0.5", "impostor", 100, 0, true},
		{"10.0.0.0", "impostor", 100, 5000, true},
		{"10.0.0.5", "impostor", 1, 0, true},
		{"10.0.0.5", "impostor", 2, 100, false},
		{"10.0.0.5", "unknown", 100, 0, true},
		{"127.0.0.1", "impostor", 50, 0, true},
		{"172.17.0.1", "impostor", 50, 0, true},
		{"100.64.3.2", "impostor", 50, 0, true},
		{"fd00:1:2::3", "unknown", 50, 0, true},
		{"169.254.1.1", "impostor", 50, 0, true},
		{"fe80::1", "impostor", 50, 0, true},
		{"::ffff:192.168.1.1", "impostor", 50, 0, true},
		{"100.128.3.2", "impostor", 50, 0, false},
		{"192.0.2.1", "impostor", 50, 0, false},
		{"2001:db8::1", "impostor", 50, 0, false},
		{"?", "impostor", 50, 0, false},
	} {
		var log strings.Builder
		for i := range test.claims {
			log.WriteString(crawlLine(i%60, i, "HTTP/2.0", "/", fmt.Sprintf(`,"verdict":%q,"client_ip":%q,"action":"serve","reason":%q`, test.verdict, test.client, test.verdict)))
		}
		for i := range test.verified {
			log.WriteString(crawlLine(i%60, test.claims+i, "HTTP/1.1", "/", `,"client_ip":"66.249.66.1"`))
		}
		got, err := Examine(t.Context(), Question{}, texts([]byte(log.String())))
		if err != nil {
			t.Fatal(err)
		}
		out := text(t, got, TextOptions{Width: 400})
		if said := strings.Contains(out, "Something in front of the gateway hides the clients"); said != test.want {
			t.Errorf("%d claims from %s (%s) and %d verified requests: said %v, want %v\n%+v", test.claims, test.client, test.verdict, test.verified, said, test.want, got.Private)
		}
		if test.want && (got.Private.Requests != int64(test.claims) || got.Private.Claims != int64(test.claims+test.verified) || !strings.Contains(out, got.Private.Network)) {
			t.Errorf("%s: %+v, want %d of %d", test.client, got.Private, test.claims, test.claims+test.verified)
		}
	}
}

// A crawler that came back to an error is not one that did not come.
func TestCameBackToAnError(t *testing.T) {
	log := crawlLine(1, 1, "HTTP/2.0", "/a", "") + crawlLine(2, 2, "HTTP/2.0", "/b", "") + crawlLine(3, 3, "HTTP/1.1", "/a", `,"status":502`) +
		crawlLine(4, 4, "HTTP/1.1", "/a", `,"status":503`)
	got, err := Examine(t.Context(), Question{}, texts([]byte(log)))
	if err != nil {
		t.Fatal(err)
	}
	out := text(t, got, TextOptions{Width: 120})
	for _, want := range []string{"The crawler did come over HTTP/1.1 for 1 of 2 URLs, and your server answered with an error", "Came and got", "503, 22 Nov 2026 00:04"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	page := string(htmlPage(t, got))
	if !strings.Contains(page, "Came and got") || !strings.Contains(page, "503, 22 Nov 2026 00:04") {
		t.Errorf("the page lacks what the crawler got:\n%s", page)
	}
	got, err = Examine(t.Context(), Question{}, texts([]byte(log+crawlLine(5, 5, "HTTP/1.1", "/a", ""))))
	if err != nil || got.Crawl.FailedURLs != 0 || got.Crawl.FetchedURLs != 1 || got.Crawl.ComeBacks != 1 {
		t.Errorf("after a fetch: %v %+v; want one URL fetched and none that got an error", err, got.Crawl)
	}
}
