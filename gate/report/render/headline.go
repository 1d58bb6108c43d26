package render

import (
	"cmp"
	"strings"
	"time"

	"gate421/gate/report/analysis"
)

// Kinds of a headline and of a notice, by what the reader has to do.
const (
	kindGood = "good" // nothing
	kindNone = "none" // nothing: there is nothing to judge
	kindWarn = "warn" // look at it
	kindBad  = "bad"  // act
)

// headline is the answer to "did it work?": one sentence without its full stop, and the rest of the paragraph.
type headline struct{ Kind, Title, Text string }

// kindWords says the kind, for those who see no colour.
func (h headline) kindWords() string {
	switch h.Kind {
	case kindGood:
		return "Good"
	case kindWarn:
		return "Look at this"
	case kindBad:
		return "Act now"
	}
	return "For your information"
}

// overdueAfter is how old a refusal may be before its URL counts as overdue: the default of guard.within.
const overdueAfter = 24 * time.Hour

// headline judges the crawl of all sites.
func (r report) headline() headline {
	c := &r.Crawl
	switch {
	case r.Log.Lines == 0 && requests(c) == 0:
		return headline{kindNone, "There is nothing to report",
			"No log line was read. Is this the decision log, and did the gateway run?"}
	case requests(c) == 0:
		return r.noCrawl()
	case c.HTTP2 <= 0:
		return headline{kindGood, "All verified crawling came over HTTP/1.1",
			"None of " + countText(requests(c), "crawl request", "crawl requests") +
				" came over HTTP/2, so nothing had to be refused."}
	case c.Refused <= 0:
		return r.nothingRefused()
	case c.RefusedURLs <= 0:
		return headline{kindWarn, countText(c.Refused, "crawl request was refused", "crawl requests were refused"),
			"Whether their URLs were fetched afterwards cannot be told: none of them could be followed."}
	case c.FetchedURLs <= 0:
		return r.nothingBack()
	}
	return r.someBack()
}

func (r report) noCrawl() headline {
	text := "No client that was proved to be the crawler it claims to be is in this part of the log."
	var unknown, impostors int64
	for _, u := range r.Unknown {
		unknown = plus(unknown, u.Requests)
	}
	for _, n := range r.Impostors {
		impostors = plus(impostors, n.Requests)
	}
	if impostors > 0 {
		text += " " + countText(impostors, "request was", "requests were") + " from impostors."
	}
	if unknown > 0 {
		text += " " + countText(unknown, "claim", "claims") + " could be neither proved nor disproved: see below why."
		return headline{kindWarn, "No verified crawler came", text}
	}
	return headline{kindNone, "No verified crawler came", text}
}

func (r report) nothingRefused() headline {
	c := &r.Crawl
	observed := c.Served["observed"]
	came := countText(c.HTTP2, "crawl request", "crawl requests")
	switch {
	case observed > 0 && observed >= c.HTTP2:
		return headline{kindNone, "Nothing was refused, only observed",
			plural(c.HTTP2, "The ", "All ") + came +
				" over HTTP/2 would have been refused. Where the rule says refuse, they will be."}
	case observed > 0:
		return headline{kindNone, "Nothing was refused", numberText(observed) + " of " + came +
			" over HTTP/2 were observed: with refuse they would have been refused." +
			" The others were served for the reasons below."}
	case c.Served["guard"] > 0 || c.Served["log_unavailable"] > 0:
		return headline{kindWarn, "Nothing was refused", came + " over HTTP/2 " + plural(c.HTTP2, "was", "were") +
			" served, although a rule says refuse. The reasons are below."}
	}
	return headline{kindNone, "Nothing was refused", came + " over HTTP/2 " + plural(c.HTTP2, "was", "were") +
		" served, as the rules say."}
}

// nothingBack says that no refused URL was fetched since: bad once the oldest refusal is overdue, because a page that
// answers 421 and is never fetched leaves Google's index.
func (r report) nothingBack() headline {
	const lookForCause = "Pages that answer 421 and are not fetched again leave Google’s index." +
		" Set the site to observe until the cause is found: does it answer over HTTP/1.1?"
	c := &r.Crawl
	h := headline{kindBad, "None of " + countText(c.RefusedURLs, "refused URL", "refused URLs") +
		" has been fetched over HTTP/1.1 since", ""}
	if c.RefusedURLs == 1 {
		h.Title = "The one refused URL has not been fetched over HTTP/1.1 since"
	}
	oldest, known := r.oldest()
	switch {
	case known && oldest < overdueAfter:
		h.Kind = kindWarn
		h.Text = "It is early: the oldest refusal is " + spanText(oldest) + " old." +
			" If nothing comes within a day, look for the cause."
	case known:
		h.Text = "The oldest refusal is " + spanText(oldest) + " old. " + lookForCause
	default:
		h.Text = lookForCause
	}
	if c.FailedURLs > 0 {
		h.Text = "The crawler did come over HTTP/1.1 for " + numberText(c.FailedURLs) + " of " +
			countText(c.RefusedURLs, "URL", "URLs") + ", and your server answered with an error: see below. Mend " +
			"that first. " + h.Text
	}
	if c.HTTP1 > 0 {
		h.Text += " The crawler did fetch other URLs over HTTP/1.1, " + countText(c.HTTP1, "request", "requests") +
			" in all."
	}
	return h
}

