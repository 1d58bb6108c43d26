package server

import (
	"gate421/gate/audit"
	"gate421/gate/policy"
)

// ruleChanges lists the rules whose state differs between two versions. The state "" stands for a rule, or a whole
// site, that is not in that version.
func ruleChanges(old, new *policy.Policy) []audit.Fields {
	type key struct{ site, rule string }
	states := func(p *policy.Policy) (order []key, states map[key]string) {
		states = map[key]string{}
		note := func(k key, state policy.State) {
			order = append(order, k)
			states[k] = state.String()
		}
		for _, site := range p.Sites() {
			note(key{site.Name, policy.SiteRule}, site.State)
			for _, rule := range site.Rules() {
				note(key{site.Name, rule.Pattern}, rule.State)
			}
		}
		return order, states
	}
	before, from := states(old)
	after, to := states(new)
	var changes []audit.Fields
	add := func(k key) {
		if from[k] != to[k] {
			changes = append(changes, audit.Fields{"site": k.site, "rule": k.rule, "from": from[k], "to": to[k], "by": "reload"})
		}
	}
	for _, k := range before {
		add(k)
	}
	for _, k := range after {
		if from[k] == "" {
			add(k)
		}
	}
	return changes
}
