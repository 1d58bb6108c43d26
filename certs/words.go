package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// told in words: what went wrong, and what would mend it ("" where nobody can know).
type trouble struct{ words, hint string }

// plainly is an error that no authority has a part in.
func plainly(err error) trouble { return trouble{words: err.Error()} }

// inWords says what an authority's answer means to somebody who runs a site. An error that is no answer is its text.
func (a *acmeSource) inWords(err error) trouble {
	var problem acme.Problem
	if !errors.As(err, &problem) {
		return a.withoutAnswer(err)
	}
	kind := problem.Type[strings.LastIndexByte(problem.Type, ':')+1:]
	if kind == "malformed" && strings.Contains(problem.Detail, "resolve") {
		kind = "dns"
	}
	t := a.meaning(kind)
	account := strings.Contains(err.Error(), "registering account")
	switch {
	case account && (kind == "unauthorized" || kind == "malformed"):
		t = trouble{"the authority does not know the account that ours was to be bound to", "compare the key ID and the key of eab with what the authority shows for the account"}
	case a.dns && (kind == "unauthorized" || kind == "incorrectResponse" || kind == "dns"):
		t = trouble{"the authority did not find our record in DNS", "look up the TXT record of _acme-challenge below the host from outside; does its CNAME, if it has one, lead to the zone that is written to?"}
	}
	if t.words == "" {
		t.words = kind
	}
	if problem.Detail != "" {
		t.words = strings.TrimPrefix(t.words+": "+problem.Detail, ": ")
	}
	for _, part := range problem.Subproblems {
		t.words += "; " + strings.TrimSpace(part.Identifier.Value+" "+part.Detail)
	}
	return t
}

// meaning is that of an error type of RFC 8555 section 6.7, for the listeners' challenges.
func (a *acmeSource) meaning(kind string) trouble {
	const firewall = "let the internet connect to ports 80 and 443 of every address that the host's A and AAAA records name"
	switch kind {
	case "connection":
		return trouble{"the authority could not connect" + a.forwarding(), firewall}
	case "dns":
		return trouble{"the authority could not look the name up", "give the host an A or AAAA record with this machine's address"}
	case "unauthorized", "incorrectResponse":
		return trouble{"the authority got an answer that was not ours" + a.forwarding(), "does the host's A or AAAA record lead to another machine, or does something answer before gate421?"}
	case "tls":
		return trouble{"the authority got no TLS handshake that was ours" + a.forwarding(), "does something in front of gate421 end TLS, or the host's A or AAAA record lead to another machine?"}
	case "rateLimited":
		return trouble{"the authority has had too many orders", "leave gate421 running: a restart orders at once and counts again"}
	case "caa":
		return trouble{"a CAA record in DNS forbids this authority", `add a CAA record that allows it, such as 0 issue "letsencrypt.org", or name another authority`}
	case "rejectedIdentifier", "unsupportedIdentifier":
		return trouble{"the authority signs no such name", "use certificates.source: local or files for this host, or name another authority"}
	case "malformed":
		return trouble{"the authority does not understand what it was asked", ""}
	case "invalidContact", "unsupportedContact":
		return trouble{"the authority does not take the e-mail address", "correct certificates.email, or leave it empty"}
	case "externalAccountRequired":
		return trouble{"the authority wants an account made beforehand", "make one with the authority and write its key ID and key file below certificates.ca, eab"}
	case "userActionRequired":
		return trouble{"the authority wants something done first", "open the address it names"}
	case "serverInternal":
		return trouble{"the authority is in trouble itself", "nothing is to be done here"}
	}
	return trouble{}
}

// withoutAnswer is for errors that came before an authority's answer, or from elsewhere.
func (a *acmeSource) withoutAnswer(err error) trouble {
	text := err.Error()
	var unknown x509.UnknownAuthorityError
	var network *net.OpError
	var lookup *net.DNSError
	switch {
	case errors.As(err, new(redisTrouble)):
		return plainly(err) // it has its own words, and nothing to do with the authority
	case errors.As(err, &unknown) || strings.Contains(text, "x509: "):
		return trouble{"the authority's own certificate is not trusted: " + from(text, "x509: "), "is it a private authority? name its root below certificates.ca"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), errors.As(err, &lookup), strings.Contains(text, "performing request"):
		return trouble{"the authority cannot be reached: " + from(text, "performing request: "), "let this machine connect to it over https"}
	case strings.Contains(text, "could not determine zone"):
		return trouble{from(text, "could not determine zone"), "name DNS servers that answer for the zone: certificates.dns.resolvers"}
	case strings.Contains(text, "adding temporary record"):
		return trouble{"the DNS provider did not take our record: " + from(text, "adding temporary record"), "look at the server and the credentials of certificates.dns"}
	case strings.Contains(text, "to fully propagate"):
		return trouble{"our record did not appear in DNS in time", "does the name have a CNAME that leads elsewhere? then write delegated_to; is the zone slow? then write a longer propagation"}
	case strings.Contains(text, "no solvers available"):
		return trouble{"the authority offers no way of proving the host that we have", "a wildcard wants certificates.dns; listen.http and listen.https offer the other two"}
	}
	return plainly(err)
}

// from is the part of a library's message that says something to others: what begins with start, without the addresses of
// the order and the authority behind it.
func from(text, start string) string {
	if i := strings.Index(text, start); i >= 0 {
		text = strings.TrimPrefix(text[i:], "performing request: ")
	}
	for _, end := range []string{" (order=", " (ca="} {
		text, _, _ = strings.Cut(text, end)
	}
	return text
}

// forwarding recalls, where our ports are not the ones authorities come to, that something must lead from those here.
func (a *acmeSource) forwarding() string {
	var from []string
	if a.httpPort > 0 && a.httpPort != certmagic.HTTPChallengePort {
		from = append(from, fmt.Sprintf("port 80 must lead to port %d here", a.httpPort))
	}
	if a.httpsPort > 0 && a.httpsPort != certmagic.TLSALPNChallengePort {
		from = append(from, fmt.Sprintf("port 443 must lead to port %d here", a.httpsPort))
	}
	if len(from) == 0 {
		return ""
	}
	return " (" + strings.Join(from, ", ") + ")"
}

// isHiccup reports whether an authority did not even look at what was asked: it had forgotten the number that each
// request must carry (RFC 8555 section 6.5), several times in a row.
func isHiccup(err error) bool {
	var problem acme.Problem
	return errors.As(err, &problem) && problem.Type == acme.ProblemTypeBadNonce
}

// notBefore is the time before which an authority that counts orders does not want to hear from us; zero if it names
// none. Let's Encrypt writes it into the problem's text; the header Retry-After does not reach us.
func notBefore(err error) time.Time {
	var problem acme.Problem
	if !errors.As(err, &problem) || !strings.HasSuffix(problem.Type, ":rateLimited") {
		return time.Time{}
	}
	found := regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d) ?(?:UTC|Z)`).FindStringSubmatch(problem.Detail)
	if found == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.DateTime, strings.Replace(found[1], "T", " ", 1))
	if err != nil {
		return time.Time{}
	}
	return at
}
