package config

import (
	"slices"
	"strings"
)

// CrawlerHint is the cure for the name of a crawler that is not among the known ones: the one that was meant, or why
// other companies' crawlers are not there and what is.
func CrawlerHint(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	lower := strings.ToLower(name)
	for _, word := range known {
		if strings.HasPrefix(lower, word+"-") { // a token of a crawler's, such as Googlebot-Image
			return "did you mean " + word + "? It stands for all that begins with its name"
		}
		if first, _, _ := strings.Cut(word, "-"); lower != "" && first == lower {
			return "did you mean " + word + "?"
		}
	}
	if len(known) == 0 {
		return "none is known"
	}
	nearest := known[0]
	if slices.Contains(known, "googlebot") {
		nearest = "googlebot"
	}
	return "only Google documents 421 as the way to opt out of crawling over HTTP/2, so only its crawlers can be sent back: nearest is " +
		nearest + "; known are " + enumerate(
		known,
		"and",
	)
}
