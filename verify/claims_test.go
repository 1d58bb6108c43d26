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
		"\x00Googlebot\x00":                      "googlebot",
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
		"AdsBot-Google Googlebot/2.1": "adsbot-google",
		"notgooglebot googlebot":      "googlebot",

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

func TestClaimsOnlyWhatIsConfigured(t *testing.T) {
	claims, err := NewClaims([]string{"adsbot-google"})
	if err != nil {
		t.Fatal(err)
	}
	if got := claims.Of(agentGooglebot); got != "" {
		t.Errorf("googlebot is not configured and claimed as %q", got)
	}
	if got := claims.Of("AdsBot-Google"); got != "adsbot-google" {
		t.Errorf("Of(AdsBot-Google) = %q", got)
	}
	for _, none := range []*Claims{nil, {}} {
		if got := none.Of(agentGooglebot); got != "" {
			t.Errorf("no claims claim %q", got)
		}
	}
	if none, err := NewClaims(nil); err != nil || none.Of(agentGooglebot) != "" {
		t.Errorf("NewClaims(nil): %v, claims %q", err, none.Of(agentGooglebot))
	}
}

func TestClaimsErrors(t *testing.T) {
	_, err := NewClaims([]string{"googlebot", "gogglebot", "Googlebot"})
	if err == nil {
		t.Fatal("unknown names are accepted")
	}
	for _, want := range []string{`crawler "gogglebot"`, `crawler "Googlebot"`, "googlebot, storebot-google", "google-safety"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestClaimsHostile(t *testing.T) {
	claims := allClaims(t)
	for name, agent := range map[string]string{
		"64 KiB of g":      strings.Repeat("g ", 32<<10),
		"64 KiB of almost": strings.Repeat("googlebo ", 7<<10),
		"64 KiB of NUL":    strings.Repeat("\x00", 64<<10),
		"64 KiB invalid":   strings.Repeat("\xff\xfe", 32<<10),
		"one long word":    strings.Repeat("a", 64<<10) + "googlebot",
	} {
		if got := claims.Of(agent); got != "" {
			t.Errorf("%s: claims %q", name, got)
		}
		if got := claims.Of(agent + " Googlebot/2.1"); got != "googlebot" {
			t.Errorf("%s and then googlebot: claims %q", name, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { claims.Of(agentMobile) }); n != 0 {
		t.Errorf("Of allocates %v times", n)
	}
}
