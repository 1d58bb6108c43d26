package config

import (
	"fmt"
	"slices"
	"strings"

	"gate421/gate/policy"

	"golang.org/x/net/publicsuffix"
)

// sites reads all sites. listening are the addresses that are listened on.
func (r *reader) sites(n *node, certificates Certificates, listening []listenAddress) []Site {
	n.label = "sites"
	items, ok := r.list(n, "a list, even of one site: each begins with a dash, as in - hosts: [example.com]")
	if ok && len(items) == 0 {
		r.problem(
			n,
			`write at least: [{hosts: [example.com], origin: "http://127.0.0.1:3000", http2_crawl: refuse}]`,
			"sites: is empty",
		)
	}
	r.hosts = map[string]*node{}
	defer r.noteWWW()
	var sites []Site
	for i, item := range items {
		item.label = siteLabel(item, i)
		if values := r.section(item, "sites"); values != nil {
			sites = append(sites, r.site(item, values, certificates, listening))
		}
	}
	return sites
}

// noteWWW warns of names with and without www. of which only one is listed: visitors type both.
func (r *reader) noteWWW() {
	for host, n := range r.hosts {
		domain, err := publicsuffix.EffectiveTLDPlusOne(host)
		suffix, listed := publicsuffix.PublicSuffix(host)
		if err != nil || !listed && !strings.Contains(suffix, ".") {
			continue // no name of the public DNS
		}
		other := "www." + domain
		if host == other {
			other = domain
		} else if host != domain {
			continue
		}
		if r.hosts[other] == nil && r.hosts["*."+domain] == nil {
			r.note(n, "add it to hosts if it leads here, too",
				"host %s: %s is of no site: who types it gets a certificate error", quote(host), other)
		}
	}
}

// siteLabel names a site by its first host, or by its number.
func siteLabel(n *node, i int) string {
	for _, e := range n.entries {
		if e.key.text != "hosts" {
			continue
		}
		if len(e.value.items) > 0 && e.value.items[0].kind == text && e.value.items[0].text != "" {
			return "site " + quote(e.value.items[0].text) + ": "
		}
	}
	return fmt.Sprintf("site %d: ", i+1)
}

func (r *reader) site(n *node, values map[string]*node, certificates Certificates, listening []listenAddress) Site {
	s := Site{Guard: r.guardOf(nil), OriginTime: r.durationOf(values, "sites", "origin_time")}
	if hosts := values["hosts"]; hosts != nil {
		s.Hosts = r.siteHosts(hosts, certificates)
	} else {
		r.problem(n, "list the names that visitors use: hosts: [example.com, www.example.com]", "%shosts is missing", n.label)
	}
	if origin := values["origin"]; origin != nil {
		s.Origin, s.OriginTLS = r.origins(origin, values["origin_tls"], s.Hosts, listening)
	} else {
		r.problem(n, "say where the site's own server is: origin: http://127.0.0.1:3000", "%sorigin is missing", n.label)
	}
	crawl := values["http2_crawl"]
	if crawl != nil {
		s.HTTP2Crawl, _ = r.state(crawl)
	} else {
		r.problem(n, "say what verified crawlers get over HTTP/2: refuse answers 421, observe only records that it would, allow leaves them alone",
			"%shttp2_crawl is missing", n.label)
	}
	if with := values["refuse_with"]; with != nil {
		if word, ok := r.choice421(with); ok && word == "alpn" {
			r.notServed(with, with.label+": alpn", `leave the key out, or write "421" with the quotes`)
		}
	}
	if guard := values["guard"]; guard != nil {
		s.Guard = r.guard(guard)
	}
	if paths := values["paths"]; paths != nil {
		s.Paths = r.paths(paths)
	}
	if crawl != nil {
		r.notePaths(n, values["paths"], s)
	}
	return s
}

func (r *reader) choice421(n *node) (string, bool) {
	if n.kind == number && n.text == "421" {
		r.wrongType(n, "a text", `write "421" with the quotes, or leave the key out`)
		return "", false
	}
	return r.choice(n, key("sites", "refuse_with").Words...)
}

func (r *reader) siteHosts(n *node, certificates Certificates) []string {
	items, ok := r.list(n, "[example.com, www.example.com]")
	if ok && len(items) == 0 {
		r.problem(n, "list the names that visitors use: [example.com, www.example.com]", "%s: is empty", n.label)
	}
	var hosts []string
	for _, item := range items {
		written, ok := r.filled(item, "a host such as www.example.com")
		if !ok {
			continue
		}
		host, f := parseHost(written)
		if f == nil && certificates.Source == "acme" {
			f = certifiable(host, certificates)
		}
		if f != nil {
			r.problem(item, f.hint, "host %s: %s", quote(written), f.message)
			continue
		}
		if before := r.hosts[host]; before != nil {
			first := ""
			if before.line > 0 {
				first = fmt.Sprintf(", first on line %d", before.line)
			}
			r.problem(item, "a host can have one site only; keep one of them", "host %s: listed twice%s", quote(host),
				first)
			continue
		}
		r.hosts[host] = item
		hosts = append(hosts, host)
		if domain, yes := private(host); yes && certificates.Source == "acme" && certificates.onlyLetsEncrypt() {
			r.note(item, "use certificates.source: local or files",
				"host %s: Let's Encrypt gives no certificate for names under .%s", quote(host), domain)
		}
	}
	return hosts
}

