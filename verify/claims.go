package verify

import (
	"errors"
	"fmt"
	"strings"
)

// Claims recognises the crawlers that a User-Agent claims to be. It is immutable and safe for concurrent use; a nil
// *Claims claims nothing.
//
// A crawler is claimed by one of its product tokens (RFC 9110 section 10.1.5), in any case and anywhere in the value,
// as Google puts some of them into a comment. The token begins where a word begins and ends where a word ends, or at a
// hyphen: "Googlebot/2.1", "(compatible; Googlebot/2.1)" and "Googlebot-Image/1.0" claim googlebot, "notgooglebot",
// "my-googlebot" and "Googlebots" do not. Letters, digits, hyphens, underscores and all bytes outside ASCII make
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
)

type claimToken struct {
	lower string // the product token in lower case
	name  string // of the catalogue entry
}

// NewClaims returns the Claims for the named entries of the Catalogue. Without names it claims nothing. The error names
// every name that is not in the catalogue, and the ones that are.
func NewClaims(names []string) (*Claims, error) {
	catalogue := Catalogue()
	c := &Claims{}
	var problems []error
	for _, name := range names {
		known := false
		for _, crawler := range catalogue {
			if crawler.Name != name {
				continue
			}
			known = true
			for _, token := range crawler.Tokens {
				c.add(strings.ToLower(token), name)
			}
		}
		if !known {
			problems = append(problems, fmt.Errorf("crawler %q: not known; the known ones are %s", name, listNames(catalogue)))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	for b := range c.class {
		if 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_' || b >= 0x80 {
			c.class[b] |= inWord
		}
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
	boundary := true
	for i := 0; i < len(agent); i++ {
		class := c.class[agent[i]]
		if boundary && class&inToken != 0 {
			if name := c.at(agent[i:]); name != "" {
				return name
			}
		}
		boundary = class&inWord == 0
	}
	return ""
}

// at returns the name of the crawler whose token rest begins with.
func (c *Claims) at(rest string) string {
	for i := range c.tokens {
		t := &c.tokens[i]
		if len(rest) < len(t.lower) || !hasFold(rest, t.lower) {
			continue
		}
		if len(rest) == len(t.lower) {
			return t.name
		}
		if next := rest[len(t.lower)]; next == '-' || c.class[next]&inWord == 0 {
			return t.name
		}
	}
	return ""
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
