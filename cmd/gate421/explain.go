package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"gate421/gate/config"
	"gate421/gate/guard"
	"gate421/gate/hint"
	"gate421/gate/http1"
	"gate421/gate/policy"
	"gate421/gate/visible"
	"gate421/verify"

	"golang.org/x/net/idna"
)

type explainCommand struct {
	configFile
	URL   string `arg:"" name:"URL" help:"The address of the page, such as https://example.com/shop/?page=2"`
	From  string `placeholder:"IP" help:"The client's address; it is verified as the gateway would. Without it the client is taken for the real crawler."`
	Agent string `placeholder:"UA" default:"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)" help:"The client's User-Agent (default: Googlebot's)."`
	HTTP  string `name:"http" enum:"1.1,2" default:"2" help:"The protocol: 1.1 or 2 (default: ${default})."`
	JSON  bool   `name:"json" help:"As one JSON object."`
}

// explanation is what explain finds, in the words of the decision log.
type explanation struct {
	URL     string `json:"url"`
	Site    string `json:"site,omitempty"`
	Claim   string `json:"claim,omitempty"`
	Rule    string `json:"rule,omitempty"`
	BuiltIn bool   `json:"built_in,omitempty"`
	State   string `json:"state,omitempty"`
	Verdict string `json:"verdict,omitempty"`
	Cause   string `json:"verdict_cause,omitempty"`
	PTR     string `json:"ptr,omitempty"`
	Assumed bool   `json:"assumed,omitempty"`
	Guard   string `json:"guard,omitempty"`
	Action  string `json:"action"`
	Reason  string `json:"reason"`
	Would   string `json:"would,omitempty"`
	Status  int    `json:"status,omitempty"`
}

// Run decides with the gateway's own code and prints each step.
func (e *explainCommand) Run(env *environment) error {
	loaded, err := e.load()
	if err != nil {
		return err
	}
	u, err := url.Parse(e.URL)
	if err != nil || u.Hostname() == "" {
		return badUsage(fmt.Errorf("%q is no address of a page", e.URL), "write it whole: https://example.com/shop/")
	}
	found, err := e.explain(env.ctx, loaded, u)
	if err != nil {
		return err
	}
	if e.JSON {
		return json.NewEncoder(env.stdout).Encode(found)
	}
	found.write(env, e)
	return nil
}

func (e *explainCommand) explain(ctx context.Context, loaded *config.Config, u *url.URL) (*explanation, error) {
	rules, err := loaded.Policy()
	if err != nil {
		return nil, err
	}
	claims, err := verify.NewClaims(loaded.Crawlers)
	if err != nil {
		return nil, err
	}
	written, _, _ := strings.Cut(e.URL, "#")
	path := http1.OriginForm(written) // as a client sends it
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii
	}
	facts := policy.Facts{
		Site: rules.Site(host), HTTP2: e.HTTP == "2", Covered: true, Path: path,
		Claim: claims.Of(e.Agent), Armed: true, Loggable: true,
	}
	found := &explanation{URL: e.URL, Claim: facts.Claim}
	if facts.Site != nil {
		found.Site = facts.Site.Name
		rule := facts.Site.Rule(path)
		found.Rule, found.State, found.BuiltIn = rule.Pattern, rule.State.String(), rule.BuiltIn
		found.Guard, facts.Armed = guardState(loaded, found.Site, facts.Claim)
	}
	identify, err := e.identify(ctx, loaded, facts.Claim, found)
	if err != nil {
		return nil, err
	}
	d := policy.Decide(facts, identify)
	found.Action, found.Reason, found.Status = d.Action.String(), string(d.Reason), d.Status(facts.HTTP2)
	if d.Would != policy.Serve {
		found.Would = d.Would.String()
	}
	return found, nil
}

