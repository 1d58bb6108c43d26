package server

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"gate421/certs"
	"gate421/gate/audit"
	"gate421/gate/guard"
	"gate421/gate/hint"
	"gate421/gate/origin"
	"gate421/gate/visible"
	"gate421/verify"
)

// onGuardEvent logs what the guard did and reports it to the operator, who must not miss it.
func (g *Gateway) onGuardEvent(e guard.Event) {
	fields := audit.Fields{
		"site": e.Site, "crawler": e.Crawler, "what": e.What, "refusals": e.Refusals, "since": e.Since, "error": e.Error,
	}
	if e.What == "tripped" {
		fields["waited_seconds"] = math.Round(e.Waited.Seconds())
	}
	g.log.Event("guard", fields)
	crawler := cmp.Or(e.Crawler, "every crawler")
	switch e.What {
	case "tripped":
		g.printf("site %q: refusing %s has stopped. %d verified requests were refused since %s and "+
			"it has not once come back over HTTP/1.1.", e.Site, crawler, e.Refusals, e.Since.Format("2006-01-02 15:04 MST"))
		g.printf("hint: find out why before \"%s\": pages that only answer 421 leave Google's index", g.resumeCommand(e.Site))
	case "resumed":
		g.printf("site %q: refusing %s again", e.Site, crawler)
	case "trouble":
		g.printf("%s; counting goes on in memory", e.Error)
	}
}

// onOriginHealth reports when one of a site's own servers stops answering, and when it answers again.
func (g *Gateway) onOriginHealth(site string, h origin.Health) {
	if !h.Down {
		g.printf("site %q: its origin %s answers again, after %s", site, h.Server, time.Since(h.Since).Round(time.Second))
		return
	}
	g.printf("site %q: its origin %s does not answer: %s", site, h.Server, visible.Text(h.Err.Error()))
	if cure := originCure(h.Err); cure != "" {
		g.printf("hint: %s", cure)
	}
}

// originCure is the hint for a server that does not answer; "" where the error does not tell.
func originCure(err error) string {
	var failure *origin.Failure
	if !errors.As(err, &failure) {
		return ""
	}
	switch failure.Word() {
	case origin.Refused:
		return "nothing listens there: is it running, and is that its address and port?"
	case origin.Unreachable:
		return "is the name or path right, and does a firewall stand between?"
	case origin.Timeout:
		return "it takes connections and does not answer within limits.origin_time: look into its own log"
	case origin.Certificate:
		return "origin_tls has the names and authorities that are trusted"
	case origin.Garbage:
		return "does it speak another protocol? h2c:// is for HTTP/2 without TLS, https:// for TLS"
	case origin.Reset:
		return "it hangs up without an answer: look into its own log"
	}
	return ""
}

// onLogTrouble reports when the decision log stops taking lines, and, with nil, when it takes them again.
func (g *Gateway) onLogTrouble(file string, err error) {
	if err == nil {
		g.printf("the decision log takes lines again")
		return
	}
	g.printf("the decision log %q takes no lines: %v", file, hint.Cause(err))
	g.printf("hint: until it does, everyone is served and nobody is refused; " +
		"is the disk full, or has whoever reads it gone?")
}

// onRotation reports that a file of the log could not be rotated, synced, compressed or removed. The log goes on.
func (g *Gateway) onRotation(_ string, err error) {
	if err != nil {
		g.printf("%v", err)
		g.printf("hint: let this user write in the log's folder and see that the disk has room and is well; " +
			"new lines are written all the same")
	}
}

// onCertificateEvent logs what became of a certificate, and reports failures and accepted terms to the operator.
func (g *Gateway) onCertificateEvent(e certs.Event) {
	fields := audit.Fields{
		"what": e.Kind, "hosts": e.Hosts, "issuer": e.Issuer, "not_after": e.NotAfter, "error": e.Error,
	}
	if !e.Next.IsZero() {
		fields["next"] = e.Next
	}
	g.log.Event("certificate", fields)
	switch e.Kind {
	case certs.KindTerms:
		where := "" // not every authority publishes them
		if e.Terms != "" {
			where = ", which are at " + e.Terms
		}
		g.printf("certificates come from %s: an account is made there, which accepts its terms%s", e.Issuer, where)
	case certs.KindFailed, certs.KindWarning:
		about, next := "", ""
		if len(e.Hosts) > 0 {
			about = " for " + strings.Join(e.Hosts, ", ")
		}
		if !e.Next.IsZero() {
			next = "; next try at " + e.Next.Local().Format("2006-01-02 15:04:05 MST")
		}
		g.printf("certificate%s: %s%s", about, e.Error, next)
		if e.Hint != "" {
			g.printf("hint: %s", e.Hint)
		}
	}
}

// onRanges returns the callback for refreshed lists of address ranges. Each attempt is logged. The operator hears of a
// list once it could not be refreshed for three days, and when it is refreshed again: an old list harms nobody.
func (g *Gateway) onRanges() func(verify.RangesEvent) {
	stale := map[string]bool{}
	return func(e verify.RangesEvent) {
		fields := audit.Fields{
			"url": e.URL, "changed": e.Changed, "prefixes": e.Prefixes, "created": e.Created, "fetched": e.Fetched,
		}
		if e.Err != nil {
			fields["error"] = e.Err.Error()
		}
		if e.Ignored > 0 {
			fields["ignored"] = e.Ignored
		}
		if e.Stale {
			fields["stale"] = true
		}
		g.log.Event("ranges", fields)
		switch {
		case e.Stale && !stale[e.URL]:
			g.printf("the published list %s has not been refreshed for three days: %v", listName(e.URL), e.Err)
			g.printf("hint: verification goes on, for the list proves nothing; let this machine reach %s, "+
				"or write verify: {ranges: embedded}", e.URL)
		case !e.Stale && stale[e.URL]:
			g.printf("the published list %s is refreshed again", listName(e.URL))
		}
		stale[e.URL] = e.Stale
	}
}

// printf writes a message, or a hint, for the operator.
func (g *Gateway) printf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !strings.HasPrefix(line, "hint: ") {
		line = "gate421: " + line
	}
	fmt.Fprintln(g.stderr, line)
}

// resumeCommand is the command that re-arms the guard of a site. It works in any folder.
func (g *Gateway) resumeCommand(site string) string {
	return fmt.Sprintf("gate421 rules resume --state %s %s", hint.ShellWord(g.config.State), hint.ShellWord(site))
}

// explainCommand is the command that explains what is done with a page, with the configuration file if there is one.
func (g *Gateway) explainCommand(page string) string {
	if file, err := filepath.Abs(g.config.File); err == nil && g.config.File != "" {
		return fmt.Sprintf("gate421 explain --config %s %s", hint.ShellWord(file), hint.ShellWord(page))
	}
	return "gate421 explain " + hint.ShellWord(page)
}
