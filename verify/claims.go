package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Claims recognises the crawlers that a User-Agent claims to be. It is immutable and safe for concurrent use; a nil
// *Claims claims nothing.
//
// A crawler is claimed by one of its product tokens (RFC 9110 section 10.1.5), in any case, where and as Google writes
// it:
//
//   - it is the first thing of the value or of an element of a comment, behind "(" or ";":
//     "Googlebot/2.1 (+http://www.google.com/bot.html)", "(compatible; Googlebot/2.1; …)", "(KHTML, like Gecko;
//     compatible; GoogleOther)"; or it is a product with a version behind another such product or a comment:
//     "Gecko/2 Googlebot/2.1";
//   - behind it comes the end, a version ("/"), the end of the element (";", ")" or ","), a comment, or a hyphen and
//     the rest of a name that begins with the token: "Googlebot-Image/1.0".
//
// So "notgooglebot", "my-googlebot" and "Googlebots" claim nothing, and neither do the honest readers that only say
// whose rules they follow or how they want to be treated: "like Googlebot", "compatible with Googlebot",
// "Googlebot-like", "treat as Googlebot/2.1". Letters, digits, hyphens, underscores and all bytes outside ASCII make
// words. If several crawlers are claimed, the first one counts.
//
// A claim is only a reason to verify: it must never decide anything by itself.
type Claims struct {
	class  [256]byte // what a byte can be, in bits
	tokens []claimToken
}

const (
	inWord  byte = 1 << iota // the byte belongs to a word
	inToken                  // a token begins with the byte
	isMark                   // the byte says where a product or an element of a comment begins
)

type claimToken struct {
	lower string // the product token in lower case
	name  string // of the crawler
}

// NewClaims returns the Claims for the named entries of the Catalogue. Without names it claims nothing. The error names
// every name that is not in the catalogue, and the ones that are.
func NewClaims(names []string) (*Claims, error) {
	catalogue := Catalogue()
	var crawlers []Crawler
	var problems []error
	for _, name := range names {
		at := slices.IndexFunc(catalogue, func(c Crawler) bool { return c.Name == name })
		if at < 0 {
			problems = append(problems, fmt.Errorf("crawler %q: not known; the known ones are %s", name, listNames(catalogue)))
			continue
		}
		if !slices.ContainsFunc(crawlers, func(c Crawler) bool { return c.Name == name }) {
			crawlers = append(crawlers, catalogue[at])
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return ClaimsOf(crawlers)
}

// ClaimsOf returns the Claims for crawlers of the caller's own, the same that Verifier.Crawlers has. The error says
// everything that is wrong with them.
func ClaimsOf(crawlers []Crawler) (*Claims, error) {
	c := &Claims{}
	var problems []error
	names := map[string]bool{}
	for i, crawler := range crawlers {
		problems = append(problems, crawler.check())
		if names[crawler.Name] {
			problems = append(problems, fmt.Errorf("crawler %q: is there twice", crawler.Name))
		}
		if names[crawler.Name] = true; i == mostCrawlers {
			problems = append(problems, fmt.Errorf("%d crawlers: more than %d", len(crawlers), mostCrawlers))
		}
		for _, token := range crawler.Tokens {
			if tokenProblem(token) == "" {
				c.add(strings.ToLower(token), crawler.Name)
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	// The longest token is the one that is meant.
	slices.SortStableFunc(c.tokens, func(a, b claimToken) int { return len(b.lower) - len(a.lower) })
	for b := range c.class {
		if 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_' || b >= 0x80 {
			c.class[b] |= inWord
		}
	}
	for _, b := range []byte(" \t(;/") {
		c.class[b] |= isMark
	}
	return c, nil
}

func (c *Claims) add(lower, name string) {
	for _, t := range c.tokens {
		if strings.HasPrefix(lower, t.lower+"-") && t.name == name {
			return // "googlebot" covers "googlebot-image"
		}
	}
	c.tokens = append(c.tokens, claimToken{lower: lower, name: name})
	c.class[lower[0]] |= inToken
	c.class[lower[0]-'a'+'A'] |= inToken
}

func listNames(catalogue []Crawler) string {
	names := make([]string, len(catalogue))
	for i, crawler := range catalogue {
		names[i] = crawler.Name
	}
	return strings.Join(names, ", ")
}

// Of returns the Name of the crawler that agent, the value of a User-Agent field, claims to be, or "" for none. The
// value may hold any bytes and be of any length; Of does not allocate.
func (c *Claims) Of(agent string) string {
	if c == nil {
		return ""
	}
	first := true      // nothing but blanks since the beginning, "(" or ";"
	follows := false   // nothing but blanks since a product with a version, or a comment
	versioned := false // the word so far has a "/"
	for i := 0; i < len(agent); i++ {
		class := c.class[agent[i]]
		if class&isMark == 0 {
			if !first && !follows {
				continue
			}
			if class&inToken != 0 {
				if name := c.at(agent[i:], first); name != "" {
					return name
				}
			}
			first, follows = false, false
			continue
		}
		switch agent[i] {
		case ' ', '\t':
			follows = follows || versioned || i > 0 && agent[i-1] == ')'
			versioned = false
		case '(', ';':
			first, follows, versioned = true, false, false
		case '/':
			first, follows, versioned = false, false, true
		}
	}
	return ""
}

// at returns the name of the crawler whose token rest begins with. Only where it is the first of its element does it
// need no version.
func (c *Claims) at(rest string, first bool) string {
	for i := range c.tokens {
		t := &c.tokens[i]
		if len(rest) < len(t.lower) || !hasFold(rest, t.lower) {
			continue
		}
		behind := rest[len(t.lower):]
		if behind != "" && behind[0] == '-' {
			suffix := c.word(behind[1:])
			if descriptive(suffix) {
				continue
			}
			behind = behind[1+len(suffix):]
		}
		if strings.HasPrefix(behind, "/") || first && ends(behind) {
			return t.name
		}
	}
	return ""
}

// word returns the letters, digits, hyphens and underscores that text begins with.
func (c *Claims) word(text string) string {
	for i := range len(text) {
		if c.class[text[i]]&inWord == 0 {
			return text[:i]
		}
	}
	return text
}

// descriptive says whether what stands behind a token and a hyphen only compares with the crawler.
func descriptive(suffix string) bool {
	switch len(suffix) {
	case len(""):
		return true
	case len("like"):
		return hasFold(suffix, "like")
	case len("compatible"):
		return hasFold(suffix, "compatible")
	}
	return false
}

// ends says whether a product or an element of a comment can end before text.
func ends(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case ' ', '\t':
		case '(', ')', ';':
			return true
		default:
			return text[i] == ',' && i == 0
		}
	}
	return true
}

// hasFold reports whether s, which is at least as long, begins with lower in any case. Only ASCII letters fold: to
// Unicode the Kelvin sign is a k, to a product token it is not.
func hasFold(s, lower string) bool {
	for i := range len(lower) {
		b := s[i]
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != lower[i] {
			return false
		}
	}
	return true
}
