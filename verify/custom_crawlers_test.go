package verify

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// bingbot is a crawler that is not in the catalogue.
func bingbot() Crawler {
	return Crawler{Name: "bingbot", Tokens: []string{"bingbot", "BingPreview"}, Names: []string{"msnbot-*.search.msn.com"}}
}

func TestCustomCrawlers(t *testing.T) {
	z := newZone(`
1.39.55.157.in-addr.arpa.           300 IN PTR msnbot-157-55-39-1.search.msn.com.
msnbot-157-55-39-1.search.msn.com.  300 IN A   157.55.39.1
` + googlebotZone)
	crawlers := []Crawler{bingbot(), {Name: "broken", Tokens: []string{"broken"}, Names: []string{"*.com"}}}
	v := &Verifier{Crawlers: crawlers, Resolver: z.inMemory(), Wait: 5 * time.Second}
	defer v.Close()
	addr := netip.MustParseAddr("157.55.39.1")
	got := v.Identify(t.Context(), "bingbot", addr)
	if got.Verdict != Genuine || got.PTR != "msnbot-157-55-39-1.search.msn.com" {
		t.Errorf("got %+v, want genuine", got)
	}
	crawlers[0].Names[0] = "crawl-*.googlebot.com" // the caller's slice is the caller's
	if got := v.Identify(t.Context(), "bingbot", netip.MustParseAddr(googlebotAddr)); got.Verdict != Impostor {
		t.Errorf("a Googlebot that says it is Bingbot: got %+v, want impostor", got)
	}
	for _, unknown := range []string{"googlebot", "broken", ""} {
		if got := v.Identify(t.Context(), unknown, addr); got.Verdict != Unknown || got.Cause != CauseCrawler {
			t.Errorf("%q: got %+v, want unknown because of %q", unknown, got, CauseCrawler)
		}
	}
	if got := v.Probe(t.Context()); got.Verdict != Genuine {
		t.Errorf("the probe without Googlebot among Crawlers: got %+v, want genuine", got)
	}
}

// TestTooManyCrawlers: what does not fit is unknown and nobody's impostor.
func TestTooManyCrawlers(t *testing.T) {
	z := newZone(googlebotZone)
	var many []Crawler
	for i := range maxCrawlers + 2 {
		c := bingbot()
		c.Name = "bot" + strings.Repeat("x", i)
		many = append(many, c)
	}
	many[maxCrawlers-1].Names = Masks(ClassCommon)
	v := &Verifier{Crawlers: many, Resolver: z.inMemory(), Wait: 5 * time.Second}
	defer v.Close()
	for i, want := range map[int]Verdict{
		0: Impostor, maxCrawlers - 1: Genuine, maxCrawlers: Unknown, maxCrawlers + 1: Unknown,
	} {
		if got := v.Identify(t.Context(), many[i].Name, netip.MustParseAddr(googlebotAddr)); got.Verdict != want {
			t.Errorf("crawler %d: got %+v, want %s", i, got, want)
		}
	}
	if _, err := ClaimsOf(many); err == nil || !strings.Contains(err.Error(), "34 crawlers: more than 32") {
		t.Errorf("got the error %v, want one that says what is wrong", err)
	}
}

func TestCustomClaims(t *testing.T) {
	longer := Crawler{Name: "bingbot-news", Tokens: []string{"bingbot-News"}, Names: bingbot().Names}
	claims, err := ClaimsOf([]Crawler{bingbot(), longer})
	if err != nil {
		t.Fatal(err)
	}
	for agent, want := range map[string]string{
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)": "bingbot",
		"bingbot-News/1":   "bingbot-news",
		"bingbot-Images/1": "bingbot", "BINGPREVIEW/1.0b": "bingbot", agentGooglebot: "", "reader (like bingbot)": "",
	} {
		if got := claims.Of(agent); got != want {
			t.Errorf("Of(%q) = %q, want %q", agent, got, want)
		}
	}
	if _, err := ClaimsOf(Catalogue()); err != nil {
		t.Errorf("the catalogue: got the error %v, want none", err)
	}
	for problem, change := range map[string]func(*Crawler){
		"has no name":                    func(c *Crawler) { c.Name = "" },
		"has no token":                   func(c *Crawler) { c.Tokens = nil },
		"has no reverse names":           func(c *Crawler) { c.Names = nil },
		`token "": is empty`:             func(c *Crawler) { c.Tokens = []string{""} },
		`token "bing bot": want a`:       func(c *Crawler) { c.Tokens = []string{"bing bot"} },
		`token "1bot": want a`:           func(c *Crawler) { c.Tokens = []string{"1bot"} },
		`token "b\u00f6t": want a`:       func(c *Crawler) { c.Tokens = []string{"b\u00f6t"} },
		`"*.com": leaves too much open`:  func(c *Crawler) { c.Names = []string{"*.com"} },
		`"bot*.com": leaves too much`:    func(c *Crawler) { c.Names = []string{"bot*.com"} },
		`"*": leaves too much open`:      func(c *Crawler) { c.Names = []string{"*"} },
		`"*.*.msn.com": has more than`:   func(c *Crawler) { c.Names = []string{"*.*.msn.com"} },
		`"*.Search.msn.com": is no host`: func(c *Crawler) { c.Names = []string{"*.Search.msn.com"} },
		`"a b.msn.com": is no host`:      func(c *Crawler) { c.Names = []string{"a b.msn.com"} },
		`"": is no host`:                 func(c *Crawler) { c.Names = []string{""} },
		"is longer than 96 bytes":        func(c *Crawler) { c.Names = []string{strings.Repeat("a.", 50) + "msn.com"} },
	} {
		c := bingbot()
		change(&c)
		if _, err := ClaimsOf([]Crawler{c}); err == nil ||
			!strings.Contains(strings.ReplaceAll(err.Error(), "\u00f6", `\u00f6`), problem) {
			t.Errorf("got the error %v, want one that says %s", err, problem)
		}
	}
	if _, err := ClaimsOf([]Crawler{bingbot(), bingbot()}); err == nil ||
		!strings.Contains(err.Error(), "is there twice") {
		t.Errorf("got the error %v, want one that says what is wrong", err)
	}
}

func TestVerdictsAreText(t *testing.T) {
	for verdict, text := range map[Verdict]string{Unknown: "unknown", Impostor: "impostor", Genuine: "genuine"} {
		written, err := json.Marshal(map[Verdict]Verdict{verdict: verdict})
		if want := `{"` + text + `":"` + text + `"}`; err != nil || string(written) != want {
			t.Errorf("%s, %v, want %s", written, err, want)
		}
		var read map[Verdict]Verdict
		if err := json.Unmarshal(written, &read); err != nil || len(read) != 1 || read[verdict] != verdict {
			t.Errorf("%s: got %v, %v, want the verdict that was written", written, read, err)
		}
	}
	for _, text := range []string{"", "Genuine", "genuine ", "2", "\x00"} {
		verdict := Genuine
		if err := verdict.UnmarshalText([]byte(text)); err == nil || verdict != Unknown {
			t.Errorf("%q: got %v, %v, want unknown and an error", text, verdict, err)
		}
	}
	if text, err := Verdict(7).MarshalText(); err != nil || string(text) != "unknown" {
		t.Errorf("%s, %v", text, err)
	}
}
