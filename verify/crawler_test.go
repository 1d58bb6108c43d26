package verify

import (
	"slices"
	"strings"
	"testing"
)

func crawlerNamed(t testing.TB, name string) Crawler {
	t.Helper()
	for _, c := range Catalogue() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("crawler %q is not in the catalogue", name)
	return Crawler{}
}

func TestTrusts(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	cases := []struct {
		crawler string
		accept  []string
		reject  []string
	}{
		{
			crawler: "googlebot",
			accept: []string{
				"crawl-66-249-66-1.googlebot.com",
				"crawl-66-249-66-1.googlebot.com.",
				"CRAWL-66-249-66-1.GOOGLEBOT.COM",
				"Crawl-66-249-66-1.GoogleBot.Com.",
				"geo-crawl-35-247-243-240.geo.googlebot.com",
				"GEO-crawl-35-247-243-240.GEO.googlebot.com.",
				"crawl-2001-4860-4801-10--1.googlebot.com",
				"crawl-1.googlebot.com",
				"crawl--.googlebot.com",
				"crawl-a.googlebot.com",
				"geo-crawl-1.geo.googlebot.com",
				"crawl-" + label63[:57] + ".googlebot.com",
				// Names that are trusted and must then fail to confirm: the impostors Google's users saw.
				"crawl-95-216-227-158.googlebot.com",
				"crawl-66-249-66-66.googlebot.com",
			},
			reject: []string{
				// Whoever owns these owns forward and reverse.
				"crawl-1-2-3-4.fakegooglebot.com",
				"crawl-1.fakegooglebot.com",
				"crawl-1-2-3-4.notgooglebot.com",
				"crawl-1.xgooglebot.com",
				"crawl-1.-googlebot.com",
				"googlebot.com.evil.tld",
				"crawl-1.googlebot.com.evil.tld",
				"crawl-66-249-66-1.googlebot.com.evil.example.",
				"crawl-66-249-66-1.googlebot.com-evil.example",
				"crawl-66-249-66-1.googlebot.comevil.example",
				"crawl-66-249-66-1.googlebot.co",
				"crawl-66-249-66-1.googlebot.community",
				"crawl-66-249-66-1.googlebot.com.com",
				"crawl-1.googlebot.example",
				"crawl-1.googlebot",
				"crawl-1.g00glebot.com",
				"crawl-1.google-bot.com",
				"crawl-1.googlebot-com",
				"crawl-1googlebot.com",
				"evil-crawl-1.googlebot.com",
				"xcrawl-1.googlebot.com",
				"geo-crawl-1.googlebot.com",
				"geo-crawl-1.geo.googlebot.com.evil.tld",
				"geo-crawl-1.geo.fakegooglebot.com",
				"geo-crawl-1.xgeo.googlebot.com",
				"geo-crawl-1.geo.geo.googlebot.com",
				"geo-crawl-.geo.googlebot.com",
				"geo-crawl-1.2.geo.googlebot.com",
				// The domain alone, and what Google keeps there beside crawlers.
				"googlebot.com",
				"googlebot.com.",
				".googlebot.com",
				"geo.googlebot.com",
				"www.googlebot.com",
				"crawl.googlebot.com",
				"crawl-.googlebot.com",
				"crawl-.googlebot.com.",
				"crawl.1.googlebot.com",
				"crawl-1.2.googlebot.com",
				"crawl-1.crawl-2.googlebot.com",
				"a.crawl-1.googlebot.com",
				// Google's other names: anyone can rent the first.
				"1.2.3.4.bc.googleusercontent.com",
				"x.bc.googleusercontent.com",
				"1-2-3-4.gae.googleusercontent.com",
				"rate-limited-proxy-66-249-90-77.google.com",
				"google-proxy-66-249-81-1.google.com",
				"crawl-1.google.com",
				"crawl-66-249-66-1.google.com",
				"dns.google",
				"*.google.com",
				"crawl-1.1e100.net",
				// Bytes that are not of host names, as presentation form escapes them and as they are.
				"crawl-*.googlebot.com",
				"crawl-1\\.googlebot.com",
				"crawl-1\\.googlebot.com.evil.tld",
				"crawl-1.evil.tld\\.googlebot.com",
				"crawl-\\046.googlebot.com",
				"crawl-\\000.googlebot.com",
				"crawl-\x00.googlebot.com",
				"crawl-1.googlebot.com\x00",
				"crawl-1.googlebot.com\x00.evil.tld",
				"crawl-1 .googlebot.com",
				" crawl-1.googlebot.com",
				"crawl-1.googlebot.com ",
				"crawl-1.googlebot.com\n",
				"crawl-1\x1b[31m.googlebot.com",
				"crawl-\".googlebot.com",
				"crawl-<script>.googlebot.com",
				"crawl-_.googlebot.com",
				"crawl_1.googlebot.com",
				"crawl-1/32.googlebot.com",
				"crawl-1@googlebot.com",
				"crawl-é.googlebot.com",
				"crawl-1.googlebot。com",
				"crawl-1.ɡooglebot.com",
				"crawl-1.xn--ooglebot-qmc.com",
				"xn--crawl-1.googlebot.com",
				"crawl-1.googlebot.com.xn--p1ai",
				"crawl-1.googlebot.\u212aom",
				"crawl-\xff.googlebot.com",
				// Shape.
				"",
				".",
				"..",
				"crawl-1.googlebot.com..",
				"crawl-1..googlebot.com",
				".crawl-1.googlebot.com",
				"crawl-" + label63 + ".googlebot.com",
				"crawl-" + strings.Repeat("a.", 120) + "googlebot.com",
				"crawl-" + strings.Repeat("a", 255) + ".googlebot.com",
			},
		},
		{
			crawler: "adsbot-google",
			accept: []string{
				"rate-limited-proxy-66-249-90-77.google.com",
				"crawl-66-249-66-1.googlebot.com",
				"geo-crawl-35-247-243-240.geo.googlebot.com",
			},
			reject: []string{
				"crawl-1.fakegooglebot.com",
				"crawl-1.google.com",
				"rate-limited-proxy-1.googlebot.com",
				"google-proxy-66-249-81-1.google.com",
				"1-2-3-4.gae.googleusercontent.com",
			},
		},
		{
			crawler: "mediapartners-google",
			accept:  []string{"rate-limited-proxy-66-249-90-77.google.com", "crawl-66-249-66-1.googlebot.com"},
			reject:  []string{"crawl-1.fakegooglebot.com", "google-proxy-66-249-81-1.google.com"},
		},
		{
			crawler: "apis-google",
			accept: []string{
				"rate-limited-proxy-66-249-90-77.google.com",
				"Rate-Limited-Proxy-66-249-90-77.Google.com.",
			},
			reject: []string{
				"crawl-66-249-66-1.googlebot.com",
				"google-proxy-66-249-81-1.google.com",
				"rate-limited-proxy-.google.com",
				"rate-limited-proxy-1.google.com.evil.tld",
				"rate-limited-proxy-1.evilgoogle.com",
				"rate-limited-proxy-1.x.google.com",
				"google.com",
				"www.google.com",
			},
		},
	}
	for _, c := range cases {
		crawler := crawlerNamed(t, c.crawler)
		for _, name := range c.accept {
			if !crawler.Trusts(name) {
				t.Errorf("%s: got %q not trusted, want it trusted", c.crawler, name)
			}
		}
		for _, name := range c.reject {
			if crawler.Trusts(name) {
				t.Errorf("%s: got %q trusted, want it not", c.crawler, name)
			}
		}
	}
}