// guard reads a guard; null turns it off.
func (r *reader) guard(n *node) *Guard {
	g := r.guardOf(nil)
	hint := fmt.Sprintf("write null to turn the guard off; leave the key out for %d refusals within %s", g.Refusals,
		key("guard", "within").Default)
	switch {
	case n.kind == null:
		return nil
	case n.kind == boolean || n.kind == text && n.text != "":
		r.wrongType(n, sectionKind, hint)
		return g
	case n.kind == nothing:
		r.problem(n, hint, "%s: has no value", n.label)
		return g
	}
	return r.guardOf(r.section(n, "guard"))
}

// guardOf reads the keys of a guard.
func (r *reader) guardOf(values map[string]*node) *Guard {
	return &Guard{Refusals: r.numberOf(values, "guard", "refusals"), Within: r.durationOf(values, "guard", "within")}
}

// paths reads the exceptions in their order.
func (r *reader) paths(n *node) []policy.Rule {
	if n.kind != mapping {
		r.wrongType(n, "patterns with their states",
			"write {/downloads/: allow}, or one pattern a line below paths; leave it out if there are none")
		return nil
	}
	site := strings.TrimSuffix(n.label, "paths")
	seen := map[string]*node{}
	var rules []policy.Rule
	for _, e := range n.entries {
		pattern := e.key.text
		e.value.label = site + "path " + quote(pattern)
		if err := policy.CheckPattern(pattern); err != nil {
			r.problem(e.key, patternHint(pattern), "%s: %v", e.value.label, err)
			continue
		}
		canonical := policy.CanonicalPattern(pattern)
		if before := seen[canonical]; before != nil {
			message := fmt.Sprintf("says the same as %s on line %d", quote(before.text), before.line)
			if before.text == pattern {
				message = fmt.Sprintf("listed twice, first on line %d", before.line)
			}
			r.problem(e.key, "keep one of them", "%s: %s", e.value.label, message)
			continue
		}
		seen[canonical] = e.key
		state, ok := r.state(e.value)
		if !ok {
			continue
		}
		rules = append(rules, policy.Rule{Pattern: pattern, State: state})
	}
	return rules
}

func patternHint(pattern string) string {
	if _, rest, ok := strings.Cut(pattern, "://"); ok {
		if _, path, ok := strings.Cut(rest, "/"); ok {
			return "write the path alone: /" + path
		}
		return "write the path alone, such as /downloads/"
	}
	if plain := withoutRegexp(pattern); plain != pattern {
		return "write " + plain + ", in robots.txt's own language: a prefix, * for any run of characters, $ for the end"
	}
	if before, _, ok := strings.Cut(pattern, "#"); ok && strings.HasPrefix(pattern, "/") {
		return "write " + before + ": what stands behind a # never leaves the browser"
	}
	if pattern != "" && pattern[0] != '/' && pattern[0] != '*' && !strings.ContainsAny(pattern, " *") {
		return "write /" + pattern
	}
	return ""
}

// withoutRegexp is what a regular expression or a shell's pattern for paths would be as a pattern of ours; as it was,
// if it is neither.
func withoutRegexp(pattern string) string {
	plain := pattern
	if strings.HasPrefix(plain, "^") {
		plain = strings.NewReplacer(`\.`, ".", `\/`, "/", ".*", "*", ".+", "*").Replace(plain[1:])
	}
	for strings.Contains(plain, "**") {
		plain = strings.ReplaceAll(plain, "**", "*")
	}
	if plain == pattern {
		return pattern
	}
	plain = strings.TrimSuffix(plain, "*$")
	plain = strings.TrimSuffix(plain, "*")
	if !strings.HasPrefix(plain, "/") {
		plain = "/" + plain
	}
	return plain
}

// notePaths warns of what a site's rules mean to Google.
func (r *reader) notePaths(n, paths *node, s Site) {
	if paths == nil {
		return
	}
	mixed := false
	for _, e := range paths.entries {
		i := slices.IndexFunc(s.Paths, func(rule policy.Rule) bool { return rule.Pattern == e.key.text })
		if i < 0 {
			continue
		}
		rule := s.Paths[i]
		canonical := policy.CanonicalPattern(rule.Pattern)
		if canonical == "/" && rule.State != s.HTTP2Crawl {
			r.note(e.key, "if that is meant, write http2_crawl: "+rule.State.String()+" and leave the rule out",
				"%spath %s matches every page: http2_crawl: %s decides nothing", n.label, quote(rule.Pattern),
				s.HTTP2Crawl)
			continue
		}
		if rule.State != s.HTTP2Crawl && !mixed {
			mixed = true
			r.note(
				e.key,
				"Google chooses the protocol for a whole site and documents nothing per URL; what one path refuses may decide for all of them",
				"%smixes states: http2_crawl is %s, path %s is %s",
				n.label,
				s.HTTP2Crawl,
				quote(rule.Pattern),
				rule.State,
			)
		}
		if rule.State == policy.Refuse && strings.TrimSuffix(canonical, "$") == "/robots.txt" {
			r.note(e.key, "leave the rule out: /robots.txt is then always served",
				"%spath %s: a crawler that gets 421 for robots.txt may take it that nothing is disallowed", n.label,
				quote(rule.Pattern))
		}
	}
}
