package admin

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gate421/gate/audit"
	"gate421/gate/guard"
)

// words is a page's text as a reader sees it, tags left out and white space made single.
func words(t *testing.T, page string) string {
	t.Helper()
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(text), " ")
}

// expect reports the wanted texts that are missing, and the others that are not.
func expect(t *testing.T, text string, wanted, unwanted []string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q", want)
		}
	}
	for _, not := range unwanted {
		if strings.Contains(text, not) {
			t.Errorf("has %q", not)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestPageSaysWhatIsGoingOn(t *testing.T) {
	a := example(t, func(c *Config) {
		c.Guard = func() []guard.Status {
			return []guard.Status{
				{
					Site:     "example.com",
					Crawler:  "googlebot",
					Refusals: 3,
					Since:    noon().Add(-4 * time.Minute),
					CameBack: noon().Add(-5 * time.Minute),
				},
			}
		}
		c.Certificates = func() []Certificate {
			return []Certificate{
				{Hosts: []string{"example.com", "www.example.com"}, NotAfter: noon().Add(83*24*time.Hour + time.Hour)},
				{Hosts: []string{"*.example.org"}, NotAfter: noon().Add(5 * time.Hour)},
			}
		}
	})
	for range 1234 {
		a.OnRecord(refusal())
	}
	a.OnRecord(&audit.Record{
		Site: "shop.example.com", Host: "shop.example.com", Method: "HEAD", Path: "/late", Proto: "HTTP/2.0", Claim: "googlebot",
		Verdict: "unknown", VerdictCause: "timeout", Action: "serve", Reason: "unverified", Status: 200,
	})
	page := body(t, get(t, a, "/"))
	expect(t, words(t, page), []string{
		"example.com refuse www.example.com Verified crawlers that come over HTTP/2 are answered 421",
		"refused 1,234 would refuse 0 come-backs 0",
		"Guard googlebot: Watching: 3 refusals since 20 November 2026, 11:56 UTC (4 minutes ago), and it has not come over HTTP/1.x since. Last seen over HTTP/1.x and verified 5 minutes ago.",
		"Mixed states. Google chooses the protocol for a whole site and documents nothing per URL.",
		"/downloads/ allow", "/robots.txt$ built in allow", "/.well-known/acme-challenge/ built in allow",
		"*.example.org observe Everyone is served",
		"12:00:00 example.com as www.example.com /a?b=c HTTP/2 66.249.66.1 claims googlebot crawl-66-249-66-1.googlebot.com",
		"genuine refuse 421 refused",
		"HEAD /late HTTP/2 claims googlebot unknown timeout serve 200 unverified",
		"refuse refused 1,234 A verified crawler came over HTTP/2 and was answered 421",
		"175 older",
		"example.com , www.example.com until 11 February 2027, 13:00 UTC 83 days left",
		"5 hours left", "shop.example.com none yet",
		"takes lines", "gate421 1.2.3 (go1.26.9)", "configuration 3f2a9c01d4be",
	}, []string{"guard has stopped", "takes no lines", "The gateway is"})
	if n := strings.Count(page, "Mixed states."); n != 1 {
		t.Errorf("%d sites said to mix states, want 1", n)
	}
}

func TestTrippedGuardIsLoud(t *testing.T) {
	status := guard.Status{
		Site:     "shop.example.com",
		Crawler:  "adsbot-google",
		Tripped:  true,
		Refusals: 137,
		Since:    noon().Add(-25 * time.Hour),
	}
	later := status
	later.CameBack = noon().Add(-time.Hour)
	wild := status
	wild.Site = "*.example.org"
	everyone := status
	everyone.Crawler = ""
	gone := status
	gone.Site = "gone.example"
	for _, test := range []struct {
		name             string
		status           guard.Status
		wanted, unwanted []string
	}{
		{"tripped", status, []string{
			"Guard tripped – gate421",
			"The guard has stopped refusing adsbot-google on shop.example.com From 19 November 2026, 11:00 UTC (25 hours ago) on, " +
				"verified requests of adsbot-google were refused 137 times and not one came over HTTP/1.x in time.",
			"leaves Google’s index", "So adsbot-google is now served here over HTTP/2 too, as if the state were observe", "gate421 rules resume shop.example.com",
			"gate421 explain https://shop.example.com/ --http 1.1", "shop.example.com refuse guard tripped",
			"While the guard is tripped, HTTP/2 is served to adsbot-google; what", "Guard adsbot-google: Tripped: refusing has stopped.",
		}, []string{"did come back later"}},
		{"come back since", later, []string{"It did come back later: 20 November 2026, 11:00 UTC (60 minutes ago)."}, nil},
		{"wildcard", wild, []string{"gate421 rules resume &#39;*.example.org&#39;", "gate421 explain https://www.example.org/ --http 1.1"}, nil},
		{"of the first versions", everyone, []string{"has stopped refusing every crawler on shop.example.com", "Guard Tripped: refusing has stopped."}, nil},
		{"no live site", gone, nil, []string{"gone.example", "The guard has stopped"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := example(t, func(c *Config) { c.Guard = func() []guard.Status { return []guard.Status{test.status} } })
			expect(t, words(t, body(t, get(t, a, "/"))), test.wanted, test.unwanted)
		})
	}
}

func TestBanners(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Config)
		wanted string
	}{
		{"log", func(c *Config) { c.LogReady = func() bool { return false } }, "The decision log takes no lines Nobody is refused without a line in the log"},
		{"ranges that are old", func(c *Config) {
			c.Ranges = func() []RangeList {
				return []RangeList{{Name: "common-crawlers"}, {Name: "special-crawlers", Fetched: noon().Add(-80 * time.Hour), Stale: true}}
			}
		}, "The published list special-crawlers cannot be refreshed It was last confirmed 3 days ago and is in use as it was then. Verification goes on"},
		{"ranges that never came", func(c *Config) {
			c.Ranges = func() []RangeList { return []RangeList{{Name: "special-crawlers", Stale: true}} }
		}, "The published list special-crawlers cannot be refreshed It has never been fetched"},
		{"no site", func(c *Config) { c.Policy = nil }, "The gateway is not serving: no site is live"},
		{"certificate", func(c *Config) {
			c.Certificates = func() []Certificate {
				return []Certificate{{Hosts: []string{"example.com"}, NotAfter: noon().Add(-50 * time.Hour)}}
			}
		}, "The certificate of example.com has ended It ended 2 days ago."},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, words(t, body(t, get(t, example(t, test.change), "/"))), []string{test.wanted}, nil)
		})
	}
}

