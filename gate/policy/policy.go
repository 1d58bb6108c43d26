// Package policy answers one question: what is done with this request, and why?
//
// It is pure: no I/O, no clock, no net/http, no state that changes. A [Policy] is built once from the sites of the
// configuration and never altered; a change builds another and swaps it in.
//
// # The decision
//
// [Decide] asks these questions in this order, and the first that holds decides:
//
//	 1  host not configured               HTTP/2: 421, HTTP/1.x: 404   unknown_host
//	 2  HTTP/2, certificate does not
//	    cover the host                    421                          misdirected
//	 3  HTTP/1.x                          serve                        http1
//	 4  no crawler claimed                serve                        no_claim
//	 5  the rule says allow               serve                        allowed
//	 6  verdict impostor                  serve                        impostor
//	 7  verdict unknown                   serve                        unverified
//	 8  the guard has tripped for it      serve, would refuse          guard
//	 9  the rule says observe             serve, would refuse          observed
//	10  the log cannot take the line      serve                        log_unavailable
//	11  otherwise                         421                          refused
//
// Every doubt ends in serve: the zero value of each fact, verdict and state is the one that serves.
//
// # The rule
//
// A site has one state for all of it (http2_crawl) and exceptions by path, written in robots.txt's pattern language
// (RFC 9309 sections 2.2.2 and 2.2.3):
//
//   - a pattern begins with "/" and is a prefix of path and query;
//   - "*" stands for any run of characters, also none;
//   - "$" as the last character means that the path ends there; elsewhere it is an ordinary character;
//   - the longest pattern that matches wins; of two as long the less restrictive (allow, observe, refuse);
//   - letters, digits and "-._~" are the same written plainly or percent-encoded, everything outside ASCII is the same
//     as its percent-encoded UTF-8, hexadecimal digits have no case; a reserved character and its percent-encoding differ,
//     except in the query, where "/", ":", "?" and "@" mean nothing and are the same either way;
//   - "%2A" and "%24" in a pattern are a "*" and a "$" in the path.
//
// Two rules are built in: "/robots.txt$" and "/.well-known/acme-challenge/" are allowed. A site replaces one by writing
// that very pattern. For /robots.txt no other pattern counts, however long: only "/robots.txt$" or "/robots.txt" can
// refuse it.
package policy

import (
	"errors"
	"fmt"
	"strings"
)

// State is what a rule wants done with a verified crawler's HTTP/2 request. The zero value serves.
type State uint8

// The states, from the least to the most restrictive.
const (
	Allow   State = iota // serve
	Observe              // serve, and record that refuse would have refused
	Refuse               // answer 421
)

// String gives the word of the configuration and the log.
func (s State) String() string {
	switch s {
	case Observe:
		return "observe"
	case Refuse:
		return "refuse"
	}
	return "allow"
}

// ParseState reads the word of the configuration.
func ParseState(word string) (State, error) {
	for _, s := range []State{Allow, Observe, Refuse} {
		if word == s.String() {
			return s, nil
		}
	}
	return Allow, fmt.Errorf("%q is no state: refuse, observe or allow", word)
}

// SiteRule is the name that the log and explain give to a site's own state, the rule of every path no pattern matches.
const SiteRule = "http2_crawl"

// Rule is one exception: what is wanted of the paths that Pattern matches. Pattern is as the owner wrote it.
type Rule struct {
	Pattern string
	State   State
	BuiltIn bool // not written by the owner
}

// Spec is one site as the configuration has it.
type Spec struct {
	Hosts []string // lower case, without port; "*.example.com" covers one label; the first names the site in the log
	State State
	Paths []Rule
}

// Policy is an immutable set of sites, safe for any number of goroutines. The zero value knows no host.
type Policy struct {
	hosts     map[string]*Site
	wildcards map[string]*Site // by the name after "*."
	sites     []*Site
}

// Site is one site of a Policy, immutable.
type Site struct {
	Name  string   // its first host
	Hosts []string // as in the Spec
	State State
	rules matcher
	list  []Rule
	mixed bool
	some  bool // the state is Refuse, for the whole site or for one of the owner's patterns
}

