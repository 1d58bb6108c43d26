package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Claims finds the crawler that a User-Agent claims to be. It is immutable and safe for concurrent use; a nil *Claims
// finds none.
//
// A crawler is claimed by one of its product tokens (RFC 9110 section 10.1.5), in any case, where Google writes it:
//
//   - it begins the value or an element of a comment, after "(" or ";":
//     "Googlebot/2.1 (+http://www.google.com/bot.html)", "(compatible; Googlebot/2.1; …)", "(KHTML, like Gecko;
//     compatible; GoogleOther)"; or it is a product with a version after another such product or a comment:
//     "Gecko/2 Googlebot/2.1";
//   - after it comes the end, a version ("/"), the end of the element (";", ")" or ","), a comment, or a hyphen and the
//     rest of a name that begins with the token: "Googlebot-Image/1.0".
//
// So "notgooglebot", "my-googlebot" and "Googlebots" claim nothing, and neither do clients that only say whose rules
// they follow or how they want to be treated: "like Googlebot", "compatible with Googlebot", "Googlebot-like", "treat
// as Googlebot/2.1". Letters, digits, hyphens, underscores and all bytes outside ASCII make words. If several crawlers
// are claimed, the first one counts.
//
// A claim is only a reason to verify and proves nothing.
type Claims struct {
	class  [256]byte // of a byte, as bits
	tokens []claimToken
}

const (
	inWord  byte = 1 << iota // the byte belongs to a word
	inToken                  // a token begins with the byte
	isMark                   // the byte delimits products or elements of a comment
)

type claimToken struct {
	lower string // the product token in lower case
	name  string // of the crawler
}

// NewClaims returns the Claims for the named entries of the Catalogue; without names it finds none. The error lists
// every name that is not in the catalogue, and the ones that are.
func NewClaims(names []string) (*Claims, error) {
	catalogue := Catalogue()
	var crawlers []Crawler
	var problems []error
	for _, name := range names {
		at := slices.IndexFunc(catalogue, func(c Crawler) bool { return c.Name == name })
		if at < 0 {
			problems = append(problems,
				fmt.Errorf("crawler %q: not known; the known ones are %s", name, listNames(catalogue)))
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

// ClaimsOf returns the Claims for crawlers of the caller's own, the same that Verifier.Crawlers has. The error lists
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
		if names[crawler.Name] = true; i == maxCrawlers {
			problems = append(problems, fmt.Errorf("%d crawlers: more than %d", len(crawlers), maxCrawlers))
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
	// The longest token counts.
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
// value may have any bytes and any length; Of does not allocate.
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
				if name := c.match(agent[i:], first); name != "" {
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

// match returns the name of the crawler whose token rest begins with. A token needs a version unless it is the first of
// its element.
func (c *Claims) match(rest string, first bool) string {
	for i := range c.tokens {
		t := &c.tokens[i]
		if len(rest) < len(t.lower) || !hasPrefixFold(rest, t.lower) {
			continue
		}
		after := rest[len(t.lower):]
		if after != "" && after[0] == '-' {
			suffix := c.word(after[1:])
			if descriptive(suffix) {
				continue
			}
			after = after[1+len(suffix):]
		}
		if strings.HasPrefix(after, "/") || first && ends(after) {
			return t.name
		}
	}
	return ""
}

// word returns the letters, digits, hyphens and underscores at the start of text.
func (c *Claims) word(text string) string {
	for i := range len(text) {
		if c.class[text[i]]&inWord == 0 {
			return text[:i]
		}
	}
	return text
}

// descriptive reports whether the suffix after a token and a hyphen only compares the client with the crawler.
func descriptive(suffix string) bool {
	switch len(suffix) {
	case len(""):
		return true
	case len("like"):
		return hasPrefixFold(suffix, "like")
	case len("compatible"):
		return hasPrefixFold(suffix, "compatible")
	}
	return false
}

// ends reports whether a product or an element of a comment can end before text.
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

// hasPrefixFold reports whether s, which is at least as long, begins with lower in any case. Only ASCII letters fold:
// to Unicode the Kelvin sign is a k, to a product token it is not.
func hasPrefixFold(s, lower string) bool {
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
