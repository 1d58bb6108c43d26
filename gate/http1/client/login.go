package client

import (
	"net/http"
	"strings"

	"gate421/gate/http1"
)

// Login is what a response says of the authentication of its connection. NTLM and its kin (RFC 4559) prove once who
// sends the requests of a connection, and whatever comes on it from then on is that person's.
type Login struct {
	Bound    bool // it is spoken of: from now on the connection is one client's alone
	halfDone bool // the next step has to come on this very connection
}

// note looks at a field of a response.
func (l *Login) note(name, value string) {
	switch name {
	case "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Proxy-Authentication-Info":
		found, data := authenticatesConnection(value)
		l.Bound = l.Bound || found
		l.halfDone = l.halfDone || data
	case "Persistent-Auth": // IIS says whether the login is good for what comes next
		l.Bound = true
	}
}

// LoginHalfDone says whether a response asks for the next step of a login.
func (h Head) LoginHalfDone() bool {
	return h.Login.halfDone && (h.Status == http.StatusUnauthorized || h.Status == http.StatusProxyAuthRequired)
}

// PresentsLogin says whether a request proves, or begins to, who sends the requests of its connection.
func PresentsLogin(header http.Header) bool {
	for _, value := range header["Authorization"] {
		if found, _ := authenticatesConnection(value); found {
			return true
		}
	}
	return false
}

// authenticatesConnection looks for a scheme that authenticates connections in a list of challenges, or in
// credentials. data says that it does not stand alone. A name inside a quoted string is none.
func authenticatesConnection(value string) (found, data bool) {
	quoted := quotes{value: value, end: -1}
	for at, more := 0, true; more; {
		element, _, comma := strings.Cut(value[at:], ",")
		scheme := http1.TrimBlanks(element)
		rest := ""
		if blank := strings.IndexAny(scheme, " \t"); blank >= 0 {
			scheme, rest = scheme[:blank], http1.TrimBlanks(scheme[blank:])
		}
		if connectionScheme(scheme) && !quoted.hold(at) {
			found, data = true, data || rest != ""
		}
		at, more = at+len(element)+1, comma
	}
	return found, data
}

func connectionScheme(scheme string) bool {
	for _, known := range [...]string{"NTLM", "Negotiate", "Nego2", "Kerberos", "CredSSP", "GSSAPI", "GSS-Negotiate"} {
		if http1.Same(scheme, known) {
			return true
		}
	}
	return false
}

// quotes finds the quoted strings of a value, one behind the other. One that never ends is none: clients read it in
// several ways.
type quotes struct {
	value     string
	open, end int // the marks of the latest one
}

// hold says whether the byte at a place is inside a quoted string. Places come in ascending order, so that a value is
// gone through once, whatever it is made of.
func (q *quotes) hold(at int) bool {
	for q.end < at {
		next := strings.IndexByte(q.value[q.end+1:], '"')
		if next < 0 {
			q.open, q.end = len(q.value), len(q.value)
			break
		}
		q.open = q.end + 1 + next
		for q.end = q.open + 1; q.end < len(q.value) && q.value[q.end] != '"'; q.end++ {
			if q.value[q.end] == '\\' {
				q.end++
			}
		}
		if q.end >= len(q.value) {
			q.open, q.end = len(q.value), len(q.value)
		}
	}
	return at > q.open
}