func (r report) someBack() headline {
	c := &r.Crawl
	h := headline{Kind: kindGood, Title: numberText(c.FetchedURLs) + " of " +
		countText(c.RefusedURLs, "refused URL was", "refused URLs were") + " fetched over HTTP/1.1 afterwards"}
	if c.WaitingURLs <= 0 && c.FetchedURLs >= c.RefusedURLs {
		h.Title = "All " + countText(c.RefusedURLs, "refused URL was", "refused URLs were") +
			" fetched over HTTP/1.1 afterwards"
		if c.RefusedURLs == 1 {
			h.Title = "The one refused URL was fetched over HTTP/1.1 afterwards"
		}
	}
	if c.ComeBacks > 0 {
		h.Text = "Half of the fetches came within " + secondsText(c.P50) + ", 95 % within " + secondsText(c.P95) + "."
	}
	if c.WaitingURLs > 0 {
		h.Text += " " + countText(c.WaitingURLs, "URL has", "URLs have") + " not been fetched since"
		oldest, known := r.oldest()
		if known {
			h.Text += ": the oldest refusal is " + spanText(oldest) + " old"
		}
		h.Text += "."
		switch {
		case known && oldest < overdueAfter:
		case c.WaitingURLs > c.FetchedURLs:
			h.Kind = kindBad
		default:
			h.Kind = kindWarn
		}
		if c.FailedURLs > 0 {
			h.Text += " For " + numberText(c.FailedURLs) + " of them the crawler came," +
				" and your server answered with an error: see below."
			if h.Kind == kindGood {
				h.Kind = kindWarn
			}
		}
	}
	h.Text = strings.TrimSpace(h.Text)
	return h
}

// oldest is the age of the refusal that has waited longest.
func (r report) oldest() (time.Duration, bool) {
	if len(r.Waiting) == 0 || r.Until.IsZero() {
		return 0, false
	}
	first := r.Waiting[0].First
	for _, u := range r.Waiting {
		if u.First.Before(first) {
			first = u.First
		}
	}
	return r.age(first), true
}

// notices are what qualifies the headline, the most urgent first.
func (r report) notices() []headline {
	var out []headline
	type guarded struct{ site, crawler string }
	last := map[guarded]analysis.Change{}
	var seen []guarded
	for _, c := range r.Changes {
		if c.Event != "guard" || c.What != "tripped" && c.What != "resumed" {
			continue
		}
		if c.What == "resumed" && c.Crawler == "" { // of the whole site
			for g := range last {
				if g.site == c.Site {
					last[g] = c
				}
			}
		}
		g := guarded{c.Site, c.Crawler}
		if _, known := last[g]; !known {
			seen = append(seen, g)
		}
		last[g] = c
	}
	for _, g := range seen {
		if c := last[g]; c.What == "tripped" {
			whom := cmp.Or(g.crawler, "every crawler")
			out = append(out, headline{kindBad, "The guard has stopped refusing " + whom + " on " + g.site,
				"From " + minuteText(c.Time) + " UTC on it is served there over HTTP/2 too," +
					" because it did not come over HTTP/1.x, verified, in time." +
					" When the cause is mended: gate421 rules resume " + g.site})
		}
	}
	if h, ok := r.hiddenClients(); ok {
		out = append(out, h)
	}
	if !whole(&r.Log) {
		out = append(out, headline{kindWarn, "The log is not whole",
			"Numbers here may be too low, and a URL that is listed as not fetched may have been." +
				" What is missing stands at the end, under Log."})
	}
	if n := r.Crawl.Untracked; n > 0 {
		out = append(out, headline{kindWarn, "Not every refused URL could be followed",
			countText(n, "refusal was", "refusals were") + " of URLs beyond those that can be followed, and " +
				plural(n, "is", "are") + " not in the numbers of URLs. Ask for one site or a shorter time."})
	}
	return out
}

// hiddenClients is the notice for claims from addresses that no crawler can have; ok is false where there are none, or
// so few that they may be the owner's own tests.
func (r report) hiddenClients() (h headline, ok bool) {
	p := &r.Private
	if p.Requests < 10 && 2*p.Requests <= p.Claims || p.Requests == 0 {
		return headline{}, false
	}
	return headline{kindWarn, "Something in front of the gateway hides the clients",
		countText(p.Requests, "claim", "claims") + " to be a crawler came from " + p.Network +
			", a private address that no crawler on the internet has:" +
			" it is that of a load balancer, a proxy or a container’s network." +
			" Nobody can be verified behind it, and nobody is refused." +
			" List it in the configuration: under listen.proxy_protocol if it sends the PROXY protocol," +
			" or under listen.trusted_proxies with the header that names the client in listen.client_ip_header."}, true
}
