package verify

import (
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

// Masks returns the masks of the reverse names of a class, nil for any other string. The slice is the caller's. Source:
// developers.google.com/crawling/docs/crawlers-fetchers/verify-google-requests.
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

// Crawler is an entry of the catalogue: how a crawler names itself and how it is recognised.
type Crawler struct {
	Name   string   // as in the configuration: "googlebot"
	Class  string   // ClassCommon or ClassSpecialCase; of a caller's own whatever he likes
	Tokens []string // product tokens in the User-Agent, in Google's spelling
	Names  []string // masks of its reverse names; the package comment says what a mask matches
	About  string   // what it crawls for, one line
}

// Catalogue returns the crawlers that can be verified, in the order they are listed to users. The slice is the
// caller's. Source: developers.google.com/crawling/docs/crawlers-fetchers, the pages on common crawlers, on
// special-case crawlers and on verifying requests.
func Catalogue() []Crawler {
	common := func() []string { return Masks(ClassCommon) }
	special := func() []string { return Masks(ClassSpecialCase) }
	// AdsBot and Mediapartners-Google also come from the addresses of the common crawlers, whose names are Google's
	// alone. The other way round it is neither documented nor seen.
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
// not made of letters, digits, hyphens and dots alone, or is too long, is never trusted. Being trusted proves nothing
// yet: whoever owns an address chooses its reverse name. Only the forward lookup proves.
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

// Limits of RFC 1035 section 2.3.4, for a name without its trailing dot.
const (
	longestName  = 253
	longestLabel = 63
)

// cleanName returns name in lower case without its trailing dot, and whether it is a host name: labels of letters,
// digits and hyphens (RFC 1123 section 2.1), none of them empty, none of them too long. Escapes, which is how odd bytes
// of a DNS message arrive here, do not pass.
func cleanName(name string) (clean string, ok bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > longestName {
		return "", false
	}
	label, upper := 0, false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = 0
			continue
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
		default:
			return "", false
		}
		if label++; label > longestLabel {
			return "", false
		}
	}
	if label == 0 {
		return "", false
	}
	if upper {
		name = strings.ToLower(name)
	}
	return name, true
}

// showName makes any name fit to be shown on a terminal.
func showName(name string) string {
	if clean, ok := cleanName(name); ok {
		return clean
	}
	if len(name) > longestName {
		name = name[:longestName]
	}
	shown := []byte(strings.TrimSuffix(name, "."))
	for i, c := range shown {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			shown[i] = '?'
		}
	}
	return string(shown)
}