// New builds a Policy or says everything that is wrong with specs.
func New(specs []Spec) (*Policy, error) {
	p := &Policy{hosts: map[string]*Site{}, wildcards: map[string]*Site{}}
	var errs []error
	for i, spec := range specs {
		site, err := newSite(spec)
		if err != nil {
			errs = append(errs, fmt.Errorf("site %d: %w", i+1, err))
			continue
		}
		p.sites = append(p.sites, site)
		for _, host := range site.Hosts {
			table, key := p.hosts, host
			if base, ok := strings.CutPrefix(host, "*."); ok {
				table, key = p.wildcards, base
			}
			if other, taken := table[key]; taken {
				errs = append(errs,
					fmt.Errorf("site %q: host %q: already a host of site %q", site.Name, host, other.Name))
				continue
			}
			table[key] = site
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

func newSite(spec Spec) (*Site, error) {
	if len(spec.Hosts) == 0 {
		return nil, errors.New("no hosts")
	}
	s := &Site{
		Name:  spec.Hosts[0],
		Hosts: append([]string(nil), spec.Hosts...),
		State: spec.State,
		some:  spec.State == Refuse,
	}
	var errs []error
	seen := map[string]string{}
	for _, rule := range spec.Paths {
		if err := CheckPattern(rule.Pattern); err != nil {
			errs = append(errs, fmt.Errorf("site %q: path %q: %w", s.Name, rule.Pattern, err))
			continue
		}
		canonical := CanonicalPattern(rule.Pattern)
		if first, repeated := seen[canonical]; repeated {
			errs = append(errs, fmt.Errorf("site %q: path %q: says the same as %q", s.Name, rule.Pattern, first))
			continue
		}
		seen[canonical] = rule.Pattern
		rule.BuiltIn = false
		s.list = append(s.list, rule)
		s.mixed = s.mixed || rule.State != spec.State
		s.some = s.some || rule.State == Refuse
	}
	for _, rule := range builtIn() {
		if _, replaced := seen[CanonicalPattern(rule.Pattern)]; !replaced {
			s.list = append(s.list, rule)
		}
	}
	s.rules = newMatcher(s.list)
	return s, errors.Join(errs...)
}

// Site finds the site of a host: an exact name first, then a wildcard over its first label. The host is lower case and
// without port. It returns nil for a host that is not configured, and is safe on a nil Policy.
func (p *Policy) Site(host string) *Site {
	if p == nil {
		return nil
	}
	if s := p.hosts[host]; s != nil {
		return s
	}
	if len(p.wildcards) == 0 {
		return nil
	}
	if dot := strings.IndexByte(host, '.'); dot > 0 {
		return p.wildcards[host[dot+1:]]
	}
	return nil
}

// Sites lists the sites in the order of the configuration. The slice is the caller's.
func (p *Policy) Sites() []*Site {
	if p == nil {
		return nil
	}
	return append([]*Site(nil), p.sites...)
}

// Rules lists the site's exceptions, the owner's in their order and then those built in. The slice is the caller's.
func (s *Site) Rules() []Rule { return append([]Rule(nil), s.list...) }

// Mixed says whether a path's state differs from the site's, which Google's documentation says nothing about: Google
// chooses the protocol for a site.
func (s *Site) Mixed() bool { return s.mixed }

// Refuses says that there are requests of a verified crawler that are refused, be it on some paths only.
func (s *Site) Refuses() bool { return s.some }

// RefusesAll says that every request of a verified crawler is refused but for the built-in exceptions, so that the
// connection has no further use to the crawler.
func (s *Site) RefusesAll() bool { return s.State == Refuse && !s.mixed }

// Rule finds the rule for a path and query as they stand in the request (percent-encoded). Without a matching pattern
// it is the site's own state under the name [SiteRule].
func (s *Site) Rule(path string) Rule {
	if r := s.rules.match(path); r != nil {
		return *r
	}
	return Rule{Pattern: SiteRule, State: s.State}
}
