package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The classes of crawlers and fetchers, as Google groups them. No crawler of the Catalogue is user-triggered: Google
// documents no product token that claims to be one and nothing but it.
const (
	ClassCommon        = "common"
	ClassSpecialCase   = "special-case"
	ClassUserTriggered = "user-triggered"
)

// Masks returns the masks of the reverse names of a class, nil for any other string. The caller may change the slice.
// Source: developers.google.com/crawling/docs/crawlers-fetchers/verify-google-requests.
func Masks(class string) []string {
	switch class {
	case ClassCommon:
		return []string{"crawl-*.googlebot.com", "geo-crawl-*.geo.googlebot.com"}
	case ClassSpecialCase:
		return []string{"rate-limited-proxy-*.google.com"}
	case ClassUserTriggered:
		return []string{"*.gae.googleusercontent.com", "google-proxy-*.google.com"}
	default:
		return nil
	}
}

// Crawler is an entry of the catalogue: how a crawler names itself and how it is verified.
type Crawler struct {
	Name   string   // as in the configuration: "googlebot"
	Class  string   // ClassCommon or ClassSpecialCase; any string for a caller's own
	Tokens []string // product tokens in the User-Agent, in Google's spelling
	Names  []string // masks of its reverse names; the package comment says what a mask matches
	About  string   // what it crawls for, one line
}

// Catalogue returns the crawlers that can be verified, in the order they are listed to users. The caller may change the
// slice. Source: developers.google.com/crawling/docs/crawlers-fetchers, the pages on common crawlers, on
// special-case crawlers and on verifying requests.
func Catalogue() []Crawler {
	common := func() []string { return Masks(ClassCommon) }
	special := func() []string { return Masks(ClassSpecialCase) }
	// AdsBot and Mediapartners-Google also come from the addresses of the common crawlers, whose names are Google's
	// alone. The reverse is neither documented nor seen.
	ads := func() []string { return append(special(), common()...) }
	return []Crawler{
		{
			Name: "googlebot", Class: ClassCommon, Names: common(),
			Tokens: []string{"Googlebot", "Googlebot-Image", "Googlebot-Video", "Googlebot-News"},
			About:  "Google Search, Images, Video, News and Discover",
		},
		{
			Name: "storebot-google", Class: ClassCommon, Names: common(),
			Tokens: []string{"Storebot-Google"},
			About:  "Google Shopping",
		},
		{
			Name: "google-inspectiontool", Class: ClassCommon, Names: common(),
			Tokens: []string{"Google-InspectionTool"},
			About:  "live tests in Search Console and the Rich Results Test",
		},
		{
			Name: "googleother", Class: ClassCommon, Names: common(),
			Tokens: []string{"GoogleOther", "GoogleOther-Image", "GoogleOther-Video"},
			About:  "one-off crawls by Google's product teams",
		},
		{
			Name: "google-cloudvertexbot", Class: ClassCommon, Names: common(),
			Tokens: []string{"Google-CloudVertexBot"},
			About:  "crawls that site owners order for Vertex AI agents",
		},
		{
			Name: "apis-google", Class: ClassSpecialCase, Names: special(),
			Tokens: []string{"APIs-Google"},
			About:  "push notifications of Google's APIs",
		},
		{
			Name: "adsbot-google", Class: ClassSpecialCase, Names: ads(),
			Tokens: []string{"AdsBot-Google", "AdsBot-Google-Mobile"},
			About:  "checks of landing pages for Google Ads",
		},
		{
			Name: "mediapartners-google", Class: ClassSpecialCase, Names: ads(),
			Tokens: []string{"Mediapartners-Google"},
			About:  "AdSense, to choose fitting ads",
		},
		{
			Name: "google-safety", Class: ClassSpecialCase, Names: special(),
			Tokens: []string{"Google-Safety"},
			About:  "checks for malware and abuse",
		},
	}
}

// Trusts reports whether name, a reverse name as the DNS gives it, matches one of the crawler's masks. A name that is
// not made of letters, digits, hyphens and dots alone, or is too long, is never trusted. That a name is trusted proves
// nothing yet: the owner of an address chooses its reverse name. Only the forward lookup proves.
func (c Crawler) Trusts(name string) bool {
	clean, ok := cleanName(name)
	return ok && c.trusts(clean)
}

func (c Crawler) trusts(clean string) bool {
	return slices.ContainsFunc(c.Names, func(mask string) bool { return matchMask(mask, clean) })
}

// matchMask matches a name that cleanName made against a mask in lower case with at most one "*".
func matchMask(mask, clean string) bool {
	before, after, wild := strings.Cut(mask, "*")
	if !wild {
		return mask == clean
	}
	if len(clean) <= len(before)+len(after) || !strings.HasPrefix(clean, before) || !strings.HasSuffix(clean, after) {
		return false
	}
	return strings.IndexByte(clean[len(before):len(clean)-len(after)], '.') < 0
}

// check reports everything that is wrong with a crawler, which may be a caller's own.
func (c Crawler) check() error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("crawler %q: "+format, append([]any{c.Name}, args...)...))
	}
	if c.Name == "" {
		wrong("has no name")
	}
	if len(c.Tokens) == 0 {
		wrong("has no token by which a User-Agent could claim it")
	}
	for _, token := range c.Tokens {
		if problem := tokenProblem(token); problem != "" {
			wrong("token %q: %s", token, problem)
		}
	}
	if len(c.Names) == 0 {
		wrong("has no reverse names by which it could be verified")
	}
	for _, mask := range c.Names {
		if problem := maskProblem(mask); problem != "" {
			wrong("reverse name %q: %s", mask, problem)
		}
	}
	return errors.Join(problems...)
}

// tokenProblem returns what is wrong with a product token; "": nothing.
func tokenProblem(token string) string {
	for i := range len(token) {
		b := token[i]
		letter := 'a' <= b|0x20 && b|0x20 <= 'z'
		if !letter && (i == 0 || !('0' <= b && b <= '9') && b != '-' && b != '_') {
			return "want a letter and then letters, digits, hyphens and underscores"
		}
	}
	if token == "" {
		return "is empty"
	}
	return ""
}

// maskProblem returns what is wrong with a mask; "": nothing. A mask with fewer than two labels after its "*" would
// trust anyone who registers a name.
func maskProblem(mask string) string {
	before, after, wild := strings.Cut(mask, "*")
	clean, ok := cleanName(before + "a" + after)
	switch {
	case strings.Contains(after, "*"):
		return "has more than one *"
	case wild && (!ok || clean != before+"a"+after), !wild && !isClean(mask):
		return "is no host name in lower case with at most one *"
	case wild && strings.Count(after, ".") < 2:
		return "leaves too much open: anyone can have a name like that"
	case len(mask) > maxCachedName:
		return fmt.Sprintf("is longer than %d bytes", maxCachedName)
	}
	return ""
}

func isClean(name string) bool {
	clean, ok := cleanName(name)
	return ok && clean == name
}

// validCrawlers returns those of a caller's crawlers that can be verified, in copies that the caller cannot change.
func validCrawlers(crawlers []Crawler) []Crawler {
	var out []Crawler
	for _, c := range crawlers {
		if c.check() != nil || len(out) == maxCrawlers {
			continue
		}
		c.Names = slices.Clone(c.Names)
		out = append(out, c)
	}
	return out
}
