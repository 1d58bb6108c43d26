package verify

import "slices"

// CommonCrawlersURL is where Google publishes the ranges of its common crawlers.
const CommonCrawlersURL = "https://developers.google.com/static/crawling/ipranges/common-crawlers.json"

// RangeURLs returns the URLs of the lists that Google publishes for a class, nil for any other string; range_list.go
// says how often each is requested. The caller may change the slice. Source:
// developers.google.com/crawling/docs/crawlers-fetchers/verify-google-requests.
func RangeURLs(class string) []string {
	const folder = "https://developers.google.com/static/crawling/ipranges/"
	switch class {
	case ClassCommon:
		return []string{CommonCrawlersURL}
	case ClassSpecialCase:
		return []string{folder + "special-crawlers.json"}
	case ClassUserTriggered:
		return []string{
			folder + "user-triggered-fetchers.json",
			folder + "user-triggered-fetchers-google.json",
			folder + "user-triggered-agents.json",
		}
	default:
		return nil
	}
}

// allRangeURLs returns the lists of every class.
func allRangeURLs() []string {
	return slices.Concat(RangeURLs(ClassCommon), RangeURLs(ClassSpecialCase), RangeURLs(ClassUserTriggered))
}

// classOf returns the class of a list, "" if it is none of Google's.
func classOf(url string) string {
	for _, class := range []string{ClassCommon, ClassSpecialCase, ClassUserTriggered} {
		if slices.Contains(RangeURLs(class), url) {
			return class
		}
	}
	return ""
}
