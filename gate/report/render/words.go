package render

import (
	"strings"

	"gate421/gate/report/analysis"
)

// servedWords says why crawl requests over HTTP/2 were served.
func servedWords(reason string) string {
	switch reason {
	case "allowed":
		return "the rule says allow"
	case "observed":
		return "the rule says observe: on record, not refused"
	case "guard":
		return "the guard had stopped refusing on the site"
	case "log_unavailable":
		return "the log could not take the line, so nobody was refused"
	case "unverified":
		return "the proof did not come in time"
	case "no_claim":
		return "no crawler was claimed"
	case "http1":
		return "HTTP/1.x is always served"
	case "impostor":
		return "not the crawler it claimed to be"
	case "unknown_host":
		return "the host is not in the configuration"
	case "misdirected":
		return "the certificate of the connection did not cover the host"
	}
	return "a reason that this version does not know"
}

// causeWords says what went wrong when a claim could be neither proved nor disproved. A cause is a word, which may be
// followed by the DNS server and what it or the system said.
func causeWords(cause string) string {
	word, _, _ := strings.Cut(cause, " ")
	switch word {
	case "timeout":
		return "the DNS did not answer in time"
	case "servfail":
		return "the DNS server failed (SERVFAIL)"
	case "refused":
		return "the DNS server would not answer us (REFUSED)"
	case "formerr":
		return "the DNS server does not understand the question (FORMERR)"
	case "notimp":
		return "the DNS server cannot answer the question (NOTIMP)"
	case "indefinite":
		return "the DNS said neither yes nor a definite no"
	case "filtered":
		return "a filter or a captive portal answered for the DNS"
	case "lame":
		return "the DNS server only referred to others"
	case "garbage":
		return "what came back was no answer to the question"
	case "truncated":
		return "the DNS answer was cut short, and TCP did not help"
	case "loop":
		return "more than 8 DNS aliases, one after another"
	case "unreachable":
		return "the DNS server could not be reached, or hung up"
	case "tls":
		return "the DNS server did not prove its name (DNS over TLS)"
	case "budget":
		return "too many lookups at that moment"
	case "wait":
		return "verify.wait was over before the lookup's turn came, or the client had gone"
	case "pending":
		return "the lookup was under way, and nobody waits for it"
	case "closed":
		return "the gateway was stopping"
	case "address":
		return "the client's address is not valid"
	case "crawler":
		return "the crawler is not in the catalogue"
	case "resolver":
		return "no DNS resolver is known"
	case "":
		return "the log does not say why"
	}
	return "a cause that this version does not know"
}

// changeWords says what changed, without the site.
func changeWords(c analysis.Change) string {
	if c.Event == "guard" {
		whom := ""
		if c.Crawler != "" {
			whom = " " + c.Crawler
		}
		switch c.What {
		case "tripped":
			return "guard tripped: refusing" + whom + " stopped"
		case "resumed":
			return "guard resumed: refusing" + whom + " again"
		}
		return "guard: " + c.What
	}
	from, to := c.From, c.To
	switch {
	case from == "" && to == "":
		return c.Rule + " changed"
	case from == "":
		return c.Rule + " added: " + to
	case to == "":
		return c.Rule + " removed, was " + from
	}
	return c.Rule + ": " + from + " → " + to
}
