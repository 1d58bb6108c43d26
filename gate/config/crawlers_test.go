package config

import (
	"strings"
	"testing"
)

func TestCrawlerHint(t *testing.T) {
	known := []string{"googlebot", "storebot-google", "googleother", "adsbot-google", "mediapartners-google"}
	const others = "only Google documents 421 as the way to opt out of crawling over HTTP/2, so only its crawlers can be sent back: " +
		"nearest is googlebot; known are googlebot, storebot-google, googleother, adsbot-google and mediapartners-google"
	for name, want := range map[string]string{
		"gogglebot": "did you mean googlebot?", "Googlebot": "did you mean googlebot?", "ADSBOT_GOOGLE": "did you mean adsbot-google?",
		"Googlebot-Image": "did you mean googlebot? It stands for all that begins with its name",
		"AdsBot":          "did you mean adsbot-google?", "Mediapartners": "did you mean mediapartners-google?",
		"bingbot": others, "Bingbot": others, "Applebot": others, "YandexBot": others, "GPTBot": others, "*": others, "": others,
		strings.Repeat("bot", 99): others,
	} {
		if got := CrawlerHint(name, known); got != want {
			t.Errorf("%q: %s", name, got)
		}
	}
	if got := CrawlerHint("bingbot", nil); got != "none is known" {
		t.Error(got)
	}
}
