package origin

import (
	"net/http"
	"strings"

	"gate421/gate/syntax"
)

// login is what an answer says of the authentication of its connection. NTLM and its kin (RFC 4559) prove once who
// sends the requests of a connection, and whatever comes on it from then on is that person's.
type login struct {
	bound    bool // it is spoken of: from now on the connection is one client's alone
	halfDone bool // the next step has to come on this very connection
}

// note looks at a field of an answer.
func (l *login) note(name, value string) {
	switch name {
	case "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Proxy-Authentication-Info":
		found, data := authenticatesConnection(value)
		l.bound = l.bound || found
		l.halfDone = l.halfDone || data
	case "Persistent-Auth": // IIS says whether the login is good for what comes next
		l.bound = true
	}
}

// halfDone says whether an answer asks for the next step of a login.
func (h answerHead) halfDone() bool {
	return h.login.halfDone && (h.status == http.StatusUnauthorized || h.status == http.StatusProxyAuthRequired)
}

// presentsLogin says whether a request proves, or begins to, who sends the requests of its connection.
func presentsLogin(header http.Header) bool {
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
	for at, more := 0, true; more; {
		element, _, comma := strings.Cut(value[at:], ",")
		scheme := syntax.TrimBlanks(element)
		rest := ""
		if blank := strings.IndexAny(scheme, " \t"); blank >= 0 {
			scheme, rest = scheme[:blank], syntax.TrimBlanks(scheme[blank:])
		}
		if connectionScheme(scheme) && !quoted(value, at) {
			found, data = true, data || rest != ""
		}
		at, more = at+len(element)+1, comma
	}
	return found, data
}

func connectionScheme(scheme string) bool {
	for _, known := range [...]string{"NTLM", "Negotiate", "Nego2", "Kerberos", "CredSSP", "GSSAPI", "GSS-Negotiate"} {
		if syntax.Same(scheme, known) {
			return true
		}
	}
	return false
}

// quoted says whether the byte at a place is inside a quoted string. One that never ends is none: clients read it
// in several ways.
func quoted(value string, at int) bool {
	inside := false
	for i := 0; i < len(value); i++ {
		if i == at && !inside {
			return false
		}
		switch value[i] {
		case '\\':
			if inside {
				i++
			}
		case '"':
			if inside = !inside; !inside && i >= at {
				return true
			}
		}
	}
	return false
}
