package verify

import (
	"strings"
	"testing"
)

const (
	agentBrowser   = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36 Edg/1"
	agentGooglebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	agentMobile    = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)

func allClaims(t testing.TB) *Claims {
	t.Helper()
	var names []string
	for _, c := range Catalogue() {
		names = append(names, c.Name)
	}
	claims, err := NewClaims(names)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestClaims(t *testing.T) {
	cases := map[string]string{
		agentGooglebot: "googlebot",
		agentMobile:    "googlebot",
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) Chrome/139.0.0.0 Safari/537.36": "googlebot",
		"Googlebot/2.1 (+http://www.google.com/bot.html)": "googlebot",
		"Googlebot":                              "googlebot",
		"googlebot/2.1":                          "googlebot",
		"GOOGLEBOT/2.1":                          "googlebot",
		"Googlebot-Image/1.0":                    "googlebot",
		"Googlebot-Video/1.0":                    "googlebot",
		"Googlebot-News":                         "googlebot",
		"Googlebot-Mobile/2.1":                   "googlebot",
		"Mozilla/5.0 (compatible;Googlebot/2.1)": "googlebot",
		"\tGooglebot\t":                          "googlebot",
		"a b c (Googlebot)":                      "googlebot",
		"Storebot-Google/1.0":                    "storebot-google",
		"Mozilla/5.0 (X11; Linux x86_64; Storebot-Google/1.0) AppleWebKit/537.36": "storebot-google",
		"Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)":                    "google-inspectiontool",
		"GoogleOther":                           "googleother",
		"GoogleOther-Image/1.0":                 "googleother",
		"Mozilla/5.0 (compatible; GoogleOther)": "googleother",
		"Google-CloudVertexBot":                 "google-cloudvertexbot",
		"APIs-Google (+https://developers.google.com/webmasters/APIs-Google.html)":                                                           "apis-google",
		"AdsBot-Google (+http://www.google.com/adsbot.html)":                                                                                 "adsbot-google",
		"Mozilla/5.0 (Linux; Android 15) Mobile Safari/537.36 (compatible; AdsBot-Google-Mobile; +http://www.google.com/mobile/adsbot.html)": "adsbot-google",
		"Mediapartners-Google":        "mediapartners-google",
		"Google-Safety":               "google-safety",
		"Googlebot/2.1 AdsBot-Google": "googlebot",

		"":                   "",
		agentBrowser:         "",
		"notgooglebot":       "",
		"NotGooglebot/2.1":   "",
		"my-googlebot":       "",
		"my_googlebot":       "",
		"Googlebots/1.0":     "",
		"Googlebot2":         "",
		"Googlebot_2":        "",
		"éGooglebot":         "",
		"Googlebot\u00e9":    "",
		"Googlebot\xff":      "",
		"Google bot":         "",
		"Google":             "",
		"Googlebo":           "",
		"GoogleImageProxy":   "",
		"FeedFetcher-Google": "",
		"Google-Read-Aloud":  "",
		"Google-Safet\u00df": "",
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)": "",
		"curl/8.5.0": "",
	}
	claims := allClaims(t)
	for agent, want := range cases {
		if got := claims.Of(agent); got != want {
			t.Errorf("Of(%q) = %q, want %q", agent, got, want)
		}
	}
}

