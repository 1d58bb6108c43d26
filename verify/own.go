package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// check says everything that is wrong with a crawler, which may be a caller's own.
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

// tokenProblem says what is wrong with a product token; "": nothing.
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

// maskProblem says what is wrong with a mask; "": nothing. A mask whose "*" has fewer than two labels behind it would trust
// whoever registers a name.
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
	case len(mask) > longestKept:
		return fmt.Sprintf("is longer than %d bytes", longestKept)
	}
	return ""
}

func isClean(name string) bool {
	clean, ok := cleanName(name)
	return ok && clean == name
}

// sound returns those of a caller's crawlers that can be verified, as the caller cannot change them any more.
func sound(crawlers []Crawler) []Crawler {
	var out []Crawler
	for _, c := range crawlers {
		if c.check() != nil || len(out) == mostCrawlers {
			continue
		}
		c.Names = slices.Clone(c.Names)
		out = append(out, c)
	}
	return out
}