func TestRefreshOnlyWhenAsked(t *testing.T) {
	a := example(t, nil)
	for target, follows := range map[string]bool{"/": false, "/?refresh=5": true, "/?refresh=0": false, "/?refresh=5%22%3E%3Cscript%3E": false} {
		if page := body(t, get(t, a, target)); strings.Contains(page, `<meta http-equiv="refresh" content="5">`) != follows ||
			strings.Contains(page, "<script") {
			t.Errorf("%s: follows: %v, want %v", target, !follows, follows)
		}
	}
}

// hostile are values that break out of text, attribute, address or line wherever escaping is forgotten.
func hostile() []string {
	return []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</code></td></table><h1>gone</h1>`,
		"javascript:alert(1)", `{{.Product}}`, "&lt;script&gt;", "a\x00b\x1b[31m\r\nX: y", "\u202Egnp.exe\u200B\u2066", "\xff\xfe<b>\xc0", `<!--`, `]]>`,
		"x\" style=\"display:none", `</title><base href="//evil.example/">`,
	}
}

// TestStrangersCannotWriteThePage compares the tags of a page made of hostile values with those of one made of letters.
func TestStrangersCannotWriteThePage(t *testing.T) {
	page := func(value string) string {
		a := example(t, nil)
		r := audit.Record{
			Site: value, Host: value + ".", Method: value, Path: value, Proto: value, ClientIP: netip.IPv6Unspecified().WithZone(value),
			Agent: value, Claim: value, Verdict: value, VerdictCause: value, PTR: value, Rule: value, Action: value, Reason: value, Would: value,
		}
		a.OnRecord(&r)
		r.Claim = ""
		a.OnRecord(&r)
		return body(t, get(t, a, "/"))
	}
	tag := regexp.MustCompile(`</?[a-zA-Z!][^\s>]*|\s[a-z-]+="`)
	want := tag.FindAllString(page("letters"), -1)
	for _, value := range hostile() {
		got := page(value)
		if tags := tag.FindAllString(got, -1); !slices.Equal(tags, want) {
			t.Errorf("%q changes the page's tags", value)
		}
		if strings.ContainsAny(got, "\x00\x1b\r\u202E\u200B\u2066") || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%q: the page has bytes that cannot be seen", value)
		}
		if strings.Contains(got, `href="javascript`) {
			t.Errorf("%q became an address", value)
		}
	}
}