// TestClaimsOfGoogle has the agents that Google's pages on its crawlers show or showed, and what proxies of its own
// make of them. Each is that crawler's claim.
func TestClaimsOfGoogle(t *testing.T) {
	const (
		nexus   = "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) "
		mobile  = "Chrome/139.0.0.0 Mobile Safari/537.36 "
		desktop = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; "
		bot     = "+http://www.google.com/bot.html)"
		iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 14_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/14.1.2 Mobile/15E148 Safari/604.1 "
	)
	claims := allClaims(t)
	for crawler, agents := range map[string][]string{
		"googlebot": {
			nexus + mobile + "(compatible; Googlebot/2.1; " + bot,
			desktop + "Googlebot/2.1; " + bot + " Chrome/139.0.0.0 Safari/537.36",
			"Mozilla/5.0 (compatible; Googlebot/2.1; " + bot, "Googlebot/2.1 (" + bot, "Googlebot/2.1 (" + bot + ",gzip(gfe)",
			"Googlebot/2.1 (+http://www.googlebot.com/bot.html)", "Googlebot-Image/1.0", "Googlebot-Video/1.0", "Googlebot-News",
			"DoCoMo/2.0 N905i(c100;TB;W24H16) (compatible; Googlebot-Mobile/2.1; " + bot, "Googlebot-richsnippets",
			"SAMSUNG-SGH-E250/1.0 Profile/MIDP-2.0 UP.Browser/6.2.3.3.c.1.101 (GUI) MMP/2.0 (compatible; Googlebot-Mobile/2.1; " + bot,
			"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; Google Web Preview Analytics) Chrome/27.0.1453 Safari/537.36 " +
				"(compatible; Googlebot/2.1; " + bot,
		},
		"storebot-google": {
			"Mozilla/5.0 (X11; Linux x86_64; Storebot-Google/1.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.88 Safari/537.36",
			"Mozilla/5.0 (Linux; Android 8.0; Pixel 2 Build/OPD3.170816.012; Storebot-Google/1.0) AppleWebKit/537.36 " + mobile,
		},
		"google-inspectiontool": {
			nexus + mobile + "(compatible; Google-InspectionTool/1.0;)", "Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)",
			"Mozilla/5.0 (compatible; Google-InspectionTool/1.0)",
		},
		"googleother": {
			nexus + mobile + "(compatible; GoogleOther)", desktop + "GoogleOther) Chrome/139.0.0.0 Safari/537.36", "GoogleOther",
			"GoogleOther-Image/1.0", "GoogleOther-Video/1.0",
		},
		"google-cloudvertexbot": {
			"Google-CloudVertexBot",
			nexus + mobile + "(compatible; Google-CloudVertexBot; +https://cloud.google.com/enterprise-search)",
			desktop + "Google-CloudVertexBot; +https://cloud.google.com/enterprise-search) Chrome/139.0.0.0 Safari/537.36",
		},
		"apis-google": {"APIs-Google (+https://developers.google.com/webmasters/APIs-Google.html)"},
		"adsbot-google": {
			"AdsBot-Google (+http://www.google.com/adsbot.html)", "AdsBot-Google-Mobile-Apps", "AdsBot-Google",
			nexus + mobile + "(compatible; AdsBot-Google-Mobile; +http://www.google.com/mobile/adsbot.html)",
			iphone + "(compatible; AdsBot-Google-Mobile; +http://www.google.com/mobile/adsbot.html)",
			"AdsBot-Google-Mobile (+http://www.google.com/mobile/adsbot.html) Mozilla (iPhone; U; CPU iPhone OS 3 0 like Mac OS X)",
		},
		"mediapartners-google": {
			"Mediapartners-Google", "Mediapartners-Google,gzip(gfe)", iphone + "(compatible; Mediapartners-Google/2.1; " + bot,
			"DoCoMo/2.0 SH905i(c100;TB;W24H16) (compatible; Mediapartners-Google/2.1; " + bot,
		},
		"google-safety": {"Google-Safety", nexus + mobile + "(compatible; Google-Safety; " + bot},
	} {
		for _, agent := range agents {
			if got := claims.Of(agent); got != crawler {
				t.Errorf("Of(%q) = %q, want %q", agent, got, crawler)
			}
		}
	}
}

