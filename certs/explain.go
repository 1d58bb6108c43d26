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

	"gate421/certs/redis"
)

// explanation is what went wrong, in plain words, and the cure ("" where none is known).
type explanation struct{ text, hint string }

// unexplained is an error that speaks for itself.
func unexplained(err error) explanation { return explanation{text: err.Error()} }

// explain says what an authority's error response means to somebody who runs a site.
func (a *acmeSource) explain(err error) explanation {
	var problem acme.Problem
	if !errors.As(err, &problem) {
		return a.explainOther(err)
	}
	kind := problem.Type[strings.LastIndexByte(problem.Type, ':')+1:]
	if kind == "malformed" && strings.Contains(problem.Detail, "resolve") {
		kind = "dns"
	}
	e := a.explainProblem(kind)
	account := strings.Contains(err.Error(), "registering account")
	switch {
	case account && (kind == "unauthorized" || kind == "malformed"):
		e = explanation{"the authority does not know the account that ours was to be bound to",
			"compare the key ID and the key of eab with what the authority shows for the account"}
	case a.dns && (kind == "unauthorized" || kind == "incorrectResponse" || kind == "dns"):
		e = explanation{"the authority did not find our record in DNS",
			"look up the TXT record of _acme-challenge below the host from outside; " +
				"does its CNAME, if it has one, lead to the zone that is written to?"}
	}
	if e.text == "" {
		e.text = kind
	}
	if problem.Detail != "" {
		e.text = strings.TrimPrefix(e.text+": "+problem.Detail, ": ")
	}
	for _, part := range problem.Subproblems {
		e.text += "; " + strings.TrimSpace(part.Identifier.Value+" "+part.Detail)
	}
	return e
}

// explainProblem explains an error type of RFC 8555 section 6.7, for the listeners' challenges.
func (a *acmeSource) explainProblem(kind string) explanation {
	const firewall = "let the internet connect to ports 80 and 443 of every address " +
		"that the host's A and AAAA records name"
	switch kind {
	case "connection":
		return explanation{"the authority could not connect" + a.forwarding(),
			firewall}
	case "dns":
		return explanation{"the authority could not look the name up",
			"give the host an A or AAAA record with this machine's address"}
	case "unauthorized", "incorrectResponse":
		return explanation{"the authority got an answer that was not ours" + a.forwarding(),
			"does the host's A or AAAA record lead to another machine, or does something answer before gate421?"}
	case "tls":
		return explanation{"the authority got no TLS handshake that was ours" + a.forwarding(),
			"does something in front of gate421 end TLS, or the host's A or AAAA record lead to another machine?"}
	case "rateLimited":
		return explanation{"the authority has had too many orders",
			"leave gate421 running: a restart orders at once and counts again"}
	case "caa":
		return explanation{"a CAA record in DNS forbids this authority",
			`add a CAA record that allows it, such as 0 issue "letsencrypt.org", or name another authority`}
	case "rejectedIdentifier", "unsupportedIdentifier":
		return explanation{"the authority signs no such name",
			"use certificates.source: local or files for this host, or name another authority"}
	case "malformed":
		return explanation{"the authority does not understand what it was asked",
			""}
	case "invalidContact", "unsupportedContact":
		return explanation{"the authority does not take the e-mail address",
			"correct certificates.email, or leave it empty"}
	case "externalAccountRequired":
		return explanation{"the authority wants an account made beforehand",
			"make one with the authority and write its key ID and key file below certificates.ca, eab"}
	case "userActionRequired":
		return explanation{"the authority wants something done first",
			"open the address it names"}
	case "serverInternal":
		return explanation{"the authority is in trouble itself",
			"nothing is to be done here"}
	}
	return explanation{}
}

// explainOther explains errors without an authority's response, or from elsewhere.
func (a *acmeSource) explainOther(err error) explanation {
	text := err.Error()
	var unknown x509.UnknownAuthorityError
	var network *net.OpError
	var lookup *net.DNSError
	switch {
	case errors.As(err, new(redis.UnavailableError)):
		return unexplained(err) // it explains itself, and has nothing to do with the authority
	case errors.As(err, &unknown) || strings.Contains(text, "x509: "):
		return explanation{"the authority's own certificate is not trusted: " + tail(text, "x509: "),
			"is it a private authority? name its root below certificates.ca"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), errors.As(err, &lookup),
		strings.Contains(text, "performing request"):
		return explanation{"the authority cannot be reached: " + tail(text, "performing request: "),
			"let this machine connect to it over https"}
	case strings.Contains(text, "could not determine zone"):
		return explanation{tail(text, "could not determine zone"),
			"name DNS servers that answer for the zone: certificates.dns.resolvers"}
	case strings.Contains(text, "adding temporary record"):
		return explanation{"the DNS provider did not take our record: " + tail(text, "adding temporary record"),
			"look at the server and the credentials of certificates.dns"}
	case strings.Contains(text, "to fully propagate"):
		return explanation{"our record did not appear in DNS in time",
			"does the name have a CNAME that leads elsewhere? then write delegated_to; " +
				"is the zone slow? then write a longer propagation"}
	case strings.Contains(text, "no solvers available"):
		return explanation{"the authority offers no way of proving the host that we have",
			"a wildcard wants certificates.dns; listen.http and listen.https offer the other two"}
	}
	return unexplained(err)
}

// tail is the part of a library's message that is of use to others: what begins with start, without the addresses of
// the order and the authority at its end.
func tail(text, start string) string {
	if i := strings.Index(text, start); i >= 0 {
		text = strings.TrimPrefix(text[i:], "performing request: ")
	}
	for _, end := range []string{" (order=", " (ca="} {
		text, _, _ = strings.Cut(text, end)
	}
	return text
}

// forwarding is a reminder, where our ports are not those that authorities connect to, that those must lead here.
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

// isBadNonce reports whether an authority rejected the nonce of a request (RFC 8555 section 6.5), several times in a
// row, and so did not look at the request itself.
func isBadNonce(err error) bool {
	var problem acme.Problem
	return errors.As(err, &problem) && problem.Type == acme.ProblemTypeBadNonce
}

// notBefore is the time before which a rate limit does not allow another order; zero if the authority names none. Let's
// Encrypt writes it into the problem's text; we do not get to see the header Retry-After.
func notBefore(err error) time.Time {
	var problem acme.Problem
	if !errors.As(err, &problem) || !strings.HasSuffix(problem.Type, ":rateLimited") {
		return time.Time{}
	}
	pattern := regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d) ?(?:UTC|Z)`)
	found := pattern.FindStringSubmatch(problem.Detail)
	if found == nil {
		return time.Time{}
	}
	at, err := time.Parse(time.DateTime, strings.Replace(found[1], "T", " ", 1))
	if err != nil {
		return time.Time{}
	}
	return at
}