// identify returns the verifier's lookup of the client, or without --from the assumption that it is what it claims.
func (e *explainCommand) identify(ctx context.Context, loaded *config.Config, claim string,
	found *explanation) (func() verify.Verdict, error) {
	if e.From == "" {
		return func() verify.Verdict {
			found.Assumed, found.Verdict = true, verify.Genuine.String()
			return verify.Genuine
		}, nil
	}
	addr, err := netip.ParseAddr(e.From)
	if err != nil {
		return nil, badUsage(fmt.Errorf("--from %q is no IP address", e.From),
			"addresses look like 66.249.66.1 or 2001:4860:4801:10::1")
	}
	resolver, err := verify.ParseResolver(loaded.Verify.Resolver)
	if err != nil {
		return nil, err
	}
	return func() verify.Verdict {
		v := &verify.Verifier{Resolver: resolver}
		defer v.Close()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		r := v.Lookup(ctx, claim, addr.Unmap().WithZone(""))
		found.Verdict, found.Cause, found.PTR = r.Verdict.String(), r.Why(), r.PTR
		return r.Verdict
	}, nil
}

// guardState reads what a gateway with this state folder has counted.
func guardState(c *config.Config, site, crawler string) (words string, armed bool) {
	at := slices.IndexFunc(c.Sites, func(s config.Site) bool { return s.Hosts[0] == site })
	if at < 0 || c.Sites[at].Guard == nil {
		return "off", true
	}
	limit := guard.Limit{Refusals: c.Sites[at].Guard.Refusals, Within: c.Sites[at].Guard.Within}
	kept, err := guard.Kept(c.State)
	if err != nil {
		return "not looked at: " + hint.Cause(err).Error(), true
	}
	for _, s := range kept {
		switch {
		case s.Site != site || s.Crawler != crawler && s.Crawler != "":
		case s.Tripped:
			return "tripped", false
		case limit.Due(s.Refusals, s.Waited):
			return "trips with the next request", false
		}
	}
	return "armed", true
}

func (e *explanation) write(env *environment, c *explainCommand) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(env.stdout, "%-10s %s\n", name, visible.Text(value))
		}
	}
	line("page", e.URL+" over HTTP/"+c.HTTP)
	line("site", e.Site)
	line("claim", cmp.Or(e.Claim, "none: the User-Agent names no crawler of this configuration"))
	rule := e.Rule
	switch {
	case e.Rule == policy.SiteRule:
		rule += ", the site's own state"
	case e.BuiltIn:
		rule += ", built in"
	}
	if e.Rule != "" {
		line("rule", rule+": "+e.State)
	}
	verdict := e.Verdict
	switch {
	case e.Assumed:
		verdict += ", assumed; --from IP verifies an address"
	case e.PTR != "":
		verdict += ", reverse name " + e.PTR
	case e.Cause != "":
		verdict += ", " + e.Cause
	}
	line("verdict", cmp.Or(verdict, "not asked for"))
	line("guard", e.Guard)
	status := "the origin answers"
	if e.Status != 0 {
		status = fmt.Sprintf("the gate answers %d", e.Status)
	}
	line("decision", e.Action+": "+status)
	line("why", e.Reason+": "+explainReason(policy.Reason(e.Reason), e))
}

// explainReason is a reason in a sentence.
func explainReason(r policy.Reason, e *explanation) string {
	switch r {
	case policy.UnknownHost:
		return "no site of the configuration has this host"
	case policy.Misdirected:
		return "the connection's certificate does not cover this host"
	case policy.HTTP1:
		return "over HTTP/1.x everyone is served"
	case policy.NoClaim:
		return "whoever claims to be no crawler is served"
	case policy.Allowed:
		return "the rule allows HTTP/2 crawling here"
	case policy.Impostor:
		return "it is not " + e.Claim + ", and strangers are never refused"
	case policy.Unverified:
		return "it could not be verified, and in doubt everyone is served"
	case policy.Guard:
		return "refused crawlers did not come back over HTTP/1.x, " +
			"so refusing has stopped until gate421 rules resume " + e.Site
	case policy.Observed:
		return "with refuse instead of observe it would get 421"
	case policy.LogUnavailable:
		return "what cannot be logged is not refused"
	case policy.Refused:
		return "a verified crawler over HTTP/2 where the rule says refuse"
	}
	return ""
}