// TestNoClaims has agents that say which crawler they want to be treated like, and do not say they were
// it.
func TestNoClaims(t *testing.T) {
	claims := allClaims(t)
	for _, agent := range []string{
		"FreshRSS/1.26.1 (Linux; https://freshrss.org) like Googlebot",
		"FreshRSS/1.26.1 (Linux; https://freshrss.org) like Googlebot/2.1",
		"SentiBot www.sentibot.eu (compatible with Googlebot)",
		`Mozilla/5.0 (compatible; SentiBot 1.0; +https://www.sentibot.eu "like Googlebot")`,
		`Mozilla/5.0 (compatible; SentiBot 1.0; "Googlebot")`,
		"Mozilla/5.0 (compatible;acapbot/0.1;treat like Googlebot)",
		"Mozilla/5.0 (compatible; reader/1.0; like Googlebot/2.1; +https://reader.example/)",
		"reader/1.0 (like Googlebot)", "reader/1.0 (LIKE GOOGLEBOT)", "reader/1.0 (KHTML, like Gecko) like Googlebot/2.1",
		"reader/1.0 (follows Googlebot; AdsBot-Google-like)", "reader/1.0 like  \t Googlebot/2.1", "like Googlebot",
		"Gwene/1.0 (The gwene.org rss-to-news gateway) Googlebot",
		"Mozilla/5.0 (compatible; MSIE or Firefox mutant; not on Windows server;) Daumoa/4.0 (Following Mediapartners-Google)",
		"Mozilla/5.0 AppleWebKit (compatible; s4a-probe-bot/1.0; Fake-Googlebot; +https://www.seo4ajax.com/webscraper)",
		"Googlebot-like/1.0", "Googlebot-compatible reader/1.0 (+https://reader.example/)", "Googlebot-",
		"Googlebot deepcrawl", "OnPageBot (compatible; Googlebot 2.1; +https://bot.onpage.org/)", "Googlebot simulator/1.0",
		"reader/1.0 (+https://reader.example/Googlebot/2.1)", "reader/1.0 (not Googlebot; GoogleOther rules apply)",
		"AdsBot-Google Googlebot/2.1", "notgooglebot googlebot", "\x00Googlebot\x00", "Googlebot\x00/2.1",
	} {
		if got := claims.Of(agent); got != "" {
			t.Errorf("Of(%q): got %q, want no claim", agent, got)
		}
	}
	// An honest word does not excuse a claim behind it, and impostors write what they like where Google writes it.
	for _, agent := range []string{
		"reader/1.0 (like Googlebot) Googlebot/2.1", "reader/1.0 (like Googlebot; Googlebot/2.1)",
		"Mozilla/5.0 (X11; Googlebot)",
		"Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.7) Gecko/20040805 Googlebot/2.1", "Googlebot (gocrawl v0.4)",
		"Mozilla/4.0(compatible; Googlebot/5.0;  http://www.google.com/googlebot)",
		"googlebot/2.1; +http://www.google.com/bot.html",
	} {
		if got := claims.Of(agent); got != "googlebot" {
			t.Errorf("Of(%q) = %q, want googlebot", agent, got)
		}
	}
}

func TestClaimsOnlyWhatIsConfigured(t *testing.T) {
	claims, err := NewClaims([]string{"adsbot-google"})
	if err != nil {
		t.Fatal(err)
	}
	if got := claims.Of(agentGooglebot); got != "" {
		t.Errorf("googlebot is not configured: got the claim %q, want none", got)
	}
	if got := claims.Of("AdsBot-Google"); got != "adsbot-google" {
		t.Errorf("Of(AdsBot-Google) = %q", got)
	}
	for _, none := range []*Claims{nil, {}} {
		if got := none.Of(agentGooglebot); got != "" {
			t.Errorf("a nil *Claims: got %q, want no claim", got)
		}
	}
	if none, err := NewClaims(nil); err != nil || none.Of(agentGooglebot) != "" {
		t.Errorf("NewClaims(nil): got %v and the claim %q, want no error and none", err, none.Of(agentGooglebot))
	}
}

func TestClaimsErrors(t *testing.T) {
	_, err := NewClaims([]string{"googlebot", "gogglebot", "Googlebot"})
	if err == nil {
		t.Fatal("unknown names: got no error, want one")
	}
	for _, want := range []string{
		`crawler "gogglebot"`, `crawler "Googlebot"`, "googlebot, storebot-google", "google-safety",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestClaimsOfAnyBytes(t *testing.T) {
	claims := allClaims(t)
	for name, agent := range map[string]string{
		"64 KiB of g":      strings.Repeat("g ", 32<<10),
		"64 KiB of almost": strings.Repeat("googlebo ", 7<<10),
		"64 KiB of NUL":    strings.Repeat("\x00", 64<<10),
		"64 KiB invalid":   strings.Repeat("\xff\xfe", 32<<10),
		"one long word":    strings.Repeat("a", 64<<10) + "googlebot",
	} {
		if got := claims.Of(agent); got != "" {
			t.Errorf("%s: got %q, want no claim", name, got)
		}
		if got := claims.Of(agent + "; Googlebot/2.1"); got != "googlebot" {
			t.Errorf("%s and then googlebot: claims %q", name, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { claims.Of(agentMobile) }); n != 0 {
		t.Errorf("Of allocates %v times, want 0", n)
	}
}