func TestNothingInlineAndNothingForeign(t *testing.T) {
	a := example(t, nil)
	a.OnRecord(refusal())
	page := body(t, get(t, a, "/"))
	expect(t, page, []string{`<link rel="stylesheet" href="/style.css">`, `name="viewport"`, `lang="en"`},
		[]string{" style=", "<style", "<script", " onclick", "<form", "<img", "<iframe", `src=`, "href=\"http"})
	style := body(t, get(t, a, "/style.css"))
	expect(t, style, []string{"prefers-color-scheme: dark", "max-width"}, []string{"url(", "@import", "http"})
}

func TestWordsForNumbersAndTimes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := digits(n); got != want {
			t.Errorf("digits(%d): %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0 seconds", time.Second: "1 second", 90 * time.Second: "90 seconds", 2 * time.Minute: "2 minutes",
		119 * time.Minute: "119 minutes", 47 * time.Hour: "47 hours", 83*24*time.Hour + 23*time.Hour: "83 days",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%s): %q, want %q", d, got, want)
		}
	}
	if got := clock(noon().Add(-24*time.Hour), noon()); got != "19 Nov 12:00:00" {
		t.Errorf("yesterday: %q", got)
	}
}

func TestPageShowsTheLog(t *testing.T) {
	var stats audit.LogStats
	a := example(t, func(c *Config) { c.Log = func() audit.LogStats { return stats } })
	if page := body(t, get(t, a, "/")); !strings.Contains(page, "On the way to the file: 0 lines.") ||
		strings.Contains(page, " lost</span>") {
		t.Error("a log at rest is not shown as one")
	}
	stats = audit.LogStats{QueueLines: 12_345, LostLines: 1, LeftOutLines: 2}
	page := body(t, get(t, a, "/"))
	for _, want := range []string{"On the way to the file: 12,345 lines.", `<span class="tag warn">1 line lost</span>`, `<span class="tag">2 lines left out</span>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if page := body(t, get(t, example(t, nil), "/")); strings.Contains(page, "On the way to the file") {
		t.Error("there is a queue that nobody knows of")
	}
}

func TestPageShowsTheOrigins(t *testing.T) {
	a := example(t, func(c *Config) {
		c.Origins = func() []Origin {
			return []Origin{
				{Site: "example.com", Address: "http://10.0.0.1:3000", InFlight: 1, Failures: 2},
				{
					Site:     "example.com",
					Address:  "http://10.0.0.2:3000",
					Failures: 3,
					OutUntil: noon().Add(20 * time.Second),
				},
				{Site: "example.com", Address: "http://10.0.0.3:3000", Failures: 3, OutUntil: noon().Add(-time.Second)},
				{Site: "shop.example.com", Address: "unix:/run/shop.sock"},
				{Site: "gone.example", Address: "http://gone.example"},
			}
		}
	})
	page := words(t, body(t, get(t, a, "/")))
	expect(t, page, []string{
		"Origin http://10.0.0.1:3000 1 request in flight, 2 failures", "http://10.0.0.2:3000 fails, left out for 20 seconds",
		"http://10.0.0.3:3000 fails, tried by the next request", "unix:/run/shop.sock 0 requests in flight",
	}, []string{"gone.example"})
}
