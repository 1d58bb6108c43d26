package policy

// robotsPath is served unless a rule names it: every other rule, the site's own state included, leaves it alone (the
// second law). A crawler that cannot read robots.txt may take it that nothing is disallowed. See
// matcher.matchCanonical.
const robotsPath = "/robots.txt"

// builtIn are the rules that every site has, unless one of its own has the same pattern: robots.txt, and the questions
// of the certificate authority (RFC 8555 section 8.3).
func builtIn() []Rule {
	return []Rule{
		{Pattern: robotsPath + "$", State: Allow, BuiltIn: true},
		{Pattern: "/.well-known/acme-challenge/", State: Allow, BuiltIn: true},
	}
}