// TestUserTriggered: what users of Google's cloud can cause to fetch a page is no crawler, whatever it is called.
func TestUserTriggered(t *testing.T) {
	fetcher := Crawler{Names: Masks(ClassUserTriggered)}
	for _, name := range []string{"1-2-3-4.gae.googleusercontent.com", "google-proxy-66-249-81-1.google.com."} {
		if !fetcher.Trusts(name) {
			t.Errorf("%q is not user-triggered", name)
		}
		for _, c := range Catalogue() {
			if c.Trusts(name) {
				t.Errorf("%s trusts %q", c.Name, name)
			}
		}
	}
	for _, name := range []string{
		"gae.googleusercontent.com", ".gae.googleusercontent.com", "x.y.gae.googleusercontent.com",
		"1.bc.googleusercontent.com",
		"1.gae.googleusercontent.com.evil.tld", "1.xgae.googleusercontent.com", "google-proxy-.google.com",
		"google-proxy-1.x.google.com",
	} {
		if fetcher.Trusts(name) {
			t.Errorf("%q is user-triggered", name)
		}
	}
	if got := Masks("x"); got != nil {
		t.Errorf("masks of no class: got %v, want none", got)
	}
}

func TestCatalogue(t *testing.T) {
	tokens := map[string]string{}
	names := map[string]bool{}
	for _, c := range Catalogue() {
		if c.Name == "" || c.About == "" || len(c.Tokens) == 0 || len(c.Names) == 0 || names[c.Name] {
			t.Errorf("crawler %q: incomplete or twice: %+v", c.Name, c)
		}
		names[c.Name] = true
		if c.Class != ClassCommon && c.Class != ClassSpecialCase {
			t.Errorf("crawler %q: class %q", c.Name, c.Class)
		}
		for _, token := range c.Tokens {
			if other, ok := tokens[strings.ToLower(token)]; ok {
				t.Errorf("token %q is of %q and of %q", token, other, c.Name)
			}
			tokens[strings.ToLower(token)] = c.Name
		}
		for _, mask := range c.Names {
			if longest := len(mask) - 1 + maxLabel - strings.Index(mask, "*"); longest > maxCachedName {
				t.Errorf("crawler %q: names of %d bytes match mask %q and are not kept", c.Name, longest, mask)
			}
			if strings.Count(mask, "*") != 1 || mask != strings.ToLower(mask) ||
				!slices.Contains(Masks(c.Class), mask) &&
					(c.Class != ClassSpecialCase || !slices.Contains(Masks(ClassCommon), mask)) {
				t.Errorf("crawler %q: mask %q", c.Name, mask)
			}
		}
	}
	if len(names) > 32 {
		t.Errorf("got %d crawlers, want at most %d", len(names), maxCrawlers)
	}
	first := Catalogue()
	first[0].Names[0], first[0].Tokens[0], first[0].Name = "*", "*", "*"
	if again := Catalogue(); again[0].Names[0] == "*" || again[0].Tokens[0] == "*" || again[0].Name == "*" {
		t.Error("the catalogue can be changed by a caller")
	}
	if other := first[1]; other.Names[0] == "*" {
		t.Error("two crawlers share one slice of masks")
	}
}

func TestPrintableName(t *testing.T) {
	cases := map[string]string{
		"Crawl-1.Googlebot.com.":        "crawl-1.googlebot.com",
		"\x1b[31mred\x1b[0m.example.":   "??31mred??0m.example",
		"a\\000b.example.":              "a?000b.example",
		"<script>.example":              "?script?.example",
		"_dmarc.example.":               "_dmarc.example",
		strings.Repeat("é", 200):        strings.Repeat("?", 253),
		strings.Repeat("a.", 200):       strings.Repeat("a.", 126) + "a",
		"two words\nand a line.example": "two?words?and?a?line.example",
	}
	for name, want := range cases {
		if got := printableName(name); got != want {
			t.Errorf("showName(%q) = %q, want %q", name, got, want)
		}
	}
}
